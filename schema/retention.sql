-- retention.sql: optional. Prunes the log automatically, inside the database.
--
--     sqlite3 events.db < retention.sql          (after rowtail.sql; SQLite 3.7.17 or newer)
--
-- Then say what to keep, one row per rule:
--
--     INSERT INTO retention(keep_rows) VALUES (100000);          -- of the log as a whole
--     INSERT INTO retention VALUES ('rooms/*', 100, 86400);      -- of each channel below rooms/
--     INSERT INTO retention VALUES ('rooms/lobby', 1000, NULL);  -- of this one
--
-- The columns are channel, keep_rows (how many of the newest rows to keep; NULL: all) and keep_seconds (rows
-- older than this are deleted; NULL: never).
--
-- A row is deleted when it exceeds the rule of the log as a whole, or its channel's rule: the rule with the
-- channel's name, else the longest pattern that matches it ('*' matches every channel). No other row is ever
-- deleted, and the oldest go first. You can change rules at any time. DELETE FROM retention stops all pruning.
--
-- Each INSERT into the log deletes what exceeds a rule, at most 8 rows per rule, so that no writer waits long.
-- An INSERT also deletes rows that have become too old, even in other channels: it checks them in turn. If
-- nothing is inserted, or for the first pruning of a large log, run this by hand or from cron. Its transactions
-- are short and let other writers in between:
--
--     until sqlite3 -cmd '.timeout 10000' events.db \
--         'INSERT INTO retention_step VALUES (1000); SELECT count(*) FROM retention_due;' |
--         grep -qx 0
--     do sleep 0.1; done
--
-- SELECT * FROM retention_due shows what is left to delete. The age is that of created_at, checked from the
-- lowest id up: a row that was given a later time by hand delays those after it.
--
-- The file runs as a whole or not at all. Running it again keeps the rules, recreates the triggers and counts
-- again. It upgrades what an older retention.sql made. In a migration tool it runs unchanged.

PRAGMA busy_timeout = 10000;

-- As in rowtail.sql: a failed check rolls everything back, including what the sqlite3 shell runs after it.
DROP TABLE IF EXISTS temp.rowtail_setup;
CREATE TEMP TABLE rowtail_setup(step TEXT);

CREATE TEMP TRIGGER rowtail_setup_before BEFORE INSERT ON rowtail_setup
WHEN NEW.step = 'before'
BEGIN
	SELECT RAISE(ROLLBACK, 'run rowtail.sql first; retention.sql works on the log that it makes')
	WHERE 2 > (SELECT count(*) FROM main.sqlite_master
		WHERE type = 'trigger' AND name IN ('events_refused', 'events_deleted') AND lower(tbl_name) = 'events');

	SELECT RAISE(ROLLBACK, 'there is already a table or view retention of another kind; make the log in a database of its own')
	FROM main.sqlite_master WHERE lower(name) = 'retention' AND NOT (type = 'table'
		AND lower(sql) LIKE '%channel%' AND lower(sql) LIKE '%keep_rows%'
		AND lower(sql) LIKE '%keep_seconds%');

	SELECT RAISE(ROLLBACK, 'the application has an index, trigger, table or view with a name that retention.sql uses; make the log in a database of its own')
	FROM main.sqlite_master WHERE lower(name) GLOB 'retention_*' AND (
		lower(name) IN ('retention_counts', 'retention_turn', 'retention_state') AND type <> 'table'
		OR lower(name) IN ('retention_rules', 'retention_rule', 'retention_due', 'retention_step', 'retention_prune',
			'retention_apply') AND type <> 'view'
		OR lower(name) IN ('retention_inserted', 'retention_whole', 'retention_quiet', 'retention_counted',
			'retention_channel_counted', 'retention_deleted', 'retention_channel_deleted')
			AND NOT (type = 'trigger' AND lower(tbl_name) = 'events')
		OR lower(name) IN ('retention_rule_inserted', 'retention_rule_updated', 'retention_rule_made',
			'retention_rule_changed', 'retention_rule_dropped')
			AND NOT (type = 'trigger' AND lower(tbl_name) = 'retention'));

	-- The table is recreated below, and this file can only recreate what it knows.
	SELECT RAISE(ROLLBACK, 'the table retention was changed or not made by retention.sql, which would lose an added column, constraint, index or trigger; keep its rows elsewhere, DROP TABLE retention, run this again, and put the rows back')
	FROM main.sqlite_master WHERE lower(name) = 'retention'
		AND length(replace(replace(replace(replace(sql, char(9), ''), char(10), ''), char(13), ''), ' ', ''))
			NOT IN (96, 708) -- this version, 0.1.0
	OR lower(tbl_name) = 'retention' AND lower(name) NOT IN ('retention', 'retention_rule_inserted',
			'retention_rule_updated', 'retention_rule_made', 'retention_rule_changed', 'retention_rule_dropped')
		AND name NOT LIKE 'sqlite_autoindex_%';
END;

CREATE TEMP TRIGGER rowtail_setup_after BEFORE INSERT ON rowtail_setup
WHEN NEW.step = 'after'
BEGIN
	SELECT RAISE(ROLLBACK, 'retention.sql: a statement failed, so nothing was changed; the first error says why')
	WHERE (SELECT count(*) FROM main.sqlite_master WHERE type = 'table'
			AND name IN ('retention', 'retention_counts', 'retention_state')) < 3
		OR (SELECT count(*) FROM main.sqlite_master WHERE type = 'view' AND name IN ('retention_rules',
			'retention_rule', 'retention_due', 'retention_prune', 'retention_step', 'retention_apply')) < 6
		OR (SELECT count(*) FROM main.sqlite_master WHERE type = 'trigger' AND name IN ('retention_inserted',
			'retention_whole', 'retention_quiet', 'retention_counted', 'retention_channel_counted', 'retention_deleted',
			'retention_channel_deleted', 'retention_applied', 'retention_oldest_pruned', 'retention_log_pruned',
			'retention_channel_pruned', 'retention_step_taken', 'retention_rule_checked', 'retention_rule_inserted',
			'retention_rule_updated', 'retention_rule_made', 'retention_rule_changed',
			'retention_rule_dropped')) < 18
		OR EXISTS (SELECT 1 FROM main.sqlite_master
			WHERE name = 'rowtail_lock' OR type = 'table' AND lower(name) = 'retention' AND 96 <>
				length(replace(replace(replace(replace(sql, char(9), ''), char(10), ''), char(13), ''), ' ', '')))
		OR (SELECT count(DISTINCT step) FROM temp.rowtail_setup WHERE step IN ('locked', 'before', 'the former is gone',
			'rules were copied', 'rules are back', 'tables have their row', 'rules hold')) < 7;
END;

SAVEPOINT rowtail;
SAVEPOINT step;
CREATE TABLE rowtail_lock(x);
INSERT INTO rowtail_setup SELECT 'locked' FROM main.sqlite_master WHERE name = 'rowtail_lock';
SAVEPOINT step;
DROP TABLE rowtail_lock;
INSERT INTO rowtail_setup VALUES ('before');

-- Everything but the rules is recreated.
SAVEPOINT step;
DROP TRIGGER IF EXISTS retention_inserted;
SAVEPOINT step;
DROP TRIGGER IF EXISTS retention_whole;
SAVEPOINT step;
DROP TRIGGER IF EXISTS retention_quiet;
SAVEPOINT step;
DROP TRIGGER IF EXISTS retention_counted;
SAVEPOINT step;
DROP TRIGGER IF EXISTS retention_deleted;
SAVEPOINT step;
DROP TRIGGER IF EXISTS retention_channel_counted;
SAVEPOINT step;
DROP TRIGGER IF EXISTS retention_channel_deleted;
SAVEPOINT step;
DROP TABLE IF EXISTS retention_counts;
SAVEPOINT step;
DROP TABLE IF EXISTS retention_turn;
SAVEPOINT step;
DROP TABLE IF EXISTS retention_state;
SAVEPOINT step;
DROP VIEW IF EXISTS retention_step;
SAVEPOINT step;
DROP VIEW IF EXISTS retention_prune;
SAVEPOINT step;
DROP VIEW IF EXISTS retention_due;
SAVEPOINT step;
DROP VIEW IF EXISTS retention_apply;
SAVEPOINT step;
DROP VIEW IF EXISTS retention_rules;
SAVEPOINT step;
DROP VIEW IF EXISTS retention_rule;
INSERT INTO rowtail_setup SELECT 'the former is gone' WHERE NOT EXISTS (SELECT 1 FROM main.sqlite_master
	WHERE name IN ('retention_inserted', 'retention_whole', 'retention_quiet', 'retention_counted',
		'retention_channel_counted', 'retention_deleted', 'retention_channel_deleted', 'retention_counts',
		'retention_turn', 'retention_state', 'retention_step', 'retention_prune', 'retention_due', 'retention_apply',
		'retention_rules', 'retention_rule'));

-- The rules. retention_rule_checked says what each column may hold. As with grants in rowtail.sql, 0.1.0 made
-- the table WITHOUT ROWID.
SAVEPOINT step;
CREATE TABLE IF NOT EXISTS retention(channel, keep_rows, keep_seconds);
DROP TABLE IF EXISTS temp.retention_copy;
CREATE TEMP TABLE retention_copy(channel TEXT, keep_rows INTEGER, keep_seconds INTEGER);
INSERT INTO retention_copy SELECT * FROM retention;
INSERT INTO rowtail_setup SELECT 'rules were copied'
WHERE (SELECT count(*) FROM (SELECT * FROM retention UNION ALL SELECT 1, 2, 3)) - 1
	= (SELECT count(*) FROM retention_copy);
SAVEPOINT step;
DROP TABLE retention;
SAVEPOINT step;
CREATE TABLE retention(
	channel TEXT NOT NULL DEFAULT '' PRIMARY KEY,
	keep_rows INTEGER,
	keep_seconds INTEGER
);
SAVEPOINT step;
INSERT INTO retention SELECT channel, keep_rows, keep_seconds FROM retention_copy ORDER BY channel;
INSERT INTO rowtail_setup SELECT 'rules are back'
WHERE (SELECT count(*) FROM retention) = (SELECT count(*) FROM retention_copy);
DROP TABLE IF EXISTS temp.retention_copy;

-- An INSERT here checks a rule.
SAVEPOINT step;
CREATE VIEW retention_rule AS SELECT NULL AS channel, NULL AS keep_rows, NULL AS keep_seconds WHERE 0;
SAVEPOINT step;
CREATE TRIGGER retention_rule_checked INSTEAD OF INSERT ON retention_rule
BEGIN
	SELECT CASE
	WHEN typeof(NEW.channel) <> 'text' OR instr(NEW.channel, '*') AND NEW.channel <> '*' AND NOT (
			instr(NEW.channel, '*') = length(NEW.channel) AND NEW.channel GLOB '?*/[*]') THEN
		RAISE(ABORT, 'channel: a name, a pattern such as rooms/*, * for every channel, or left out for the log as a whole')
	WHEN NEW.keep_rows IS NOT NULL AND (typeof(NEW.keep_rows) <> 'integer'
			OR NEW.keep_rows NOT BETWEEN 1 AND 9007199254740991) THEN
		RAISE(ABORT, 'keep_rows: NULL, or a whole number from 1')
	WHEN NEW.keep_seconds IS NOT NULL AND (typeof(NEW.keep_seconds) <> 'integer'
			OR NEW.keep_seconds NOT BETWEEN 1 AND 3155760000) THEN
		RAISE(ABORT, 'keep_seconds: NULL, or whole seconds from 1 to 3155760000, a hundred years')
	END;
END;
SAVEPOINT step;
CREATE TRIGGER retention_rule_inserted BEFORE INSERT ON retention
BEGIN
	INSERT INTO retention_rule VALUES (NEW.channel, NEW.keep_rows, NEW.keep_seconds);
END;
SAVEPOINT step;
CREATE TRIGGER retention_rule_updated BEFORE UPDATE ON retention
BEGIN
	INSERT INTO retention_rule VALUES (NEW.channel, NEW.keep_rows, NEW.keep_seconds);
END;

-- The rest is for the triggers. Nothing else writes there.
--
-- One row for the log as a whole (channel '', number 1). If there is a rule for channels, also one for each channel.
-- It has the number of rows, kept up to date because counting a long log takes long, and a copy of the rule that
-- applies. Each count costs every INSERT, so the triggers only count what a rule needs (retention_state).
SAVEPOINT step;
CREATE TABLE retention_counts(
	number INTEGER PRIMARY KEY,
	channel TEXT NOT NULL UNIQUE,
	row_count INTEGER NOT NULL,
	last_id INTEGER NOT NULL DEFAULT 0, -- the last row that was counted
	keep_rows INTEGER,
	keep_seconds INTEGER
);
-- One row. It is a table of its own, because an INSERT into a table that its trigger has read is slow: SQLite makes
-- a temporary table for it.
SAVEPOINT step;
CREATE TABLE retention_state(
	number INTEGER PRIMARY KEY,
	counted INTEGER NOT NULL, -- 1: there is a rule for the log as a whole
	channels INTEGER NOT NULL, -- 1: there is a rule for channels; 2: one with keep_seconds
	turn INTEGER NOT NULL -- the number of the channel to check next without its own INSERT
);
SAVEPOINT step;
INSERT INTO retention_state VALUES (1, 0, 0, 1);
SAVEPOINT step;
INSERT INTO retention_counts(number, channel, row_count) VALUES (1, '', 0);
INSERT INTO rowtail_setup SELECT 'tables have their row' FROM retention_counts, retention_state;

-- The rule from retention that applies to each channel. It is copied into retention_counts when either changes.
SAVEPOINT step;
CREATE VIEW retention_rules AS
SELECT c.channel AS channel, r.keep_rows AS keep_rows, r.keep_seconds AS keep_seconds
FROM retention_counts AS c JOIN retention AS r ON r.channel = (
	SELECT channel FROM retention
	WHERE channel = c.channel OR c.channel <> '' AND instr(channel, '*') > 0
		AND substr(c.channel, 1, length(channel) - 1) = substr(channel, 1, length(channel) - 1)
	ORDER BY instr(channel, '*') > 0, length(channel) DESC LIMIT 1);

-- What exceeds its rule now: by how many rows, or with an oldest row from before not_before.
SAVEPOINT step;
CREATE VIEW retention_due AS
SELECT channel, too_many, oldest, not_before FROM (
	SELECT channel, row_count - keep_rows AS too_many,
		(SELECT created_at FROM events WHERE id =
			CASE c.channel WHEN '' THEN (SELECT min(id) FROM events)
			ELSE (SELECT min(id) FROM events AS e WHERE e.channel = c.channel) END) AS oldest,
		strftime('%Y-%m-%dT%H:%M:%fZ', 'now', -keep_seconds || ' seconds') AS not_before
	FROM retention_counts AS c)
WHERE too_many > 0 OR oldest < not_before;

-- An INSERT here follows each change of the rules: it counts what they need, and copies them into retention_counts.
SAVEPOINT step;
CREATE VIEW retention_apply AS SELECT NULL AS changed WHERE 0;
SAVEPOINT step;
CREATE TRIGGER retention_applied INSTEAD OF INSERT ON retention_apply
BEGIN
	UPDATE retention_counts SET row_count = (SELECT count(*) FROM events), last_id = ifnull((SELECT max(id) FROM events), 0)
	WHERE number = 1 AND NOT (SELECT counted FROM retention_state) AND EXISTS (SELECT 1 FROM retention
		WHERE channel = '' AND (keep_rows IS NOT NULL OR keep_seconds IS NOT NULL));
	INSERT INTO retention_counts(channel, row_count, last_id) SELECT channel, count(*), max(id) FROM events
	WHERE NOT (SELECT channels FROM retention_state) AND EXISTS (SELECT 1 FROM retention
		WHERE channel <> '' AND (keep_rows IS NOT NULL OR keep_seconds IS NOT NULL))
	GROUP BY channel;

	UPDATE retention_state SET
		counted = EXISTS (SELECT 1 FROM retention
			WHERE channel = '' AND (keep_rows IS NOT NULL OR keep_seconds IS NOT NULL)),
		channels = ifnull((SELECT max(1 + (keep_seconds IS NOT NULL)) FROM retention
			WHERE channel <> '' AND (keep_rows IS NOT NULL OR keep_seconds IS NOT NULL)), 0);
	DELETE FROM retention_counts WHERE number > 1 AND NOT (SELECT channels FROM retention_state);

	UPDATE retention_counts SET
		keep_rows = (SELECT keep_rows FROM retention_rules AS r WHERE r.channel = retention_counts.channel),
		keep_seconds = (SELECT keep_seconds FROM retention_rules AS r WHERE r.channel = retention_counts.channel);
END;
SAVEPOINT step;
CREATE TRIGGER retention_rule_made AFTER INSERT ON retention
BEGIN
	INSERT INTO retention_apply VALUES (NULL);
END;
SAVEPOINT step;
CREATE TRIGGER retention_rule_changed AFTER UPDATE ON retention
BEGIN
	INSERT INTO retention_apply VALUES (NULL);
END;
SAVEPOINT step;
CREATE TRIGGER retention_rule_dropped AFTER DELETE ON retention
BEGIN
	INSERT INTO retention_apply VALUES (NULL);
END;
SAVEPOINT step;
INSERT INTO retention_apply VALUES (NULL);
INSERT INTO rowtail_setup SELECT 'rules hold'
WHERE (SELECT count(*) FROM retention_rules WHERE keep_rows IS NOT NULL OR keep_seconds IS NOT NULL)
	= (SELECT count(*) FROM retention_counts WHERE keep_rows IS NOT NULL OR keep_seconds IS NOT NULL);

-- An INSERT here prunes a channel, or the log as a whole (''). Among its at_most oldest rows it deletes the first
-- too_many, and then those created before not_before (NULL: none). Most often that is one row.
SAVEPOINT step;
CREATE VIEW retention_prune AS
SELECT NULL AS channel, NULL AS too_many, NULL AS not_before, NULL AS at_most WHERE 0;

SAVEPOINT step;
CREATE TRIGGER retention_oldest_pruned INSTEAD OF INSERT ON retention_prune
WHEN NEW.too_many = 1 AND NEW.not_before IS NULL
BEGIN
	DELETE FROM events WHERE id = CASE NEW.channel WHEN '' THEN (SELECT id FROM events ORDER BY id LIMIT 1)
		ELSE (SELECT id FROM events WHERE channel = NEW.channel ORDER BY id LIMIT 1) END;
END;

SAVEPOINT step;
CREATE TRIGGER retention_log_pruned INSTEAD OF INSERT ON retention_prune
WHEN NEW.channel = '' AND (NEW.too_many > 1 OR NEW.not_before IS NOT NULL)
BEGIN
	DELETE FROM events WHERE NEW.too_many > 0 AND id <= (
		SELECT id FROM events ORDER BY id LIMIT 1 OFFSET min(ifnull(NEW.too_many, 0), NEW.at_most) - 1);
	DELETE FROM events WHERE NEW.not_before IS NOT NULL AND created_at < NEW.not_before AND id <= ifnull(
		(SELECT id FROM events ORDER BY id LIMIT 1 OFFSET NEW.at_most - 1), 9223372036854775807);
END;

SAVEPOINT step;
CREATE TRIGGER retention_channel_pruned INSTEAD OF INSERT ON retention_prune
WHEN NEW.channel <> '' AND (NEW.too_many > 1 OR NEW.not_before IS NOT NULL)
BEGIN
	DELETE FROM events WHERE NEW.too_many > 0 AND channel = NEW.channel AND id <= (
		SELECT id FROM events WHERE channel = NEW.channel ORDER BY id
		LIMIT 1 OFFSET min(ifnull(NEW.too_many, 0), NEW.at_most) - 1);
	DELETE FROM events WHERE NEW.not_before IS NOT NULL AND created_at < NEW.not_before
		AND channel = NEW.channel AND id <= ifnull(
			(SELECT id FROM events WHERE channel = NEW.channel ORDER BY id LIMIT 1 OFFSET NEW.at_most - 1),
			9223372036854775807);
END;

-- SQLite does not define the order of triggers, and the application's triggers may insert and delete rows too.
-- So separate triggers count each inserted and each deleted row, in any order. A count may be -1 for a moment.
-- last_id tells the pruning triggers whether the new row has been counted already.
SAVEPOINT step;
CREATE TRIGGER retention_whole AFTER INSERT ON events
WHEN (SELECT CASE WHEN row_count + (last_id < NEW.id) > keep_rows THEN 1
		WHEN keep_seconds THEN (SELECT created_at FROM events ORDER BY id LIMIT 1)
			< strftime('%Y-%m-%dT%H:%M:%fZ', 'now', -keep_seconds || ' seconds') END
	FROM retention_counts WHERE number = 1)
BEGIN
	INSERT INTO retention_prune VALUES ('',
		(SELECT row_count + (last_id < NEW.id) - keep_rows FROM retention_counts WHERE number = 1),
		(SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now', -keep_seconds || ' seconds')
			FROM retention_counts WHERE number = 1),
		8);
END;

SAVEPOINT step;
CREATE TRIGGER retention_inserted AFTER INSERT ON events
WHEN (SELECT channels FROM retention_state)
	AND (SELECT CASE WHEN row_count + (last_id < NEW.id) > keep_rows THEN 1
		WHEN keep_seconds THEN (SELECT created_at FROM events WHERE channel = NEW.channel ORDER BY id LIMIT 1)
			< strftime('%Y-%m-%dT%H:%M:%fZ', 'now', -keep_seconds || ' seconds') END
	FROM retention_counts WHERE channel = NEW.channel)
BEGIN
	INSERT INTO retention_prune VALUES (NEW.channel,
		(SELECT row_count + (last_id < NEW.id) - keep_rows FROM retention_counts WHERE channel = NEW.channel),
		(SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now', -keep_seconds || ' seconds')
			FROM retention_counts WHERE channel = NEW.channel),
		8);
END;

SAVEPOINT step;
CREATE TRIGGER retention_quiet AFTER INSERT ON events
WHEN (SELECT channels = 2 FROM retention_state)
BEGIN
	UPDATE retention_state SET turn = ifnull((SELECT c.number FROM retention_counts AS c
		WHERE c.number > retention_state.turn ORDER BY c.number LIMIT 1), 2);
	INSERT INTO retention_prune VALUES (
		(SELECT channel FROM retention_counts WHERE number = (SELECT turn FROM retention_state)),
		(SELECT row_count - keep_rows FROM retention_counts WHERE number = (SELECT turn FROM retention_state)),
		(SELECT CASE WHEN keep_seconds
				AND (SELECT created_at FROM events AS e WHERE e.channel = c.channel ORDER BY e.id LIMIT 1)
					< strftime('%Y-%m-%dT%H:%M:%fZ', 'now', -keep_seconds || ' seconds')
				THEN strftime('%Y-%m-%dT%H:%M:%fZ', 'now', -keep_seconds || ' seconds') END
			FROM retention_counts AS c
			WHERE number = (SELECT turn FROM retention_state)),
		8);
END;

SAVEPOINT step;
CREATE TRIGGER retention_counted AFTER INSERT ON events
WHEN (SELECT counted FROM retention_state)
BEGIN
	UPDATE retention_counts SET row_count = row_count + 1, last_id = max(last_id, NEW.id) WHERE number = 1;
END;

SAVEPOINT step;
CREATE TRIGGER retention_channel_counted AFTER INSERT ON events
WHEN (SELECT channels FROM retention_state)
BEGIN
	UPDATE retention_counts SET row_count = row_count + 1, last_id = max(last_id, NEW.id)
	WHERE channel = NEW.channel;
	-- Not INSERT OR IGNORE: it becomes INSERT OR REPLACE if the writer's statement is one.
	INSERT INTO retention_counts(channel, row_count, last_id, keep_rows, keep_seconds)
	SELECT NEW.channel, 1, NEW.id,
		(SELECT r.keep_rows FROM retention AS r WHERE r.channel = NEW.channel OR instr(r.channel, '*') > 0
				AND substr(NEW.channel, 1, length(r.channel) - 1) = substr(r.channel, 1, length(r.channel) - 1)
			ORDER BY instr(r.channel, '*') > 0, length(r.channel) DESC LIMIT 1),
		(SELECT r.keep_seconds FROM retention AS r WHERE r.channel = NEW.channel OR instr(r.channel, '*') > 0
				AND substr(NEW.channel, 1, length(r.channel) - 1) = substr(r.channel, 1, length(r.channel) - 1)
			ORDER BY instr(r.channel, '*') > 0, length(r.channel) DESC LIMIT 1)
	WHERE changes() = 0;
	DELETE FROM retention_counts WHERE channel = NEW.channel AND row_count = 0;
END;

SAVEPOINT step;
CREATE TRIGGER retention_deleted AFTER DELETE ON events
WHEN (SELECT counted FROM retention_state)
BEGIN
	UPDATE retention_counts SET row_count = row_count - 1 WHERE number = 1;
END;

SAVEPOINT step;
CREATE TRIGGER retention_channel_deleted AFTER DELETE ON events
WHEN (SELECT channels FROM retention_state)
BEGIN
	UPDATE retention_counts SET row_count = row_count - 1 WHERE channel = OLD.channel;
	INSERT INTO retention_counts(channel, row_count) SELECT OLD.channel, -1 WHERE changes() = 0;
	DELETE FROM retention_counts WHERE channel = OLD.channel AND row_count = 0;
END;

-- INSERT INTO retention_step VALUES (1000) deletes up to 1000 rows in each of 16 channels that exceed a rule.
SAVEPOINT step;
CREATE VIEW retention_step AS SELECT NULL AS at_most WHERE 0;
SAVEPOINT step;
CREATE TRIGGER retention_step_taken INSTEAD OF INSERT ON retention_step
BEGIN
	SELECT RAISE(ABORT, 'retention_step: how many rows to delete at most, a whole number from 1')
	WHERE NEW.at_most IS NULL OR CAST(NEW.at_most AS INTEGER) < 1;
	INSERT INTO retention_prune SELECT channel, too_many, not_before, CAST(NEW.at_most AS INTEGER)
	FROM retention_due ORDER BY channel LIMIT 16;
END;

INSERT INTO rowtail_setup VALUES ('after');
RELEASE rowtail;
DROP TABLE IF EXISTS temp.rowtail_setup;
