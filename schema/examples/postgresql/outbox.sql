-- outbox.sql: an application that does not know rowtail. It writes its own table, and triggers write the log in the
-- same transaction: the row and its event are committed together, or neither is. Run postgresql.sql first.
--
-- The triggers insert with the rights of whoever changes an order, so these roles need INSERT on events, see
-- events_allow_publisher in postgresql.sql. If the log refuses a record, the change of the order fails too.

CREATE TABLE IF NOT EXISTS orders(
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	customer text NOT NULL,
	state text NOT NULL DEFAULT 'new',
	total numeric NOT NULL
);

CREATE OR REPLACE FUNCTION orders_publish() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		INSERT INTO events(channel, event, data) VALUES ('orders/' || NEW.id, 'made', to_json(NEW)::text);
	ELSIF TG_OP = 'DELETE' THEN
		INSERT INTO events(channel, event, data)
		VALUES ('orders/' || OLD.id, 'removed', json_build_object('id', OLD.id)::text);
	ELSIF (NEW.state, NEW.total) IS DISTINCT FROM (OLD.state, OLD.total) THEN
		INSERT INTO events(channel, event, data) VALUES ('orders/' || NEW.id, NEW.state, to_json(NEW)::text);
	END IF;
	RETURN NULL;
END $$;

DROP TRIGGER IF EXISTS orders_publish ON orders;
CREATE TRIGGER orders_publish AFTER INSERT OR UPDATE OR DELETE ON orders
	FOR EACH ROW EXECUTE FUNCTION orders_publish();
