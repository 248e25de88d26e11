"""rowtail-publish: what a POST does, and what it never does (rowtail-publish(8))."""

import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
import signal
import sqlite3
import threading
import time

import pyjwt
import pytest

import checking
import database
import faults
import publisher
import rowtail

FORM, TEXT, JSON = "application/x-www-form-urlencoded", "text/plain", "application/json"
KEY = "thirty-two or more bytes, which nobody would guess"
ANN = {"user": "ann"}


@pytest.fixture
def pub(workdir, log):
    """launch() for rowtail-publish; ann may publish to orders/*."""
    log.sql("INSERT INTO publishers(subject, channel) VALUES ('user:ann', 'orders/*')")

    def make(*arguments, **how):
        return publisher.Publisher(workdir, ["--db", log.path, *arguments], **how)

    with rowtail.launching(make) as start:
        yield start


def rows(log):
    return log.sql("SELECT channel, event, data, retry FROM events ORDER BY id")


# What a request says.


@pytest.mark.parametrize("how", ["fastcgi", "cgi"])
@pytest.mark.parametrize(
    "path, query, kind, body, expected",
    [
        ("/orders/42", "", FORM, "hello", ("orders/42", None, "hello", None)),
        ("/orders/42", "", FORM, "a=b", ("orders/42", None, "a=b", None)),
        ("/orders/42", "", FORM, "a=b&c=d%20", ("orders/42", None, "a=b&c=d%20", None)),
        ("/orders/42", "", FORM, "aGk=", ("orders/42", None, "aGk=", None)),
        ("/orders/42", "", FORM, '{"a":"b=c"}', ("orders/42", None, '{"a":"b=c"}', None)),
        ("/orders/42", "", FORM, "100%+1", ("orders/42", None, "100%+1", None)),
        ("/orders/42", "", FORM, "data", ("orders/42", None, "data", None)),
        ("", "", FORM, "channel=orders/1&data=a+b%26c&event=paid&retry=500", ("orders/1", "paid", "a b&c", 500)),
        ("/orders/1", "", FORM, "data=&event=&retry=&go=Send", ("orders/1", None, "", None)),
        ("/orders/1", "", FORM, "channel=orders%2F1&data=x", ("orders/1", None, "x", None)),
        ("", "channel=orders/1&event=paid", TEXT, "line\r\nline", ("orders/1", "paid", "line\r\nline", None)),
        ("/orders/1", "", "text/plain; charset=UTF-8", "data=x", ("orders/1", None, "data=x", None)),
        ("/orders/1", "", None, "data=x", ("orders/1", None, "data=x", None)),
        ("/orders/1", "event=paid", None, "", ("orders/1", "paid", "", None)),
        ("/orders/1", "", JSON, '{"data":"\\u00e9\\n","retry":7}', ("orders/1", None, "é\n", 7)),
        ("", "", JSON, '{"channel":"orders/1","event":null,"data":"1"}', ("orders/1", None, "1", None)),
        ("/orders/a%2Fb+c ü".replace("%2F", "/"), "", TEXT, "x", ("orders/a/b+c ü", None, "x", None)),
    ],
)
def test_one_message(pub, log, workdir, how, path, query, kind, body, expected):
    post = pub().post if how == "fastcgi" else publisher.cgi(workdir, log)
    answer = post(body, path=path, query=query, kind=kind, **ANN)
    assert (answer.status, answer.json) == (201, {"ids": [1]})
    assert rows(log) == [expected]


def test_a_list_is_one_transaction(pub, log):
    server = pub()
    made = [{"channel": f"orders/{n % 3}", "data": str(n)} for n in range(500)]
    assert server.post(json.dumps(made), kind=JSON, **ANN).json == {"ids": list(range(1, 501))}
    refused = server.post(json.dumps([{"data": "a"}, {"data": "b", "event": "open"}]), path="/orders/1", kind=JSON, **ANN)
    assert refused.status == 400
    assert "choose another name" in refused.text
    assert len(rows(log)) == 500
    assert server.post(json.dumps([*made, {"data": ""}]), kind=JSON, **ANN).status == 400
    assert server.post(json.dumps([{"data": "", "channel": f"orders/{n}"} for n in range(101)]), kind=JSON, **ANN).status == 400


@pytest.mark.parametrize(
    "path, query, kind, body, status, word",
    [
        ("/orders/1", "", TEXT, b"\xff", 400, "UTF-8"),
        ("/orders/1", "", TEXT, b"a\0b", 400, "NUL"),
        ("/orders/1", "", JSON, b'{"data":"a\\u0000"}', 400, "NUL"),
        ("/orders/1", "", TEXT, b"", 400, "nothing to publish"),
        ("/orders/1", "", JSON, b"[]", 400, "empty"),
        ("/orders/1", "", JSON, b"[1]", 400, "list of objects"),
        ("/orders/1", "", JSON, b'{"data":{"a":1}}', 400, "JSON.stringify"),
        ("/orders/1", "", JSON, b'{"data":"","colour":1}', 400, "colour"),
        ("/orders/1", "", JSON, b'{"data":""', 400, "cannot be read"),
        ("/orders/1", "", JSON, b'{"data":"a","data":"b"}', 400, "same name"),
        ("/orders/1", "", FORM, b"data=a&data=b", 400, "twice"),
        ("/orders/1", "", FORM, b"channel=orders/2&data=a", 400, "twice"),
        ("/orders/1", "channel=orders/2", TEXT, b"a", 400, "twice"),
        ("/orders/1", "", FORM, b"Data=a", 400, '"data"'),
        ("/orders/1", "", FORM, b"data=a&retry=soon", 400, "milliseconds"),
        ("/orders/1", "", FORM, b"data=a&retry=3600001", 400, "3600000"),
        ("/orders/*", "", TEXT, b"a", 400, "channel"),
        ("", "channel=", TEXT, b"a", 400, "channel"),
        ("/orders/1", "access_token=abc", TEXT, b"a", 400, "Authorization"),
        ("/orders/1", "", "multipart/form-data; boundary=x", b"--x--", 415, "application/json"),
        ("/orders/1", "", "text/plain; charset=iso-8859-1", b"a", 415, "UTF-8"),
        ("/orders/1", "", TEXT, b"x" * 65536, 413, "65536"),
    ],
)
@pytest.mark.parametrize("how", ["fastcgi", "cgi"])
def test_a_bad_request_says_what_is_right(pub, log, workdir, how, path, query, kind, body, status, word):
    post = pub().post if how == "fastcgi" else publisher.cgi(workdir, log)
    answer = post(body, path=path, query=query, kind=kind, **ANN)
    assert answer.status == status
    assert word in answer.text
    assert rows(log) == []


def test_a_cgi_program_takes_the_whole_of_a_body_that_is_too_large(log, workdir):
    """Apache's mod_cgid reads the answer only when it has written everything."""
    log.sql("INSERT INTO publishers(subject, channel) VALUES ('user:ann', 'orders/*')")
    answer = publisher.cgi(workdir, log)("x" * 3_000_000, path="/orders/1", kind=TEXT, **ANN)
    assert answer.status == 413


def test_larger_requests_are_an_option(pub, log, workdir):
    large = "x" * 3_000_000
    assert pub("--max-request", 4_000_000).post(large, path="/orders/1", kind=TEXT, **ANN).status == 201
    assert publisher.cgi(workdir, log, "--max-request", 4_000_000)(large, path="/orders/1", kind=TEXT, **ANN).status == 201
    assert [len(data) for _, _, data, _ in rows(log)] == [len(large)] * 2
    assert pub("--max-request", 5000).post("x" * 5000, path="/orders/1", kind=TEXT, **ANN).status == 413


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_other_methods(pub, log, method):
    answer = pub().post("", method=method, path="/orders/1", **ANN)
    assert (answer.status, answer.get("Allow")) == (405, "POST, OPTIONS")
    assert rows(log) == []


def test_preflight(pub):
    server = pub("--allow-origin", "https://a.example")
    asks = {"Origin": "https://a.example", "Access-Control-Request-Headers": "idempotency-key"}
    answer = server.post("", method="OPTIONS", headers=asks)
    assert answer.status == 204
    assert answer.get("Access-Control-Allow-Methods") == "POST"
    assert answer.get("Access-Control-Allow-Headers") == "idempotency-key"
    assert answer.get("Access-Control-Allow-Credentials") == "true"
    foreign = server.post("", method="OPTIONS", headers={**asks, "Origin": "https://b.example"})
    assert foreign.status == 204
    assert foreign.get("Access-Control-Allow-Origin") is None


# Who may.


def test_nobody_may_by_default(pub, log):
    log.sql("DELETE FROM publishers")
    log.grant("user:ann", "*")
    server = pub()
    assert server.post("x", path="/orders/1").status == 401
    assert server.post("x", path="/orders/1", **ANN).status == 403
    log.sql("DROP TABLE publishers")
    assert server.post("x", path="/orders/1", **ANN).status == 403
    assert "schema/rowtail.sql" in server.log
    assert rows(log) == []


def test_publishers(pub, log):
    token = "a-token"
    shown = {"Authorization": f"Bearer {token}"}
    digest = hashlib.sha256(token.encode()).hexdigest()
    server = pub()
    assert server.post("x", path="/orders/1", headers=shown).status == 401
    log.sql("INSERT INTO publishers(subject, channel) VALUES (?, 'news')", f"token:{digest}")
    assert server.post("x", path="/news", headers=shown).status == 201
    assert server.post("x", path="/news/1", headers=shown).status == 403
    assert server.post("x", path="/news", headers={"Cookie": f"rowtail_token={token}"}).status == 201
    many = json.dumps([{"channel": "orders/1", "data": ""}, {"channel": "news", "data": ""}])
    assert server.post(many, kind=JSON, **ANN).status == 403
    assert server.post(many, kind=JSON, headers=shown, **ANN).status == 201
    log.sql("UPDATE publishers SET expires_at = datetime('now', '-1 second') WHERE channel = 'news'")
    assert server.post("x", path="/news", headers=shown).status == 403
    log.sql("INSERT INTO publishers(subject, channel) VALUES ('*', 'chat')")
    assert server.post("x", path="/chat").status == 201
    with pytest.raises(sqlite3.Error, match="subject"):
        log.sql("INSERT INTO publishers(subject, channel) VALUES ('ann', 'chat')")


def test_jwt_claim_publish(pub, log, workdir):
    key = workdir / "key"
    key.write_text(KEY)
    server = pub("--jwt-key", key, "--jwt-algorithm", "HS256")

    def status(path, **claims):
        token = pyjwt.encode({"exp": int(time.time()) + 60, **claims}, KEY, "HS256")
        return server.post("x", path=path, headers={"Authorization": f"Bearer {token}"}).status

    assert status("/chat/1", publish=["chat/*"]) == 201
    assert status("/chat/1", channels=["chat/*"]) == 403
    assert status("/chat/1", publish=["news"]) == 403
    assert status("/chat/1", publish="chat/*") == 401
    assert status("/orders/1", sub="ann") == 201
    assert status("/chat/1", publish=["*"], exp=1) == 401


# A page of another site.

BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}
COOKIE = {"Cookie": "rowtail_token=a-token"}


@pytest.mark.parametrize(
    "headers, status",
    [
        ({}, 201),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://a.example"}, 201),
        ({"Sec-Fetch-Site": "none"}, 201),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "https://other.localhost"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://friend.example"}, 201),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://friend.example"}, 403),
        ({"Origin": "http://localhost"}, 201),
        ({"Origin": "https://LOCALHOST:443"}, 201),
        ({"Origin": "http://localhost:8080"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example", "Host": "evil.example.org"}, 403),
        ({"Origin": "https://www.example", "Host": "inner:81", "X-Forwarded-Host": "www.example"}, 201),
        ({"Referer": "http://localhost/form.html"}, 201),
        ({"Referer": "http://evil.example/http://localhost/"}, 403),
        (BROWSER, 403),
        ({"User-Agent": "curl/8.0"}, 201),
    ],
)
def test_a_page_of_another_site_cannot_use_a_login(pub, log, headers, status):
    server = pub("--allow-origin", "https://friend.example")
    answer = server.post("data=x", path="/orders/1", kind=FORM, headers=headers, **ANN)
    assert answer.status == status
    assert len(rows(log)) == (status == 201)


def test_a_page_of_another_site_cannot_use_a_cookie(pub, log):
    digest = hashlib.sha256(b"a-token").hexdigest()
    log.sql("INSERT INTO publishers(subject, channel) VALUES (?, '*')", f"token:{digest}")
    log.sql("INSERT INTO publishers(subject, channel) VALUES ('*', 'open')")
    server = pub("--allow-origin", "*")
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert server.post("x", path="/orders/1", headers={**foreign, **COOKIE}).status == 403
    # With *, any page may publish what anybody may, and with a token that it knows.
    assert server.post("x", path="/open", headers=foreign).status == 201
    shown = {"Authorization": "Bearer a-token"}
    assert server.post("x", path="/orders/1", headers={**foreign, **shown}).status == 201
    assert pub().post("x", path="/open", headers=foreign).status == 403


# Once.


def test_idempotency_key(pub, log):
    server = pub()
    log.sql("INSERT INTO publishers(subject, channel) VALUES ('user:bob', 'orders/*')")

    def post(body, key, user="ann", path="/orders/1"):
        return server.post(body, path=path, kind=TEXT, user=user, headers={"Idempotency-Key": key})

    assert post("a", '"k"').json == post("a", "k").json == post("a", " k ").json == {"ids": [1]}
    assert post("b", "k").status == 422
    assert post("a", "k", path="/orders/2").status == 422
    assert post("a", "k", user="bob").json == {"ids": [2]}
    assert post("x", "k" * 256).status == post("x", "").status == post("x", "ü").status == 400
    # A refused request uses up no key.
    assert server.post('{"data":"","event":"open"}', path="/orders/1", kind=JSON, headers={"Idempotency-Key": "n"}, **ANN).status == 400
    assert post("c", "n").json == {"ids": [3]}
    log.sql("DELETE FROM events")
    assert post("a", "k").json == {"ids": [1]}
    assert rows(log) == []


def test_a_bounded_number_of_keys_is_kept(pub, log):
    log.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10500) "
        "INSERT INTO rowtail_publish_keys(key, fingerprint, answer) SELECT i, '', '' FROM n"
    )
    assert pub().post("a", path="/orders/1", headers={"Idempotency-Key": "k"}, **ANN).status == 201
    assert log.sql("SELECT count(*) FROM rowtail_publish_keys") == [(10000,)]


def test_requests_with_one_key_at_once_make_one_row(pub, log, workdir):
    servers = [pub().post, pub().post, publisher.cgi(workdir, log)]

    def post(number):
        return servers[number % 3]("a", path="/orders/1", headers={"Idempotency-Key": "k"}, **ANN)

    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        answers = list(pool.map(post, range(18)))
    assert {(answer.status, answer.text) for answer in answers} == {(201, '{"ids":[1]}\n')}
    assert len(rows(log)) == 1


# Limits.


@pytest.mark.parametrize("how", ["fastcgi", "cgi"])
def test_rate_of_a_publisher(pub, log, workdir, how):
    log.sql("INSERT INTO publishers(subject, channel) VALUES ('user:bob', 'orders/*')")
    options = ("--rate", 3)
    post = pub(*options).post if how == "fastcgi" else publisher.cgi(workdir, log, *options)
    publisher.wait_for_a_fresh_minute()
    assert [post("a", path="/orders/1", **ANN).status for _ in range(4)] == [201, 201, 201, 429]
    refused = post("a", path="/orders/1", **ANN)
    assert 1 <= int(refused.get("Retry-After")) <= 60
    assert post("a", path="/orders/1", user="bob").status == 201
    four = json.dumps([{"data": ""}] * 4)
    assert "fewer at once" in post(four, path="/orders/1", kind=JSON, user="bob").text
    log.sql("UPDATE rowtail_publish_rates SET minute = minute - 1")
    assert post("a", path="/orders/1", **ANN).status == 201
    assert log.sql("SELECT count(*) FROM rowtail_publish_rates") == [(1,)]


def test_rate_of_an_address(pub, log):
    log.sql("INSERT INTO publishers(subject, channel) VALUES ('*', 'open')")
    server = pub("--rate-per-address", 2)
    publisher.wait_for_a_fresh_minute()
    addresses = ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"]
    assert [server.post("a", path="/open", addr=addr).status for addr in addresses] == [201, 201, 429, 201]


# The database.


def test_a_busy_database_is_waited_for(pub, log):
    server = pub("--wait", 2)
    log.sql("BEGIN IMMEDIATE")
    begun = time.monotonic()
    answer = server.post("a", path="/orders/1", **ANN)
    assert (answer.status, answer.get("Retry-After")) == (503, "1")
    assert 1.9 < time.monotonic() - begun
    # Others who waited meanwhile are answered soon.
    begun = time.monotonic()
    assert server.post("a", path="/orders/1", **ANN).status == 503
    assert time.monotonic() - begun < 1.5
    log.sql("COMMIT")
    assert server.post("a", path="/orders/1", **ANN).status == 201
    holder = database.Database(log.path)
    holder.sql("BEGIN IMMEDIATE")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(server.post, "b", path="/orders/1", **ANN)
        time.sleep(0.3)
        holder.sql("COMMIT")
        assert waiting.result().status == 201
    holder.close()


def test_an_ended_channel(pub, log):
    server = pub()
    assert server.post("data=bye&event=end", path="/orders/1", kind=FORM, **ANN).status == 201
    answer = server.post("more", path="/orders/1", **ANN)
    assert answer.status == 409
    assert "ended" in answer.text
    assert server.post("more", path="/orders/2", **ANN).status == 201


def test_an_applications_own_constraint(pub, log):
    log.sql("CREATE UNIQUE INDEX once ON events(data)")
    server = pub()
    assert server.post("a", path="/orders/1", **ANN).status == 201
    answer = server.post("a", path="/orders/1", **ANN)
    assert answer.status == 400
    assert "UNIQUE" in answer.text


def test_an_applications_own_publishers_let_nobody_publish(pub, log, workdir):
    server = pub()
    assert server.post("a", path="/orders/1", **ANN).status == 201
    log.sql("DROP TABLE publishers")
    log.sql("CREATE TABLE publishers(id INTEGER PRIMARY KEY, name TEXT)")
    log.sql("INSERT INTO publishers(name) VALUES ('user:ann')")
    assert server.post("b", path="/orders/1", **ANN).status == 403
    assert "publishers is the application's own" in server.log
    assert server.post("", method="GET", extra={"ROWTAIL_PAGE": "health"}).status == 503
    checked = publisher.run("--db", log.path, "--check")
    assert checked.returncode == os.EX_CONFIG
    assert "publishers is the application's own" in checked.stdout
    # A JWT needs no table.
    key = workdir / "key"
    key.write_text(KEY)
    jwt = ("--jwt-key", key, "--jwt-algorithm", "HS256")
    token = pyjwt.encode({"exp": int(time.time()) + 60, "publish": ["orders/*"]}, KEY, "HS256")
    server = pub(*jwt)
    assert server.post("c", path="/orders/1", headers={"Authorization": f"Bearer {token}"}).status == 201
    assert server.post("d", path="/orders/1", **ANN).status == 403
    assert server.post("", method="GET", extra={"ROWTAIL_PAGE": "health"}).status == 200
    checking.shape(publisher.run("--db", log.path, *jwt, "--check", "--json"), "rowtail-publish", ["database", "publishers"])
    checked = publisher.run("--db", log.path, *jwt, "--check")
    assert checked.returncode == 0 and "\nnote  publishers: " in checked.stdout
    log.sql("DROP TABLE publishers")
    assert "there is no table publishers" in publisher.run("--db", log.path, "--check").stdout


def test_missing_tables(pub, log):
    server = pub()
    log.sql("DROP TABLE rowtail_publish_keys")
    assert server.post("a", path="/orders/1", **ANN).status == 201
    answer = server.post("a", path="/orders/1", headers={"Idempotency-Key": "k"}, **ANN)
    assert answer.status == 500
    assert "schema/rowtail.sql" in answer.text
    assert len(rows(log)) == 1
    log.sql("DROP TABLE events")
    assert server.post("a", path="/orders/1", **ANN).status == 500


def test_a_replaced_database(pub, log, workdir):
    server = pub()
    assert server.post("a", path="/orders/1", **ANN).status == 201
    fresh = workdir / "fresh.db"
    with database.Database.create(fresh) as made:
        made.sql("INSERT INTO publishers(subject, channel) VALUES ('user:ann', 'orders/*')")
    for suffix in ("-wal", "-shm"):
        pathlib.Path(f"{log.path}{suffix}").unlink()
    fresh.rename(log.path)
    assert server.post("b", path="/orders/1", **ANN).json == {"ids": [1]}
    with database.Database(log.path) as made:
        assert [row[2] for row in rows(made)] == ["b"]
    log.path.unlink()
    assert server.post("c", path="/orders/1", **ANN).status == 500
    assert not log.path.exists()


@pytest.mark.parametrize(
    "make, status", [(lambda path: None, os.EX_NOINPUT), (pathlib.Path.mkdir, os.EX_CONFIG)], ids=["missing", "directory"]
)
def test_unusable_database_has_one_status_also_in_a_check(workdir, make, status):
    path = workdir / "other.db"
    make(path)
    for arguments in ["--check"], ["--check", "--json"], ["--listen", str(workdir / "s.sock")]:
        assert publisher.run("--db", path, *arguments).returncode == status


@pytest.mark.skipif(os.geteuid() != 0, reason="drops privileges")
def test_a_database_that_cannot_be_written(workdir, log):
    log.sql("INSERT INTO publishers(subject, channel) VALUES ('user:ann', '*')")
    workdir.chmod(0o755)
    log.path.chmod(0o644)
    post = publisher.cgi(workdir, log, prepare=lambda: os.setuid(65534))
    answer = post("a", path="/orders/1", **ANN)
    assert answer.status == 500
    assert "write permission" in answer.text
    assert str(log.path) not in answer.text
    checked = publisher.run("--db", log.path, "--check", prepare=lambda: os.setuid(65534))
    assert checked.returncode != 0
    assert "write permission" in checked.stdout


def test_a_full_disk(pub, log, workdir):
    files = faults.Files(workdir)
    server = pub(env=files.env)
    with files.during(("write", "wal", "full")):
        answer = server.post("x", path="/orders/1", **ANN)
    assert answer.status == 507
    assert "full" in answer.text
    with files.during(("sync", "wal", "ioerr_fstat")):
        assert server.post("y", path="/orders/1", **ANN).status == 500
    assert server.post("z", path="/orders/1", **ANN).status == 201
    assert [data for _, _, data, _ in rows(log)] == ["z"]


def test_a_mirrors_copy_is_not_written(pub, log):
    log.sql("CREATE TABLE rowtail_mirror(x)")
    answer = pub().post("a", path="/orders/1", **ANN)
    assert answer.status == 500
    assert "PostgreSQL" in answer.text
    assert rows(log) == []


def test_rollback_journal_and_utf16(workdir):
    path = workdir / "other.db"
    made = sqlite3.connect(path, isolation_level=None)
    made.execute("PRAGMA encoding = 'UTF-16'")
    made.executescript(database.SCHEMA.read_text())
    made.execute("PRAGMA journal_mode = DELETE")
    made.execute("INSERT INTO publishers(subject, channel) VALUES ('user:ann', '*')")
    made.close()
    with database.Database(path) as other:
        assert publisher.cgi(workdir, other)("é", path="/orders/1", **ANN).status == 201
        assert rows(other) == [("orders/1", None, "é", None)]


def test_health(pub, log):
    server = pub()
    assert server.post("", method="GET", extra={"ROWTAIL_PAGE": "health"}).status == 200
    log.sql("DROP TABLE rowtail_publish_rates")
    assert server.post("", method="GET", extra={"ROWTAIL_PAGE": "health"}).status == 503
    assert rows(log) == []


# Nothing that got 201 is lost.


def test_nothing_is_lost_when_it_is_killed(workdir, log):
    log.sql("INSERT INTO publishers(subject, channel) VALUES ('user:ann', '*')")
    address = workdir / "p.sock"
    done, acknowledged, repeats = threading.Event(), {}, []

    def client(number):
        turn = 0
        while not done.is_set():
            turn += 1
            for _ in range(1000):
                with contextlib.suppress(Exception):
                    answer = publisher.post(
                        address,
                        f"{number} {turn}",
                        path="/orders/1",
                        headers={"Idempotency-Key": f"{number}-{turn}"},
                        **ANN,
                    )
                    if answer.status == 201:
                        acknowledged[f"{number} {turn}"] = answer.json["ids"][0]
                        break
                if done.is_set():
                    return
                repeats.append(number)
                time.sleep(0.01)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for number in range(8):
            pool.submit(client, number)
        try:
            for _ in range(12):
                process = publisher.start(workdir, address, "--db", log.path)
                time.sleep(0.25)
                process.send_signal(signal.SIGKILL)
                process.wait()
        finally:
            done.set()
    found = dict(log.sql("SELECT data, id FROM events"))
    assert len(acknowledged) > 50
    assert repeats
    assert {data: found.get(data) for data in acknowledged} == acknowledged
    assert log.sql("SELECT count(*) FROM events") == [(len(found),)], "a row was written twice"


def test_a_signal_lets_requests_finish(pub, log):
    server = pub("--wait", 3)
    holder = database.Database(log.path)
    holder.sql("BEGIN IMMEDIATE")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(server.post, "a", path="/orders/1", **ANN)
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        holder.sql("COMMIT")
        assert waiting.result().status == 201
    holder.close()
    assert server.process.wait(10) == 0
    assert len(rows(log)) == 1
