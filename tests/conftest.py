"""What all tests in Python share: the path to tests/lib, fixtures that clean up after a test."""

import os
import pathlib
import shutil
import signal
import sys
import tempfile

# Beside the sources there is no bytecode. In build/ the processes that run side by side share it.
sys.pycache_prefix = str(pathlib.Path(__file__).parents[1] / "build" / "pycache")
sys.dont_write_bytecode = False
# On a signal, as on Ctrl-C, the fixtures clean up.
signal.signal(signal.SIGTERM, signal.default_int_handler)
# Under nohup, every program that the tests start would ignore it.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))

import pytest  # noqa: E402

import database  # noqa: E402
import mirror  # noqa: E402
import postgresql  # noqa: E402
import rowtail  # noqa: E402
import schema  # noqa: E402

# Where files run side by side, these take longest (seconds, on a quiet machine) and begin first, so that none is alone at
# the end. New ones: `pytest --durations=0`, or the last lines that a part of make test waits for.
LONG_FILES_S = {
    "integration/test_revocation.py": 70,
    "integration/test_faults_database.py": 70,
    "integration/test_track.py": 55,
    "integration/test_mirror_server.py": 55,
    "integration/test_trouble.py": 55,
    "integration/test_mirror_failover.py": 50,
    "integration/test_track_hostile.py": 50,
    "integration/test_mirror.py": 50,
    "integration/test_faults_memory.py": 50,
    "integration/test_faults_http.py": 45,
    "integration/test_sqlite_versions.py": 45,
    "integration/test_doctor_program.py": 45,
    "integration/test_limits.py": 45,
    "integration/test_pauses.py": 45,
    "integration/test_publishers.py": 40,
    "integration/test_mirror_file.py": 35,
    "integration/test_mirror_cluster.py": 15,
    "integration/test_doctor_hostile.py": 35,
    "integration/test_json_adverse.py": 30,
    "integration/test_http_hostile.py": 25,
    "integration/test_doctor_busy.py": 50,
    "integration/test_track_applications.py": 20,
    "integration/test_wakeup.py": 20,
    "servers/test_reload.py": 125,
    "servers/test_proxies.py": 120,
    "servers/test_sites_apache.py": 100,
    "servers/test_doctor.py": 95,
    "servers/test_mount.py": 95,
    "servers/test_access_servers.py": 90,
    "servers/test_restarts.py": 80,
    "servers/test_hosting_setup.py": 65,
    "servers/test_deploy_pages.py": 65,
    "servers/test_doctor_nginx.py": 60,
    "servers/test_apache.py": 60,
    "servers/test_sites_nginx.py": 60,
    "servers/test_stream.py": 55,
    "servers/test_doctor_apache.py": 55,
    "servers/test_down.py": 45,
    "servers/test_load.py": 45,
    "servers/test_units_booted.py": 35,
    "servers/test_doctor_varnish.py": 30,
    "servers/test_doctor_caddy.py": 25,
    "servers/test_sites_lighttpd.py": 25,
    "servers/test_publish.py": 25,
    "servers/test_doctor_lighttpd.py": 20,
    "servers/test_eventsource.py": 20,
}


def pytest_collection_modifyitems(items):
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: -LONG_FILES_S.get("/".join(item.path.parts[-2:]), 0))


@pytest.fixture
def workdir():
    """A directory for this test, with a path short enough for unix sockets."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="rt-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def empty_log():
    """An event log that everyone may read, created once as the README says; tests copy it."""
    with tempfile.TemporaryDirectory(prefix="rt-") as directory:
        path = pathlib.Path(directory) / "events.db"
        with database.Database.create(path) as made:
            made.grant("*", "*")
        yield path


@pytest.fixture(scope="session")
def fresh():
    """fresh(path, "rowtail.sql", …): a database in which these files of schema/ have run. They run once; it is a copy."""
    with tempfile.TemporaryDirectory(prefix="rt-") as directory:
        made = {}

        def make(path, *names):
            if names not in made:
                made[names] = pathlib.Path(directory) / f"{len(made)}.db"
                schema.set_up(made[names], *names)
            shutil.copyfile(made[names], path)

        yield make


@pytest.fixture
def log(workdir, empty_log):
    """An empty event log for this test."""
    path = workdir / "events.db"
    shutil.copyfile(empty_log, path)
    with database.Database(path) as opened:
        opened.sql("PRAGMA synchronous = OFF")  # tests end processes, not the machine
        yield opened


@pytest.fixture
def launch(workdir, log):
    """launch("--heartbeat", 1, …) starts rowtail on the log; everything it starts ends with the test."""

    def make(*arguments, db=log, **how):
        options = ["--db", db.path] if db is not None else []
        return rowtail.Rowtail(workdir, [*options, *arguments], **how)

    with rowtail.launching(make) as start:
        yield start


@pytest.fixture
def server(launch):
    """rowtail with its defaults on a fresh unix socket."""
    return launch()


@pytest.fixture(scope="session")
def cluster():
    """A PostgreSQL server for all tests of this process; each makes a database of its own in it."""
    with postgresql.running() as started:
        yield started


@pytest.fixture
def pg(cluster):
    """An empty log in PostgreSQL that everyone may read."""
    log = mirror.Log(cluster)
    log.grant()
    yield log
    log.close()


@pytest.fixture
def keep(workdir):
    """keep(dsn, "--poll", 20, …) starts rowtail-mirror; everything it starts ends with the test."""
    with mirror.keeping(workdir) as start:
        yield start


@pytest.fixture
def serve(workdir):
    """serve(mirror, …) starts rowtail beside a mirror."""
    with mirror.serving(workdir) as start:
        yield start
