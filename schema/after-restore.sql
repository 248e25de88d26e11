-- after-restore.sql: for a log that came back from a backup, or whose sqlite_sequence was reset.
--
--     sqlite3 events.db < after-restore.sql    (before the writers start again; SQLite 3.31 or newer)
--
-- The restored log is older than what readers have seen: rows were lost, and SQLite would give
-- their ids to new rows, which a reader who already has that id would never be sent. How far the
-- lost rows went, nobody knows any more. So ids go on from the present time in milliseconds since
-- 1970: no log has passed that, unless it took 1,000 rows a second ever since or was given larger
-- ids by hand; and up to 2^53, as far as JavaScript counts exactly, there is room for 285,000 years.
-- And everyone who comes back from a position before it is told of a gap, since rows of theirs may
-- be among the lost.
--
-- Running it again does no harm; those who are connected are told of a gap again.

PRAGMA busy_timeout = 10000;
BEGIN IMMEDIATE;
INSERT INTO sqlite_sequence(name, seq)
SELECT 'events', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'events');
UPDATE sqlite_sequence SET seq = max(seq,
	CAST(strftime('%s', 'now') AS INTEGER) * 1000,
	ifnull((SELECT max(id) FROM events), 0),
	ifnull((SELECT max(id) FROM events_pruned), 0))
WHERE name = 'events';
INSERT INTO events_pruned(channel, id)
SELECT '*', seq FROM sqlite_sequence WHERE name = 'events';
DELETE FROM events_pruned WHERE deletion < last_insert_rowid();
COMMIT;
