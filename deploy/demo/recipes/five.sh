#!/bin/sh
# Publishes five events, one a second, and the end of their channel: five.sh events.db jobs/7
#
#     const stream = new EventSource('/events/jobs/7?last_event_id=0');
#     stream.onmessage = ({ data }) => console.log(data);
#
# The row of type `end` is the last. rowtail closes the stream after it. EventSource reconnects once, after the time in
# `retry` (10 s here), gets 204, and stops for good. A page that must not wait calls close() when it gets `end`.
set -eu

publish() {
	sqlite3 -batch -bail -cmd '.timeout 10000' "$1" \
		"INSERT INTO events(channel, event, data, retry) VALUES ('$(printf %s "$2" | sed "s/'/''/g")', $3)"
}

for number in 1 2 3 4 5; do
	publish "$1" "$2" "NULL, 'event $number', NULL"
	sleep "${3:-1}"
done
publish "$1" "$2" "'end', '', 10000"
