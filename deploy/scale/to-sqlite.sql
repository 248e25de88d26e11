-- Back to one machine: turns rowtail-mirror's copy into a log of its own, into which publishers insert. Rows keep their ids, so
-- every client keeps its position. Stop the publishers, then run
--
--     rowtail-mirror --from 'dbname=app' --db /var/lib/rowtail/events.db --once
--     sqlite3 -bail /var/lib/rowtail/events.db < to-sqlite.sql
--     sqlite3 /var/lib/rowtail/events.db < schema/rowtail.sql
--
-- and do not run rowtail-mirror on this file again.
BEGIN IMMEDIATE;
DROP TRIGGER rowtail_mirror_insert;
DROP TRIGGER rowtail_mirror_grant;
DROP TRIGGER rowtail_mirror_regrant;
DROP TRIGGER rowtail_mirror_revoke;
DROP TABLE rowtail_mirror;
DROP TABLE IF EXISTS rowtail_mirror_timelines;
COMMIT;
