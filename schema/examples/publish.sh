#!/bin/sh
# Publishes one record: publish.sh events.db orders/42 paid '{"total": 12}'
# Without the last argument it reads the data from standard input. An empty event means a plain message.
set -eu

# Waits up to 10 s for other writers.
database() {
	sqlite3 -batch -bail -cmd '.timeout 10000' "$@"
}

# SQLite reads the bytes of a BLOB as text in the encoding of the database. Invalid UTF-8 cannot be converted to
# another encoding: then a word among the hex digits makes SQLite refuse the statement.
encoding=$(database "$1" 'PRAGMA encoding;')
as_stored() {
	case $encoding in
	UTF-8) cat ;;
	*) iconv -f UTF-8 -t "$encoding" || echo not-utf8 >&3 ;;
	esac
}

# Text goes into the statement as hex digits, so no quote, backslash or line break can end it early.
hex() {
	{ as_stored | od -An -v -tx1; } 3>&1 | tr -d ' \n'
}

channel=$(printf %s "$2" | hex)
event=$(printf %s "$3" | hex)
data=$(if [ $# -gt 3 ]; then printf %s "$4" | hex; else hex; fi)

database "$1" <<EOF
INSERT INTO events(channel, event, data)
VALUES (CAST(x'$channel' AS TEXT), nullif(CAST(x'$event' AS TEXT), ''), CAST(x'$data' AS TEXT));
SELECT last_insert_rowid();
EOF
