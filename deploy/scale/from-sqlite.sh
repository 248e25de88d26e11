#!/bin/sh
# Moves a SQLite log to PostgreSQL: prints SQL for psql. Rows keep their ids, so every client keeps its position.
#
#   sh from-sqlite.sh /var/lib/rowtail/events.db | psql -v ON_ERROR_STOP=1 -q -1 'dbname=app'
#
# First stop the publishers, make an empty log there with schema/postgresql.sql, and run this version's schema/rowtail.sql on
# the SQLite log. The role must own the tables. Afterwards publishers insert into PostgreSQL, and rowtail-mirror keeps the copy.
# PostgreSQL cannot store a NUL: a text ends before it.
set -eu
if [ $# -ne 1 ] || [ ! -r "$1" ]; then
	echo "usage: sh from-sqlite.sh EVENTS.DB | psql -v ON_ERROR_STOP=1 -q -1 CONNINFO" >&2
	exit 64
fi

cat <<'SQL'
DO $$ BEGIN
	IF EXISTS (SELECT 1 FROM events) OR events_position() > 0 THEN
		RAISE EXCEPTION 'this log has rows already; from-sqlite.sh needs a new one';
	END IF;
END $$;
-- The rows have their ids already.
ALTER TABLE events DISABLE TRIGGER USER;
ALTER TABLE grants DISABLE TRIGGER grants_changed;
SQL
sqlite3 -readonly "$1" <<'SQL'
.mode list
BEGIN;
SELECT 'INSERT INTO events(id, channel, event, data, retry, created_at) VALUES (' || id || ', ' || quote(channel) || ', ' ||
	quote(event) || ', ' || quote(CAST(data AS TEXT)) || ', ' || quote(retry) || ', ' || quote(created_at) || ');'
FROM events ORDER BY id;
SELECT 'INSERT INTO grants VALUES (' || quote(subject) || ', ' || quote(channel) || ', ' ||
	quote(strftime('%Y-%m-%dT%H:%M:%fZ', expires_at)) || ') ON CONFLICT DO NOTHING;'
FROM grants ORDER BY expires_at IS NOT NULL, expires_at DESC;
SELECT 'INSERT INTO events_pruned VALUES (' || quote(channel) || ', ' || max(id) || ');' FROM events_pruned GROUP BY channel;
SELECT 'INSERT INTO events_ended VALUES (' || quote(channel) || ', ' || id || ');' FROM events_ended;
SELECT 'SELECT setval(''events_order'', ' || max(seq, 1) || ') IS NULL AS moved;' FROM sqlite_sequence WHERE name = 'events';
COMMIT;
SQL
cat <<'SQL'
ALTER TABLE events ENABLE TRIGGER USER;
ALTER TABLE events ENABLE ALWAYS TRIGGER events_refused;
ALTER TABLE events ENABLE REPLICA TRIGGER events_number_replica;
ALTER TABLE grants ENABLE TRIGGER grants_changed;
SQL
