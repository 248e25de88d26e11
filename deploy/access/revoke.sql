-- Revokes everything that one user may read: sqlite3 /var/lib/rowtail/events.db < revoke.sql
--
-- The user's streams end within ten seconds, with a record of type `denied` and the reason "revoked", and
-- rowtail refuses the next attempt. Other users' streams go on. The user can still read what a grant to '*' or
-- to a token of their own allows, and what a JWT with a claim `channels` allows until it expires (login.py and
-- login.php make none). The password stays valid: remove the account too.

DELETE FROM grants WHERE subject = 'user:ann';
