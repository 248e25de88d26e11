"""Sites for the tests, each in a directory that the web server's user may enter."""

import contextlib
import functools
import hashlib
import pathlib
import shutil
import tempfile

import pytest

import database
import httpserver
import proxies
from deployment import BY_HTTP, DEPLOYMENTS, Site
from packages import missing, need
from webserver import give

TOKEN = "a-token-for-one-channel"
ORIGIN = "https://app.example.org"  # the port in lighttpd's files

# Makes mod_fcgid end processes sooner, so that tests need not wait for it.
HASTE = {
    "FcgidIdleTimeout 30": "FcgidIdleTimeout 1",
    "FcgidIdleScanInterval 10": "FcgidIdleScanInterval 1",
}


def pytest_configure(config):
    config.addinivalue_line("markers", "deployments(*names): the deployments a test is for")


def pytest_generate_tests(metafunc):
    """A test with the parameter `deployment` runs once for each, or for those of its mark."""
    if "deployment" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("deployments")
        metafunc.parametrize("deployment", only.args if only else DEPLOYMENTS)


def is_here(name):
    """Whether this release of Debian has the deployment's server."""
    server = DEPLOYMENTS[name].server
    if name in BY_HTTP and not httpserver.is_built():
        return False
    return not missing(server.program, server.package)


@pytest.fixture(autouse=True)
def only_what_is_here(request):
    """Skips tests of servers that this release of Debian does not have."""
    chosen = getattr(request.node, "callspec", None)
    for parameter in ("deployment", "inner"):
        if chosen and parameter in chosen.params:
            server = DEPLOYMENTS[chosen.params[parameter]].server
            need(server.program, server.package)
            if chosen.params[parameter] in BY_HTTP and not httpserver.is_built():
                pytest.skip("built without llhttp")
    if chosen and "outer" in chosen.params:
        server = proxies.PROXIES[chosen.params["outer"]]
        need(server.program, server.package)


@contextlib.contextmanager
def directory():
    """A directory with a short path that everyone may traverse."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="rt-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@functools.cache
def _empty_log():
    """The content of an event log, created as the README says, once in each process."""
    with tempfile.TemporaryDirectory(prefix="rt-") as place:
        path = pathlib.Path(place) / "events.db"
        database.Database.create(path).close()
        return path.read_bytes()


def make_log(path):
    """An event log that belongs to the web server's user."""
    place = path / "db"
    place.mkdir()
    file = place / "events.db"
    file.write_bytes(_empty_log())
    give(place, file)
    return database.Database(file)


class Builder(contextlib.ExitStack):
    """Makes sites, and stops them all at the end."""

    def __call__(self, name, *, log=None, edits=None, server=None, changed=None, **settings):
        deployment = changed or DEPLOYMENTS[name]
        need(deployment.server.program, deployment.server.package)
        if server:
            deployment = deployment._replace(server=server)
        path = self.enter_context(directory())
        log = log or self.log(path)
        settings = {key.replace("_", "-"): value for key, value in settings.items()}
        site = Site(deployment, path, log, settings, edits)
        self.callback(site.stop)
        return site

    def log(self, path):
        log = make_log(path)
        self.callback(log.close)
        return log

    def proxy(self, name, inner, server=None, **how):
        """Starts a proxy in front of {name: address}; see proxies.Proxied."""
        kind = server or proxies.PROXIES[name]
        proxy = kind(self.enter_context(directory()), inner, **how)
        self.callback(proxy.stop)
        return proxy.start()


@pytest.fixture
def build():
    """build("nginx", heartbeat=1): a site with its own log, not started yet."""
    with Builder() as builder:
        yield builder


@pytest.fixture(scope="module")
def shared_log():
    """A log that all sites of one module read; each test uses its own channels."""
    with directory() as path:
        log = make_log(path)
        log.grant("*", "open/*")
        log.grant("token:" + hashlib.sha256(TOKEN.encode()).hexdigest(), "secret/*")
        yield log
        log.close()


@pytest.fixture(scope="module")
def fleet(shared_log):
    """fleet(name): a site that starts once for the module and keeps running."""
    settings = {"heartbeat": 1, "public": None, "allow_origin": ORIGIN}
    with Builder() as builder:
        running = {}

        def get(name):
            if name not in running:
                edits = HASTE if name == "apache-fcgid" else {}
                running[name] = builder(name, log=shared_log, edits=edits, **settings).start()
            return running[name]

        yield get


@pytest.fixture
def site(fleet, deployment):
    """A running site; the fixture closes the test's requests."""
    running = fleet(deployment)
    yield running
    running.hang_up()


@pytest.fixture
def channel(request):
    """A channel for this test, which everyone may read."""
    return "open/" + request.node.name.replace("[", "/").rstrip("]")
