"""How rowtail starts: the sockets it can get, and its messages when it cannot start."""

import os
import re
import socket
import stat
import subprocess

import pytest

import database
import ports
import rowtail
import stream

OPTIONS = """--db --table --listen --listen-mode --poll --heartbeat --retry --retry-jitter
    --max-stream-age --processes --max-streams --max-streams-per-client --stall-timeout --max-replay
    --allow-origin --public --allow-query-token --jwt-key --jwt-algorithm --log-level --check
    --version --help""".split()


# Sockets.


@pytest.mark.parametrize("how", ["listen", "fd0", "systemd"])
def test_socket(launch, log, how):
    launch(how=how).serves(log)


@pytest.mark.parametrize("form", ["127.0.0.1:{}", ":{}", "127.1:{}", "localhost:{}", "LOCALHOST:{}"])
def test_listen_on_tcp(launch, log, form):
    port = ports.free_port()
    process = launch("--listen", form.format(port), how=None, address=("127.0.0.1", port))
    process.serves(log)
    with pytest.raises(ConnectionRefusedError):  # only on the given address
        stream.connect(("127.0.0.2", port))


def on_ipv6(port):
    """A socket that is bound to ::1."""
    try:
        probe = socket.socket(socket.AF_INET6)
        probe.bind(("::1", port))
    except OSError:
        pytest.skip("this machine has no ::1")
    return probe


@pytest.mark.parametrize("form", ["[::1]:{}", ":{}"])
def test_listen_on_ipv6(launch, log, form):
    """:PORT, too: some clients take only the first address of localhost."""
    port = ports.free_port()
    on_ipv6(port).close()
    launch("--listen", form.format(port), how=None, address=("::1", port)).serves(log)


def test_a_port_that_is_in_use_on_ipv6_alone(launch, log):
    port = ports.free_port()
    with on_ipv6(port) as other:
        other.listen()
        checked = rowtail.run("--db", log.path, "--check", "--listen", f":{port}")
        assert f":{port} is free" in checked.stdout
        launch("--listen", f":{port}", how=None, address=("127.0.0.1", port)).serves(log)


HOSTS = """
# Comments, and a line without names, are ignored.
192.0.2.1
192.0.2.1	other.example name    # name2
127.0.0.1 name
127.0.0.1 again NAME
127.0.0.2\tname.example\tname
not-an-address name
"""


@pytest.fixture
def hosts(workdir):
    """hosts(OPTION...) gives the command that runs rowtail with its own /etc/hosts."""
    path = workdir / "hosts"
    path.write_text(HOSTS)
    script = 'mount --bind "$0" /etc/hosts && exec "$@"'

    def command(*options):
        return ["unshare", "--mount", "/bin/sh", "-c", script, path, rowtail.BINARY, *options]

    if subprocess.run(command("--version"), capture_output=True, check=False).returncode:
        pytest.skip("may not mount here")
    return command


def run_in(command):
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=20, check=False
    )


def test_listen_on_every_address_of_a_name(launch, log, hosts):
    """localhost is ::1 and 127.0.0.1: a web server may use either."""
    port = ports.free_port()
    program, *words = hosts("--db", log.path, "--listen", f"name:{port}")
    process = launch(*words, db=None, how=None, program=program, address=("127.0.0.1", port))
    process.serves(log)
    process.address = ("127.0.0.2", port)
    process.serves(log)
    assert "other machines" in process.stderr  # 192.0.2.1 would be one of those


def test_port_in_use_on_one_address_of_a_name(log, hosts):
    with socket.create_server(("127.0.0.2", 0)) as taken:
        option = f"name:{taken.getsockname()[1]}"
        done = run_in(hosts("--db", log.path, "--listen", option))
    assert done.returncode == os.EX_CONFIG
    assert option in done.stderr


@pytest.mark.parametrize("name", ["name2", "nam", "other", "rowtail.example", "999.1.1.1"])
def test_unknown_host_name(log, hosts, name):
    """rowtail asks no name server, which might let it wait."""
    option = f"{name}:{ports.free_port()}"
    for more in [], ["--check"]:
        done = run_in(hosts("--db", log.path, "--listen", option, *more))
        assert done.returncode == os.EX_CONFIG
        wanted = f"listen: {option}: {name} is not an address, and not a name in /etc/hosts"
        assert wanted in done.stderr + done.stdout and "listen: listen" not in done.stderr


@pytest.mark.parametrize("mode, expected", [(None, 0o660), ("0600", 0o600), ("0666", 0o666)])
def test_listen_mode_ignores_the_umask(launch, mode, expected):
    before = os.umask(0o077)
    try:
        process = launch(*(["--listen-mode", mode] if mode else []))
    finally:
        os.umask(before)
    assert stat.S_IMODE(process.address.stat().st_mode) == expected


def test_live_socket_is_not_stolen(server, log):
    second = rowtail.run("--db", log.path, "--listen", server.address)
    assert second.returncode != 0
    assert str(server.address) in second.stderr
    server.serves(log)


def test_stale_socket_is_replaced(server, log):
    server.kill()
    assert server.address.exists()
    server.restart()
    server.serves(log)


SLOW_RENAME = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
int rename(const char *from, const char *to)
{
	int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");

	usleep(400000);
	return real(from, to);
}
"""


@pytest.mark.parametrize("stale", [False, True])
def test_only_one_of_two_simultaneous_starts_serves(log, workdir, stale):
    """The other must not serve where nobody can reach it; here both would be ready at the same moment."""
    library, path = workdir / "slow.so", workdir / "s"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-o", library, "-"]
    subprocess.run(command, input=SLOW_RENAME, text=True, check=True)
    if stale:
        rowtail.listening_socket(path).close()
    env = {"LD_PRELOAD": str(library), "ASAN_OPTIONS": "verify_asan_link_order=0"}
    how = {"how": None, "address": path, "env": env}
    options = ["--db", log.path, "--listen", path]
    both = [rowtail.Rowtail(workdir, options, **how).start(wait=False) for _ in range(2)]
    try:
        said = [process.wait_log("follows|another process")[0] for process in both]
        assert sorted(said) == ["another process", "follows"]
        both[said.index("another process")].wait_exit()
        both[said.index("follows")].serves(log)
    finally:
        for process in both:
            process.cleanup()


def test_file_at_the_socket_path_is_kept(workdir, log):
    precious = workdir / "precious"
    precious.write_text("letters")
    done = rowtail.run("--db", log.path, "--listen", precious)
    assert done.returncode != 0
    assert str(precious) in done.stderr
    assert precious.read_text() == "letters"


def test_file_beside_the_socket_is_kept(workdir, log):
    """The socket is created as PATH~, and an editor may have left a file of that name."""
    precious = workdir / "s~"
    precious.write_text("letters")
    done = rowtail.run("--db", log.path, "--listen", workdir / "s")
    assert done.returncode == os.EX_CONFIG
    assert str(precious) in done.stderr
    assert precious.read_text() == "letters"


@pytest.mark.parametrize("where", ["nosuch/s", "events.db/s"])
def test_directory_of_the_socket_is_missing(workdir, log, where):
    done = rowtail.run("--db", log.path, "--listen", workdir / where)
    assert done.returncode == os.EX_CONFIG
    assert where in done.stderr and "directory" in done.stderr, done.stderr


@pytest.mark.parametrize("form", [":{}", "127.0.0.1:{}"])
@pytest.mark.parametrize("option", ["--listen", "--http", "--pages"])
def test_port_in_use(log, option, form):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = form.format(taken.getsockname()[1])
        done = rowtail.run("--db", log.path, option, address)
    assert done.returncode == os.EX_CONFIG
    assert re.search(rf"process {os.getpid()} \(.+\) listens on {address}; .* another port", done.stderr), done.stderr


@pytest.mark.parametrize("options", [["--http", "--http"], ["--http", "--pages"], ["--listen", "--http"]])
@pytest.mark.parametrize("unix", [False, True])
def test_address_is_given_twice(workdir, log, options, unix):
    address = str(workdir / "twice.sock") if unix else f":{ports.free_port()}"
    for more in [], ["--check"]:
        done = rowtail.run("--db", log.path, options[0], address, options[1], address, *more)
        assert done.returncode == os.EX_CONFIG
        assert f"{address} is given twice; give each" in done.stderr + done.stdout


def test_port_is_given_in_two_ways(log):
    port = ports.free_port()
    done = rowtail.run("--db", log.path, "--http", f"127.0.0.1:{port}", "--pages", f":{port}")
    assert done.returncode == os.EX_CONFIG
    assert f"this rowtail already listens on port {port}" in done.stderr


def test_address_of_another_machine(log):
    done = rowtail.run("--db", log.path, "--http", "192.0.2.1:8080")
    assert done.returncode == os.EX_CONFIG
    assert "this machine does not have this address; give one that it has, or :8080" in done.stderr


def test_listening_descriptor_overrides_cgi_variables(launch, log):
    """A web server that was itself started as a CGI program passes its environment on."""
    launch(how="fd0", env={"GATEWAY_INTERFACE": "CGI/1.1"}).serves(log)


def test_descriptors_for_another_process_are_ignored(log):
    done = rowtail.run("--db", log.path, env={"LISTEN_FDS": "1", "LISTEN_PID": "1"})
    assert done.returncode == os.EX_USAGE


# Messages.


def test_start_by_hand_explains_the_three_ways(log):
    done = rowtail.run("--db", log.path)
    assert done.returncode == os.EX_USAGE
    for word in ("web server", "--listen", "CGI", "spawn-fcgi"):
        assert word in done.stderr


@pytest.mark.parametrize(
    "variables, status, word",
    [
        ({}, os.EX_USAGE, "nothing to serve"),
        ({"ROWTAIL_LISTEN": "/nowhere/s"}, os.EX_USAGE, "no database"),
        ({"ROWTAIL_LISTEN": "/nowhere/s", "ROWTAIL_POLL": "fast"}, os.EX_CONFIG, 'ROWTAIL_POLL "fast"'),
        ({"ROWTAIL_LISTEN": "/nowhere/s", "ROWTAIL_POOL": "9"}, os.EX_CONFIG, "ROWTAIL_POOL"),
    ],
)
def test_settings_from_the_environment_alone(variables, status, word):
    """As in a container: the message names the setting that is wrong."""
    done = rowtail.run(env=variables)
    assert done.returncode == status
    assert word in done.stderr


def test_help_names_every_option():
    done = rowtail.run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert [option for option in OPTIONS if option not in done.stdout] == []


def test_version():
    done = rowtail.run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("rowtail ")


def refused(status, words, *arguments, **how):
    """rowtail exits with this status, and its message contains these words."""
    done = rowtail.run(*arguments, **how)
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    for word in words:
        assert str(word) in done.stderr, f"{word!r} is not in {done.stderr!r}"


def test_database_option_is_missing(workdir):
    refused(os.EX_USAGE, ["--db"], "--listen", workdir / "s")


def test_unknown_option(workdir):
    refused(os.EX_USAGE, ["--max-stream", "--max-streams"], "--max-stream", 5)


@pytest.mark.parametrize(
    "option, value",
    [
        ("--poll", "fast"),
        ("--poll", "0"),
        ("--poll", ""),
        ("--heartbeat", "-1"),
        ("--max-streams", "99999999999999999999"),
        ("--max-streams", "0x10"),
        ("--listen-mode", "0999"),
        ("--listen", "nowhere"),
        ("--listen", "localhost:99999"),
        ("--log-level", "loud"),
        ("--allow-origin", "example.com/path"),
        ("--allow-origin", "https://example.com/path"),
        ("--allow-origin", "https://*.example.com"),
        ("--allow-origin", "https://b\u00fccher.example"),
        ("--allow-origin", "file:///home"),
        ("--allow-origin", "http://127.1"),
    ],
)
def test_invalid_value(log, option, value):
    refused(os.EX_USAGE, [option], "--db", log.path, option, value)


def test_missing_value(log):
    refused(os.EX_USAGE, ["--poll"], "--db", log.path, "--poll")


def test_database_file_is_missing(workdir):
    path = workdir / "nosuch.db"
    refused(os.EX_NOINPUT, [path], "--db", path, "--listen", workdir / "s")
    assert not path.exists()
    assert not (workdir / "s").exists()


def test_database_without_the_table(workdir):
    path = workdir / "empty.db"
    with database.Database(path) as made:
        made.sql("CREATE TABLE other(x)")
    refused(
        os.EX_CONFIG,
        [path, "events", "sqlite3", "rowtail.sql"],
        *("--db", path, "--listen", workdir / "s"),
    )


def test_table_without_the_columns(workdir):
    path = workdir / "odd.db"
    with database.Database(path) as made:
        made.sql("CREATE TABLE odd(id INTEGER PRIMARY KEY, text TEXT)")
    refused(
        os.EX_CONFIG, ["odd", "data"], "--db", path, "--table", "odd", "--listen", workdir / "s"
    )


def test_file_is_not_a_database(workdir):
    path = workdir / "letter.db"
    path.write_text("Dear database, " * 100)
    refused(os.EX_CONFIG, [path], "--db", path, "--listen", workdir / "s")


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_non_database_is_not_reported_as_a_permission_problem(workdir, kind):
    path = workdir / kind
    path.mkdir() if kind == "directory" else path.write_bytes(b"rubbish " * 200)
    done = rowtail.run("--db", path, "--listen", workdir / "s")
    assert done.returncode == os.EX_CONFIG
    words = {"file": "is it the right file?", "directory": "is a directory: give the path of the database in it"}
    assert f"{path} " in done.stderr and words[kind] in done.stderr
    assert "must be able to" not in done.stderr


def test_check_of_a_good_setup(log):
    done = rowtail.run("--check", "--db", log.path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_check_of_a_database_without_the_table(workdir):
    path = workdir / "empty.db"
    with database.Database(path) as made:
        made.sql("CREATE TABLE other(x)")
    done = rowtail.run("--check", "--db", path)
    assert done.returncode != 0
    assert "rowtail.sql" in done.stdout + done.stderr


def test_check_notes_the_journal_mode(log):
    log.sql("PRAGMA journal_mode=DELETE")
    done = rowtail.run("--check", "--db", log.path)
    assert "WAL" in (done.stdout + done.stderr).upper()
