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

-- The table of the recipes. demo.sh adds the triggers of `rowtail --track orders`, so each change of a row is an event
-- of the channel orders/ID, with JSON. The trigger below publishes HTML, for htmx, Turbo and Datastar.
CREATE TABLE orders(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    customer TEXT NOT NULL,
    item TEXT NOT NULL,
    amount INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'new'
);

-- Text of people becomes HTML here and nowhere else.
CREATE VIEW order_lines AS
    SELECT id, '<li data-id="' || id || '">' || id || ': ' ||
        replace(replace(replace(amount || ' × ' || item || ' for ' || customer, '&', '&amp;'), '<', '&lt;'), '"', '&quot;') ||
        '</li>' AS line
    FROM orders;

CREATE TRIGGER orders_html AFTER INSERT ON orders
BEGIN
    INSERT INTO events(channel, event, data)
        SELECT 'htmx/orders', 'order', line FROM order_lines WHERE id = NEW.id;
    INSERT INTO events(channel, event, data)
        SELECT 'htmx/orders', 'total', count(*) || ' orders' FROM orders;
    INSERT INTO events(channel, data)
        SELECT 'htmx4/orders', line FROM order_lines WHERE id = NEW.id;
    INSERT INTO events(channel, data)
        SELECT 'turbo/orders', '<turbo-stream action="append" target="orders"><template>' || line ||
            '</template></turbo-stream>' FROM order_lines WHERE id = NEW.id;
    INSERT INTO events(channel, event, data)
        SELECT 'datastar/orders', 'datastar-merge-fragments', 'selector #orders' || char(10) || 'mergeMode append' || char(10) ||
            'fragments ' || line FROM order_lines WHERE id = NEW.id;
    INSERT INTO events(channel, event, data)
        SELECT 'datastar/orders', 'datastar-merge-signals', 'signals {"total":' || count(*) || '}' FROM orders;
END;

INSERT INTO orders(customer, item, amount) VALUES ('Ada', 'lantern', 2), ('Grace', 'teapot', 1), ('Edsger', 'umbrella', 3);

-- The jobs of job.html. Each step is an event, the last one of type `end`, in the transaction that does it.
CREATE TABLE jobs(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    steps INTEGER NOT NULL,
    done INTEGER NOT NULL DEFAULT 0
);

CREATE TRIGGER jobs_stepped AFTER UPDATE OF done ON jobs
BEGIN
    INSERT INTO events(channel, event, data) VALUES (
        'jobs/' || NEW.id,
        CASE WHEN NEW.done < NEW.steps THEN 'progress' ELSE 'end' END,
        json_object('done', NEW.done, 'steps', NEW.steps)
    );
END;
