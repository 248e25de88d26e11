"""Database problems: the message names the file, the cause and the fix; after the fix streams continue."""

import contextlib
import os
import re
import shlex
import socket
import subprocess
import time

import pytest

import cgiprogram
import database
import faults
import fcgi
import gateway
import rowtail
import stream
import writers
from mounts import mounted

ENDINGS = ("-wal", "-shm", "-journal")
READER, GROUP = 64002, 64010


def check(path, *options):
    """Runs --check; returns (exit status, output)."""
    done = rowtail.run("--check", "--db", path, *options)
    assert done.stderr == "", done.stderr
    return done.returncode, done.stdout


def assert_wrong(path, *words):
    """Asserts that --check reports a problem, in one line with these words; returns the line."""
    status, said = check(path)
    assert status != 0, said
    lines = [line for line in said.splitlines() if line.startswith("WRONG ")]
    fitting = [line for line in lines if all(str(word) in line for word in words)]
    assert fitting, said
    return fitting[0]


def assert_not_started(path, *words):
    """Asserts that rowtail does not start and says why; returns the message."""
    done = rowtail.run("--db", path, "--listen", path.parent / "refused.sock")
    assert done.returncode in (os.EX_NOINPUT, os.EX_CONFIG), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for word in words:
        assert str(word) in done.stderr, done.stderr
    return done.stderr


def assert_serves_all(path, log=None):
    """Asserts that rowtail --check finds nothing wrong."""
    status, said = check(path)
    assert status == 0 and "WRONG" not in said, said


# A journal that has to be rolled back.


def cure_of(said):
    """The command that a message names."""
    return shlex.split(re.search(r"sqlite3 \S+ \.tables", said)[0])


@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE", "PERSIST"])
def test_hot_journal_at_the_start(log, mode):
    log.insert("before")
    log.sql(f"PRAGMA journal_mode={mode}")
    writers.die_in_mid_write(log.path, mode)
    words = (f"{log.path}-journal", "roll", f"sqlite3 {log.path} .tables")
    said = assert_not_started(log.path, *words)
    assert "permission" not in said and "must be able to" not in said
    assert_wrong(log.path, *words)
    refused = cgiprogram.Program(["--db", log.path])
    refused.wait_end()
    assert refused.wait_exit() == 0
    refused.cleanup()
    assert f"{log.path}-journal" in refused.stderr
    subprocess.run(cure_of(said), check=True, capture_output=True)
    assert_serves_all(log.path)
    assert log.newest() == 1


@pytest.mark.parametrize("mend", ["command", "writer"])
def test_hot_journal_while_following(launch, log, mend):
    log.sql("PRAGMA journal_mode=DELETE")
    server = launch("--poll", 20, "--heartbeat", 1)
    live, behind = server.open(), server.open("channel=*")
    first = log.insert("before")
    assert live.next_row().last_event_id == behind.next_row().last_event_id == str(first)
    writers.die_in_mid_write(log.path)
    said = server.wait_log(f" error: (.*{log.path}-journal.*)\n")[1]
    server.wait_health(503)
    if mend == "command":
        subprocess.run(cure_of(said), check=True, capture_output=True)
    ids = [str(log.insert(f"after {number}")) for number in range(3)]
    for peer in (live, behind):
        assert [peer.next_row().last_event_id for _ in ids] == ids
    server.wait_health(200)
    server.wait_log("can be read")


def test_journal_of_another_file_beside_a_wal_database(log, workdir):
    """A backup replaced a file whose journal is still there."""
    with database.Database.create(workdir / "old.db") as old:
        old.sql("PRAGMA journal_mode=DELETE")
    writers.die_in_mid_write(workdir / "old.db")
    journal = log.path.with_name(log.path.name + "-journal")
    os.rename(workdir / "old.db-journal", journal)
    assert_wrong(log.path, journal, "backup", "remove the journal")
    journal.unlink()
    assert_serves_all(log.path)


# Locks that stay.


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_check_names_a_writer_with_an_exclusive_lock(log, mode):
    log.sql(f"PRAGMA journal_mode={mode}")
    log.close()
    statements = ["PRAGMA locking_mode=EXCLUSIVE", "INSERT INTO events(data) VALUES ('mine')"]
    with writers.holding(log.path, *statements) as holder:
        assert_wrong(log.path, "locking_mode=EXCLUSIVE", f"process {holder.pid} (")
    assert_serves_all(log.path)


def test_short_lock_is_not_reported(log):
    log.sql("PRAGMA journal_mode=DELETE")
    with writers.holding(log.path, "BEGIN EXCLUSIVE") as holder:
        command = [rowtail.BINARY, "--check", "--db", log.path]
        checking = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            checking.wait(0.4)
        holder.stdin.close()
        said, _ = checking.communicate(timeout=20)
    assert checking.returncode == 0 and "WRONG" not in said, said


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_writer_with_an_exclusive_lock_is_named(launch, log, mode):
    """In WAL mode only at the start: the lock does not affect programs that already have the database open."""
    log.sql(f"PRAGMA journal_mode={mode}")
    log.close()
    statements = ["PRAGMA locking_mode=EXCLUSIVE", "INSERT INTO events(data) VALUES ('mine')"]
    with contextlib.ExitStack() as stack:
        if mode == "WAL":
            holder = stack.enter_context(writers.holding(log.path, *statements))
            server = launch("--poll", 20, "--retry", 300, "--retry-jitter", 0)
            peer = None
        else:
            server = launch("--poll", 20)
            peer = server.open()
            holder = stack.enter_context(writers.holding(log.path, *statements))
            assert peer.first.type == "position"
        deadline = time.monotonic() + stream.DEADLINE
        while not peer and "locking_mode" not in server.stderr and time.monotonic() < deadline:
            server.ask().wait_complete().close()  # as an EventSource does, which reconnects
            time.sleep(0.2)
        line = server.wait_log(" error: .*locking_mode=EXCLUSIVE.*")[0]
        assert f"process {holder.pid} (" in line and str(log.path) in line
        server.wait_health(503)
    server.wait_health(200)
    with database.Database(log.path) as again:
        peer = peer or server.open(last_event_id=0)
        assert peer.next_row().data == "mine"
        again.insert("yours")
        assert peer.next_row().data == "yours"


# One file with two paths.


@pytest.fixture
def other_directory(workdir):
    place = workdir / "other"
    place.mkdir()
    return place


ALONE = ("-wal", "never arrive")


def test_bind_mount_of_the_file_alone(launch, log, other_directory):
    inside = other_directory / "events.db"
    inside.touch()
    log.close()  # or --check would first tell that this process has it open
    with mounted(inside, "--bind", log.path):
        line = assert_wrong(inside, inside, "bind mount", "directory", *ALONE)
        assert line.count("events.db") > 1
        server = launch("--db", inside, db=None)
        server.wait_log(f" warn: {inside} is a bind mount")
        assert_wrong(log.path, f"also mounted as one file at {inside}", *ALONE)
        launch().wait_log(f" warn: {log.path} is also mounted")
        server.stop()
    assert_serves_all(log.path)


def test_bind_mount_of_the_directory(launch, log, other_directory):
    with mounted(other_directory, "--bind", log.path.parent):
        assert_serves_all(other_directory / "events.db")
        server = launch("--db", other_directory / "events.db", db=None)
        server.serves(log)
        server.stop()
    assert " warn: " not in server.stderr


def test_hard_link(launch, log, other_directory):
    server = launch("--poll", 20)
    peer = server.open()
    second = other_directory / "second.db"
    os.link(log.path, second)
    server.wait_log(f" warn: {log.path} has 2 names")
    for path in (log.path, second):
        assert_wrong(path, "2 names", "hard link", f"-inum {second.stat().st_ino}", *ALONE)
    second.unlink()
    assert_serves_all(log.path)
    log.insert("hello")
    assert peer.next_row().data == "hello"
    assert server.stderr.count("names (hard links)") == 1


@pytest.mark.parametrize("times", [1, 3])
def test_symbolic_link(launch, log, other_directory, times):
    """SQLite keeps the companion files beside the link's target, and rowtail looks there."""
    path = log.path
    for number in range(times):
        link = other_directory / f"link{number}.db"
        link.symlink_to(path)
        path = link
    assert_serves_all(path)
    server = launch("--db", path, db=None)
    server.serves(log)
    with database.Database(path) as through_the_link:
        server.serves(through_the_link)
    assert " warn: " not in server.stderr


def test_dangling_symbolic_link(workdir):
    (workdir / "link.db").symlink_to("nosuch/events.db")
    assert_wrong(workdir / "link.db", "symbolic link to nosuch/events.db")


@pytest.mark.parametrize("how", ["removed", "mounted", "linked"])
def test_writer_with_a_different_wal(launch, log, other_directory, how):
    """A process whose writes never reach rowtail is named, whatever the cause."""
    path = log.path
    with contextlib.ExitStack() as stack:
        if how == "linked":
            path = other_directory / "second.db"
            os.link(log.path, path)
        elif how == "mounted":
            path = other_directory / "events.db"
            path.touch()
            stack.enter_context(mounted(path, "--bind", log.path))
        log.close()
        insert = "INSERT INTO events(data) VALUES ('lost')"
        holder = stack.enter_context(writers.holding(path, insert, "SELECT * FROM events"))
        if how == "removed":
            for ending in ENDINGS:
                log.path.with_name(log.path.name + ending).unlink(missing_ok=True)
        server = launch("--poll", 20)
        peer = server.open()
        assert_wrong(log.path, f"process {holder.pid} (", "another -wal", *ALONE[1:])
        server.wait_log(f" warn: process {holder.pid} \\(.*another -wal")
        peer.drain()
        assert peer.rows == []


def test_other_processes_are_not_reported(launch, log):
    """Processes that share our files may come and go, and read or write for long."""
    server = launch("--poll", 20)
    with (
        writers.holding(log.path, "BEGIN", "SELECT * FROM events"),
        writers.holding(log.path, "BEGIN IMMEDIATE"),
        server.open(),
    ):
        for _ in range(3):
            assert_serves_all(log.path)
        server.open().rest(4.5)
    assert " warn: " not in server.stderr


def test_container_layer(launch, workdir, empty_log):
    """overlayfs copies a file of a lower layer before the first change; rowtail follows it nevertheless."""
    disk, merged = workdir / "disk", workdir / "merged"
    for place in (disk, merged):
        place.mkdir()
    with mounted(disk, "-t", "tmpfs", "tmpfs"):
        lower, upper, work = (disk / name for name in ("lower", "upper", "work"))
        for place in (lower, upper, work):
            place.mkdir()
        (lower / "events.db").write_bytes(empty_log.read_bytes())
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        with mounted(merged, "-t", "overlay", "-o", options, "overlay"):
            server = launch("--db", merged / "events.db", "--poll", 20, db=None)
            peer = server.open()
            with database.Database(merged / "events.db") as log:
                for number in range(3):
                    log.insert(f"row {number}")
                    assert peer.next_row().data == f"row {number}"
                    log.sql("PRAGMA wal_checkpoint(TRUNCATE)")
            status, said = check(merged / "events.db")
            assert status == 0 and re.search("(?m)^note .*overlay.*volume", said), said
            server.stop()


# Missing permissions and missing resources.


def as_reader(*command):
    who = [f"--reuid={READER}", f"--regid={GROUP}", "--clear-groups"]
    return ["/usr/bin/setpriv", *who, *map(str, command)]


def check_as_reader(path, binary):
    done = subprocess.run(
        as_reader(binary, "--check", "--db", path), capture_output=True, text=True, timeout=20
    )
    assert done.returncode != 0, done.stdout
    return re.search("(?m)^WRONG .*", done.stdout)[0]


@pytest.fixture
def own_place(workdir, empty_log):
    """A log that its writer has open, in its own directory, and rowtail as another user."""
    if os.geteuid():
        pytest.skip("only root can be several users")
    place = workdir / "log"
    place.mkdir()
    for path in (workdir, place):
        path.chmod(0o755)
    path = place / "events.db"
    path.write_bytes(empty_log.read_bytes())
    binary = workdir / "rowtail"
    binary.write_bytes(rowtail.BINARY.read_bytes())
    binary.chmod(0o755)
    with database.Database(path) as log:
        log.insert("hello")
        yield path, binary


@pytest.mark.parametrize("ending", ["-wal", "-shm"])
def test_unreadable_companion_file(own_place, ending):
    path, binary = own_place
    beside = path.with_name(path.name + ending)
    beside.chmod(0o600)
    line = check_as_reader(path, binary)
    assert f"{beside} belongs to root, and user {READER} cannot read it" in line, line


def test_unreadable_journal(own_place):
    path, binary = own_place
    journal = path.with_name(path.name + "-journal")
    journal.write_bytes(b"?" * 2000)
    journal.chmod(0o600)
    line = check_as_reader(path, binary)
    assert f"{journal} belongs to root, and user {READER} cannot read" in line, line


def test_companion_files_cannot_be_created(workdir, empty_log):
    if os.geteuid():
        pytest.skip("only root can be several users")
    path, binary = workdir / "events.db", workdir / "rowtail"
    path.write_bytes(empty_log.read_bytes())
    path.chmod(0o644)
    binary.write_bytes(rowtail.BINARY.read_bytes())
    binary.chmod(0o755)
    workdir.chmod(0o755)
    line = check_as_reader(path, binary)
    for word in (f"{path}-wal", str(workdir), f"user {READER} may not", "2770"):
        assert word in line, line


def test_read_only_mount(log, other_directory):
    log.close()
    for ending in ENDINGS:
        log.path.with_name(log.path.name + ending).unlink(missing_ok=True)
    with mounted(other_directory, "-o", "bind,ro", log.path.parent):
        path = other_directory / "events.db"
        assert_wrong(path, other_directory, "read-only for this process", "ReadWritePaths=")


def test_read_only_volume_works_while_a_writer_is_connected(launch, log, other_directory):
    """A container's volume with :ro: rows arrive while another program has the database open."""
    log.insert("before")
    with mounted(other_directory, "-o", "bind,ro", log.path.parent):
        server = launch("--db", other_directory / "events.db", "--poll", 20, db=None)
        peer = server.open(last_event_id=0)
        assert peer.next_row().data == "before"
        for number in range(3):
            with database.Database(log.path) as writer:
                writer.insert(f"row {number}")
                writer.sql("PRAGMA wal_checkpoint(TRUNCATE)")
            assert peer.next_row().data == f"row {number}"
        log.close()
        with database.Database(log.path) as writer:
            writer.insert("after all have left")
            assert peer.next_row().data == "after all have left"
        server.stop()


def test_read_only_file_system(workdir, empty_log):
    disk = workdir / "disk"
    disk.mkdir()
    with mounted(disk, "-t", "tmpfs", "tmpfs"):
        (disk / "events.db").write_bytes(empty_log.read_bytes())
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert_wrong(disk / "events.db", disk, "mounted read-only", "journal_mode=DELETE")


def test_full_disk(workdir, empty_log):
    disk = workdir / "disk"
    disk.mkdir()
    with mounted(disk, "-t", "tmpfs", "-o", "size=256k", "tmpfs"):
        path = disk / "events.db"
        path.write_bytes(empty_log.read_bytes())
        with pytest.raises(OSError, match="No space left"), (disk / "filler").open("wb", 0) as file:
            while True:
                file.write(bytes(4096))
        assert_wrong(path, disk, "no space", "free some space")
        (disk / "filler").unlink()
        assert_serves_all(path)


def test_too_few_descriptors(log):
    """Not a lack of permissions, although SQLite's message is the same."""
    command = ["prlimit", "--nofile=5", rowtail.BINARY, "--check", "--db", log.path]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=20)
    assert done.returncode != 0
    assert "no more files can be opened" in done.stdout and "ulimit -n" in done.stdout


def test_schema_format_too_new(log):
    log.sql("CREATE TABLE later(x)")
    log.sql("PRAGMA writable_schema=ON")
    log.sql("UPDATE sqlite_master SET sql = 'CREATE TABLE later(x) FUTURE' WHERE name = 'later'")
    assert_wrong(log.path, "newer SQLite", "FUTURE")


def test_missing_directory(workdir):
    assert_wrong(workdir / "nosuch" / "events.db", f"no directory {workdir}/nosuch")


def test_private_tmp(workdir, log):
    """A web server's service has a private /tmp, so files in the usual /tmp do not exist for it."""
    hidden = workdir / "systemd-private-0123-apache2.service-abc" / "tmp"
    hidden.mkdir(parents=True)
    public = workdir / "tmp"
    public.mkdir()
    os.rename(log.path, public / "events.db")
    with mounted(public, "--bind", hidden):
        assert_wrong(public / "events.db", f"its own {public}", "PrivateTmp=")


# Notices of changes.


@pytest.mark.parametrize("limit", ["instances", "watches"])
def test_out_of_file_watches(launch, log, workdir, limit):
    """Polling finds the rows, and the log says why they are late."""
    script = f'echo 0 > /proc/sys/user/max_inotify_{limit} && exec "$0" "$@"'
    words = ["--user", "--map-root-user", "/bin/sh", "-c", script]
    probe = ["unshare", *words[:-1], script.replace('exec "$0" "$@"', "true")]
    if subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("may not limit file watches here")
    done = subprocess.run(
        ["unshare", *words, str(rowtail.BINARY), "--check", "--db", str(log.path)],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert re.search(f"(?m)^note .*max_user_{limit}", done.stdout), done.stdout
    address = workdir / "watchless.sock"
    command = [*words, rowtail.BINARY, "--db", log.path, "--listen", address]
    server = launch(*command, db=None, how=None, program="/usr/bin/unshare", address=address)
    server.serves(log)
    server.wait_log(f" warn: .*cannot be watched .*max_user_{limit}")
    with server.open() as peer:
        peer.rest(0.5)
    assert server.stderr.count("cannot be watched") == 1


def test_no_descriptor_for_the_file_watch(launch, log, workdir):
    """The kernel has one error for this and for too few file watches; the log names the right limit."""
    address = workdir / "few.sock"
    command = ["--nofile=80:80", rowtail.BINARY, "--db", log.path, "--listen", address]
    server = launch(*command, db=None, how=None, program="/usr/bin/prlimit", address=address)
    idle = [server.connect() for _ in range(100)]
    server.wait_log("new connections must wait")
    idle[0].send(fcgi.request(gateway.params("since=0")))
    assert idle[0].next().type == "position"
    server.wait_log(" warn: .*cannot be watched .*: raise the open-files limit")


# Paths that lead to no plain file.


@pytest.fixture(params=["FIFO", "socket", "device", "directory"])
def odd(request, workdir):
    """A path that must not be opened, and what is there."""
    path = workdir / "odd"
    if request.param == "FIFO":
        os.mkfifo(path)
    elif request.param == "directory":
        path.mkdir()
    elif request.param == "device":
        path.symlink_to("/dev/zero")
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    return path, request.param


def test_database_is_not_a_plain_file(odd):
    path, kind = odd
    assert_not_started(path, path, kind)
    assert_wrong(path, path, kind)


@pytest.mark.parametrize("ending", ENDINGS)
def test_fifo_beside_the_database(log, ending):
    log.close()
    beside = log.path.with_name(log.path.name + ending)
    beside.unlink(missing_ok=True)
    os.mkfifo(beside)
    assert_not_started(log.path, f"{beside} is a FIFO", "remove it")


def test_config_is_not_a_plain_file(log, odd):
    path, kind = odd
    done = rowtail.run("--db", log.path, path)
    assert done.returncode == os.EX_NOINPUT
    assert str(path) in done.stderr and kind in done.stderr, done.stderr


def test_key_is_not_a_plain_file(log, odd):
    path, kind = odd
    options = ["--db", log.path, "--jwt-key", path, "--jwt-algorithm", "HS256"]
    done = rowtail.run(*options, "--listen", log.path.parent / "s")
    assert done.returncode == os.EX_NOINPUT
    assert str(path) in done.stderr and kind in done.stderr, done.stderr


def test_database_becomes_a_fifo(launch, log):
    """While rowtail follows it: streams wait, and SIGTERM works."""
    server = launch("--poll", 20, "--heartbeat", 1)
    peer = server.open()
    kept = log.path.with_name("kept.db")
    os.rename(log.path, kept)
    os.mkfifo(log.path)
    server.wait_log(f" error: {log.path} is a FIFO")
    os.rename(kept, log.path)
    log.insert("hello")
    assert peer.next_row().data == "hello"
    os.rename(log.path, kept)
    os.mkfifo(log.path)
    server.wait_log("(?s)(was replaced.*){2}")
    server.stop()


def test_config_and_key_by_process_substitution(log):
    """The shell's <(command) is a pipe, which somebody writes to."""
    script = (
        'exec "$0" --check --db "$1" --jwt-algorithm HS256 '
        "--jwt-key <(sleep 0.2; printf %040d 7) <(echo poll = 20)"
    )
    done = subprocess.run(
        ["bash", "-c", script, str(rowtail.BINARY), str(log.path)],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0 and "can verify HS256" in done.stdout, done.stdout + done.stderr


def test_endless_file(log, workdir):
    """rowtail reads no more of a key or CONFIG file than the allowed size."""
    endless = workdir / "endless"
    with endless.open("wb") as file:
        file.truncate(1 << 40)
    options = ["--db", log.path, "--jwt-key", endless, "--jwt-algorithm", "HS256"]
    done = rowtail.run("--check", *options, timeout=20)
    assert done.returncode == os.EX_CONFIG and "too large for a key" in done.stdout, done.stdout
    done = rowtail.run("--db", log.path, endless, timeout=20)
    assert done.returncode == os.EX_CONFIG and str(endless) in done.stderr


@pytest.mark.parametrize(
    "form, words",
    [
        ("file:{}?mode=ro", ["plain path", "as in {}"]),
        ("file://{}", ["plain path", "as in {}"]),
        ("sqlite:{}", ["plain path"]),
        (":memory:", ["path of a file"]),
        ("'{}'", ["remove the quotes"]),
    ],
)
def test_database_path_in_other_syntax(log, workdir, form, words):
    given = form.format(log.path)
    done = rowtail.run("--db", given, "--listen", workdir / "s")
    assert done.returncode == os.EX_USAGE
    for word in words:
        assert word.format(log.path) in done.stderr, done.stderr
    done = rowtail.run("--listen", workdir / "s", env={"ROWTAIL_DB": given})
    assert done.returncode == os.EX_CONFIG
    assert "ROWTAIL_DB" in done.stderr and words[0] in done.stderr


def test_file_system_does_not_respond(log, workdir):
    """As with a network or FUSE file system whose server is down: rowtail says so, and SIGTERM works."""
    path, env = workdir / "s", faults.preload(workdir, faults.DEAF)
    options = ["--db", log.path, "--listen", path]
    hanging = rowtail.Rowtail(workdir, options, how=None, address=path, env=env)
    hanging.start(wait=False).wait_accepts()
    began = time.monotonic()
    hanging.stop()
    assert f"waiting for {log.path}" in hanging.stderr
    assert time.monotonic() - began > 0.5  # or nothing hung here
    assert not path.exists()
