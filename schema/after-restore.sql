-- after-restore.sql: for a log that was restored from a backup, whose sqlite_sequence was set back, or that has
-- no ids left.
--
--     sqlite3 events.db < after-restore.sql    (before the writers start again; SQLite 3.7.17 or newer)
--
-- A restored log is older than what readers have seen. Rows were lost, and SQLite would give their ids to new
-- rows, which a reader that already has such an id would never get. Nobody knows the last lost id. So new ids
-- start at the current time in milliseconds since 1970. No log has passed that, unless it took 1,000 rows per
-- second ever since or was given larger ids by hand. Up to 2^53, the limit of exact integers in JavaScript, there
-- is room for 285,000 years. A client that resumes from an earlier position gets a gap, since it may have missed
-- lost rows.
--
-- A log in which a row was given one of the largest ids takes no more rows. Rows with ids above 9000000000000000
-- get new ids here, in the same order, after that gap. Readers that already have such an id get a gap too.
--
-- The file runs as a whole or not at all. Running it again does no harm: connected clients get another gap.

PRAGMA busy_timeout = 10000;

-- As in rowtail.sql: a failed check rolls everything back, including what the sqlite3 shell runs after it.
DROP TABLE IF EXISTS temp.rowtail_setup;
CREATE TEMP TABLE rowtail_setup(step TEXT);

CREATE TEMP TRIGGER rowtail_setup_before BEFORE INSERT ON rowtail_setup
WHEN NEW.step = 'before'
BEGIN
	SELECT RAISE(ROLLBACK, 'run rowtail.sql first; after-restore.sql works on the log that it makes')
	WHERE 2 > (SELECT count(*) FROM main.sqlite_master
		WHERE type = 'trigger' AND name = 'events_deleted' AND lower(tbl_name) = 'events'
		OR type = 'table' AND name = 'events_pruned' AND lower(sql) LIKE '%deletion%');

	SELECT RAISE(ROLLBACK, 'the clock of this machine is before November 2023, so new ids may have been used before; set the clock and run this again')
	WHERE CAST(strftime('%s', 'now') AS INTEGER) < 1700000000;
END;

CREATE TEMP TRIGGER rowtail_setup_after BEFORE INSERT ON rowtail_setup
WHEN NEW.step = 'after'
BEGIN
	SELECT RAISE(ROLLBACK, 'after-restore.sql: a statement failed, so nothing was changed; the first error says why')
	WHERE (SELECT count(DISTINCT step) FROM temp.rowtail_setup
		WHERE step IN ('locked', 'before', 'large ids were copied', 'ids go on', 'one mark is left', 'rows are back')) < 6
		OR EXISTS (SELECT 1 FROM main.sqlite_master WHERE name = 'rowtail_lock');
END;

SAVEPOINT rowtail;
SAVEPOINT step;
CREATE TABLE rowtail_lock(x);
INSERT INTO rowtail_setup SELECT 'locked' FROM main.sqlite_master WHERE name = 'rowtail_lock';
SAVEPOINT step;
DROP TABLE rowtail_lock;
INSERT INTO rowtail_setup VALUES ('before');

DROP TABLE IF EXISTS temp.rowtail_large;
CREATE TEMP TABLE rowtail_large AS SELECT * FROM events WHERE id > 9000000000000000 ORDER BY id;
INSERT INTO rowtail_setup SELECT 'large ids were copied'
WHERE (SELECT count(*) FROM rowtail_large) = (SELECT count(*) FROM events WHERE id > 9000000000000000);
SAVEPOINT step;
DELETE FROM events WHERE id > 9000000000000000;
-- The ends among these rows are noted again, with their new ids.
SAVEPOINT step;
DELETE FROM events_ended WHERE id > 9000000000000000;

SAVEPOINT step;
INSERT INTO sqlite_sequence(name, seq)
SELECT 'events', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'events');
SAVEPOINT step;
UPDATE sqlite_sequence SET seq = max(CASE WHEN seq <= 9000000000000000 THEN seq ELSE 0 END,
	CAST(strftime('%s', 'now') AS INTEGER) * 1000,
	ifnull((SELECT max(id) FROM events), 0),
	ifnull((SELECT max(id) FROM events_pruned WHERE id <= 9000000000000000), 0))
WHERE name = 'events';
INSERT INTO rowtail_setup SELECT 'ids go on' FROM sqlite_sequence
WHERE name = 'events' AND seq BETWEEN 1700000000000 AND 9000000000000000;

-- Deletion numbers only grow: the new mark is inserted before the others are deleted.
SAVEPOINT step;
INSERT INTO events_pruned(channel, id) SELECT '*', seq FROM sqlite_sequence WHERE name = 'events';
SAVEPOINT step;
DELETE FROM events_pruned WHERE deletion < (SELECT max(deletion) FROM events_pruned);
INSERT INTO rowtail_setup SELECT 'one mark is left'
WHERE (SELECT group_concat(channel || id) FROM events_pruned)
	= (SELECT '*' || seq FROM sqlite_sequence WHERE name = 'events');

-- All columns, including those that the application has added. Without an id SQLite numbers the row.
UPDATE rowtail_large SET id = NULL;
SAVEPOINT step;
INSERT INTO events SELECT * FROM rowtail_large ORDER BY rowid;
INSERT INTO rowtail_setup SELECT 'rows are back' FROM sqlite_sequence WHERE name = 'events'
	AND seq >= (SELECT max(id) FROM events_pruned WHERE channel = '*') + (SELECT count(*) FROM rowtail_large);
DROP TABLE IF EXISTS temp.rowtail_large;

INSERT INTO rowtail_setup VALUES ('after');
RELEASE rowtail;
DROP TABLE IF EXISTS temp.rowtail_setup;
