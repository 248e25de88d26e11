-- outbox.sql: an application that does not know rowtail. It writes its own table, and triggers write the log in
-- the same transaction: the row and its event are committed together, or neither is. Both tables must be in one
-- database: run sqlite3 app.db < rowtail.sql, then this file.
--
-- SQLite 3.7.17 or newer can write to these tables. So these triggers build the JSON by hand: the tables refuse
-- control characters, and of the rest only \ and " must be escaped. With SQLite 3.38 or newer, json_object('id',
-- NEW.id, 'customer', NEW.customer) does the same for any text.
--
-- If the log refuses a record, the change of the order is rolled back, even with INSERT OR IGNORE, and the error
-- says why.

CREATE TABLE IF NOT EXISTS orders(
	id INTEGER PRIMARY KEY,
	customer TEXT NOT NULL
		CHECK (instr(customer, char(0)) = 0 AND customer NOT GLOB '*[' || char(1) || '-' || char(31) || ']*'),
	state TEXT NOT NULL DEFAULT 'new'
		CHECK (instr(state, char(0)) = 0 AND state NOT GLOB '*[' || char(1) || '-' || char(31) || ']*'),
	total INTEGER NOT NULL CHECK (typeof(total) IN ('integer', 'real'))
);

CREATE TRIGGER IF NOT EXISTS orders_made AFTER INSERT ON orders
BEGIN
	INSERT INTO events(channel, event, data) VALUES ('orders/' || NEW.id, 'made',
		'{"id":' || NEW.id || ',"customer":"' || replace(replace(NEW.customer, '\', '\\'), '"', '\"')
		|| '","state":"' || replace(replace(NEW.state, '\', '\\'), '"', '\"') || '","total":' || NEW.total || '}');
END;

CREATE TRIGGER IF NOT EXISTS orders_changed AFTER UPDATE ON orders
WHEN NEW.state IS NOT OLD.state OR NEW.total IS NOT OLD.total
BEGIN
	INSERT INTO events(channel, event, data) VALUES ('orders/' || NEW.id, NEW.state,
		'{"id":' || NEW.id || ',"state":"' || replace(replace(NEW.state, '\', '\\'), '"', '\"') || '","total":' || NEW.total
		|| ',"was":"' || replace(replace(OLD.state, '\', '\\'), '"', '\"') || '"}');
END;

CREATE TRIGGER IF NOT EXISTS orders_gone AFTER DELETE ON orders
BEGIN
	INSERT INTO events(channel, event, data) VALUES ('orders/' || OLD.id, 'gone', '{"id":' || OLD.id || '}');
END;
