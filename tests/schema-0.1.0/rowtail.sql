-- rowtail.sql: the event log of rowtail, who may read it, and what was deleted from it.
--
--     sqlite3 events.db < rowtail.sql
--
-- SQLite 3.31 or newer. The database may be the application's own. All is made in one transaction,
-- or nothing is: where tables of the same names but of another kind are in the way, the last step
-- says so and undoes the rest. Running it again keeps every row and renews the triggers.

PRAGMA busy_timeout = 10000;
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;

-- The event log: one row per record. To publish is to insert:
--
--     INSERT INTO events(data) VALUES ('hello');
--     INSERT INTO events(channel, event, data) VALUES ('orders/42', 'paid', '{"total":12}');
--
-- Leave id and created_at out. A constraint's name is what the writer who broke it reads.
CREATE TABLE IF NOT EXISTS events(
	-- JavaScript counts exactly up to 9007199254740991, and one row at the end of all integers
	-- would leave no id for the next.
	id INTEGER PRIMARY KEY AUTOINCREMENT
		CONSTRAINT "id: 1 to 9007199254740991; leave it out and SQLite numbers the row"
		CHECK (id BETWEEN 1 AND 9007199254740991),

	-- Whoever follows this channel, or a pattern that covers it, gets the row.
	channel TEXT NOT NULL DEFAULT 'default'
		CONSTRAINT "channel: text of 1 to 255 bytes"
		CHECK (typeof(channel) = 'text' AND length(CAST(channel AS BLOB)) BETWEEN 1 AND 255)
		CONSTRAINT "channel: no control characters, and no *, which is for patterns"
		CHECK (instr(channel, '*') = 0 AND instr(channel, char(0)) = 0
			AND channel NOT GLOB
			'*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || ']*'),

	-- The type that the page listens for; NULL is a plain message.
	event TEXT
		CONSTRAINT "event: NULL for a plain message, or text of 1 to 255 bytes"
		CHECK (event IS NULL
			OR typeof(event) = 'text' AND length(CAST(event AS BLOB)) BETWEEN 1 AND 255)
		CONSTRAINT "event: one line, so no CR, LF or NUL"
		CHECK (instr(event, char(13)) = 0 AND instr(event, char(10)) = 0
			AND instr(event, char(0)) = 0)
		CONSTRAINT "event: open and error are EventSource's own, position, gap and denied are rowtail's; choose another name"
		CHECK (event NOT IN ('open', 'error', 'position', 'gap', 'denied')),

	-- The payload; its line breaks survive.
	data TEXT NOT NULL DEFAULT ''
		CONSTRAINT "data: text, not a BLOB; bind it as text, or write CAST(... AS TEXT)"
		CHECK (typeof(data) = 'text'),

	-- A new reconnection time for whoever gets this row, in ms.
	retry INTEGER
		CONSTRAINT "retry: NULL, or whole milliseconds from 0 to 3600000"
		CHECK (retry IS NULL OR typeof(retry) = 'integer' AND retry BETWEEN 0 AND 3600000),

	created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
		CONSTRAINT "created_at: UTC such as 2026-01-31T23:59:59.123Z; leave it out and it is now"
		CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]Z'
			AND strftime('%Y-%m-%dT%H:%M:%S', created_at, '+0 days') IS substr(created_at, 1, 19))
);
CREATE INDEX IF NOT EXISTS events_channel ON events(channel, id);

-- What was deleted, so that whoever comes back from before it is told of the gap, and nobody else: of
-- each channel the highest id that was ever deleted, and behind it the highest of those that were
-- deleted later, and so on. A reader who was told of the deletions up to one number, and then reads
-- on, so sees whether rows went since that were still to come. The channel '*' stands for any. Kept
-- by the triggers below; nobody else writes here.
CREATE TABLE IF NOT EXISTS events_pruned(
	deletion INTEGER PRIMARY KEY, -- only grows, since the newest row goes only when another is made
	channel TEXT NOT NULL,
	id INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS events_pruned_channel ON events_pruned(channel, id);
CREATE INDEX IF NOT EXISTS events_pruned_id ON events_pruned(id);

-- In a BEFORE INSERT trigger NEW.id is -1 when the statement gives none. sqlite_sequence lags until
-- the statement ends, hence the look at all three places where an earlier id can be.
DROP TRIGGER IF EXISTS events_id_grows;
CREATE TRIGGER events_id_grows BEFORE INSERT ON events
WHEN NEW.id <> -1 AND NEW.id <= max(
	ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0),
	ifnull((SELECT max(id) FROM events), 0),
	ifnull((SELECT max(id) FROM events_pruned), 0))
BEGIN
	SELECT RAISE(ABORT, 'events: this id is not above every earlier one, and ids only grow; leave id out and SQLite numbers the row');
END;

-- The same for ids that SQLite gave out, after someone has emptied both the log and
-- sqlite_sequence. The row may be gone already, if another trigger prunes.
DROP TRIGGER IF EXISTS events_id_is_new;
CREATE TRIGGER events_id_is_new AFTER INSERT ON events
WHEN NEW.id <= (SELECT max(id) FROM events_pruned)
	AND EXISTS (SELECT 1 FROM events WHERE id = NEW.id)
BEGIN
	SELECT RAISE(ABORT, 'events: sqlite_sequence was set back, so that ids would be given out twice; run after-restore.sql');
END;

DROP TRIGGER IF EXISTS events_row_is_final;
CREATE TRIGGER events_row_is_final BEFORE UPDATE ON events
BEGIN
	SELECT RAISE(ABORT, 'events: a logged row never changes, since readers may have it already; insert a new row that corrects it, or delete this one');
END;

DROP TRIGGER IF EXISTS events_deleted;
CREATE TRIGGER events_deleted AFTER DELETE ON events
BEGIN
	INSERT INTO events_pruned(channel, id) VALUES (OLD.channel, OLD.id);
	DELETE FROM events_pruned
	WHERE channel = OLD.channel AND id <= OLD.id AND deletion < last_insert_rowid();
END;

-- A log with ever new channels, or one that is deleted from its end backwards, does not make this
-- table grow without end: above 10,000 rows, all but those of the highest 5,000 ids become one, of
-- '*'. Counting costs more than the rest, so it is done for one deletion in 256 or so.
DROP TRIGGER IF EXISTS events_pruned_bound;
CREATE TRIGGER events_pruned_bound AFTER INSERT ON events_pruned
WHEN NEW.channel <> '*' AND random() % 256 = 0 AND (SELECT count(*) FROM events_pruned) > 10000
BEGIN
	INSERT INTO events_pruned(channel, id)
	SELECT '*', id FROM events_pruned ORDER BY id DESC LIMIT 1 OFFSET 5000;
	DELETE FROM events_pruned WHERE deletion < last_insert_rowid()
		AND id <= (SELECT id FROM events_pruned WHERE deletion = last_insert_rowid());
END;

-- Who may read what:
--
--     INSERT INTO grants(subject, channel) VALUES ('*', 'news/*');
--     INSERT INTO grants VALUES ('user:ann', 'orders/42', datetime('now', '+1 day'));
--
-- Without a grant nobody reads anything, unless rowtail runs with --public.
CREATE TABLE IF NOT EXISTS grants(
	subject TEXT NOT NULL
		CONSTRAINT "subject: * for everyone, user:NAME, or token:HEX"
		CHECK (typeof(subject) = 'text'
			AND (subject = '*' OR subject GLOB 'user:?*' OR subject GLOB 'token:*'))
		CONSTRAINT "subject: after token: come the 64 lower-case hex digits of the token's SHA-256, never the token"
		CHECK (subject NOT GLOB 'token:*'
			OR length(CAST(subject AS BLOB)) = 70 AND substr(subject, 7) NOT GLOB '*[^0-9a-f]*'),

	channel TEXT NOT NULL
		CONSTRAINT "channel: text of 1 to 255 bytes"
		CHECK (typeof(channel) = 'text' AND length(CAST(channel AS BLOB)) BETWEEN 1 AND 255)
		CONSTRAINT "channel: a name, a pattern such as orders/*, or * alone for all"
		CHECK (instr(channel, '*') = 0 OR channel = '*'
			OR instr(channel, '*') = length(channel) AND channel GLOB '?*/[*]')
		CONSTRAINT "channel: no control characters"
		CHECK (instr(channel, char(0)) = 0 AND channel NOT GLOB
			'*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || ']*'),

	-- NULL: for ever.
	expires_at TEXT
		CONSTRAINT "expires_at: NULL, or a time in UTC such as 2026-01-31 23:59:59 or 2026-01-31T23:59:59Z"
		CHECK (expires_at IS NULL
			OR expires_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9][ T][0-9][0-9]:[0-9][0-9]:[0-9][0-9]*'
			AND (substr(expires_at, 20) IN ('', 'Z', '+00:00')
				OR substr(expires_at, 20) GLOB '.[0-9]*'
				AND ltrim(substr(expires_at, 21), '0123456789') IN ('', 'Z', '+00:00'))
			AND strftime('%Y-%m-%d %H:%M:%S', expires_at, '+0 days')
				IS replace(substr(expires_at, 1, 19), 'T', ' ')),

	PRIMARY KEY (subject, channel)
) WITHOUT ROWID;

-- The application may have tables of these names: then undo everything.
CREATE TEMP TABLE rowtail_setup(
	events_fits CONSTRAINT "a table or view events of another kind is here; make the log in a database of its own, or see rowtail --table"
		CHECK (events_fits),
	grants_fits CONSTRAINT "a table or view grants of another kind is here; make the log in a database of its own"
		CHECK (grants_fits),
	pruned_fits CONSTRAINT "the table events_pruned is of another kind: DROP TABLE events_pruned, run this again, and then after-restore.sql"
		CHECK (pruned_fits)
);
INSERT OR ROLLBACK INTO rowtail_setup SELECT
	(SELECT count(*) = 6 FROM pragma_table_info('events')
		WHERE name IN ('id', 'channel', 'event', 'data', 'retry', 'created_at'))
	AND EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'events'
		AND sql LIKE '%AUTOINCREMENT%'),
	(SELECT count(*) = 3 FROM pragma_table_info('grants')
		WHERE name IN ('subject', 'channel', 'expires_at'))
	AND EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'grants'),
	(SELECT count(*) = 3 FROM pragma_table_info('events_pruned')
		WHERE name IN ('deletion', 'channel', 'id'));
DROP TABLE IF EXISTS temp.rowtail_setup;
COMMIT;
