"""Rows of every kind, read by the oracle, live and as a replay from the beginning."""

import json
import random

import pytest

import database
import sse

TEXTS = {
    "plain": "hello",
    "empty": "",
    "one LF": "\n",
    "only breaks": "\r\n\r\n\r",
    "LF": "a\nb",
    "CR": "a\rb",
    "CRLF": "a\r\nb",
    "mixed breaks": "a\r\r\nb\n\rc\n\n",
    "trailing LF": "a\n",
    "trailing CR": "a\r",
    "trailing CRLF": "a\r\n",
    "leading LF": "\na",
    "leading space": " a",
    "leading spaces": "   a\n   b",
    "trailing space": "a ",
    "colon": ": not a comment",
    "forged record": "a\n\nid: 99999\nevent: forged\ndata: x\n\n",
    "forged with CR": "a\r\rid: 99999\revent: forged\rdata: x\r\r",
    "field names": "data: x\nevent: y\nid: 0\nretry: 1",
    "BOM": "\ufeffa\n\ufeffb",
    "NUL": "a\0b\0",
    "controls": "\x01\x07\x08\x0b\x0c\x1b\x7f\x85",
    "line separators": "a\u2028b\u2029c\x85d",
    "astral": "\U0001f600 \U0010ffff",
    "non-characters": "\ufffe\uffff\ufdd0",
    "combining": "e\u0301\u200d\u202e",
    "JSON": json.dumps({"a": "b\n", "c": ["\u2028"]}, ensure_ascii=False),
    "a record's length": "x" * 65528,
    "long line with breaks": ("y" * 1000 + "\n") * 100,
}


@pytest.mark.parametrize("name", TEXTS)
def test_text(server, log, name):
    live = server.open()
    number = log.insert(TEXTS[name])
    end = log.insert("end")
    expected = [
        ("message", sse.as_received(TEXTS[name]), str(number)),
        ("message", "end", str(end)),
    ]
    assert live.wait_rows(2) == expected
    assert server.open("last_event_id=0").wait_rows(2) == expected


def test_types_and_reconnection_times(server, log):
    live = server.open()
    log.insert("a", event="price")
    log.insert("b", event="with space: and colon")
    log.insert("c", retry=12345)
    log.insert("d", event="message", retry=0)
    log.insert("e", event="épée")
    for peer in (live, server.open("last_event_id=0")):
        events = peer.wait_rows(5)
        assert [(event.type, event.data) for event in events] == [
            ("price", "a"),
            ("with space: and colon", "b"),
            ("message", "c"),
            ("message", "d"),
            ("épée", "e"),
        ]
        assert peer.parser.retries[1:] == [12345, 0]
        assert peer.parser.empty_blocks == 0


def test_numbers_become_text(server, log):
    log.insert(42)
    log.insert(1.5)
    assert [event.data for event in server.open("last_event_id=0").wait_rows(2)] == ["42", "1.5"]


@pytest.mark.parametrize(
    "text", ["x" * (10 << 20), "é\n" * (1 << 20), "\r" * (1 << 18)], ids=["line", "lines", "breaks"]
)
def test_huge_row(server, log, text):
    live = server.open()
    log.insert(text)
    log.insert("end")
    for peer in (live, server.open("last_event_id=0")):
        huge, end = peer.wait_rows(2)
        assert huge.data == sse.as_received(text)
        assert end.data == "end"
        assert len(peer.records) > 2
        peer.close()


def random_text(source):
    parts = ["\r", "\n", "\r\n", "\n\n", ":", " ", "\0", "\ufeff", "a", "é", "\u2028", "😀"]
    parts += ["id: 1", "event: x", "data:", "retry: 9"]
    return "".join(source.choice(parts) for _ in range(source.randrange(12)))


def test_random_texts(server, log):
    source = random.Random(20)
    live = server.open()
    expected = []
    for _ in range(300):
        text = random_text(source)
        kind = source.choice([None, None, "a", "b c"])
        number = log.insert(text, event=kind)
        expected.append((kind or "message", sse.as_received(text), str(number)))
    assert live.wait_rows(300) == expected
    assert server.open("last_event_id=0").wait_rows(300) == expected


def test_many_rows_in_order_exactly_once(server, log):
    live = server.open()
    log.insert_many(5000)
    for peer in (live, server.open("last_event_id=0")):
        peer.wait_rows(5000)
        assert peer.ids == list(range(1, 5001))


# Other tables and views, which can contain anything.


@pytest.fixture
def view(workdir, launch):
    """view(statement…) creates a database and follows its table or view `v` from the beginning."""
    databases = []

    def follow(*statements):
        made = database.Database(workdir / "other.db")
        databases.append(made)
        for statement in statements:
            made.sql(statement)
        server = launch("--db", made.path, "--table", "v", "--public", db=None)
        return server.open("channel=*&last_event_id=0")

    yield follow
    for made in databases:
        made.close()


def values(columns, *rows):
    """A view with these columns and rows."""
    return f"CREATE VIEW v({columns}) AS VALUES {', '.join(rows)}"


def test_table_with_only_id_and_data(workdir, launch):
    with database.Database(workdir / "app.db") as app:
        app.sql('CREATE TABLE "my log"(id INTEGER PRIMARY KEY, data TEXT)')
        server = launch("--db", app.path, "--table", "my log", "--public", db=None)
        live = server.open()
        app.sql("""INSERT INTO "my log"(data) VALUES ('a'), ('b')""")
        assert live.wait_rows(2) == [("message", "a", "1"), ("message", "b", "2")]
        assert server.open(last_event_id=1).wait_rows(1) == [("message", "b", "2")]


def test_view_with_only_id_and_data(view):
    peer = view(values("id, data", "(3, 'a')", "(7, 'b')"))
    assert peer.wait_rows(2) == [("message", "a", "3"), ("message", "b", "7")]


def test_view_over_a_table_is_live(workdir, launch):
    with database.Database(workdir / "app.db") as app:
        app.sql("CREATE TABLE orders(number INTEGER PRIMARY KEY, item TEXT)")
        app.sql(
            "CREATE VIEW v AS SELECT number AS id, 'orders/' || number AS channel,"
            " 'order' AS event, item AS data FROM orders"
        )
        server = launch("--db", app.path, "--table", "v", "--public", db=None)
        peer = server.open("channel=orders/*")
        app.sql("INSERT INTO orders(item) VALUES ('tea')")
        assert peer.next_row() == ("order", "tea", "1")


@pytest.mark.parametrize("kind", ["", "TEXT", "BLOB", "VARCHAR(20)", "INTEGER"])
def test_non_text_channels_are_found_with_an_index(workdir, launch, kind):
    """Each of them has one row in a hundred, few enough to use the index."""
    with database.Database(workdir / "app.db") as app:
        app.sql(f"CREATE TABLE v(id INTEGER PRIMARY KEY, channel {kind}, data)")
        app.sql("CREATE INDEX v_channel ON v(channel)")
        app.sql(
            "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000) INSERT INTO v "
            "SELECT i, CASE i % 100 WHEN 0 THEN NULL WHEN 1 THEN 42 WHEN 2 THEN x'6161' "
            "ELSE 'noise' END, i FROM n"
        )
        server = launch("--db", app.path, "--table", "v", "--public", db=None)
        for channel, first in (("default", 100), ("42", 1), ("aa", 2)):
            ids = list(range(first, 3001, 100))
            peer = server.open({"channel": channel, "last_event_id": 0})
            newest = server.open({"channel": channel, "tail": 3})
            app.sql("INSERT INTO v(channel, data) SELECT channel, 'end' FROM v WHERE id = ?", first)
            end = app.sql("SELECT max(id) FROM v")[0][0]
            assert peer.wait_id(end).ids == [*ids, end]
            assert newest.wait_id(end).ids == [*ids[-3:], end]


def test_ill_formed_utf8(view):
    bad = "ff 61ff62 c3 e282 f09f98 eda080 c080 f4908080 e28228a1 61c30a62".split()
    rows = [f"({at}, CAST(x'{text}' AS TEXT))" for at, text in enumerate(bad, 1)]
    peer = view(values("id, data", *rows))
    expected = [bytes.fromhex(text).decode("utf-8", "replace") for text in bad]
    assert [event.data for event in peer.wait_rows(len(bad))] == expected
    bytes(peer.body).decode("utf-8")  # the output is well formed


def test_data_of_other_types(view):
    peer = view(values("id, data", "(1, NULL)", "(2, 42)", "(3, x'616200ff63')", "(4, 'end')"))
    assert [event.data for event in peer.wait_rows(4)] == ["", "42", "ab\0\ufffdc", "end"]


HOSTILE = "char(10) || 'data: forged' || char(10,10) || 'id: 9' || char(13) || 'retry: 1'"


@pytest.mark.parametrize("column", ["event", "channel", "retry", "created_at"])
def test_hostile_column_cannot_inject_a_field(view, column):
    peer = view(
        f"CREATE VIEW v(id, data, {column}) AS"
        f" SELECT 1, 'real', {HOSTILE} UNION ALL SELECT 2, 'real', {HOSTILE} || char(0)"
        f" UNION ALL SELECT 3, 'real', x'ff0a' UNION ALL SELECT 4, 'real', 'x' || {HOSTILE}"
    )
    events = peer.wait_rows(4)
    assert [(event.data, event.last_event_id) for event in events] == [
        ("real", str(number)) for number in range(1, 5)
    ]
    assert len(peer.events) == 5  # with the first record
    assert len(peer.parser.retries) == 1


@pytest.mark.parametrize("kind", ["open", "error", "position", "gap", "denied"])
def test_reserved_type_is_sent_as_a_plain_message(view, kind):
    peer = view(values("id, data, event", f"(1, 'a', '{kind}')", "(2, 'b', 'fine')"))
    assert [peer.next() for _ in range(2)] == [("message", "a", "1"), ("fine", "b", "2")]


def test_empty_type_is_a_plain_message(view):
    assert view(values("id, data, event", "(1, 'a', '')")).next() == ("message", "a", "1")


def test_largest_id(view):
    peer = view(values("id, data", "(1, 'a')", f"({2**63 - 1}, 'b')"))
    assert [event.last_event_id for event in peer.wait_rows(2)] == ["1", str(2**63 - 1)]


def test_hostile_texts_in_an_envelope(workdir, launch):
    text = '"\\\r\n\0\ufeff\u2028</script>\x1f\x7f😀'
    with database.Database(workdir / "app.db") as app:
        app.sql("CREATE TABLE v(id INTEGER PRIMARY KEY, channel TEXT, event TEXT, data TEXT)")
        app.sql("INSERT INTO v(channel, event, data) VALUES (?, ?, ?)", text, text, text)
        server = launch("--db", app.path, "--table", "v", "--public", db=None)
        event = server.open("channel=*&last_event_id=0&envelope=json").next()
    inside = json.loads(event.data)
    assert (inside["channel"], inside["data"]) == (text, text)


@pytest.mark.parametrize("envelope", ["", "&envelope=json"])
def test_large_rows_without_followers_at_insert(server, log, envelope):
    """rowtail does not encode them in advance; clients that reconnect for them get them, in order."""
    live = server.open("channel=a" + envelope)
    sizes = {"b": [5000, 10, 300_000, 10, 70_000], "a": [10, 6000, 10]}
    for size in sizes["b"]:
        log.insert("b" * size, channel="b")
        log.insert("c" * size, channel="c")
    for size in sizes["a"]:
        log.insert("a" * size, channel="a")
    live.wait_rows(len(sizes["a"]))
    back = server.open("channel=b&channel=c" + envelope, last_event_id=0)
    both = server.open("channel=*" + envelope, last_event_id=2)
    back.wait_rows(2 * len(sizes["b"]))
    both.wait_rows(2 * len(sizes["b"]) + len(sizes["a"]) - 2)
    log.insert("b" * 9000, channel="b")
    log.insert("a" * 9000, channel="a")
    newest = log.newest()
    assert live.wait_id(newest).ids == [11, 12, 13, newest]
    assert back.wait_rows(11)[-1].last_event_id == str(newest - 1)
    assert back.ids == [*range(1, 11), newest - 1]
    assert both.wait_id(newest).ids == list(range(3, newest + 1))
    for row in both.rows if not envelope else []:
        assert set(row.data) in ({"a"}, {"b"}, {"c"})
