"""Sites for the tests: each has a directory that the web server's user may enter."""

import contextlib
import pathlib
import shutil
import tempfile

import pytest

import database
from deployment import DEPLOYMENTS, Site
from webserver import give


@contextlib.contextmanager
def directory():
    """A short path, which everyone may pass."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="rt-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def make_log(path):
    """An event log that belongs to the web server's user."""
    place = path / "db"
    place.mkdir()
    log = database.Database.create(place / "events.db")
    give(place, *place.iterdir())
    return log


@pytest.fixture
def build():
    """build("nginx") makes a site with a log of its own; build("nginx", setting=…) changes it."""
    with contextlib.ExitStack() as stack:

        def make(name, *, log=None, edits=None, **settings):
            path = stack.enter_context(directory())
            log = log or make_log(path)
            stack.callback(log.close)
            settings = {key.replace("_", "-"): value for key, value in settings.items()}
            site = Site(DEPLOYMENTS[name], path, log, settings, edits)
            stack.callback(site.stop)
            return site

        yield make


def pytest_configure(config):
    config.addinivalue_line("markers", "deployments(*names): the deployments a test is for")


def pytest_generate_tests(metafunc):
    """A test that takes `deployment` runs once for each, or for those of its mark."""
    if "deployment" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("deployments")
        names = only.args if only else DEPLOYMENTS
        metafunc.parametrize("deployment", names)
