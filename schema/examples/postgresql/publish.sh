#!/bin/sh
# Publishes one record: publish.sh 'host=db.example dbname=app' orders/42 paid '{"total": 12}'
# Without the last argument it reads the data from standard input. An empty event means a plain message.
set -eu

data=$(if [ $# -gt 3 ]; then printf %s. "$4"; else cat && printf .; fi)

# psql quotes each :'variable' as a text.
psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$1" -v "channel=$2" -v "event=$3" -v "data=${data%.}" <<'SQL'
INSERT INTO events(channel, event, data) VALUES (:'channel', nullif(:'event', ''), :'data');
SELECT currval('events_order');
SQL
