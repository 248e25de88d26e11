-- log.sql: rowtail's event log without the table grants, for a database in which the application has a table
-- grants of its own. Made from rowtail.sql by 'make log-sql'.
--
--     sqlite3 events.db < log.sql
--
-- The database may be the application's own. SQLite 3.7.17 (2013) or newer runs this file, and every such
-- version can read and write the result. Running it again keeps every row, grant and mark, and recreates the
-- triggers. It upgrades a log that an older rowtail.sql made, even while others use it.
--
-- The file runs as a whole or not at all: if the application has a table events of its own, or if a
-- statement fails, an error says why, and the database does not change. (Publishing is optional: a table publishers of the
-- application's own stays as it is.)
--
-- In a migration tool that opens a transaction itself, leave out the line PRAGMA journal_mode = WAL: SQLite
-- cannot change the journal mode inside a transaction. Run that line by itself, once. Until then readers and
-- writers wait for each other. The tool must not split this file at each semicolon: triggers contain semicolons.
-- In Perl set sqlite_allow_multiple_statements: otherwise only the first statement runs.

-- "database is locked" at the second line below: others used the database, and SQLite does not wait to change the
-- journal mode. Everything else was done. Run the file again.
PRAGMA busy_timeout = 10000;
PRAGMA journal_mode = WAL;

-- Checks before the first change and after the last. The sqlite3 shell continues after an error. So a failed
-- check rolls everything back. What runs after it is in a savepoint that is never released, and the last check
-- rolls that back too. SQLite itself may end the transaction, for example on a full disk. So there is a SAVEPOINT
-- before each step, and the last RELEASE does nothing unless the first savepoint still exists.
DROP TABLE IF EXISTS temp.rowtail_setup;
CREATE TEMP TABLE rowtail_setup(step TEXT);

CREATE TEMP TRIGGER rowtail_setup_before BEFORE INSERT ON rowtail_setup
WHEN NEW.step = 'before'
BEGIN
	SELECT RAISE(ROLLBACK, 'log.sql needs SQLite 3.7.17 or newer')
	WHERE sqlite_version() GLOB '3.[0-7].*' AND NOT (sqlite_version() GLOB '3.7.*'
		AND CAST(substr(sqlite_version(), 5) AS INTEGER) >= 17);

	SELECT RAISE(ROLLBACK, 'there is already a table or view events of another kind; make the log in a database of its own, or see rowtail --table')
	FROM main.sqlite_master WHERE lower(name) = 'events' AND NOT (type = 'table'
		AND lower(sql) LIKE '%autoincrement%' AND lower(sql) LIKE '%channel%'
		AND lower(sql) LIKE '%event%' AND lower(sql) LIKE '%data%'
		AND lower(sql) LIKE '%retry%' AND lower(sql) LIKE '%created_at%');


	SELECT RAISE(ROLLBACK, 'the application has an index publishers, and no table can have this name too: give the index another name')
	FROM main.sqlite_master WHERE lower(name) = 'publishers' AND type = 'index';

	SELECT RAISE(ROLLBACK, 'the table events_pruned is not one that rowtail.sql makes: DROP TABLE events_pruned, run this again, and then after-restore.sql')
	FROM main.sqlite_master WHERE lower(name) = 'events_pruned' AND NOT (type = 'table'
		AND lower(sql) LIKE '%deletion%' AND lower(sql) LIKE '%channel%');

	SELECT RAISE(ROLLBACK, 'there is already a table or view events_ended of another kind; make the log in a database of its own')
	FROM main.sqlite_master WHERE lower(name) = 'events_ended' AND NOT (type = 'table'
		AND lower(sql) LIKE '%channel%' AND lower(sql) LIKE '%id%');

	SELECT RAISE(ROLLBACK, 'the application has an index, trigger, table or view with a name that rowtail.sql uses; make the log in a database of its own')
	FROM main.sqlite_master WHERE lower(name) GLOB 'events_*' AND (
		lower(name) = 'events_channel' AND NOT (type = 'index' AND lower(tbl_name) = 'events')
		OR lower(name) IN ('events_pruned_channel', 'events_pruned_id')
			AND NOT (type = 'index' AND lower(tbl_name) = 'events_pruned')
		OR lower(name) IN ('events_refused', 'events_name_refused', 'events_numbered',
			'events_row_is_final', 'events_deleted', 'events_id_grows', 'events_id_is_new', 'events_end_noted')
			AND NOT (type = 'trigger' AND lower(tbl_name) = 'events')
		OR lower(name) = 'events_pruned_bound'
			AND NOT (type = 'trigger' AND lower(tbl_name) = 'events_pruned'))
	OR lower(name) IN ('rowtail_name', 'rowtail_grant', 'rowtail_numbers', 'rowtail_schema') AND type <> 'view'
	OR lower(name) IN ('rowtail_publish_keys', 'rowtail_publish_rates') AND type <> 'table'
	OR lower(name) IN ('rowtail_name_checked', 'rowtail_grant_checked')
		AND NOT (type = 'trigger' AND lower(tbl_name) IN ('rowtail_name', 'rowtail_grant'));

END;

CREATE TEMP TRIGGER rowtail_setup_after BEFORE INSERT ON rowtail_setup
WHEN NEW.step = 'after'
BEGIN
	SELECT RAISE(ROLLBACK, 'log.sql: a statement failed, so nothing was changed; the first error says why')
	WHERE (SELECT count(*) FROM main.sqlite_master WHERE type = 'table'
			AND lower(name) IN ('events', 'events_pruned', 'events_ended', 'rowtail_publish_keys',
				'rowtail_publish_rates')) < 5
		OR (SELECT count(*) FROM main.sqlite_master WHERE type = 'index'
			AND name IN ('events_channel', 'events_pruned_channel', 'events_pruned_id')) < 3
		OR (SELECT count(*) FROM main.sqlite_master WHERE type = 'view'
			AND name IN ('rowtail_name', 'rowtail_numbers', 'rowtail_schema')) < 3
		OR (SELECT count(*) FROM main.sqlite_master WHERE type = 'trigger'
			AND name IN ('events_refused', 'events_numbered', 'events_row_is_final', 'events_deleted',
				'events_pruned_bound', 'rowtail_name_checked')) < 6
		OR NOT EXISTS (SELECT 1 FROM main.sqlite_master WHERE lower(name) = 'publishers')
		OR EXISTS (SELECT 1 FROM main.sqlite_master WHERE name = 'rowtail_lock')
		OR (SELECT count(DISTINCT step) FROM temp.rowtail_setup
			WHERE step IN ('locked', 'before', 'former triggers are gone', 'events has its columns')) < 4;

END;

SAVEPOINT rowtail;
-- The first statement waits for other writers; the others need not.
SAVEPOINT step;
CREATE TABLE rowtail_lock(x);
INSERT INTO rowtail_setup SELECT 'locked' FROM main.sqlite_master WHERE name = 'rowtail_lock';
SAVEPOINT step;
DROP TABLE rowtail_lock;
INSERT INTO rowtail_setup VALUES ('before');

-- Triggers and views are recreated.
SAVEPOINT step;
DROP TRIGGER IF EXISTS events_id_grows;
SAVEPOINT step;
DROP TRIGGER IF EXISTS events_id_is_new;
SAVEPOINT step;
DROP TRIGGER IF EXISTS events_refused;
SAVEPOINT step;
DROP TRIGGER IF EXISTS events_name_refused;
SAVEPOINT step;
DROP TRIGGER IF EXISTS events_numbered;
SAVEPOINT step;
DROP TRIGGER IF EXISTS events_row_is_final;
SAVEPOINT step;
DROP TRIGGER IF EXISTS events_deleted;
SAVEPOINT step;
DROP TRIGGER IF EXISTS events_end_noted;
SAVEPOINT step;
DROP TRIGGER IF EXISTS events_pruned_bound;
SAVEPOINT step;
DROP VIEW IF EXISTS rowtail_name;
SAVEPOINT step;
DROP VIEW IF EXISTS rowtail_numbers;
SAVEPOINT step;
DROP VIEW IF EXISTS rowtail_schema;
INSERT INTO rowtail_setup SELECT 'former triggers are gone' WHERE NOT EXISTS (SELECT 1 FROM main.sqlite_master
	WHERE name IN ('events_id_grows', 'events_id_is_new', 'events_refused', 'events_name_refused',
		'events_numbered', 'events_row_is_final', 'events_deleted', 'events_end_noted', 'events_pruned_bound',
		'rowtail_name', 'rowtail_numbers', 'rowtail_schema'));

-- Which version of this file made the log: 1 (0.1.0, without this view) or 2. PRAGMA user_version is the application's.
SAVEPOINT step;
CREATE VIEW rowtail_schema AS SELECT 2 AS version;

-- The event log: one row per record. Publishers insert rows:
--
--     INSERT INTO events(data) VALUES ('hello');
--     INSERT INTO events(channel, event, data) VALUES ('orders/42', 'paid', '{"total":12}');
--
-- Leave out id and created_at. The trigger events_refused says what each column may hold. You can add a UNIQUE
-- index, for INSERT OR IGNORE. But INSERT OR REPLACE then deletes rows without running the trigger that records
-- it for readers, unless the writer has set recursive_triggers.
SAVEPOINT step;
CREATE TABLE IF NOT EXISTS events(
	id INTEGER PRIMARY KEY AUTOINCREMENT,

	-- Clients that follow this channel, or a pattern that matches it, get the row.
	channel TEXT NOT NULL DEFAULT 'default',

	-- The event type that the page listens for. NULL is a plain message. A row of type 'end' is the last of its
	-- channel: rowtail closes the streams that have it, and they do not come back.
	event TEXT,

	-- The payload. Line breaks are kept.
	data TEXT NOT NULL DEFAULT '',

	-- A new reconnection time for clients that get this row, in ms.
	retry INTEGER,

	created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
SAVEPOINT step;
CREATE INDEX IF NOT EXISTS events_channel ON events(channel, id);
INSERT INTO rowtail_setup SELECT 'events has its columns'
WHERE (SELECT count(*) FROM (SELECT id, channel, event, data, retry, created_at FROM events LIMIT 0)) = 0;

-- What was deleted, so that a client that resumes from before a deleted row gets a gap, and no other client
-- does. For each channel: the highest id ever deleted, then the highest id of those deleted after it, and so
-- on. So a reader that knows the deletions up to a certain number can see whether rows that it still had to
-- read were deleted since. The channel '*' stands for every channel. Only the triggers below write here.
SAVEPOINT step;
CREATE TABLE IF NOT EXISTS events_pruned(
	deletion INTEGER PRIMARY KEY, -- only grows: the newest row is deleted only after a newer one is made
	channel TEXT NOT NULL,
	id INTEGER NOT NULL
);
SAVEPOINT step;
CREATE INDEX IF NOT EXISTS events_pruned_channel ON events_pruned(channel, id);
SAVEPOINT step;
CREATE INDEX IF NOT EXISTS events_pruned_id ON events_pruned(id);

-- The channels that have ended: each has a row of event type 'end', its last. The end stays here when that row is
-- deleted. To open the channel again: DELETE FROM events_ended WHERE channel = 'jobs/7';
SAVEPOINT step;
CREATE TABLE IF NOT EXISTS events_ended(
	channel TEXT NOT NULL PRIMARY KEY,
	id INTEGER NOT NULL -- of the row that ended it
);

-- The numbers 1 to 256, to look at each character of a name. In a UTF-16 database this is the only way to count
-- its bytes of UTF-8.
SAVEPOINT step;
CREATE VIEW rowtail_numbers AS
SELECT 1 + a + 4 * b + 16 * c + 64 * d AS n
FROM (SELECT 0 AS a UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3),
	(SELECT 0 AS b UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3),
	(SELECT 0 AS c UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3),
	(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3);

-- Triggers, not CHECKs, refuse what cannot be a record. With triggers every version of SQLite tells the writer
-- what would be right, and INSERT OR IGNORE does not drop a row silently.
--
-- Each trigger, and each statement in it, takes time for every row. So one trigger checks everything, and its WHEN
-- skips most rows: SQLite chooses their ids, and their names are printable ASCII.
--
-- In a BEFORE INSERT trigger NEW.id is -1 if the statement gives no id. sqlite_sequence lags until the statement
-- ends, so this looks in all three places where an earlier id can be. A given id must leave room for the ids of
-- later rows: JavaScript counts exactly up to 9007199254740991.
--
-- A line break in the data takes 7 bytes in an event stream, and 7 times the data must stay below 2 GiB.
--
-- length() of a text counts characters and stops at a NUL; length() of a BLOB counts bytes. GLOB and substr() stop
-- at a NUL too; the last comparison of created_at finds what follows one.
SAVEPOINT step;
CREATE TRIGGER events_refused BEFORE INSERT ON events
WHEN NEW.id <> -1
	OR NEW.channel GLOB '*[^ -)+-~]*' OR length(NEW.channel) NOT BETWEEN 1 AND 255
	OR length(CAST(NEW.channel AS BLOB)) <> length(NEW.channel) OR typeof(NEW.channel) <> 'text'
	OR NEW.event IS NOT NULL AND (NEW.event GLOB '*[^ -~]*' OR length(NEW.event) NOT BETWEEN 1 AND 255
		OR length(CAST(NEW.event AS BLOB)) <> length(NEW.event) OR typeof(NEW.event) <> 'text'
		OR NEW.event = 'open' OR NEW.event = 'error'
		OR NEW.event = 'position' OR NEW.event = 'gap' OR NEW.event = 'denied')
	OR EXISTS (SELECT 1 FROM events_ended WHERE channel = NEW.channel)
	OR typeof(NEW.data) = 'blob' OR length(CAST(NEW.data AS BLOB)) > 268435456
	OR NEW.retry IS NOT NULL AND (typeof(NEW.retry) <> 'integer' OR NEW.retry NOT BETWEEN 0 AND 3600000)
	OR NEW.created_at <> strftime('%Y-%m-%dT%H:%M:%fZ', 'now') AND (
		NEW.created_at NOT GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z'
		OR date(NEW.created_at, '+0 days') IS NOT substr(NEW.created_at, 1, 10)
		OR NEW.created_at <> substr(NEW.created_at, 1, 24))
BEGIN
	SELECT CASE
	WHEN NEW.id = -1 THEN NULL
	WHEN NEW.id NOT BETWEEN 1 AND 9000000000000000 THEN
		RAISE(ABORT, 'id: 1 to 9000000000000000; leave it out and SQLite numbers the row')
	WHEN NEW.id <= max(
			ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0),
			ifnull((SELECT max(id) FROM events), 0),
			ifnull((SELECT max(id) FROM events_pruned), 0)) THEN
		RAISE(ABORT, 'events: this id is not above every earlier one, and ids only grow; leave id out and SQLite numbers the row')
	END,

	CASE
	WHEN EXISTS (SELECT 1 FROM events_ended WHERE channel = NEW.channel) THEN
		RAISE(ABORT, 'events: this channel has ended, so it takes no more rows; DELETE FROM events_ended opens it again')
	WHEN typeof(NEW.data) = 'blob' THEN
		RAISE(ABORT, 'data: text, not a BLOB; bind it as text, or write CAST(... AS TEXT)')
	WHEN length(CAST(NEW.data AS BLOB)) > 268435456 THEN
		RAISE(ABORT, 'data: at most 256 MiB (268435456 bytes), since a record is encoded in memory; publish a link to longer data')
	WHEN NEW.retry IS NOT NULL
			AND (typeof(NEW.retry) <> 'integer' OR NEW.retry NOT BETWEEN 0 AND 3600000) THEN
		RAISE(ABORT, 'retry: NULL, or whole milliseconds from 0 to 3600000')
	WHEN NEW.created_at NOT GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z'
			OR date(NEW.created_at, '+0 days') IS NOT substr(NEW.created_at, 1, 10)
			OR NEW.created_at <> substr(NEW.created_at, 1, 24) THEN
		RAISE(ABORT, 'created_at: UTC such as 2026-01-31T23:59:59.123Z; leave it out and it is now')
	END;

	INSERT INTO rowtail_name VALUES (NEW.channel, NEW.event);
END;

-- An INSERT here checks the names of a row. This is a separate view because a trigger computes its constants,
-- such as char(1), on each call. CAST('a' AS BLOB) has 2 bytes in a UTF-16 database.
SAVEPOINT step;
CREATE VIEW rowtail_name AS SELECT NULL AS channel, NULL AS event WHERE 0;
SAVEPOINT step;
CREATE TRIGGER rowtail_name_checked INSTEAD OF INSERT ON rowtail_name
BEGIN
	SELECT CASE
	WHEN typeof(NEW.channel) = 'null' THEN NULL -- NOT NULL says so
	WHEN typeof(NEW.channel) <> 'text' OR NEW.channel = '' OR 255 < CASE length(CAST('a' AS BLOB))
			WHEN 1 THEN length(CAST(NEW.channel AS BLOB))
			ELSE (SELECT sum(1 + (u > 127) + (u > 2047) + (u > 65535)) FROM (
				SELECT unicode(substr(NEW.channel, n, 1)) AS u FROM rowtail_numbers)) END THEN
		RAISE(ABORT, 'channel: text of 1 to 255 bytes of UTF-8')
	WHEN instr(NEW.channel, '*') OR instr(NEW.channel, char(0)) OR NEW.channel GLOB
			'*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || ']*' THEN
		RAISE(ABORT, 'channel: no control characters, and no *, which is for patterns')
	END,

	CASE
	WHEN typeof(NEW.event) = 'null' THEN NULL
	WHEN typeof(NEW.event) <> 'text' OR NEW.event = '' OR 255 < CASE length(CAST('a' AS BLOB))
			WHEN 1 THEN length(CAST(NEW.event AS BLOB))
			ELSE (SELECT sum(1 + (u > 127) + (u > 2047) + (u > 65535)) FROM (
				SELECT unicode(substr(NEW.event, n, 1)) AS u FROM rowtail_numbers)) END THEN
		RAISE(ABORT, 'event: NULL for a plain message, or text of 1 to 255 bytes of UTF-8')
	WHEN instr(NEW.event, char(13)) OR instr(NEW.event, char(10)) OR instr(NEW.event, char(0)) THEN
		RAISE(ABORT, 'event: one line, so no CR, LF or NUL')
	WHEN NEW.event IN ('open', 'error', 'position', 'gap', 'denied') THEN
		RAISE(ABORT, 'event: open and error are EventSource''s own, position, gap and denied are rowtail''s; choose another name')
	END;
END;

-- Notes the end of a channel. Also checks the ids that SQLite chose, in case somebody emptied both the log and
-- sqlite_sequence. The row may be gone already if another trigger prunes.
SAVEPOINT step;
CREATE TRIGGER events_numbered AFTER INSERT ON events
WHEN NEW.event = 'end' OR NEW.id NOT BETWEEN 1 AND 9007199254740991 OR NEW.id <= (SELECT max(id) FROM events_pruned)
BEGIN
	SELECT CASE
	WHEN NEW.id < 1 THEN
		RAISE(ABORT, 'id: 1 to 9000000000000000; leave it out and SQLite numbers the row')
	WHEN NEW.id > 9007199254740991 THEN
		RAISE(ABORT, 'events: no ids are left, because a row was given one of the largest; run after-restore.sql')
	WHEN NEW.id <= (SELECT max(id) FROM events_pruned) AND EXISTS (SELECT 1 FROM events WHERE id = NEW.id) THEN
		RAISE(ABORT, 'events: sqlite_sequence was set back, so ids would be used twice; run after-restore.sql')
	END;

	INSERT INTO events_ended(channel, id) SELECT NEW.channel, NEW.id WHERE NEW.event = 'end';
END;

SAVEPOINT step;
CREATE TRIGGER events_row_is_final BEFORE UPDATE ON events
BEGIN
	SELECT RAISE(ABORT, 'events: a logged row never changes, since readers may have it already; insert a new row that corrects it, or delete this one');
END;

SAVEPOINT step;
CREATE TRIGGER events_deleted AFTER DELETE ON events
BEGIN
	INSERT INTO events_pruned(channel, id) VALUES (OLD.channel, OLD.id);
	DELETE FROM events_pruned
	WHERE channel = OLD.channel AND id <= OLD.id AND deletion < last_insert_rowid();
END;

-- Limits the size of this table, for a log with ever new channels or one that is deleted from its end
-- backwards: above 10,000 rows, all but those with the highest 5,000 ids become one row, of '*'. Counting is
-- the expensive part, so it is done for about one deletion in 256.
SAVEPOINT step;
CREATE TRIGGER events_pruned_bound AFTER INSERT ON events_pruned
WHEN NEW.channel <> '*' AND random() % 256 = 0 AND (SELECT count(*) FROM events_pruned) > 10000
BEGIN
	INSERT INTO events_pruned(channel, id)
	SELECT '*', id FROM events_pruned ORDER BY id DESC LIMIT 1 OFFSET 5000;
	DELETE FROM events_pruned WHERE deletion < last_insert_rowid()
		AND id <= (SELECT id FROM events_pruned WHERE deletion = last_insert_rowid());
END;


-- Who may publish by HTTP, with rowtail-publish. The columns are those of grants, which says nothing about publishing:
--
--     INSERT INTO publishers(subject, channel) VALUES ('user:ann', 'orders/*');
--
-- Without a row here nobody can publish by HTTP. A program that writes to the database by itself needs none.
--
-- The application may have a table or view publishers of its own. It stays as it is, and only a JWT can allow publishing
-- then. That is why CHECKs refuse bad rows, and not triggers: no statement here may touch somebody else's table.
SAVEPOINT step;
CREATE TABLE IF NOT EXISTS publishers(
	subject TEXT NOT NULL
		CONSTRAINT "subject: * for everyone, user:NAME, or token:HEX"
		CHECK (typeof(subject) = 'text' AND (subject = '*' OR subject GLOB 'user:?*' OR subject GLOB 'token:*'))
		CONSTRAINT "subject: after token: come the 64 lower-case hex digits of the token's SHA-256, never the token"
		CHECK (subject NOT GLOB 'token:*' OR length(subject) = 70 AND NOT instr(subject, char(0))
			AND substr(subject, 7) NOT GLOB '*[^0-9a-f]*'),

	channel TEXT NOT NULL
		CONSTRAINT "channel: text of 1 to 255 bytes of UTF-8"
		CHECK (typeof(channel) = 'text' AND length(channel) BETWEEN 1 AND 255
			AND (length(CAST(channel AS BLOB)) <= 255 OR length(CAST('a' AS BLOB)) > 1))
		CONSTRAINT "channel: no control characters"
		CHECK (NOT instr(channel, char(0)) AND channel NOT GLOB
			'*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || ']*')
		CONSTRAINT "channel: a name, a pattern such as orders/*, or * alone for all"
		CHECK (NOT instr(channel, '*') OR channel = '*'
			OR instr(channel, '*') = length(channel) AND channel GLOB '?*/[*]'),

	expires_at TEXT
		CONSTRAINT "expires_at: NULL, or a time in UTC such as 2026-01-31 23:59:59 or 2026-01-31T23:59:59Z"
		CHECK (expires_at IS NULL OR CASE
			WHEN typeof(expires_at) <> 'text' OR instr(expires_at, char(0)) OR expires_at NOT GLOB
				'[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9][ T][0-9][0-9]:[0-9][0-9]:[0-9][0-9]*' THEN 0
			WHEN substr(expires_at, 20) NOT IN ('', 'Z', '+00:00')
				AND NOT (substr(expires_at, 20) GLOB '.[0-9]*'
					AND ltrim(substr(expires_at, 21), '0123456789') IN ('', 'Z', '+00:00')) THEN 0
			ELSE strftime('%Y-%m-%d %H:%M:%S', expires_at, '+0 days')
				IS replace(substr(expires_at, 1, 19), 'T', ' ') END),

	PRIMARY KEY (subject, channel)
);

-- The latest 10,000 values of Idempotency-Key, as hashes, with the answers; and how many messages each publisher sent in
-- this minute, with --rate. Only rowtail-publish writes here.
SAVEPOINT step;
CREATE TABLE IF NOT EXISTS rowtail_publish_keys(
	n INTEGER PRIMARY KEY,
	key TEXT NOT NULL UNIQUE,
	fingerprint TEXT NOT NULL,
	answer TEXT NOT NULL
);
SAVEPOINT step;
CREATE TABLE IF NOT EXISTS rowtail_publish_rates(
	name TEXT NOT NULL PRIMARY KEY,
	minute INTEGER NOT NULL,
	messages INTEGER NOT NULL
);

INSERT INTO rowtail_setup VALUES ('after');
RELEASE rowtail;
DROP TABLE IF EXISTS temp.rowtail_setup;

SELECT 'run retention.sql as well: SQLite older than 3.24 cannot read what its former version made'
FROM sqlite_master WHERE name = 'retention' AND lower(sql) LIKE '%without rowid%';
SELECT 'few ids are left for events: run after-restore.sql'
FROM events WHERE id > 9000000000000000 LIMIT 1;
