-- The demo's own tables, in the same database as the event log.
--
-- A change of `stock` and its event are in one transaction: the trigger writes the event, so no
-- program can change the stock and forget the event.

CREATE TABLE stock(
    item TEXT PRIMARY KEY,
    amount INTEGER NOT NULL,
    version INTEGER NOT NULL DEFAULT 0
);

INSERT INTO stock(item, amount) VALUES ('lantern', 500), ('teapot', 500), ('umbrella', 500);

CREATE TRIGGER stock_changed AFTER UPDATE ON stock
BEGIN
    INSERT INTO events(channel, event, data) VALUES (
        'stock/' || NEW.item,
        'stock',
        json_object('n', NEW.version, 'item', NEW.item, 'amount', NEW.amount)
    );
END;
