-- Takes back all that one user may read: sqlite3 /var/lib/rowtail/events.db < revoke.sql
--
-- The user's streams end within ten seconds, with a record of type `denied` and the reason "revoked",
-- and the next attempt is refused; nobody else's end. What a grant to '*' or to a token of the user's
-- own allows, they may read still, and so what a JWT with a claim `channels` allows, until it ends
-- (login.py and login.php make none). The password stays good: take the account away as well.

DELETE FROM grants WHERE subject = 'user:ann';
