#!/bin/sh
# insert.sh DATABASE: inserts rows for the demo, a few per second, until the process that started it
# is gone. `n` in every row is its number within its channel, so a reader of the stream notices a lost
# or repeated row.
set -eu

database=$1
trap 'exit 0' INT TERM HUP

# The demo's database is deleted with the demo, so commits do not wait for the disk.
sql() {
    printf 'PRAGMA synchronous = OFF;\n%s\n' "$1" | sqlite3 -bail -cmd '.timeout 5000' "$database"
}

# stock ITEM CHANGE: a trigger writes the row in `events` (demo.sql).
stock() {
    sql "UPDATE stock SET version = version + 1,
             amount = CASE WHEN amount + $2 BETWEEN 0 AND 999 THEN amount + $2 ELSE 500 END
         WHERE item = '$1';"
}

weather() {
    weather_n=$((weather_n + 1))
    sql "INSERT INTO events(channel, data) VALUES ('weather', json_object('n', $weather_n,
             'celsius', round(16 + 6 * (abs(random() % 1000) / 1000.0), 1),
             'wind', abs(random() % 12)));"
}

say() {
    chat_n=$((chat_n + 1))
    case $((chat_n % 6)) in
    0) line='A row is a record. That is the whole idea.' ;;
    1) line='Kept a tea stall open all night; nobody came, the kettle was glad.' ;;
    2) line='Grüße aus Köln ☕ 東京より 🌧' ;;
    3) line='Two lines:\nhere is the second one.' ;;
    4) line='data: id: event: only look like fields.' ;;
    *) line='Who else is on this table?' ;;
    esac
    case $((chat_n % 3)) in 0) who=Ada ;; 1) who=Grace ;; *) who=Edsger ;; esac
    sql "INSERT INTO events(channel, event, data) VALUES ('chat', 'chat', json_object(
             'n', $chat_n, 'from', '$who', 'text', replace('$line', '\\n', char(10))));"
}

# An application that knows nothing of events; demo.sql and `rowtail --track` see to them.
order() {
    case $((turn % 3)) in
    0) customer=Ada item=lantern ;;
    1) customer=Grace item=teapot ;;
    *) customer=Edsger item=umbrella ;;
    esac
    sql "INSERT INTO orders(customer, item, amount) VALUES ('$customer', '$item', 1 + abs(random() % 9));
         UPDATE orders SET state = CASE state WHEN 'new' THEN 'packed' ELSE 'sent' END
             WHERE state <> 'sent' AND id % 4 = $((turn % 4));
         DELETE FROM orders WHERE id <= (SELECT max(id) FROM orders) - 12;"
}

# A step of each job that is not finished.
work() {
    sql 'UPDATE jobs SET done = done + 1 WHERE done < steps;'
}

# Forty rows in one transaction: every subscriber gets them in one write.
burst() {
    sql "BEGIN;
         WITH RECURSIVE c(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM c WHERE k < 40)
         INSERT INTO events(channel, data)
             SELECT 'weather', json_object('n', $weather_n + k, 'celsius', 20, 'gust', k) FROM c;
         COMMIT;"
    weather_n=$((weather_n + 40))
}

# DELETE prunes a log. Twenty thousand rows are hours of the demo.
prune() {
    sql 'DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - 20000;'
}

weather_n=0
chat_n=0
turn=0
while kill -0 "$PPID" 2>/dev/null; do
    turn=$((turn + 1))
    case $((turn % 8)) in
    0) say ;;
    1 | 5) stock teapot -2 ;;
    2) stock lantern 3 ;;
    3 | 7) weather ;;
    4) stock umbrella -1 ;;
    6) stock lantern -3 ;;
    esac
    if [ $((turn % 13)) -eq 5 ]; then order; fi
    work
    if [ $((turn % 100)) -eq 60 ]; then burst; fi
    if [ $((turn % 500)) -eq 0 ]; then prune; fi
    sleep 0.3
done
