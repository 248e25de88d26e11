#!/usr/bin/python3
"""State first, then the stream: a CGI page whose state and position come from one read transaction.

Whatever was committed before the transaction is in the page. Whatever was committed later has an id above
the position, where the stream begins. So the page misses nothing and applies nothing twice, however long it
takes to load. With ?format=json it returns the same as JSON, for pages that fetch their state (gap.html), and with
?format=json&table=orders those rows instead (live-table.html).
DATABASE is the path of the database.
"""

import html
import json
import os
import sqlite3
from urllib.parse import parse_qs, quote

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>State first, then the stream</title>
<h1>Stock</h1>
<ul id="stock" data-position="{position}">
{items}
</ul>
<script type="module">
  const {{ position }} = document.querySelector('#stock').dataset;
  const stream = new EventSource(`/events?channel=stock/*&last_event_id=${{position}}`);
  stream.addEventListener('stock', ({{ data }}) => {{
    const {{ n, item, amount }} = JSON.parse(data);
    const line = document.querySelector(`li[data-item="${{item}}"]`);
    line.dataset.version = n;
    line.querySelector('output').value = amount;
  }});
</script>
</html>
"""

ITEM = '<li data-item="{item}" data-version="{version}">{item}: <output>{amount}</output></li>'


STATES = {
    "stock": "SELECT item, amount, version FROM stock ORDER BY item",
    "orders": "SELECT id, customer, item, amount, state FROM orders ORDER BY id",
}


def snapshot(path, table="stock"):
    """The state and the id of the newest event that it reflects."""
    db = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, isolation_level=None, timeout=5)
    db.row_factory = sqlite3.Row
    db.execute("BEGIN")
    rows = [dict(row) for row in db.execute(STATES[table])]
    # Not max(id): the newest events may have been pruned.
    newest = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    db.execute("COMMIT")
    return {"position": newest["seq"] if newest else 0, table: rows}


def page(state):
    items = "\n".join(
        ITEM.format(**{key: html.escape(str(value)) for key, value in line.items()})
        for line in state["stock"]
    )
    return PAGE.format(position=state["position"], items=items)


def main():
    asked = parse_qs(os.environ.get("QUERY_STRING", ""))
    if asked.get("format") == ["json"]:
        table = "orders" if asked.get("table") == ["orders"] else "stock"
        print("Content-Type: application/json\nCache-Control: no-store\n")
        print(json.dumps(snapshot(os.environ["DATABASE"], table)))
    else:
        state = snapshot(os.environ["DATABASE"])
        print("Content-Type: text/html; charset=utf-8\nCache-Control: no-store\n")
        print(page(state))


if __name__ == "__main__":
    main()
