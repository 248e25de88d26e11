-- Back to one machine: makes a copy of rowtail-mirror a log of its own, into which publishers insert. Rows keep their ids, so
-- every client keeps its position. First no publisher, then
--
--     rowtail-mirror --from 'dbname=app' --db /var/lib/rowtail/events.db --once
--     sqlite3 -bail /var/lib/rowtail/events.db < to-sqlite.sql
--     sqlite3 /var/lib/rowtail/events.db < schema/rowtail.sql
--
-- and no rowtail-mirror on this file any more.
BEGIN IMMEDIATE;
DROP TRIGGER rowtail_mirror_insert;
DROP TRIGGER rowtail_mirror_grant;
DROP TRIGGER rowtail_mirror_regrant;
DROP TRIGGER rowtail_mirror_revoke;
DROP TABLE rowtail_mirror;
DROP TABLE IF EXISTS rowtail_mirror_timelines;
COMMIT;
