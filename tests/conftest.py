"""What all tests in Python share: the path to tests/lib, fixtures that clean up after a test."""

import pathlib
import shutil
import signal
import sys
import tempfile

sys.dont_write_bytecode = True
# On a signal, as on Ctrl-C, the fixtures clean up.
signal.signal(signal.SIGTERM, signal.default_int_handler)
sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))

import pytest  # noqa: E402

import database  # noqa: E402
import postgresql  # noqa: E402
import rowtail  # noqa: E402


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


@pytest.fixture
def log(workdir, empty_log):
    """An empty event log for this test."""
    path = workdir / "events.db"
    shutil.copyfile(empty_log, path)
    with database.Database(path) as opened:
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
    if postgresql.BIN is None:
        pytest.skip("this release has no PostgreSQL 14 or newer")
    with postgresql.Cluster() as started:
        yield started
