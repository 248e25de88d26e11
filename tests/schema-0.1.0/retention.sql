-- retention.sql: optional; keeps the log short by itself, inside the database.
--
--     sqlite3 events.db < retention.sql          (after rowtail.sql; SQLite 3.31 or newer)
--
-- Then say what to keep, a line for each rule:
--
--     INSERT INTO retention(keep_rows) VALUES (100000);          -- of the log as a whole
--     INSERT INTO retention VALUES ('rooms/*', 100, 86400);      -- of each channel below rooms/
--     INSERT INTO retention VALUES ('rooms/lobby', 1000, NULL);  -- of this one
--
-- A row leaves when it is over the rule of the log as a whole, or over its channel's rule: the one
-- with its name, else the longest pattern that covers it ('*' covers every channel). No other row
-- ever leaves, and the oldest go first. Lines may be changed at any time; DELETE FROM retention
-- stops it all.
--
-- Each INSERT into the log deletes what has become too much, at most 8 rows for each rule, so that
-- no writer waits long. Rows that only grow old leave at an INSERT too, be it into another channel:
-- the channels are looked at in turn. So a log in which nothing happens, and the first pruning of a
-- large one, are for cron or the hand, in short transactions that let other writers in between:
--
--     until sqlite3 -cmd '.timeout 10000' events.db \
--         'INSERT INTO retention_step VALUES (1000); SELECT count(*) FROM retention_due' |
--         grep -qx 0
--     do sleep 0.1; done
--
-- SELECT * FROM retention_due shows what there is to do. Age is by created_at, and asked of the row
-- with the lowest id first: one that was given a later time by hand holds up those behind it.
--
-- Running this file again keeps the rules, renews the triggers and counts anew.

PRAGMA busy_timeout = 10000;
BEGIN IMMEDIATE;

CREATE TABLE IF NOT EXISTS retention(
	-- Left out, it is the log as a whole.
	channel TEXT NOT NULL DEFAULT '' PRIMARY KEY
		CONSTRAINT "channel: a name, a pattern such as rooms/*, * for every channel, or left out for the log as a whole"
		CHECK (typeof(channel) = 'text' AND (instr(channel, '*') = 0 OR channel = '*'
			OR instr(channel, '*') = length(channel) AND channel GLOB '?*/[*]')),
	-- The newest so many stay. NULL: as many as there are.
	keep_rows INTEGER
		CONSTRAINT "keep_rows: NULL, or a whole number from 1"
		CHECK (keep_rows IS NULL OR typeof(keep_rows) = 'integer' AND keep_rows >= 1),
	-- What is older leaves. NULL: never.
	keep_seconds INTEGER
		CONSTRAINT "keep_seconds: NULL, or whole seconds from 1 to 3155760000, a hundred years"
		CHECK (keep_seconds IS NULL
			OR typeof(keep_seconds) = 'integer' AND keep_seconds BETWEEN 1 AND 3155760000)
) WITHOUT ROWID;

-- What follows is for the triggers; nobody else writes there.
--
-- Each channel of the log, and '' for the log as a whole: how many rows it has, counted along,
-- since counting would take as long as the log is; and a copy of the rule that holds for it. To set
-- at_most is to ask for a look at the channel, and the deletion of so many rows at most.
CREATE TABLE IF NOT EXISTS retention_counts(
	channel TEXT NOT NULL PRIMARY KEY,
	row_count INTEGER NOT NULL,
	keep_rows INTEGER,
	keep_seconds INTEGER,
	at_most INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- Whose turn it was to be looked at without an INSERT of its own.
CREATE TABLE IF NOT EXISTS retention_turn(
	one INTEGER PRIMARY KEY CHECK (one = 1),
	channel TEXT NOT NULL
);
INSERT OR IGNORE INTO retention_turn VALUES (1, '');

DROP TRIGGER IF EXISTS retention_rule_made;
DROP TRIGGER IF EXISTS retention_rule_changed;
DROP TRIGGER IF EXISTS retention_rule_dropped;
DROP TRIGGER IF EXISTS retention_channel_made;
DROP TRIGGER IF EXISTS retention_inserted;
DROP TRIGGER IF EXISTS retention_quiet;
DROP TRIGGER IF EXISTS retention_deleted;
DROP TRIGGER IF EXISTS retention_log_long;
DROP TRIGGER IF EXISTS retention_log_old;
DROP TRIGGER IF EXISTS retention_channel_long;
DROP TRIGGER IF EXISTS retention_channel_old;
DROP VIEW IF EXISTS retention_step;
DROP VIEW IF EXISTS retention_due;
DROP VIEW IF EXISTS retention_rules;

-- The one rule that holds for each channel: what is in retention, copied into retention_counts when
-- either changes.
CREATE VIEW retention_rules AS
SELECT c.channel, r.keep_rows, r.keep_seconds
FROM retention_counts AS c JOIN retention AS r ON r.channel = (
	SELECT channel FROM retention
	WHERE channel = c.channel OR c.channel <> '' AND instr(channel, '*') > 0
		AND substr(c.channel, 1, length(channel) - 1) = substr(channel, 1, length(channel) - 1)
	ORDER BY instr(channel, '*') > 0, length(channel) DESC LIMIT 1);

-- What is over its rule now: by how many rows, and an oldest row from before not_before.
CREATE VIEW retention_due AS
SELECT * FROM (
	SELECT channel, row_count - keep_rows AS too_many,
		(SELECT created_at FROM events WHERE id =
			CASE c.channel WHEN '' THEN (SELECT min(id) FROM events)
			ELSE (SELECT min(id) FROM events AS e WHERE e.channel = c.channel) END) AS oldest,
		strftime('%Y-%m-%dT%H:%M:%fZ', 'now', -keep_seconds || ' seconds') AS not_before
	FROM retention_counts AS c)
WHERE too_many > 0 OR oldest < not_before;

CREATE TRIGGER retention_rule_made AFTER INSERT ON retention
BEGIN
	UPDATE retention_counts SET (keep_rows, keep_seconds) = (SELECT keep_rows, keep_seconds
		FROM retention_rules AS r WHERE r.channel = retention_counts.channel);
END;

CREATE TRIGGER retention_rule_changed AFTER UPDATE ON retention
BEGIN
	UPDATE retention_counts SET (keep_rows, keep_seconds) = (SELECT keep_rows, keep_seconds
		FROM retention_rules AS r WHERE r.channel = retention_counts.channel);
END;

CREATE TRIGGER retention_rule_dropped AFTER DELETE ON retention
BEGIN
	UPDATE retention_counts SET (keep_rows, keep_seconds) = (SELECT keep_rows, keep_seconds
		FROM retention_rules AS r WHERE r.channel = retention_counts.channel);
END;

CREATE TRIGGER retention_channel_made AFTER INSERT ON retention_counts
BEGIN
	UPDATE retention_counts SET (keep_rows, keep_seconds) = (SELECT keep_rows, keep_seconds
		FROM retention_rules AS r WHERE r.channel = NEW.channel) WHERE channel = NEW.channel;
END;

-- The channel is counted before the log as a whole, whose rule may take away the new row itself.
CREATE TRIGGER retention_inserted AFTER INSERT ON events
BEGIN
	INSERT INTO retention_counts(channel, row_count) VALUES (NEW.channel, 1)
	ON CONFLICT(channel) DO UPDATE SET row_count = row_count + 1, at_most = 8;
	UPDATE retention_counts SET row_count = row_count + 1, at_most = 8 WHERE channel = '';
END;

CREATE TRIGGER retention_quiet AFTER INSERT ON events
WHEN EXISTS (SELECT 1 FROM retention WHERE channel <> '' AND keep_seconds IS NOT NULL)
BEGIN
	UPDATE retention_turn SET channel = ifnull(
		(SELECT min(channel) FROM retention_counts WHERE channel > retention_turn.channel), '');
	UPDATE retention_counts SET at_most = 8 WHERE channel = (SELECT channel FROM retention_turn);
END;

CREATE TRIGGER retention_deleted AFTER DELETE ON events
BEGIN
	UPDATE retention_counts SET row_count = row_count - 1 WHERE channel = '';
	UPDATE retention_counts SET row_count = row_count - 1 WHERE channel = OLD.channel;
	DELETE FROM retention_counts WHERE channel = OLD.channel AND row_count = 0;
END;

-- The four ways of being over a rule: as a whole or in a channel, too many or too old. No order is
-- promised among triggers, so NEW.row_count may be stale here; hence the look at the table.
CREATE TRIGGER retention_log_long AFTER UPDATE OF at_most ON retention_counts
WHEN NEW.channel = '' AND (SELECT row_count > keep_rows FROM retention_counts WHERE channel = '')
BEGIN
	DELETE FROM events WHERE id <= (SELECT id FROM events ORDER BY id LIMIT 1 OFFSET
		(SELECT min(at_most, row_count - keep_rows) - 1 FROM retention_counts WHERE channel = ''));
END;

CREATE TRIGGER retention_log_old AFTER UPDATE OF at_most ON retention_counts
WHEN NEW.channel = '' AND NEW.keep_seconds IS NOT NULL
	AND EXISTS (SELECT 1 FROM retention_due WHERE channel = '')
BEGIN
	DELETE FROM events WHERE id <= ifnull(
		(SELECT id FROM events ORDER BY id LIMIT 1 OFFSET NEW.at_most - 1), 9007199254740991)
		AND created_at < (SELECT not_before FROM retention_due WHERE channel = '');
END;

CREATE TRIGGER retention_channel_long AFTER UPDATE OF at_most ON retention_counts
WHEN NEW.channel <> ''
	AND (SELECT row_count > keep_rows FROM retention_counts WHERE channel = NEW.channel)
BEGIN
	DELETE FROM events WHERE channel = NEW.channel AND id <= (
		SELECT id FROM events WHERE channel = NEW.channel ORDER BY id LIMIT 1 OFFSET
		(SELECT min(at_most, row_count - keep_rows) - 1 FROM retention_counts
			WHERE channel = NEW.channel));
END;

CREATE TRIGGER retention_channel_old AFTER UPDATE OF at_most ON retention_counts
WHEN NEW.channel <> '' AND NEW.keep_seconds IS NOT NULL
	AND EXISTS (SELECT 1 FROM retention_due WHERE channel = NEW.channel)
BEGIN
	DELETE FROM events WHERE channel = NEW.channel AND id <= ifnull(
		(SELECT id FROM events WHERE channel = NEW.channel ORDER BY id LIMIT 1
			OFFSET NEW.at_most - 1), 9007199254740991)
		AND created_at < (SELECT not_before FROM retention_due WHERE channel = NEW.channel);
END;

-- INSERT INTO retention_step VALUES (1000): up to 1000 rows of each of 16 channels that need it.
CREATE VIEW retention_step(at_most) AS SELECT NULL WHERE 0;

CREATE TRIGGER retention_step_taken INSTEAD OF INSERT ON retention_step
BEGIN
	SELECT RAISE(ABORT, 'retention_step: how many rows to delete at most, a whole number from 1')
	WHERE NEW.at_most IS NULL OR CAST(NEW.at_most AS INTEGER) < 1;
	UPDATE retention_counts SET at_most = CAST(NEW.at_most AS INTEGER)
	WHERE channel IN (SELECT channel FROM retention_due ORDER BY channel LIMIT 16);
END;

DELETE FROM retention_counts;
INSERT INTO retention_counts(channel, row_count)
SELECT '', count(*) FROM events UNION ALL SELECT channel, count(*) FROM events GROUP BY channel;

-- Without rowtail.sql, or where the application has a table retention: undo everything.
CREATE TEMP TABLE retention_setup(
	has_log CONSTRAINT "run rowtail.sql first; retention.sql works on the log that it makes"
		CHECK (has_log),
	rules_fit CONSTRAINT "a table or view retention of another kind is here; make the log in a database of its own"
		CHECK (rules_fit)
);
INSERT OR ROLLBACK INTO retention_setup SELECT
	EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = 'events_deleted'),
	(SELECT count(*) = 3 FROM pragma_table_info('retention')
		WHERE name IN ('channel', 'keep_rows', 'keep_seconds'))
	AND EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'retention');
DROP TABLE IF EXISTS temp.retention_setup;
COMMIT;
