-- postgresql-retention.sql: optional. Prunes the log in PostgreSQL by rules. Mirrors delete the same rows from their copies.
--
--     psql -v ON_ERROR_STOP=1 -f postgresql-retention.sql      (after postgresql.sql, in the same schema)
--
-- Then say what to keep, one row per rule:
--
--     INSERT INTO retention(keep_rows) VALUES (100000);          -- of the log as a whole
--     INSERT INTO retention VALUES ('rooms/*', 100, 86400);      -- of each channel below rooms/
--     INSERT INTO retention VALUES ('rooms/lobby', 1000, NULL);  -- of this one
--
-- The columns are channel, keep_rows (how many of the newest rows to keep; NULL: all) and keep_seconds (rows older
-- than this are deleted; NULL: never). A row is deleted when it exceeds the rule of the log as a whole, or its
-- channel's rule: the rule with the channel's name, else the longest pattern that matches it ('*' matches every
-- channel). No other row is ever deleted, and the oldest go first. DELETE FROM retention stops all pruning.
--
-- Let the log's owner run this each minute or so, by pg_cron
--
--     SELECT cron.schedule('rowtail', '* * * * *', 'CALL retention_run()');
--
-- or by any cron:
--
--     psql -c 'CALL retention_run()'
--
-- It deletes in transactions of 1000 rows, so that mirrors and publishers can run between them. The age is
-- that of created_at, checked from the lowest id up: a row that was given a later time by hand delays those after it.
--
-- The file runs as a whole or not at all. Running it again keeps the rules.
BEGIN;
SET LOCAL lock_timeout = '10s';
SET LOCAL client_min_messages = warning;

DO $$
DECLARE
	home text := current_schema();
BEGIN
	IF to_regclass(format('%I.events_log', home)) IS NULL THEN
		RAISE EXCEPTION 'run postgresql.sql first, in the same schema; postgresql-retention.sql works on the log that it makes';
	END IF;
	IF to_regclass(format('%I.retention', home)) IS NOT NULL AND to_regprocedure(
		format('%I.retention_step(bigint)', home)) IS NULL THEN
		RAISE EXCEPTION 'there is already a table or view retention of another kind; make the log in a schema of its own';
	END IF;
	PERFORM set_config('search_path', format('%I, pg_temp', home), true);
	PERFORM pg_advisory_xact_lock(1919776884, 0);
END $$;

CREATE TABLE IF NOT EXISTS retention(
	channel text PRIMARY KEY DEFAULT '', -- '' is the log as a whole
	keep_rows bigint,
	keep_seconds bigint
);

CREATE OR REPLACE FUNCTION retention_refused() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
	IF NEW.channel !~ '^([^*]*|[*]|[^*]+/[*])$' THEN
		RAISE EXCEPTION 'channel: a name, a pattern such as rooms/*, * for every channel, or left out for the log as a whole';
	ELSIF NEW.keep_rows NOT BETWEEN 1 AND 9007199254740991 THEN
		RAISE EXCEPTION 'keep_rows: NULL, or a whole number from 1';
	ELSIF NEW.keep_seconds NOT BETWEEN 1 AND 3155760000 THEN
		RAISE EXCEPTION 'keep_seconds: NULL, or whole seconds from 1 to 3155760000, a hundred years';
	END IF;
	RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS retention_refused ON retention;
CREATE TRIGGER retention_refused BEFORE INSERT OR UPDATE ON retention
	FOR EACH ROW EXECUTE FUNCTION retention_refused();

-- Each channel of the log with its rule, and '' with that of the log as a whole. Each look at the index finds the
-- next channel, so this takes time for each channel, not for each row.
CREATE OR REPLACE VIEW retention_rules AS
WITH RECURSIVE found(channel) AS (
	(SELECT channel FROM events WHERE id > 0 ORDER BY channel LIMIT 1)
	UNION ALL
	SELECT (SELECT e.channel FROM events AS e WHERE e.channel > f.channel AND e.id > 0 ORDER BY e.channel LIMIT 1)
	FROM found AS f WHERE f.channel IS NOT NULL
)
SELECT r.channel, r.keep_rows, r.keep_seconds FROM retention AS r WHERE r.channel = ''
UNION ALL
SELECT f.channel, r.keep_rows, r.keep_seconds FROM found AS f CROSS JOIN LATERAL (
	SELECT * FROM retention AS q
	WHERE q.channel = f.channel OR right(q.channel, 1) = '*' AND starts_with(f.channel, left(q.channel, -1))
	ORDER BY right(q.channel, 1) = '*', length(q.channel) DESC LIMIT 1) AS r
WHERE f.channel IS NOT NULL;

-- Deletes up to at_most rows that exceed a rule, and returns how many it deleted.
-- Without sequential scans the planner overestimates the small queries here, and would compile each.
CREATE OR REPLACE FUNCTION retention_step(at_most bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path FROM CURRENT SET enable_seqscan = off SET jit = off AS $$
DECLARE
	rule record;
	excess bigint;
	room bigint := at_most;
	deleted bigint;
BEGIN
	IF at_most IS NULL OR at_most < 1 THEN
		RAISE EXCEPTION 'retention_step: how many rows to delete at most, a whole number from 1';
	END IF;
	FOR rule IN SELECT * FROM retention_rules LOOP
		-- The newest row that the rule does not keep.
		IF rule.channel = '' THEN
			SELECT id INTO excess FROM events WHERE id > 0 ORDER BY id DESC OFFSET rule.keep_rows LIMIT 1;
		ELSE
			SELECT id INTO excess FROM events WHERE channel = rule.channel AND id > 0
			ORDER BY channel DESC, id DESC OFFSET rule.keep_rows LIMIT 1;
		END IF;
		IF rule.keep_rows IS NULL THEN
			excess := NULL;
		END IF;
		DELETE FROM events WHERE id IN (
			SELECT o.id FROM (
				(SELECT e.id, e.created_at FROM events AS e WHERE rule.channel = '' AND e.id > 0 ORDER BY e.id LIMIT room)
				UNION ALL
				(SELECT e.id, e.created_at FROM events AS e WHERE e.channel = rule.channel AND e.id > 0
					ORDER BY e.channel, e.id LIMIT room)) AS o
			WHERE o.id <= excess OR o.created_at < clock_timestamp() - rule.keep_seconds * interval '1 second');
		GET DIAGNOSTICS deleted = ROW_COUNT;
		room := room - deleted;
		EXIT WHEN room < 1;
	END LOOP;
	RETURN at_most - room;
END $$;

-- A procedure that commits can have no search_path of its own.
DO $$
BEGIN
	EXECUTE format($run$
		CREATE OR REPLACE PROCEDURE retention_run(at_most bigint DEFAULT 1000) LANGUAGE plpgsql AS $body$
		BEGIN
			WHILE %1$I.retention_step(at_most) > 0 LOOP
				COMMIT;
			END LOOP;
			COMMIT;
		END $body$
	$run$, current_schema());
END $$;
REVOKE ALL ON retention, retention_rules FROM PUBLIC;
REVOKE ALL ON FUNCTION retention_step(bigint), retention_refused() FROM PUBLIC;
REVOKE ALL ON PROCEDURE retention_run(bigint) FROM PUBLIC;
COMMIT;
