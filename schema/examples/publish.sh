#!/bin/sh
# Publishes one record: publish.sh events.db orders/42 paid '{"total": 12}'
# Without the last argument, the data is what comes on standard input. An empty event is none.
set -eu

# Text goes into the statement as hex digits: no quote, backslash or line break can end it early.
hex() {
	od -An -v -tx1 | tr -d ' \n'
}

channel=$(printf %s "$2" | hex)
event=$(printf %s "$3" | hex)
data=$(if [ $# -gt 3 ]; then printf %s "$4" | hex; else hex; fi)

# 10 s to wait for other writers.
sqlite3 -batch -bail -cmd '.timeout 10000' "$1" <<EOF
INSERT INTO events(channel, event, data)
VALUES (CAST(x'$channel' AS TEXT), nullif(CAST(x'$event' AS TEXT), ''), CAST(x'$data' AS TEXT));
SELECT last_insert_rowid();
EOF
