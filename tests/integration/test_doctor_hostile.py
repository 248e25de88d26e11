"""rowtail-doctor with hostile servers and careless users: it ends, and keeps secrets."""

import base64
import contextlib
import json
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse
import zlib

import h2.connection
import h2.events
import pytest

import doctor
import httpserver
import ports
from database import Database
from test_doctor_program import EVERYTHING, log, server, url  # noqa: F401

TOKEN = "s3cr3t+t0ken/of=ann"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nConnection: close\r\n"


class Server:
    """Answers each connection by a function, in a thread; seen: the heads of the requests."""

    def __init__(self, answer, tls=None):
        self.answer, self.tls, self.seen = answer, tls, []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/events"

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), contextlib.closing(connection):
            connection.settimeout(60)
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            if self.answer not in (http2, silent):
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connection.recv(65536) or self._gone()
                self.seen.append(head.decode())
                self.answer(connection, head)
            else:
                self.answer(connection)
            connection.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _gone():
        raise OSError

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def silent(connection):
    time.sleep(60)


def redirect_for_ever(connection, head):
    path = head.split()[1]
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: " + path + b"x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def one_line_for_ever(connection, head):
    connection.sendall(STREAM + b"\r\nevent: position\r\ndata: 1\r\nid: 1\r\n\r\ndata: ")
    while True:
        connection.sendall(b"x" * 1000000)


def bomb(connection, head):
    if b"gzip" not in head:
        connection.sendall(STREAM + b"\r\nevent: position\r\ndata: 1\r\nid: 1\r\n\r\n")
        time.sleep(60)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    connection.sendall(STREAM + b"Content-Encoding: gzip\r\n\r\n" + packer.compress(b": x\n\n"))
    block = packer.compress(b"x" * (1 << 24)) + packer.flush(zlib.Z_SYNC_FLUSH)
    while True:
        connection.sendall(block)


def heads_for_ever(connection, head):
    connection.sendall(STREAM)
    while True:
        connection.sendall(b"X-A: b\r\n" * 10000)


def garbage(connection, head):
    server = ("é" * 300).encode()
    connection.sendall(
        b"HTTP/1.1 503 \x1b[2J\r\nServer: " + server + b"\r\nVia: \xff\xfe\x1b[31m\r\n\x00: \r\nContent-Length: 12\r\n\r\n\x1b[2J\xff\xc3\xa9\x00\x9b<\"\\"
    )


def no_http(connection, head):
    connection.sendall(b"hello\n")


def another_type(connection, head):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: ,;\xff\r\nContent-Length: 3\r\n\r\nabc")


def repeat(connection, head):
    """Repeats what was asked, as sent and decoded, in the redirect and in the error, whose beginning the doctor prints."""
    lines = head.decode().split("\r\n")
    path = lines[0].split()[1]
    fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
    text = urllib.parse.unquote_plus(path)
    if path.startswith("/basic") and "Authorization" in fields:
        text = base64.b64decode(fields["Authorization"][6:]).decode()
    elif path.startswith("/headers"):
        text = " ".join(fields.get(name, "") for name in ("Authorization", "Cookie", "X-Api-Key"))
    elif path.startswith("/raw"):
        text = path
    if path.startswith("/moved"):
        connection.sendall(f"HTTP/1.1 302 {text}\r\nLocation: /login?back={path}\r\nContent-Length: 0\r\n\r\n".encode())
    else:
        connection.sendall(f"HTTP/1.1 400 Bad\r\nServer: {text[:120]}\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())


def http2(connection):
    """A server that knows HTTP/2 only."""
    if connection.selected_alpn_protocol() != "h2":
        return
    state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    state.initiate_connection()
    connection.sendall(state.data_to_send())
    while data := connection.recv(65536):
        for event in state.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                fields = [(":status", "200"), ("content-type", "text/event-stream"), ("cache-control", "no-cache")]
                state.send_headers(event.stream_id, fields)
                state.send_data(event.stream_id, b"event: position\ndata: 1\nid: 1\n\n")
        connection.sendall(state.data_to_send())


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    place = tmp_path_factory.mktemp("tls")
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run([*words, "-subj", "/CN=x", "-keyout", "key", "-out", "cert"], cwd=place, check=True, capture_output=True)

    def context(*protocols):
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(place / "cert", place / "key")
        if protocols:
            made.set_alpn_protocols(protocols)
        return made

    return context


class Meeting:
    """All doctors at once, each with a server of its own."""

    def __init__(self):
        self.servers, self.running, self.began = {}, {}, time.monotonic()

    def start(self, name, answer, tls=None, *options, path=""):
        server = self.servers[name] = Server(answer, tls)
        self.running[name] = doctor.start(server.url + path, *options)

    def report(self, name):
        found = self.running[name]
        if not isinstance(found, doctor.Report):
            found = self.running[name] = doctor.finish(found)
        return found


@pytest.fixture(scope="module")
def meeting(tls):
    doctor.need()
    made = Meeting()
    hostile = [redirect_for_ever, one_line_for_ever, bomb, heads_for_ever, garbage, no_http, another_type]
    for answer in hostile:
        made.start(answer.__name__, answer)
    made.start("silent", silent)
    made.start("http2", http2, tls("h2"))
    # TLS is expected where nobody answers: the connection is there, and nothing more.
    made.servers["mute"] = mute = Server(silent)
    made.running["mute"] = doctor.start(f"https://127.0.0.1:{mute.port}/events")
    yield made
    for server in made.servers.values():
        server.close()
    for process in made.running.values():
        if not isinstance(process, doctor.Report):
            process.kill()
            process.communicate()


@pytest.mark.parametrize(
    ("name", "finding", "says"),
    [
        ("redirect_for_ever", "redirect", "redirect (302)"),
        ("one_line_for_ever", "flood", "64 MiB"),
        ("bomb", "flood", "64 MiB"),
        ("heads_for_ever", "buffered", "not even the head"),
        ("garbage", "down", "503"),
        ("no_http", "unreachable", "broke"),
        ("another_type", "front-controller", "not rowtail's stream"),
        ("silent", "buffered", "not even the head"),
        ("mute", "unreachable", "TLS fails"),
    ],
)
def test_a_hostile_server_is_named_and_ends_nothing_but_itself(meeting, name, finding, says):
    report = meeting.report(name)
    assert report.status == 2 and report.level(finding) == "WRONG", report
    assert says in report.findings[finding]["what"], report
    assert not [c for c in report.text if ord(c) < 32 and c != "\n"]
    assert time.monotonic() - meeting.began < 60


def test_a_server_that_speaks_only_http2_is_examined_by_http2(meeting):
    report = meeting.report("http2")
    assert report.level("http2-only") == "note", report


@pytest.mark.parametrize("path", ["/decoded", "/raw", "/basic", "/headers", "/moved"])
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_no_secret_is_printed_in_any_spelling(path, options):
    encoded = urllib.parse.quote(TOKEN, safe="")
    # Each place has a secret of its own, so that hiding one does not hide another.
    password, cookie, api_key = "ba5ic/pa55+word", "c00kie-va1ue", "ap1-key-va1ue"
    login = base64.b64encode(f"ann:{password}".encode()).decode()
    server = Server(repeat)
    words = ["--silence", "1", "--header", f"Authorization: Basic {login}", "--header", f"Cookie: a=b; session={cookie}",
             "--header", f"X-Api-Key: {api_key}"]
    url = server.url.replace("/events", path) + f"?channel=a&jwt={encoded}&sig={encoded}&password={encoded}"
    done = subprocess.run([doctor.PROGRAM, *words, *options, url], capture_output=True, text=True, timeout=60)
    server.close()
    assert done.returncode == 2 and server.seen
    for secret in (TOKEN, encoded, login, password, cookie, api_key):
        assert secret not in done.stdout + done.stderr, done.stdout


@pytest.mark.parametrize("to", ["http", "another port"])
def test_a_login_is_not_sent_where_a_redirect_leads(tls, to):
    """Not without TLS, and not to another server of the host."""
    other = Server(repeat)

    def redirect(connection, head):
        connection.sendall(f"HTTP/1.1 301 M\r\nLocation: {other.url}\r\nContent-Length: 0\r\n\r\n".encode())

    server = Server(redirect, tls() if to == "http" else None)
    report = doctor.examine(server.url, "--header", f"Authorization: Bearer {TOKEN}")
    server.close()
    other.close()
    assert report.level("redirect") == "WRONG" and other.seen == []


# A real rowtail, and what its users do.


@httpserver.needed
def test_two_doctors_at_once_do_not_disturb_each_other(server, log):
    running = [doctor.start(url(server), "--db", log.path) for _ in range(3)]
    for report in [doctor.finish(process) for process in running]:
        assert report.status == 0 and report.level("unchanged") == "ok", report
    assert log.sql(EVERYTHING) == []


@httpserver.needed
def test_the_grant_outlives_the_longest_silence(server, log):
    running = doctor.start(url(server), "--db", log.path, silence=600)
    deadline = time.monotonic() + 20
    while not log.sql("SELECT 1 FROM grants"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert log.sql("SELECT expires_at > datetime('now', '+660 seconds') FROM grants") == [(1,)]
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=20)


@httpserver.needed
@pytest.mark.parametrize("after_s", [0.02, 0.3, 1.5])
def test_ctrl_c_at_any_time_removes_everything(server, log, after_s):
    running = doctor.start(url(server), "--db", log.path, silence=60)
    time.sleep(after_s)
    running.send_signal(signal.SIGINT)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=20)
    # Within its first milliseconds nothing is there that it could take out.
    assert running.returncode in (128 + signal.SIGINT, -signal.SIGINT) and not out + err
    assert log.sql(EVERYTHING) == []


@httpserver.needed
def test_a_busy_writer_does_not_prevent_removing_the_rows(server, log, tmp_path):
    running = doctor.start(url(server), "--db", log.path, silence=60)
    deadline = time.monotonic() + 20
    while not log.sql("SELECT 1 FROM events"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    log.sql("BEGIN IMMEDIATE")
    running.send_signal(signal.SIGINT)
    time.sleep(0.5)
    log.sql("COMMIT")
    running.communicate(timeout=20)
    assert log.sql(EVERYTHING) == []


@httpserver.needed
@pytest.mark.parametrize(("options", "finding"), [(["--public"], "other-log"), ([], "access")], ids=["public", "closed"])
def test_db_of_another_log_is_found(log, tmp_path, options, finding):
    running = httpserver.HttpServer(tmp_path, ["--db", log.path, *options]).start()
    with Database.create(tmp_path / "other.db") as other:
        report = doctor.examine(url(running), "--db", other.path)
        assert other.sql(EVERYTHING) == []
    running.assert_clean(running.cleanup())
    assert report.status == 2 and report.wrong() == {finding}, report
    assert "another log" in report.findings[finding]["what"] and not report.cures(finding)


@pytest.mark.parametrize("kind", ["directory", "text", "empty", "memory", "other tables", "no grants"])
def test_what_is_no_log_is_refused(tmp_path, kind):
    path = tmp_path / "x.db"
    if kind == "directory":
        path.mkdir()
    elif kind in ("text", "empty"):
        path.write_text("no database" * 100 if kind == "text" else "")
    elif kind == "other tables":
        subprocess.run(["sqlite3", path, "CREATE TABLE events(a)"], check=True)
    elif kind == "no grants":
        with Database.create(path) as log:
            log.sql("DROP TABLE grants")
    else:
        path = ":memory:"
    doctor.need()
    done = subprocess.run([doctor.PROGRAM, "--db", path, "http://127.0.0.1:1/"], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (64, "")
    assert str(path) in done.stderr and "schema/rowtail.sql" in done.stderr, done.stderr
    assert kind != "empty" or path.read_text() == ""


@httpserver.needed
def test_ipv6(tmp_path, log):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with contextlib.closing(socket.socket(socket.AF_INET6)) as trial:
        try:
            trial.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
    port = ports.free_port()
    log.grant("*", "*")
    server = httpserver.HttpServer(tmp_path, ["--db", log.path, "--http", f"[::1]:{port}"]).start()
    report = doctor.examine(f"http://[::1]:{port}/events", "--origin", "https://app.example.org")
    server.assert_clean(server.cleanup())
    # The machine itself is as good as https:// to a browser.
    assert report.status < 2 and "mixed-content" not in report.findings, json.dumps(report.json)
