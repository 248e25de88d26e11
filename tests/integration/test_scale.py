"""deploy/scale: two web machines, a primary and a standby, on loopback, with these very files; moving a log there and back."""

import contextlib
import pathlib
import re
import shutil
import socket
import sqlite3
import subprocess
import time

import database
import httpc
import httpserver
import mirror
import ports
import postgresql
import pytest
import rowtail

pytestmark = [mirror.needed, httpserver.needed]
SCALE = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "scale"
SCHEMA = SCALE.parents[1] / "schema"


def deployed(name, **edits):
    """A file of deploy/scale, with other values; each must be there."""
    text = (SCALE / name).read_text()
    for old, new in edits.pop("replace", {}).items():
        assert old in text, f"{name}: {old}"
        text = text.replace(old, str(new))
    for key, value in edits.items():
        text, count = re.subn(rf"(?m)^{key.replace('_', '-')} = .*$", lambda _: f"{key.replace('_', '-')} = {value}", text)
        assert count == 1, f"{name}: {key}"
    return text


def settings():
    """postgresql.conf."""
    found = re.findall(r"(?m)^(\w+) = ([^#\n]+)$", (SCALE / "postgresql.conf").read_text())
    assert found
    return {name: value.strip().strip("'") for name, value in found}


class Machine:
    """One web machine: rowtail-mirror and rowtail with the files of deploy/scale."""

    def __init__(self, workdir, number, log, hosts):
        place = workdir / f"web{number}"
        place.mkdir()
        copy = place / "events.db"
        self.port, self.pages = ports.free_port(), ports.free_port()
        conf = place / "rowtail-mirror.conf"
        conf.write_text(deployed(
            "rowtail-mirror.conf", db=copy, pages=place / "mirror.sock", max_stale=2,
            replace={"host=db1,db2": f"host={hosts}", "dbname=app": f"dbname={log.name}"},
        ))
        self.mirror = mirror.Mirror(place, log.dsn, db=copy)
        self.mirror.pages = place / "mirror.sock"
        self.mirror.command = [mirror.BINARY, conf]
        conf = place / "rowtail.conf"
        conf.write_text(deployed(
            "rowtail.conf", db=copy, http=f"127.0.0.1:{self.port}", pages=f"127.0.0.1:{self.pages}",
            trusted_proxy="127.0.0.1", max_streams=100,
        ))
        self.rowtail = httpserver.HttpServer(place, [conf], address=("127.0.0.1", self.port))

    def streams(self):
        text = httpc.open_request(("127.0.0.1", self.pages), "/metrics").wait_complete().body.decode()
        return int(float(re.search(r"(?m)^rowtail_streams (\S+)$", text)[1]))

    def health(self):
        with httpc.open_request(("127.0.0.1", self.pages), "/health") as answer:
            return answer.wait_complete().head.status


class Scale:
    def __init__(self, stack, workdir):
        self.workdir = workdir
        self.primary = stack.enter_context(postgresql.Cluster(settings()))
        self.log = mirror.Log(self.primary)
        for role, kind in (("app", "publisher"), ("mirror", "mirror")):
            self.log.rows(f"CREATE ROLE {role} LOGIN")
            self.log.rows(f"SELECT events_allow_{kind}('{role}')")
        self.log.grant("*", "news/*")
        self.standby = stack.enter_context(self.primary.standby())
        self.standby.wait_for(self.primary)
        hosts = f"{self.standby.directory},{self.primary.directory}"
        self.machines = [Machine(workdir, number, self.log, hosts) for number in (1, 2)]
        for machine in self.machines:
            stack.callback(machine.mirror.cleanup)
            machine.mirror.start()
            stack.callback(lambda machine=machine: machine.rowtail.assert_clean(machine.rowtail.cleanup()))
            machine.rowtail.start()
        self.port = ports.free_port()
        self.open = []
        stack.callback(lambda: [peer.close() for peer in self.open])

    def publish(self, data):
        self.log.cluster.rows("INSERT INTO events(channel, data) VALUES ('news/1', %s)", self.log.name, "app", (data,))
        return self.log.newest()

    def follow(self, **how):
        peer = httpc.open_request(("127.0.0.1", self.port), "/events?channel=news/*", **how)
        self.open.append(peer)
        peer.wait_head()
        assert peer.head.status == 200, peer.describe()
        return peer

    def where(self):
        return [machine.streams() for machine in self.machines]


def start_haproxy(scale, stack):
    servers = {f"192.0.2.2{n}:8090": f"127.0.0.1:{m.port} port {m.pages}" for n, m in enumerate(scale.machines, 1)}
    text = deployed("haproxy.cfg", replace={**servers, "default-server port 8091 ": "default-server "})
    [rule] = re.findall(r"(?m)^#(\s+use_backend .*)$", text)
    conf = scale.workdir / "haproxy.cfg"
    conf.write_text(f"defaults\n\tmode http\n\ttimeout client 60s\n\ttimeout connect 2s\n\ttimeout server 60s\n"
                    f"frontend site\n\tbind 127.0.0.1:{scale.port}\n{rule}\n{text}")
    return run_balancer(scale, stack, ["haproxy", "-f", conf])


def start_nginx(scale, stack):
    text = deployed("nginx.conf", replace={f"192.0.2.2{n}:8090": f"127.0.0.1:{m.port}" for n, m in enumerate(scale.machines, 1)})
    [(pattern, value)] = re.findall(r"sed -i 's\|(.*?)\|(.*?)\|'", text)
    proxy = (SCALE.parent / "proxy" / "nginx.conf").read_text()
    assert pattern in proxy
    (scale.workdir / "upstream.conf").write_text(text)
    (scale.workdir / "proxy.conf").write_text(proxy.replace(pattern, value))
    conf = scale.workdir / "nginx.conf"
    where = scale.workdir
    temporary = "".join(f"{n}_temp_path {where}/{n}; " for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    conf.write_text(f"daemon off; master_process off; pid {where}/pid; error_log {where}/log;\nevents {{ }}\n"
                    f"http {{ access_log off; {temporary}\ninclude {where}/upstream.conf;\n"
                    f"server {{ listen 127.0.0.1:{scale.port}; proxy_connect_timeout 2s; include {where}/proxy.conf; }} }}\n")
    return run_balancer(scale, stack, ["nginx", "-e", where / "log", "-c", conf])


def run_balancer(scale, stack, command):
    program = shutil.which(command[0], path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if not program:
        pytest.skip(f"{command[0]} is not installed")
    process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", program, *map(str, command[1:])],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.callback(lambda: (process.kill(), process.wait()))

    def up():
        assert process.poll() is None, "the balancer ended"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", scale.port)) == 0

    mirror.wait(up, "the balancer")


@pytest.fixture
def scale(workdir):
    if postgresql.BIN is None:
        pytest.skip("this release has no PostgreSQL 14 or newer")
    with contextlib.ExitStack() as stack:
        made = Scale(stack, workdir)
        made.stack = stack
        yield made


@pytest.mark.parametrize("balancer", [start_haproxy, start_nginx])
def test_client_of_a_machine_that_is_lost_goes_on_at_the_other(scale, balancer):
    balancer(scale, scale.stack)
    first = scale.publish("one")
    peer = scale.follow(last_event_id="0")
    assert peer.next_row().last_event_id == str(first)
    lost = scale.where().index(1)
    scale.machines[lost].mirror.kill()
    scale.machines[lost].rowtail.kill()
    peer.wait_end()
    second = scale.publish("two")
    again = mirror.wait(lambda: _resumed(scale, str(first)), "the other machine")
    assert again.next_row().last_event_id == str(second)
    assert not [event for event in again.events if event.type == "gap"]


def _resumed(scale, position):
    peer = scale.follow(last_event_id=position)
    with contextlib.suppress(AssertionError):
        peer.wait(lambda: peer.events, "the first event", 1)
    return peer if peer.events else None


@pytest.mark.parametrize("balancer", [start_haproxy, start_nginx])
def test_crowd_comes_back_after_all_machines_were_restarted(scale, balancer):
    balancer(scale, scale.stack)
    number = scale.publish("one")
    for machine in scale.machines:
        machine.rowtail.kill()
    for _ in range(4):
        assert _resumed(scale, "0") is None, "a stream from nowhere"
    for machine in scale.machines:
        machine.rowtail.start()
    mirror.wait(lambda: _resumed(scale, "0"), "a machine")
    for place in range(20):
        peer = _resumed(scale, "0")
        assert peer, f"client {place} was refused, though a machine serves"
        assert peer.next_row().last_event_id == str(number)


def test_balancer_leaves_a_machine_whose_copy_is_old(scale):
    start_haproxy(scale, scale.stack)
    old = scale.machines[0]
    old.mirror.pause()
    mirror.wait(lambda: old.health() == 503, "health")
    assert scale.machines[1].health() == 200
    # HAProxy asks once a second, and believes it the second time.
    deadline = time.monotonic() + 20
    while True:
        before = scale.where()
        peers = [scale.follow(last_event_id="0") for _ in range(4)]
        after = mirror.wait(lambda: sum(scale.where()) >= sum(before) + 4 and scale.where(), "the streams")
        if after[0] == before[0]:
            break
        assert time.monotonic() < deadline, "the machine still gets streams"
        time.sleep(0.3)
    number = scale.publish("to those of the other machine")
    assert peers[0].next_row().last_event_id == str(number)
    old.mirror.resume()
    mirror.wait(lambda: old.health() == 200, "health")


def test_takeover_by_the_standby(scale):
    start_haproxy(scale, scale.stack)
    peers = [scale.follow(last_event_id="0") for _ in range(2)]
    first = scale.publish("before")
    for peer in peers:
        assert peer.next_row().last_event_id == str(first)
    scale.standby.wait_for(scale.primary)
    scale.primary.kill()
    scale.standby.promote()
    scale.log.close()
    scale.log = scale.log.on(scale.standby)
    second = scale.publish("after")
    for peer in peers:
        assert peer.next_row().last_event_id == str(second)
        assert not [event for event in peer.events if event.type == "gap"]


# Moving.


@pytest.fixture
def server():
    with postgresql.running() as cluster:
        yield cluster


def sqlite(path, script):
    with open(script, "rb") as text:
        subprocess.run(["sqlite3", "-bail", path], stdin=text, check=True, stdout=subprocess.DEVNULL)


def moved(server, path):
    """A log in PostgreSQL, by from-sqlite.sh."""
    log = mirror.Log(server)
    done = move(log, path)
    assert done.returncode == 0, done.stderr
    return log


def move(log, path):
    """The command in from-sqlite.sh's first comment."""
    script = subprocess.run(["sh", SCALE / "from-sqlite.sh", path], stdout=subprocess.PIPE, check=True).stdout
    command = ["psql", "-X", "-v", "ON_ERROR_STOP=1", "-q", "-1", log.dsn]
    return subprocess.run(command, input=script, capture_output=True, check=False)


@pytest.fixture
def old(workdir):
    """A SQLite log with what is hard to move."""
    path = workdir / "old.db"
    with database.Database.create(path) as made:
        made.grant("*", "*")
        made.sql("INSERT INTO grants VALUES ('user:o''hara', 'a', '2999-12-31 23:59:59')")
        for number in range(20):
            made.sql("INSERT INTO events(channel, event, data, retry) VALUES (?, ?, ?, ?)", f"c/{number % 3}",
                     "x" if number % 2 else None, f"row '{number}' \\N \\\\ \n\r\n é \t;", number or None)
        made.sql("INSERT INTO events(channel, event) VALUES ('over', 'end')")
        made.sql("DELETE FROM events WHERE id IN (3, 6, 21)")
    return path


def content(path):
    import sqlite3

    with contextlib.closing(sqlite3.connect(path)) as connection:
        return {
            table: connection.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2").fetchall()
            for table, columns in {
                "events": "id, channel, event, data, retry, created_at", "events_ended": "channel, id",
                "grants": "subject, channel, datetime(expires_at)",
                "events_pruned": "channel, id",
            }.items()
        }


def latest(marks):
    """The highest mark of each channel."""
    return {channel: max(id for name, id in marks if name == channel) for channel, _ in marks}


def test_move_from_sqlite_keeps_everything(server, old, workdir):
    log = moved(server, old)
    kept = mirror.Mirror(workdir, log.dsn)
    try:
        kept.start()
        there, here = content(old), content(kept.path)
        assert latest(there.pop("events_pruned")) == latest(here.pop("events_pruned"))
        assert there == here
        newest = log.insert("next", channel="c/0")
        assert newest > 21
        kept.wait_same(log)
        with rowtail.launching(lambda: rowtail.Rowtail(workdir, ["--db", kept.path])) as start:
            process = start()
            peer = process.open("channel=c/0", last_event_id=10)
            assert peer.first.type == "position"
            peer.wait(lambda: peer.rows and peer.rows[-1].last_event_id == str(newest), "all rows")
            assert process.open("channel=c/2", last_event_id=2).first.type == "gap"  # rows 3 and 6 were deleted
            assert process.open("channel=c/1", last_event_id=2).first.type == "position"
        with pytest.raises(AssertionError, match="has ended"):
            done = server.psql("-c", "INSERT INTO events(channel) VALUES ('over')", dbname=log.name)
            assert done.returncode == 0, done.stderr
    finally:
        kept.cleanup()


def test_move_into_a_log_that_has_rows_is_refused(server, old):
    log = moved(server, old)
    done = move(log, old)
    assert done.returncode != 0 and b"has rows already" in done.stderr
    assert log.rows("SELECT count(*) FROM events")[0][0] == 18


def test_move_back_to_sqlite(server, old, workdir):
    log = moved(server, old)
    log.insert("in PostgreSQL", channel="c/1")
    back = workdir / "back.db"
    done = mirror.run("--from", log.dsn, "--db", back, "--once")
    assert done.returncode == 0, done.stderr
    sqlite(back, SCALE / "to-sqlite.sql")
    sqlite(back, SCHEMA / "rowtail.sql")
    there = dict(log.rows("SELECT id, data FROM events"))
    with database.Database(back) as made:
        number = made.insert("in SQLite again")
        assert number > max(there)
        assert dict(made.sql("SELECT id, data FROM events WHERE id < ?", number)) == there
        with pytest.raises(Exception, match="has ended"):
            made.sql("INSERT INTO events(channel) VALUES ('over')")
    with rowtail.launching(lambda: rowtail.Rowtail(workdir, ["--db", back, "--public"])) as start:
        process = start()
        assert process.open("channel=c/1&channel=default", last_event_id=20).first.type == "position"
        assert rowtail.run("--db", back, "--public", "--check").returncode == 0


def test_file_that_is_restored_beside_a_running_rowtail(launch, log, workdir):
    """The steps for a file that Litestream, or any other backup of the file, brings back."""
    log.insert_many(5)
    backup = workdir / "restored.db"
    with contextlib.closing(sqlite3.connect(log.path)) as source, contextlib.closing(sqlite3.connect(backup)) as copy:
        source.backup(copy)
    lost = log.insert("lost")
    server = launch()
    peer = server.open(last_event_id=lost - 1)
    assert peer.next_row().data == "lost"
    log.close()
    with (SCHEMA / "after-restore.sql").open() as script:
        subprocess.run(["sqlite3", backup], stdin=script, stdout=subprocess.DEVNULL, check=True)
    for name in "-wal", "-shm":
        log.path.with_name(log.path.name + name).unlink(missing_ok=True)
    backup.rename(log.path)
    assert mirror.gap(peer.next())["reason"] == "replaced"
    with contextlib.closing(sqlite3.connect(log.path, isolation_level=None)) as publisher:
        number = publisher.execute("INSERT INTO events(data) VALUES ('new')").lastrowid
        assert [row for (row,) in publisher.execute("SELECT id FROM events ORDER BY id")] == [1, 2, 3, 4, 5, number]
    assert number > lost
    event = peer.next_row()
    assert (event.data, event.last_event_id) == ("new", str(number))
    late = server.open(last_event_id=lost)
    assert mirror.gap(late.first)["reason"] == "pruned"
    assert late.next_row().last_event_id == str(number)
