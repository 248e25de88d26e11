"""rowtail --check also checks --listen, and changes nothing."""

import contextlib
import os
import re
import shutil
import socket
import subprocess

import pytest

import ports
import rowtail
from mounts import mounted

USER = 64002


def check(log, listen, *options, command=None):
    """Runs --check with --listen; returns (exit status, its mark and message about the address)."""
    words = [*(command or [rowtail.BINARY]), "--check", "--db", log.path, "--listen", listen]
    done = subprocess.run(
        [*map(str, words), *options],
        capture_output=True,
        text=True,
        timeout=30,
        env=rowtail.environment(),
    )
    found = re.search(r"(?m)^(\w+) +(listen: .*)", done.stdout)
    assert found, done.stdout + done.stderr
    return done.returncode, found[1], found[2]


def assert_wrong(answer, *words):
    status, mark, sentence = answer
    assert (status, mark) == (os.EX_CONFIG, "WRONG"), answer
    for word in words:
        assert str(word) in sentence, sentence


def assert_refused(log, listen, *words):
    """rowtail does not start with what --check calls WRONG."""
    done = rowtail.run("--db", log.path, "--listen", listen)
    assert done.returncode == os.EX_CONFIG, done.stderr
    for word in words:
        assert str(word) in done.stderr, done.stderr


def everything(directory):
    """The contents of a directory."""
    return sorted(
        (path.name, path.lstat().st_ino, path.lstat().st_mode)
        for path in directory.iterdir()
        if not path.name.startswith("events.db-")  # SQLite's, which every reader creates
    )


@pytest.fixture
def run(workdir):
    """A directory for sockets; its group is the web server's."""
    place = workdir / "run"
    place.mkdir()
    with contextlib.suppress(LookupError, PermissionError):
        shutil.chown(place, group="www-data")
    place.chmod(0o2770)
    return place


def test_usable_socket_path(log, run):
    status, mark, sentence = check(log, run / "s")
    assert (status, mark) == (0, "ok")
    assert str(run / "s") in sentence and "0660" in sentence and "group www-data" in sentence
    assert list(run.iterdir()) == []


@pytest.mark.skipif(os.geteuid(), reason="only root can choose a group")
def test_socket_unreachable_for_web_servers(log, run):
    """A web server that may not connect can only report that rowtail is down."""
    os.chown(run, -1, 64010)
    status, mark, sentence = check(log, run / "s")
    assert (status, mark) == (0, "note")
    assert "group 64010" in sentence and "www-data" in sentence and "2770" in sentence
    status, mark, sentence = check(log, run / "s", "--listen-mode", "0600")
    assert (status, mark) == (0, "note") and "only root can connect" in sentence


@pytest.mark.parametrize("prefix", ["unix:", "unix://"])
def test_address_syntax_of_other_servers(launch, log, run, prefix):
    path = run / "s"
    status, mark, sentence = check(log, f"{prefix}{path}")
    assert (status, mark) == (0, "ok") and f" {path} " in sentence, sentence
    launch("--listen", f"{prefix}{path}", how=None, address=path).serves(log)


def test_missing_directory(log, workdir):
    assert_wrong(check(log, workdir / "nosuch" / "s"), workdir / "nosuch", "No such file")
    assert_refused(log, workdir / "nosuch" / "s", "directory")


def test_directory_that_is_a_file(log, workdir):
    (workdir / "letter").touch()
    path = workdir / "letter" / "s"
    assert_wrong(check(log, path), workdir / "letter", "not a directory")
    assert_refused(log, path, "directory")


@pytest.mark.parametrize("name", ["s", "s~"])
def test_file_in_the_way(log, workdir, name):
    (workdir / name).write_text("letters")
    before = everything(workdir)
    assert_wrong(check(log, workdir / "s"), workdir / name, "not a socket")
    assert_refused(log, workdir / "s", workdir / name)
    assert everything(workdir) == before


def test_path_too_long(log, workdir):
    path = str(workdir / "s").ljust(107, "s")
    done = rowtail.run("--check", "--db", log.path, "--listen", path)
    assert done.returncode == os.EX_USAGE and "106 bytes" in done.stderr
    assert check(log, path[:106])[0] == 0


@pytest.fixture
def as_user(workdir):
    """A command that runs rowtail as a user who owns nothing here."""
    if os.geteuid():
        pytest.skip("only root can be several users")
    binary = workdir / "rowtail"
    binary.write_bytes(rowtail.BINARY.read_bytes())
    binary.chmod(0o755)
    workdir.chmod(0o755)
    who = [f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    return ["/usr/bin/setpriv", *who, binary]


def test_unwritable_directory(log, workdir, as_user):
    log.path.chmod(0o666)
    place = workdir / "run"
    place.mkdir()
    assert_wrong(check(log, place / "s", command=as_user), f"user {USER}", place, "may not write")
    place.chmod(0o777)
    assert check(log, place / "s", command=as_user)[1] != "WRONG"


def test_socket_of_another_user_in_a_sticky_directory(log, workdir, as_user):
    place = workdir / "tmp"
    place.mkdir()
    place.chmod(0o1777)
    rowtail.listening_socket(place / "s").close()
    (place / "s").chmod(0o666)
    assert_wrong(check(log, place / "s", command=as_user), place / "s", "left by root", "remove it")


def test_read_only_file_system(log, workdir):
    disk = workdir / "disk"
    disk.mkdir()
    with mounted(disk, "-t", "tmpfs", "-o", "ro", "tmpfs"):
        assert_wrong(check(log, disk / "s"), disk, "Read-only file system")


def test_running_service_is_not_disturbed(server, log):
    with server.open() as peer:
        before = everything(server.address.parent), server.metric("rowtail_streams_total")
        status, mark, sentence = check(log, server.address)
        assert (status, mark) == (0, "note")
        assert f"process {server.pid} (rowtail" in sentence and "now" in sentence, sentence
        assert server.metric("rowtail_streams_total") == before[1]
        assert everything(server.address.parent) == before[0]
        log.insert("hello")
        assert peer.next_row().data == "hello"
    server.serves(log)
    assert len(server.lines_but_ends()) == 1


def test_running_service_started_by_its_config_file(launch, log, workdir):
    """A CONFIG file that begins with #! is the program, so the process has another name."""
    path = workdir / "s"
    config = workdir / "events.fcgi"
    config.write_text(f"#!{rowtail.BINARY}\ndb = {log.path}\nlisten = {path}\n")
    config.chmod(0o755)
    launch(how=None, db=None, program=config, address=path)
    assert check(log, path)[:2] == (0, "note")


def test_stale_socket(server, log):
    server.kill()
    status, mark, sentence = check(log, server.address)
    assert status == 0 and "can be made" in sentence, sentence
    assert server.address.exists()


def test_socket_of_another_program(log, workdir):
    with contextlib.closing(rowtail.listening_socket(workdir / "s")):
        assert_wrong(check(log, workdir / "s"), f"process {os.getpid()} (", workdir / "s")
        assert_refused(log, workdir / "s", workdir / "s")


@pytest.mark.parametrize("form", [":{}", "127.0.0.1:{}", "tcp:127.0.0.1:{}", "localhost:{}"])
def test_free_port(log, form):
    status, mark, _ = check(log, form.format(ports.free_port()))
    assert (status, mark) == (0, "ok")


def test_port_of_another_program(log):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "127.0.0.1:{}".format(taken.getsockname()[1])
        assert_wrong(check(log, address), f"process {os.getpid()} (", address)
        assert_refused(log, address, address)


def test_port_of_the_running_service(launch, log):
    port = ports.free_port()
    running = launch("--listen", f":{port}", how=None, address=("127.0.0.1", port))
    status, mark, sentence = check(log, f"127.0.0.1:{port}")
    assert (status, mark) == (0, "note") and f"process {running.pid} (" in sentence
    running.serves(log)


def test_address_not_on_this_machine(log):
    assert_wrong(check(log, "192.0.2.1:9000"), "192.0.2.1:9000", "does not have this address")


def test_unknown_host_name(log):
    assert_wrong(check(log, "nosuch.invalid:9000"), "nosuch.invalid:9000")


def test_address_open_to_everyone(log):
    status, mark, sentence = check(log, f"0.0.0.0:{ports.free_port()}")
    assert (status, mark) == (0, "note") and "other machines" in sentence


def test_mode_open_to_everyone(log, workdir):
    status, mark, sentence = check(log, workdir / "s", "--listen-mode", "0666")
    assert (status, mark) == (0, "note") and "0666" in sentence and "every user" in sentence


def test_check_as_root_says_so(log):
    if os.geteuid():
        pytest.skip("only for root")
    os.chown(log.path, USER, USER)
    done = rowtail.run("--check", "--db", log.path)
    assert re.search("(?m)^note .*as root", done.stdout), done.stdout


def test_check_shows_the_age_of_the_newest_row(log):
    """This shows the user that the writers use another file."""
    said = rowtail.run("--check", "--db", log.path).stdout
    assert f"no rows yet, and the file is {log.path}" in said
    log.insert("hello")
    written = log.sql("SELECT created_at FROM events")[0][0]
    assert f"newest 1, of {written}" in rowtail.run("--check", "--db", log.path).stdout


def test_grants_of_the_applications_own(log):
    log.sql("DROP TABLE grants")
    log.sql("CREATE TABLE grants(id INTEGER PRIMARY KEY, amount REAL)")
    done = rowtail.run("--check", "--db", log.path)
    assert done.returncode == os.EX_CONFIG
    assert "grants is the application's own" in done.stdout
    assert rowtail.run("--check", "--db", log.path, "--public").returncode == 0


def test_a_tracked_table_whose_columns_changed(log):
    log.sql("CREATE TABLE orders(id INTEGER PRIMARY KEY, note)")
    printed = rowtail.run("--db", log.path, "--track", "orders").stdout
    subprocess.run(["sqlite3", log.path], input=printed, text=True, check=True)
    done = rowtail.run("--check", "--db", log.path, "--public")
    assert (done.returncode, "orders is tracked" in done.stdout) == (0, True)
    log.sql("ALTER TABLE orders ADD COLUMN total")
    done = rowtail.run("--check", "--db", log.path, "--public")
    assert done.returncode == os.EX_CONFIG
    assert "the columns of orders have changed" in done.stdout and "--track orders" in done.stdout
