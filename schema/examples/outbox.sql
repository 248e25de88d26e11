-- outbox.sql: an application that never mentions rowtail. It writes its own table, and triggers
-- write the log, in the same transaction: the row and its event are committed together, or neither
-- is. Both tables must be in one database: sqlite3 app.db < rowtail.sql, then this file.
--
-- The conflict clause of a statement goes on into the triggers. After INSERT OR IGNORE INTO orders
-- a record that the log refuses would be left out in silence; a plain INSERT fails with the reason.

CREATE TABLE IF NOT EXISTS orders(
	id INTEGER PRIMARY KEY,
	customer TEXT NOT NULL,
	state TEXT NOT NULL DEFAULT 'new',
	total INTEGER NOT NULL
);

CREATE TRIGGER IF NOT EXISTS orders_made AFTER INSERT ON orders
BEGIN
	INSERT INTO events(channel, event, data) VALUES ('orders/' || NEW.id, 'made',
		json_object('id', NEW.id, 'customer', NEW.customer, 'state', NEW.state, 'total', NEW.total));
END;

CREATE TRIGGER IF NOT EXISTS orders_changed AFTER UPDATE ON orders
WHEN NEW.state IS NOT OLD.state OR NEW.total IS NOT OLD.total
BEGIN
	INSERT INTO events(channel, event, data) VALUES ('orders/' || NEW.id, NEW.state,
		json_object('id', NEW.id, 'state', NEW.state, 'total', NEW.total, 'was', OLD.state));
END;

CREATE TRIGGER IF NOT EXISTS orders_gone AFTER DELETE ON orders
BEGIN
	INSERT INTO events(channel, event, data) VALUES ('orders/' || OLD.id, 'gone',
		json_object('id', OLD.id));
END;
