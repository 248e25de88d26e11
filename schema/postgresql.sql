-- postgresql.sql: rowtail's event log in PostgreSQL 14 or newer, for any number of web machines. Publishers insert
-- here; rowtail-mirror keeps a copy, an SQLite log for rowtail, on each web machine.
--
--     psql -v ON_ERROR_STOP=1 -f postgresql.sql
--
-- Everything is made in the first schema of the search_path that exists; for another one:
--
--     PGOPTIONS='-c search_path=rowtail' psql -v ON_ERROR_STOP=1 -f postgresql.sql
--
-- The file runs as a whole or not at all. Running it again keeps every row, grant and mark, recreates functions and
-- triggers, and upgrades a log that an older postgresql.sql made. It waits up to ten seconds for open transactions.
-- In a migration tool that opens a transaction itself, leave out the lines BEGIN and COMMIT.
--
-- Publishers insert rows. Leave out id and created_at:
--
--     INSERT INTO events(data) VALUES ('hello');
--     INSERT INTO events(channel, event, data) VALUES ('orders/42', 'paid', '{"total":12}');
--
-- A row gets its id at COMMIT, so ids are in the order of commits, on every server. Until then its id is a negative
-- draft, which nobody else ever sees; RETURNING id returns that draft. After the COMMIT, SELECT currval('events_order')
-- in the same session is the id of the last row that this session published.
--
-- Roles. The owner of these tables calls:
--
--     SELECT events_allow_publisher('app');     -- INSERT on events, nothing else
--     SELECT events_allow_mirror('mirror');     -- SELECT, and EXECUTE of events_lost
--
-- Two-phase commit: PREPARE TRANSACTION refuses a transaction that used NOTIFY. SET rowtail.notify = off (in a session,
-- or for a role or database) leaves it out; mirrors then find the rows at their next poll. From PREPARE TRANSACTION to
-- COMMIT PREPARED all other publishers wait.
--
-- After pg_restore, before publishers start: SELECT events_after_restore().
--
-- For rowtail-mirror. Everything that a mirror copies has a number from one sequence, in the order of commits. LISTEN
-- rowtail (not on a standby) tells that there is something new. This query returns what follows the highest number so far:
--
--     SELECT id, kind, channel, event, data, retry, at, first, last, subject
--     FROM events_news WHERE id > $1 ORDER BY id
--
--     kind       columns
--     row        channel, event, data, retry, at (created_at): a row of events
--     end        channel: it has ended at this id. Its row of events comes too, if it was not deleted
--     deleted    first, last: the rows with these ids, both included, were deleted
--     pruned     channel, last: the highest id of a deleted row of this channel. '*' stands for every channel
--     grant      subject, channel, at (expires_at, or NULL): this grant holds now
--     revoked    subject, channel: there is no such grant now
--     opened     channel: it was deleted from events_ended, and there has been no end since
--     timeline   first, last: a standby took over and has the rows up to first; its own have ids above last, which is
--                also this row's id. A mirror that has rows from first + 1 to last must delete them, take all grants
--                and ends from the tables again, mark '*' at last, and call SELECT events_lost(last) at the primary
--
-- One statement is one snapshot: a mirror applies all of its rows in one transaction. Several rows can have one id.
-- Times are text in UTC as in rowtail.sql. A new mirror first reads, in one REPEATABLE READ transaction,
-- events_position(), the rows of events_news of kind row, and the tables events_pruned (channel, id), events_ended
-- (channel, id) and the view events_grants (subject, channel, expires_at as text).
--
--     SELECT token, floor, position, timeline, standby, system FROM events_server
--
-- token: which log this is. floor: changes up to this number are no longer listed, so a mirror below it begins again.
-- position: the highest number. timeline: which server this is, by the log's own count; a server with a lower one than
-- before was replaced. standby: whether this server is one. system: the cluster's identifier, or 0 if it cannot be read.
BEGIN;
SET LOCAL lock_timeout = '10s';
SET LOCAL client_min_messages = warning;

DO $$
DECLARE
	home text := current_schema();
	name text;
BEGIN
	IF current_setting('server_version_num')::int < 140000 THEN
		RAISE EXCEPTION 'postgresql.sql needs PostgreSQL 14 or newer';
	END IF;
	IF getdatabaseencoding() <> 'UTF8' THEN
		RAISE EXCEPTION 'the encoding of this database is %, and rowtail''s is UTF8; make the log in a database that was created with ENCODING ''UTF8''', getdatabaseencoding();
	END IF;
	IF home IS NULL THEN
		RAISE EXCEPTION 'no schema in search_path (%) exists; CREATE SCHEMA first', current_setting('search_path');
	END IF;
	-- Functions remember this path. pg_catalog comes first, and temporary tables last.
	PERFORM set_config('search_path', format('%I, pg_temp', home), true);
	PERFORM pg_advisory_xact_lock(1919776884, 0);

	IF to_regclass(format('%I.events_log', home)) IS NULL THEN
		SELECT relname INTO name FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(home)) AND relname IN (
			'events', 'grants', 'events_changes', 'events_pruned', 'events_timelines', 'events_ended', 'events_order',
			'events_draft', 'events_changes_draft', 'events_begun', 'events_ends', 'events_news', 'events_grants', 'events_server', 'events_channel',
			'events_ended_id');
		IF FOUND THEN
			RAISE EXCEPTION 'there is already a table, view, index or sequence % of another kind; make the log in a schema of its own', name;
		END IF;
		SELECT proname INTO name FROM pg_proc WHERE pronamespace = to_regnamespace(quote_ident(home)) AND proname IN (
			'events_refused', 'events_refuse', 'events_number', 'events_number_rows', 'events_timeline_begins',
			'events_changes_number', 'events_deleted', 'events_changes_floor', 'events_changes_prune', 'events_row_is_final',
			'events_opened', 'events_end_counts', 'events_end_numbered', 'events_clock', 'events_lost', 'events_position',
			'events_after_restore', 'events_allow_publisher', 'events_allow_mirror', 'grants_refused', 'grants_changed',
			'events_here', 'events_system', 'events_timeline_next', 'events_order_lock', 'events_numbered', 'events_number_replica');
		IF FOUND THEN
			RAISE EXCEPTION 'the application has a function %, which postgresql.sql would replace; make the log in a schema of its own', name;
		END IF;
	ELSE
		-- A mirror's query locks a view first, and then tables. If this file locked the views last, as below, the two
		-- could deadlock. The statement changes nothing; LOCK TABLE would lock the tables of the view, too.
		ALTER VIEW IF EXISTS events_server RESET (security_barrier);
		ALTER VIEW IF EXISTS events_news RESET (security_barrier);
		ALTER VIEW IF EXISTS events_grants RESET (security_barrier);
		-- Triggers are recreated, so this waits for transactions that have written.
		LOCK TABLE events, grants, events_changes, events_ended IN ACCESS EXCLUSIVE MODE;
	END IF;
END $$;

-- Numbers are only taken under one lock, see events_number. Those of a timeline are above those of the one before,
-- which has room for 2^39 or more. JavaScript represents numbers up to the maximum exactly.
CREATE SEQUENCE IF NOT EXISTS events_order AS bigint MINVALUE 1 MAXVALUE 9007199254740991 CACHE 1 NO CYCLE;

-- The event log: one row per record. The trigger events_refused says what each column may hold.
CREATE TABLE IF NOT EXISTS events(
	id bigint GENERATED BY DEFAULT AS IDENTITY (
		SEQUENCE NAME events_draft START WITH -9223372036854775807
		MINVALUE -9223372036854775807 MAXVALUE -9000000000000000001
	) PRIMARY KEY,

	-- Clients that follow this channel, or a pattern that matches it, get the row.
	channel text NOT NULL DEFAULT 'default',

	-- The event type that the page listens for. NULL is a plain message; 'end' is the last row of its channel.
	event text,

	-- The payload. Line breaks are kept.
	data text NOT NULL DEFAULT '',

	-- A new reconnection time for clients that get this row, in ms.
	retry integer,

	created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
DO $$
BEGIN
	IF EXISTS (SELECT 1 FROM pg_index WHERE indexrelid = to_regclass('events_channel') AND indpred IS NULL) THEN
		DROP INDEX events_channel; -- of an older postgresql.sql; it had the drafts, too
	END IF;
END $$;
CREATE INDEX IF NOT EXISTS events_channel ON events(channel, id) WHERE id > 0;

-- Who may read what:
--
--     INSERT INTO grants(subject, channel) VALUES ('*', 'news/*');
--     INSERT INTO grants VALUES ('user:ann', 'orders/42', now() + interval '1 day');
--
-- Without a grant nobody can read anything, unless rowtail runs with --public. NULL means that the grant never
-- expires. The trigger grants_refused says what each column may hold.
CREATE TABLE IF NOT EXISTS grants(
	subject text NOT NULL,
	channel text NOT NULL,
	expires_at timestamptz,
	PRIMARY KEY (subject, channel)
);

-- The channels that have ended, with the id of the row that ended them, also when that row is deleted. Deleting a
-- row here opens the channel again.
CREATE TABLE IF NOT EXISTS events_ended(
	channel text PRIMARY KEY,
	id bigint NOT NULL
);
CREATE INDEX IF NOT EXISTS events_ended_id ON events_ended(id);

-- Other changes that mirrors copy: one row for what a statement deleted or opened, or for a grant that changed.
-- Rows older than a week are deleted.
CREATE TABLE IF NOT EXISTS events_changes(
	id bigint GENERATED BY DEFAULT AS IDENTITY (
		SEQUENCE NAME events_changes_draft START WITH -9223372036854775807
		MINVALUE -9223372036854775807 MAXVALUE -9000000000000000001
	) PRIMARY KEY,
	deleted int8multirange,
	channels text[], marks bigint[], -- the highest id that was deleted from each channel
	opened text[],
	subject text, channel text,
	made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- For a new mirror: the highest id that was ever deleted from each channel. '*' stands for every channel.
CREATE TABLE IF NOT EXISTS events_pruned(channel text PRIMARY KEY, id bigint NOT NULL);

-- Where a server took over: it had numbers up to "after" and gives out those above "base". PostgreSQL gives each standby
-- that is promoted a new timeline, but after pg_upgrade, and in a cluster to which the log was moved, they begin at 1 again.
-- So "timeline" continues its own count. The cluster's identifier ("system", 0 if it cannot be read) and PostgreSQL's
-- timeline ("of_system") identify the server of the newest row.
CREATE TABLE IF NOT EXISTS events_timelines(
	timeline bigint PRIMARY KEY,
	after bigint NOT NULL,
	base bigint NOT NULL,
	ends bigint NOT NULL DEFAULT 0, -- how many channels have ended, see events_number
	made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
ALTER TABLE events_timelines ADD COLUMN IF NOT EXISTS begun_by xid8 DEFAULT pg_current_xact_id();
ALTER TABLE events_timelines ADD COLUMN IF NOT EXISTS system bigint;
ALTER TABLE events_timelines ADD COLUMN IF NOT EXISTS of_system bigint;

-- What events_number must know of tables, in sequences, which it reads without a query. A sequence does not return to its
-- former value when a transaction is rolled back, so each errs on the safe side. events_begun: events_here() of a server of
-- which the row in events_timelines is committed. events_ends: NULL as long as there was never a row in events_ended.
CREATE SEQUENCE IF NOT EXISTS events_begun AS bigint;
CREATE SEQUENCE IF NOT EXISTS events_ends AS bigint;
DO $$
BEGIN
	IF EXISTS (SELECT 1 FROM events_ended) THEN
		PERFORM nextval('events_ends');
	END IF;
END $$;

-- Which server this is, without reading a file: a cluster does not become another one while it runs.
-- events_number has the same expression.
CREATE OR REPLACE FUNCTION events_here() RETURNS bigint LANGUAGE sql VOLATILE
RETURN ((date_part('epoch', pg_postmaster_start_time()) * 1000)::bigint << 20)
	+ ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint;

CREATE OR REPLACE FUNCTION events_system() RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
	RETURN (SELECT system_identifier FROM pg_control_system());
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_function THEN
	RETURN 0;
END $$;

CREATE TABLE IF NOT EXISTS events_log(
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	token uuid NOT NULL DEFAULT gen_random_uuid(),
	floor bigint NOT NULL DEFAULT 0,
	version integer NOT NULL DEFAULT 2 -- of this file, as rowtail_schema in rowtail.sql
);

INSERT INTO events_log DEFAULT VALUES ON CONFLICT DO NOTHING;
UPDATE events_log SET version = 2;
DO $$
DECLARE
	timeline_now bigint := ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint;
BEGIN
	-- In rows of an older postgresql.sql, "timeline" is PostgreSQL's. If that is above the current one, it was set back.
	UPDATE events_timelines SET of_system = timeline,
		system = CASE WHEN timeline_now >= (SELECT max(timeline) FROM events_timelines) THEN events_system() END
	WHERE of_system IS NULL;
	INSERT INTO events_timelines(timeline, after, base, system, of_system)
	SELECT timeline_now, 0, 0, events_system(), timeline_now WHERE NOT EXISTS (SELECT 1 FROM events_timelines);
END $$;

-- The two functions that run for each row. Both run as the log's owner, and neither has a SET clause, which would take
-- longer than the rest of them. So the publisher's search_path applies, and every name and operator is written with its schema;
-- format() inserts the log's. Where possible they use expressions: plpgsql prepares each statement in each transaction.
DO $make$
DECLARE
	home text := quote_ident(current_schema());
BEGIN

-- Refusals, with the same sentences as in rowtail.sql. Most rows need only the first condition. This is no CHECK and
-- has no WHEN, which PostgreSQL would parse for each statement.
--
-- An end counts at once for its own transaction. For others it counts when it is committed; what they insert until
-- then is refused at their COMMIT.
EXECUTE format($sql$
CREATE OR REPLACE FUNCTION %1$s.events_refused() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	IF NEW.id OPERATOR(pg_catalog.>) -9000000000000000001 OR NEW.id OPERATOR(pg_catalog.<) -9223372036854775807
		OR NEW.channel OPERATOR(pg_catalog.!~) '^[ -)+-~]+$' OR pg_catalog.octet_length(NEW.channel) OPERATOR(pg_catalog.>) 255
		OR NEW.event OPERATOR(pg_catalog.~) '[^ -~]|^(|open|error|position|gap|denied)$'
		OR pg_catalog.octet_length(NEW.event) OPERATOR(pg_catalog.>) 255
		OR pg_catalog.octet_length(NEW.data) OPERATOR(pg_catalog.>) 268435456
		OR NEW.retry IS NOT NULL
		OR NEW.created_at OPERATOR(pg_catalog.<) '0001-01-01 00:00:00Z'::pg_catalog.timestamptz
		OR NEW.created_at OPERATOR(pg_catalog.>) '9999-12-31 23:59:59.999Z'::pg_catalog.timestamptz
	THEN
		IF NEW.id OPERATOR(pg_catalog.>) 0 AND pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.=) 'replica' THEN
			RETURN NEW; -- logical replication copies it from another log
		ELSIF NEW.id OPERATOR(pg_catalog.>) -9000000000000000001 OR NEW.id OPERATOR(pg_catalog.<) -9223372036854775807 THEN
			RAISE EXCEPTION 'id: leave it out and PostgreSQL numbers the row at COMMIT';
		ELSIF pg_catalog.octet_length(NEW.data) OPERATOR(pg_catalog.>) 268435456 THEN
			RAISE EXCEPTION 'data: at most 256 MiB (268435456 bytes), since a record is encoded in memory; publish a link to longer data';
		ELSIF NEW.retry OPERATOR(pg_catalog.<) 0 OR NEW.retry OPERATOR(pg_catalog.>) 3600000 THEN
			RAISE EXCEPTION 'retry: NULL, or whole milliseconds from 0 to 3600000';
		ELSIF NEW.created_at OPERATOR(pg_catalog.<) '0001-01-01 00:00:00Z'::pg_catalog.timestamptz
			OR NEW.created_at OPERATOR(pg_catalog.>) '9999-12-31 23:59:59.999Z'::pg_catalog.timestamptz THEN
			RAISE EXCEPTION 'created_at: UTC such as 2026-01-31T23:59:59.123Z; leave it out and it is now';
		ELSIF pg_catalog.octet_length(NEW.channel) OPERATOR(pg_catalog.<) 1
			OR pg_catalog.octet_length(NEW.channel) OPERATOR(pg_catalog.>) 255 THEN
			RAISE EXCEPTION 'channel: text of 1 to 255 bytes of UTF-8';
		ELSIF NEW.channel OPERATOR(pg_catalog.~) E'[\u0001-\u001f\u007f-\u009f*]' THEN
			RAISE EXCEPTION 'channel: no control characters, and no *, which is for patterns';
		ELSIF pg_catalog.octet_length(NEW.event) OPERATOR(pg_catalog.<) 1
			OR pg_catalog.octet_length(NEW.event) OPERATOR(pg_catalog.>) 255 THEN
			RAISE EXCEPTION 'event: NULL for a plain message, or text of 1 to 255 bytes of UTF-8';
		ELSIF NEW.event OPERATOR(pg_catalog.~) E'[\r\n]' THEN
			RAISE EXCEPTION 'event: one line, so no CR, LF or NUL';
		ELSIF NEW.event OPERATOR(pg_catalog.=) ANY ('{open,error,position,gap,denied}'::pg_catalog.text[]) THEN
			RAISE EXCEPTION 'event: open and error are EventSource''s own, position, gap and denied are rowtail''s; choose another name';
		END IF;
	END IF;
	IF NEW.event OPERATOR(pg_catalog.=) 'end' OR pg_catalog.pg_sequence_last_value('%2$s.events_ends'::pg_catalog.regclass) IS NOT NULL THEN
		IF pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.=) 'replica' THEN
			RETURN NEW; -- see events_number_replica
		ELSIF EXISTS (SELECT 1 FROM %1$s.events_ended AS x WHERE x.channel OPERATOR(pg_catalog.=) NEW.channel) THEN
			RAISE EXCEPTION 'events: this channel has ended, so it takes no more rows; DELETE FROM events_ended opens it again';
		ELSIF NEW.event OPERATOR(pg_catalog.=) 'end' THEN
			INSERT INTO %1$s.events_ended(channel, id) VALUES (NEW.channel, NEW.id) ON CONFLICT DO NOTHING;
			IF NOT FOUND THEN
				RAISE EXCEPTION 'events: this channel has ended, so it takes no more rows; DELETE FROM events_ended opens it again';
			END IF;
		END IF;
	END IF;
	RETURN NEW;
END $$
$sql$, home, replace(home, '''', ''''''));

-- Numbers a row at COMMIT, or at SET CONSTRAINTS ... IMMEDIATE. PostgreSQL makes a transaction visible before it
-- releases its locks. So whoever gets the lock next takes a higher number and is visible later, here and on every
-- standby. A sequence alone does not order commits: a reader of "id > last" would lose rows.
--
-- The first condition is the usual case: this is the only row, its timeline has begun, and the table has so many pages
-- that no plan for the UPDATE reads all of them. The UPDATE finds the row by its ctid, which takes less time than the
-- primary key; no other row can get this ctid before this transaction ends. In this case, everything that can be done
-- before the lock is done before it. Nobody may see a row that a crash takes back, since its number would be given out
-- again: thus synchronous_commit. The name of a WAL file has the timeline; a server that takes writes keeps to one, so any position
-- will do, and PostgreSQL computes this once for a session.
EXECUTE format($sql$
CREATE OR REPLACE FUNCTION %1$s.events_number() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	IF NEW.id OPERATOR(pg_catalog.=) pg_catalog.currval('%2$s.events_draft'::pg_catalog.regclass)
		AND NEW.ctid OPERATOR(pg_catalog.>=) '(16,0)'::pg_catalog.tid
		AND pg_catalog.pg_sequence_last_value('%2$s.events_begun'::pg_catalog.regclass) OPERATOR(pg_catalog.=)
			(((pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) OPERATOR(pg_catalog.*) 1000)::pg_catalog.int8
				OPERATOR(pg_catalog.<<) 20)
			OPERATOR(pg_catalog.+) ('x' OPERATOR(pg_catalog.||) pg_catalog.left(
				pg_catalog.pg_walfile_name('0/1000000'::pg_catalog.pg_lsn), 8))::pg_catalog.bit(32)::pg_catalog.int8)
		AND (pg_catalog.current_setting('synchronous_commit') OPERATOR(pg_catalog.<>) 'off'
			OR pg_catalog.set_config('synchronous_commit', 'on', true) IS NOT NULL)
		AND (pg_catalog.current_setting('rowtail.notify', true) OPERATOR(pg_catalog.=) ANY ('{off,false,no,0}'::pg_catalog.text[])
			OR pg_catalog.pg_notify('rowtail', '') IS NOT NULL)
	THEN
		UPDATE %1$s.events AS e SET id = CASE WHEN pg_catalog.pg_advisory_xact_lock(1919776884,
				'%2$s.events_order'::pg_catalog.regclass::pg_catalog.oid::pg_catalog.int4) IS NOT NULL
			THEN pg_catalog.nextval('%2$s.events_order'::pg_catalog.regclass) END
		WHERE e.ctid OPERATOR(pg_catalog.=) NEW.ctid;
		IF FOUND AND pg_catalog.pg_sequence_last_value('%2$s.events_ends'::pg_catalog.regclass) IS NOT NULL THEN
			IF EXISTS (SELECT 1 FROM %1$s.events_ended AS x WHERE x.channel OPERATOR(pg_catalog.=) NEW.channel)
				OR pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed' THEN
				PERFORM %1$s.events_end_numbered(NEW.channel, NEW.id, pg_catalog.currval('%2$s.events_order'::pg_catalog.regclass));
			END IF;
		END IF;
	-- Rows of this session came after this one. They get their numbers together, if they have none yet.
	ELSIF NEW.id OPERATOR(pg_catalog.>) COALESCE(pg_catalog.regexp_replace(pg_catalog.current_setting('rowtail.numbered'
			OPERATOR(pg_catalog.||) '%2$s.events'::pg_catalog.regclass::pg_catalog.oid::pg_catalog.text, true),
			'^$', '-9223372036854775808')::pg_catalog.int8, -9223372036854775808) THEN
		PERFORM %1$s.events_number_rows(NEW.id, pg_catalog.currval('%2$s.events_draft'::pg_catalog.regclass));
	END IF;
	RETURN NULL;
END $$
$sql$, home, replace(home, '''', ''''''));
END $make$;

-- A row of a channel that has an end, or perhaps has one that an old snapshot does not see: this fails with a serialization
-- failure if any channel has ended since.
CREATE OR REPLACE FUNCTION events_end_numbered(of_channel text, draft bigint, number bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
	ended bigint;
BEGIN
	IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
		PERFORM events_order_lock();
		PERFORM 1 FROM events_timelines ORDER BY timeline DESC LIMIT 1 FOR SHARE;
	END IF;
	SELECT id INTO ended FROM events_ended WHERE channel = of_channel;
	IF ended = draft THEN
		UPDATE events_ended SET id = number WHERE channel = of_channel;
		UPDATE events_timelines SET ends = ends + 1 WHERE timeline = (SELECT max(timeline) FROM events_timelines);
	ELSIF ended > 0 THEN
		RAISE EXCEPTION 'events: this channel has ended, so it takes no more rows; DELETE FROM events_ended opens it again';
	END IF;
END $$;

CREATE OR REPLACE FUNCTION grants_refused() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
	IF NEW.subject <> '*' AND NEW.subject !~ '^(user:.|token:)' THEN
		RAISE EXCEPTION 'subject: * for everyone, user:NAME, or token:HEX';
	ELSIF NEW.subject ~ '^token:' AND NEW.subject !~ '^token:[0-9a-f]{64}$' THEN
		RAISE EXCEPTION 'subject: after token: come the 64 lower-case hex digits of the token''s SHA-256, never the token';
	ELSIF octet_length(NEW.channel) NOT BETWEEN 1 AND 255 THEN
		RAISE EXCEPTION 'channel: text of 1 to 255 bytes of UTF-8';
	ELSIF NEW.channel ~ E'[\u0001-\u001f\u007f-\u009f]' THEN
		RAISE EXCEPTION 'channel: no control characters';
	ELSIF NEW.channel !~ '^([^*]+|[*]|[^*]+/[*])$' THEN
		RAISE EXCEPTION 'channel: a name, a pattern such as orders/*, or * alone for all';
	ELSIF NEW.expires_at NOT BETWEEN '0001-01-01 00:00:00Z' AND '9999-12-31 23:59:59.999Z' THEN
		RAISE EXCEPTION 'expires_at: NULL, or a time in UTC such as 2026-01-31 23:59:59 or 2026-01-31T23:59:59Z';
	END IF;
	RETURN NEW;
END $$;

-- Only the numbering changes a row, and only once. It calls this without a search_path of its own.
CREATE OR REPLACE FUNCTION events_row_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.id OPERATOR(pg_catalog.>) 0 OR NEW.id OPERATOR(pg_catalog.<=) 0
		OR pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.=) 1 THEN
		RAISE EXCEPTION 'events: a logged row never changes, since readers may have it already; insert a new row that corrects it, or delete this one';
	END IF;
	RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION events_refuse() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
	RAISE EXCEPTION '%', TG_ARGV[0];
END $$;

-- Numbers of a log that was restored, and of each standby that takes over from it, begin here: 2^52, and one for each
-- microsecond since 2020. So they are above all that was given out before, if nobody publishes a row each microsecond, and
-- the servers' clocks agree. Numbers that were merely far above those in the dump could be given out twice, after the same
-- dump was restored again. There is room until 2162.
CREATE OR REPLACE FUNCTION events_clock() RETURNS bigint LANGUAGE sql VOLATILE SET search_path FROM CURRENT AS $$
	SELECT 4503599627370496 + (extract(epoch FROM clock_timestamp() - timestamptz '2020-01-01 00:00:00Z') * 1000000)::bigint;
$$;

-- The number that events_timelines has, or will have, for this server.
CREATE OR REPLACE FUNCTION events_timeline_next(new_system bigint, new_timeline bigint) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
	SELECT CASE WHEN t.system IS DISTINCT FROM new_system THEN t.timeline + new_timeline
		WHEN t.of_system = new_timeline THEN t.timeline
		ELSE t.timeline + greatest(new_timeline - t.of_system, 1) END
	FROM events_timelines AS t ORDER BY t.timeline DESC LIMIT 1;
$$;

-- A standby that was promoted does not know the last number that the former primary gave out. So its numbers begin
-- above the next multiple of 2^40; in a log that was restored, at the time. There may have been timelines in between,
-- of which it knows nothing. If another standby was promoted as well, both may have the same timeline; thus random().
-- All this happens also in a cluster to which the log was moved; and if the table has numbers above the sequence's, as
-- after a copy of the table alone. Returns false if this server has begun already. A number that a
-- transaction took and that was rolled back is given out again: so what says that a timeline has begun is the row, which
-- is rolled back too, and not the sequence.
CREATE OR REPLACE FUNCTION events_timeline_begins(new_timeline bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
	last events_timelines;
	new_system bigint := events_system();
	highest bigint;
	slot bigint;
	start bigint;
BEGIN
	SELECT * INTO last FROM events_timelines ORDER BY timeline DESC LIMIT 1;
	IF last.system = new_system AND last.of_system = new_timeline AND (pg_sequence_last_value('events_begun') = events_here()
		OR events_position() <= (SELECT last_value FROM events_order)) THEN
		RETURN false;
	END IF;
	SELECT position INTO highest FROM events_position() AS position;
	slot := CASE WHEN last.system = new_system
		THEN greatest((last.base >> 40) + new_timeline - last.of_system, (highest >> 40) + 1)
		ELSE (highest >> 40) + new_timeline END;
	IF slot < 4096 THEN
		start := (slot << 40) + floor(random() * (1::bigint << 39))::bigint;
	ELSE
		start := greatest(events_clock(), highest);
	END IF;
	-- Under REPEATABLE READ, when another transaction did it after this one's snapshot, it is a serialization failure.
	INSERT INTO events_timelines(timeline, after, base, system, of_system) VALUES (
		greatest(events_timeline_next(new_system, new_timeline), coalesce(last.timeline, 0) + 1),
		highest, start, new_system, new_timeline) ON CONFLICT DO NOTHING;
	PERFORM setval('events_order', start);
	RETURN true;
END $$;

-- Whoever gives out numbers calls this first.
CREATE OR REPLACE FUNCTION events_order_lock() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
	PERFORM pg_advisory_xact_lock(1919776884, 'events_order'::regclass::oid::int);
	-- An old snapshot may lack the newest row of events_timelines.
	IF pg_sequence_last_value('events_begun') = events_here()
		AND current_setting('transaction_isolation') NOT IN ('repeatable read', 'serializable') THEN
		RETURN;
	END IF;
	IF NOT events_timeline_begins(('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint)
		AND (SELECT begun_by IS DISTINCT FROM pg_current_xact_id() FROM events_timelines ORDER BY timeline DESC LIMIT 1) THEN
		PERFORM setval('events_begun', events_here());
	END IF;
END $$;

-- The same for the drafts from first to last of this transaction, in their order. Nobody else's are visible. The
-- settings rule out plans that read the whole log. They also make some costs look high, for which PostgreSQL 17 and older
-- would compile the query while all other publishers wait; thus jit.
CREATE OR REPLACE FUNCTION events_number_rows(first bigint, last bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
	refused boolean;
	new_ends bigint;
BEGIN
	PERFORM events_order_lock();
	IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
		PERFORM 1 FROM events_timelines ORDER BY timeline DESC LIMIT 1 FOR SHARE;
	END IF;
	WITH draft AS MATERIALIZED (
		SELECT e.id FROM events AS e WHERE e.id BETWEEN first AND last ORDER BY e.id
	), numbered AS MATERIALIZED (
		SELECT d.id, nextval('events_order') AS number FROM draft AS d
	), updated AS (
		UPDATE events AS e SET id = n.number FROM numbered AS n WHERE e.id = n.id
		RETURNING n.id, n.number, (SELECT x.id FROM events_ended AS x WHERE x.channel = e.channel) AS ended
	), ended AS (
		UPDATE events_ended AS x SET id = u.number FROM updated AS u WHERE x.id = u.id AND u.ended = u.id
		RETURNING 1
	)
	SELECT (SELECT count(*) FROM ended), (SELECT coalesce(bool_or(u.ended > 0), false) FROM updated AS u)
	INTO new_ends, refused;
	IF refused THEN
		RAISE EXCEPTION 'events: this channel has ended, so it takes no more rows; DELETE FROM events_ended opens it again';
	END IF;
	UPDATE events_timelines SET ends = ends + new_ends
	WHERE new_ends > 0 AND timeline = (SELECT max(timeline) FROM events_timelines);
	PERFORM set_config('rowtail.numbered' || 'events'::regclass::oid, last::text, true);
	PERFORM events_numbered();
END $$;

-- For a session with session_replication_role = replica, in which ordinary triggers do not fire: logical replication, and
-- triggers of the application that fire for what it applies. A row that still is a draft at COMMIT was inserted here. Logical
-- replication has given its number to each row that it copied from another log.
CREATE OR REPLACE FUNCTION events_number_replica() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
	IF NEW.id < 0 AND EXISTS (SELECT 1 FROM events WHERE id = NEW.id) THEN
		IF NEW.event = 'end' THEN
			PERFORM nextval('events_ends');
			INSERT INTO events_ended(channel, id) VALUES (NEW.channel, NEW.id) ON CONFLICT DO NOTHING;
		END IF;
		PERFORM events_number_rows(NEW.id, NEW.id);
	END IF;
	RETURN NULL;
END $$;

-- After a number was given out: nobody may see a row that a crash takes back, since its number would be given out again.
CREATE OR REPLACE FUNCTION events_numbered() RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
	IF current_setting('synchronous_commit') = 'off' THEN
		PERFORM set_config('synchronous_commit', 'on', true);
	END IF;
	IF coalesce(current_setting('rowtail.notify', true), '') NOT IN ('off', 'false', 'no', '0') THEN
		PERFORM pg_notify('rowtail', '');
	END IF;
END $$;

-- Numbers a change, and does at COMMIT, under the lock, what would make deletions wait for each other.
CREATE OR REPLACE FUNCTION events_changes_number() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off SET jit = off AS $$
BEGIN
	PERFORM events_order_lock();
	UPDATE events_changes SET id = nextval('events_order') WHERE id = NEW.id;
	INSERT INTO events_pruned AS p(channel, id)
	SELECT u.channel, u.mark FROM unnest(NEW.channels, NEW.marks) AS u(channel, mark)
	ON CONFLICT (channel) DO UPDATE SET id = greatest(p.id, excluded.id);

	-- Sometimes, since it takes long: bounds, as in rowtail.sql, and a week for changes.
	IF random() < 1.0 / 256 AND current_setting('transaction_isolation') NOT IN ('repeatable read', 'serializable') THEN
		IF (SELECT count(*) FROM events_pruned) > 10000 THEN
			INSERT INTO events_pruned AS p(channel, id)
			SELECT '*', q.id FROM events_pruned AS q ORDER BY q.id DESC LIMIT 1 OFFSET 5000
			ON CONFLICT (channel) DO UPDATE SET id = greatest(p.id, excluded.id);
			DELETE FROM events_pruned AS p WHERE p.channel <> '*'
				AND p.id <= (SELECT q.id FROM events_pruned AS q WHERE q.channel = '*');
		END IF;
		PERFORM events_changes_prune();
	END IF;
	PERFORM events_numbered();
	RETURN NULL;
END $$;

-- Deletes older changes; the log's owner may call it with another age. A mirror that was disconnected for longer makes a new copy.
CREATE OR REPLACE FUNCTION events_changes_prune(keep interval DEFAULT '7 days') RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
	DELETE FROM events_changes WHERE id > 0 AND made_at < clock_timestamp() - keep;
$$;

CREATE OR REPLACE FUNCTION events_changes_floor() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
	UPDATE events_log SET floor = greatest(floor, (SELECT max(id) FROM gone))
	WHERE floor < (SELECT max(id) FROM gone);
	RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION events_deleted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
	IF EXISTS (SELECT 1 FROM gone WHERE id > 0) THEN
		WITH mark AS (SELECT channel, max(id) AS id FROM gone WHERE id > 0 GROUP BY channel)
		INSERT INTO events_changes(deleted, channels, marks)
		SELECT (SELECT range_agg(int8range(id, id, '[]')) FROM gone WHERE id > 0),
			array_agg(channel ORDER BY channel), array_agg(id ORDER BY channel) FROM mark;
	END IF;
	-- An end that was never published.
	IF EXISTS (SELECT 1 FROM gone WHERE id < 0) THEN
		DELETE FROM events_ended AS x USING gone WHERE x.channel = gone.channel AND x.id = gone.id AND x.id < 0;
	END IF;
	RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION events_opened() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
	INSERT INTO events_changes(opened) SELECT array_agg(channel ORDER BY channel) FROM gone HAVING count(*) > 0;
	RETURN NULL;
END $$;

-- Before the end is committed, so before anybody may count on it.
CREATE OR REPLACE FUNCTION events_end_counts() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
	PERFORM nextval('events_ends');
	RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION grants_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
	IF TG_OP <> 'INSERT' THEN
		INSERT INTO events_changes(subject, channel) VALUES (OLD.subject, OLD.channel);
	END IF;
	IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE' AND (NEW.subject, NEW.channel) <> (OLD.subject, OLD.channel) THEN
		INSERT INTO events_changes(subject, channel) VALUES (NEW.subject, NEW.channel);
	END IF;
	RETURN NULL;
END $$;

DROP TRIGGER IF EXISTS events_refused ON events;
CREATE TRIGGER events_refused BEFORE INSERT ON events FOR EACH ROW
	EXECUTE FUNCTION events_refused();
ALTER TABLE events ENABLE ALWAYS TRIGGER events_refused;

DROP TRIGGER IF EXISTS events_number ON events;
CREATE CONSTRAINT TRIGGER events_number AFTER INSERT ON events
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION events_number();

DROP TRIGGER IF EXISTS events_number_replica ON events;
CREATE CONSTRAINT TRIGGER events_number_replica AFTER INSERT ON events
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION events_number_replica();
ALTER TABLE events ENABLE REPLICA TRIGGER events_number_replica;

-- AFTER, since a BEFORE trigger would lock each row that is numbered.
DROP TRIGGER IF EXISTS events_row_is_final ON events;
CREATE TRIGGER events_row_is_final AFTER UPDATE ON events FOR EACH ROW EXECUTE FUNCTION events_row_is_final();

DROP TRIGGER IF EXISTS events_no_truncate ON events;
CREATE TRIGGER events_no_truncate BEFORE TRUNCATE ON events
	EXECUTE FUNCTION events_refuse('events: use DELETE; with TRUNCATE readers would not learn which rows are gone');

DROP TRIGGER IF EXISTS events_deleted ON events;
CREATE TRIGGER events_deleted AFTER DELETE ON events REFERENCING OLD TABLE AS gone
	FOR EACH STATEMENT EXECUTE FUNCTION events_deleted();

DROP TRIGGER IF EXISTS events_opened ON events_ended;
CREATE TRIGGER events_opened AFTER DELETE ON events_ended REFERENCING OLD TABLE AS gone
	FOR EACH STATEMENT EXECUTE FUNCTION events_opened();
DROP TRIGGER IF EXISTS events_end_counts ON events_ended;
CREATE TRIGGER events_end_counts AFTER INSERT ON events_ended EXECUTE FUNCTION events_end_counts();
DROP TRIGGER IF EXISTS events_ended_no_truncate ON events_ended;
CREATE TRIGGER events_ended_no_truncate BEFORE TRUNCATE ON events_ended
	EXECUTE FUNCTION events_refuse('events_ended: use DELETE; with TRUNCATE mirrors would not learn of it');

DROP TRIGGER IF EXISTS events_changes_number ON events_changes;
CREATE CONSTRAINT TRIGGER events_changes_number AFTER INSERT ON events_changes
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION events_changes_number();
DROP TRIGGER IF EXISTS events_changes_floor ON events_changes;
CREATE TRIGGER events_changes_floor AFTER DELETE ON events_changes REFERENCING OLD TABLE AS gone
	FOR EACH STATEMENT EXECUTE FUNCTION events_changes_floor();

DROP TRIGGER IF EXISTS grants_refused ON grants;
CREATE TRIGGER grants_refused BEFORE INSERT OR UPDATE ON grants FOR EACH ROW EXECUTE FUNCTION grants_refused();
DROP TRIGGER IF EXISTS grants_changed ON grants;
CREATE TRIGGER grants_changed AFTER INSERT OR UPDATE OR DELETE ON grants
	FOR EACH ROW EXECUTE FUNCTION grants_changed();
DROP TRIGGER IF EXISTS grants_no_truncate ON grants;
CREATE TRIGGER grants_no_truncate BEFORE TRUNCATE ON grants
	EXECUTE FUNCTION events_refuse('grants: use DELETE; with TRUNCATE mirrors would not learn of it');

-- What a mirror reads and calls.
CREATE OR REPLACE VIEW events_news AS
SELECT e.id, 'row'::text AS kind, e.channel, e.event, e.data, e.retry,
	to_char(e.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at,
	NULL::bigint AS first, NULL::bigint AS last, NULL::text AS subject
FROM events AS e
UNION ALL SELECT x.id, 'end', x.channel, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM events_ended AS x
UNION ALL SELECT c.id, 'deleted', NULL, NULL, NULL, NULL, NULL, lower(r), upper(r) - 1, NULL
FROM events_changes AS c CROSS JOIN LATERAL unnest(c.deleted) AS r
UNION ALL SELECT c.id, 'pruned', u.channel, NULL, NULL, NULL, NULL, NULL, u.mark, NULL
FROM events_changes AS c CROSS JOIN LATERAL unnest(c.channels, c.marks) AS u(channel, mark)
UNION ALL SELECT c.id, 'opened', o, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM events_changes AS c CROSS JOIN LATERAL unnest(c.opened) AS o
WHERE NOT EXISTS (SELECT 1 FROM events_ended AS x WHERE x.channel = o)
UNION ALL SELECT c.id, CASE WHEN g.subject IS NULL THEN 'revoked' ELSE 'grant' END, c.channel, NULL, NULL, NULL,
	to_char(g.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), NULL, NULL, c.subject
FROM events_changes AS c LEFT JOIN grants AS g ON g.subject = c.subject AND g.channel = c.channel
WHERE c.subject IS NOT NULL
UNION ALL SELECT t.base, 'timeline', NULL, NULL, NULL, NULL, NULL, t.after, t.base, NULL FROM events_timelines AS t;

CREATE OR REPLACE VIEW events_grants AS
SELECT subject, channel, to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS expires_at
FROM grants;

CREATE OR REPLACE FUNCTION events_position() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
	SELECT greatest((SELECT max(id) FROM events WHERE id > 0), (SELECT max(id) FROM events_changes WHERE id > 0),
		(SELECT max(id) FROM events_pruned), (SELECT max(id) FROM events_ended), (SELECT max(base) FROM events_timelines),
		(SELECT floor FROM events_log), 0);
$$;

CREATE OR REPLACE VIEW events_server AS
SELECT token, floor, events_position() AS position,
	CASE WHEN CASE WHEN pg_is_in_recovery() THEN true
		ELSE (SELECT b.is_called AND b.last_value = events_here() FROM events_begun AS b) END
	THEN (SELECT max(timeline) FROM events_timelines)
	ELSE events_timeline_next(events_system(), ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint)
	END AS timeline, pg_is_in_recovery() AS standby, events_system() AS system
FROM events_log;

-- For a mirror that has deleted what was lost with a former primary: readers whose position is below "base" get a gap.
CREATE OR REPLACE FUNCTION events_lost(lost_base bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
	IF EXISTS (SELECT 1 FROM events_timelines WHERE base = lost_base)
		AND NOT EXISTS (SELECT 1 FROM events_pruned WHERE channel = '*' AND id >= lost_base) THEN
		INSERT INTO events_changes(channels, marks) VALUES ('{*}', ARRAY[lost_base]);
	END IF;
END $$;

-- A log that was restored from a dump is older than what readers have seen, and nobody knows the last id that was
-- lost. The same dump may be restored twice, too. So ids go on at a time, see events_clock: nobody publishes a row each
-- microsecond for long. Mirrors make new copies, and readers get a gap.
CREATE OR REPLACE FUNCTION events_after_restore() RETURNS bigint
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
	start bigint;
	timeline_now bigint := ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint;
	new_timeline bigint := events_timeline_next(events_system(), timeline_now);
BEGIN
	LOCK TABLE events, grants, events_changes, events_ended IN SHARE ROW EXCLUSIVE MODE;
	PERFORM pg_advisory_xact_lock(1919776884, 'events_order'::regclass::oid::int);
	start := greatest(events_clock(), events_position(), (SELECT last_value FROM events_order));
	PERFORM setval('events_order', start);
	PERFORM nextval('events_ends') FROM (SELECT 1 FROM events_ended LIMIT 1) AS x;
	DELETE FROM events_changes;
	DELETE FROM events_timelines;
	INSERT INTO events_timelines(timeline, after, base, system, of_system)
	VALUES (coalesce(new_timeline, timeline_now), start, start, events_system(), timeline_now);
	DELETE FROM events_pruned;
	INSERT INTO events_pruned(channel, id) VALUES ('*', start);
	UPDATE events_log SET token = gen_random_uuid(), floor = start;
	PERFORM events_numbered();
	RETURN start;
END $$;

-- Roles.
CREATE OR REPLACE FUNCTION events_allow_publisher(role_name text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
	EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), role_name);
	EXECUTE format('GRANT INSERT ON events TO %I', role_name);
	EXECUTE format('GRANT SELECT ON SEQUENCE events_order TO %I', role_name); -- for currval
END $$;

CREATE OR REPLACE FUNCTION events_allow_mirror(role_name text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
	EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), role_name);
	EXECUTE format('GRANT SELECT ON events, grants, events_changes, events_pruned, events_ended, events_timelines,
		events_log, events_news, events_grants, events_server TO %I', role_name);
	EXECUTE format('GRANT EXECUTE ON FUNCTION events_lost(bigint), events_position() TO %I', role_name);
END $$;

DO $$
DECLARE
	made text;
BEGIN
	FOR made IN SELECT p.oid::regprocedure::text FROM pg_proc AS p
		WHERE p.pronamespace = to_regnamespace(quote_ident(current_schema())) AND p.proname IN (
			'events_refused', 'events_refuse', 'events_number', 'events_number_rows', 'events_number_replica', 'events_numbered',
			'events_timeline_begins', 'events_order_lock', 'events_changes_number', 'events_deleted', 'events_changes_floor',
			'events_changes_prune', 'events_row_is_final', 'events_opened', 'events_end_counts', 'events_end_numbered',
			'events_clock', 'events_lost', 'events_position', 'events_after_restore', 'events_allow_publisher', 'events_allow_mirror', 'grants_refused', 'grants_changed')
	LOOP
		EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', made);
	END LOOP;
	-- The view events_server calls these as its reader. They only tell which server this is.
	GRANT EXECUTE ON FUNCTION events_here(), events_system(), events_timeline_next(bigint, bigint) TO PUBLIC;
	REVOKE ALL ON events, grants, events_changes, events_pruned, events_ended, events_timelines, events_log,
		events_news, events_grants, events_server FROM PUBLIC;
	REVOKE ALL ON SEQUENCE events_order, events_draft, events_changes_draft, events_begun, events_ends FROM PUBLIC;
END $$;
COMMIT;
