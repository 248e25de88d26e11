"""Each way of putting rowtail behind a web server, as deploy/ describes it, adapted to run here.

A Deployment names the file of deploy/ and its special features; a Site is a running one.
"""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import time
from typing import NamedTuple

import httpc
import httpserver
import rowtail
import stream
import webserver
from webserver import USER, as_user, deployed, give


class Deployment(NamedTuple):
    """name: its name in the tests; server, file: the server and its configuration file.

    runs      "service": rowtail runs on its own and listens; "spawned": the web server starts it and it
              listens; "each": every stream is a separate process
    edits     further replacements in the file, besides the paths
    mount     the URL of the stream
    http      the web server reaches rowtail by HTTP: "tcp" or "unix" (--http); None: by FastCGI
    """

    name: str
    server: type
    file: str
    runs: str = "service"
    edits: dict = {}
    mount: str = "/events"
    http: str = None


class ApacheProxy(webserver.Apache):
    """Apache with the file inside its virtual hosts."""

    def configure(self, configuration):
        self.inside = configuration
        super().configure("\n".join(re.findall(r"(?m)^#\s+a2enmod .*$", configuration)))


# make test-all sets it: tests take all combinations.
FULL = os.environ.get("TEST_FULL") == "1"
UNIX = "proxy:unix:/run/rowtail/rowtail.sock|fcgi://rowtail"
BIN_PATH = '"bin-path" => "/usr/local/bin/rowtail /etc/rowtail.conf"'
PAGES = '"/rowtail/" => (( "socket" => "/run/rowtail/rowtail.sock"'

# What to change in a file of deploy/proxy for rowtail at a unix socket.
HTTP_UNIX = {
    "nginx": "proxy_pass http://127.0.0.1:8080;",
    "apache": 'ProxyPass "http://127.0.0.1:8080/events" ',
    "haproxy": "server inner 127.0.0.1:8080",
    "caddy": "reverse_proxy 127.0.0.1:8080 {",
    "varnish": '#backend rowtail { .host = "127.0.0.1"; .port = "8080"; }',
}
OWN_BACKEND = {"#set req.backend_hint = rowtail;": "set req.backend_hint = rowtail;"}


def by_http(name, server, file, http, edits=None):
    """A file of deploy/proxy in front of rowtail --http."""
    edits = dict(edits or {})
    tcp = HTTP_UNIX[name]
    if name == "varnish":
        unix = '#backend rowtail { .path = "/run/rowtail/http.sock"; }'
        chosen = unix if http == "unix" else tcp
        edits[chosen] = chosen[1:]
    elif name == "caddy":
        edits |= {tcp: "reverse_proxy unix//run/rowtail/http.sock {"} if http == "unix" else {}
    elif http == "unix":
        unix = {
            "nginx": "proxy_pass http://unix:",
            "apache": 'ProxyPass "unix:',
            "haproxy": "server inner unix@",
        }[name]
        edits |= {f"\t{tcp}": f"\t#{tcp}", f"\t#{unix}": f"\t{unix}"}
    return Deployment(f"{name}-http", server, f"proxy/{file}", edits=edits, http=http)


DEPLOYMENTS = {
    deployment.name: deployment
    for deployment in [
        Deployment("apache", webserver.Apache, "apache/proxy-fcgi.conf"),
        Deployment(
            "apache-tcp",
            webserver.Apache,
            "apache/proxy-fcgi.conf",
            edits={
                f'"{UNIX}"': '"proxy:fcgi://127.0.0.1:9000"',
                '"fcgi://rowtail"': '"fcgi://127.0.0.1:9000"',
            },
        ),
        Deployment("apache-fcgid", webserver.Apache, "apache/fcgid.conf", "each"),
        Deployment(
            "apache-cgid",
            webserver.SharedApache,
            "shared-hosting/.htaccess",
            "each",
            mount="/events/events.cgi",
        ),
        Deployment("lighttpd", webserver.Lighttpd, "lighttpd/fastcgi.conf"),
        Deployment(
            "lighttpd-spawn",
            webserver.Lighttpd,
            "lighttpd/fastcgi.conf",
            "spawned",
            edits={f"#{BIN_PATH}": BIN_PATH, PAGES: PAGES.replace(".sock", ".sock-0")},
        ),
        Deployment("lighttpd-cgi", webserver.Lighttpd, "lighttpd/cgi.conf", "each"),
        Deployment("nginx", webserver.Nginx, "nginx/fastcgi.conf"),
        Deployment("nginx-fcgiwrap", webserver.Nginx, "nginx/fcgiwrap.conf", "each"),
        Deployment("caddy", webserver.Caddy, "caddy/Caddyfile"),
        Deployment("haproxy", webserver.HAProxy, "haproxy/rowtail.cfg"),
        by_http("nginx", webserver.Nginx, "nginx.conf", "tcp"),
        by_http("apache", ApacheProxy, "apache.conf", "unix"),
        by_http("caddy", webserver.Caddy, "Caddyfile", "unix"),
        by_http("haproxy", webserver.HAProxy, "haproxy.cfg", "tcp"),
        by_http("varnish", webserver.Varnish, "varnish.vcl", "tcp", OWN_BACKEND),
    ]
}
BY_FASTCGI = [name for name, one in DEPLOYMENTS.items() if not one.http]
BY_HTTP = [name for name, one in DEPLOYMENTS.items() if one.http]


def other_transport(name):
    """The same deployment with a unix socket in place of TCP, or the other way round."""
    known = DEPLOYMENTS[name]
    http = {"tcp": "unix", "unix": "tcp"}[known.http]
    edits = OWN_BACKEND if name == "varnish-http" else None
    kind, file = name.removesuffix("-http"), known.file.removeprefix("proxy/")
    return by_http(kind, known.server, file, http, edits)


class Site:
    """A web server with rowtail behind it, in its own directory.

    settings: changed or additional lines of rowtail's CONFIG file, by name; None removes one
    """

    def __init__(self, deployment, directory, log, settings=None, edits=None):
        self.deployment = deployment
        self.directory = directory
        self.log = log
        self.rowtail = None
        self.wrapper = None
        self._opened = []
        for name in ("run", "share", "cgi", "home"):
            (directory / name).mkdir(parents=True)
            give(directory / name)
        self.binary = pathlib.Path(shutil.copy(rowtail.BINARY, directory / "rowtail"))
        self.socket = directory / "run" / "rowtail.sock"
        self.config = self._write_config(settings or {})
        for down in ("rowtail-down.asis", "rowtail-down.shtml"):
            shutil.copy(webserver.DEPLOY / down, directory / "share")
        self.configuration = self._configuration(edits or {})
        self.server = deployment.server(directory, self.configuration)
        self._place_programs()

    def _write_config(self, settings):
        """deploy/rowtail.conf with these settings; also the CGI and FastCGI program.

        The file as shipped grants nothing. The tests set public, except those with public=None.
        """
        crowds = {"max-streams": 1000} if self._shared() else {}
        settings = {"public": "yes", **crowds, **settings}
        name = "shared-hosting/events.cgi" if self._shared() else "rowtail.conf"
        defaults = {
            "/home/USER/rowtail/rowtail": self.binary,
            "/home/USER/rowtail/events.db": self.log.path,
        }
        if not self._shared():
            defaults = {
                "/usr/local/bin/rowtail": self.binary,
                "/var/lib/rowtail/events.db": self.log.path,
            }
        lines = deployed(name, defaults).splitlines()
        kept = [line for line in lines if line.partition(" = ")[0] not in settings]
        added = [f"{key} = {value}" for key, value in settings.items() if value is not None]
        path = self.directory / "rowtail.conf"
        path.write_text("\n".join(kept + added) + "\n")
        path.chmod(0o755)
        return path

    def _shared(self):
        return issubclass(self.deployment.server, webserver.SharedApache)

    def _configuration(self, edits):
        """The file of deploy/, with the paths of this directory."""
        text = (webserver.DEPLOY / self.deployment.file).read_text()
        for default, value in {**self.deployment.edits, **edits}.items():
            assert default in text, f"{self.deployment.file} does not say {default!r}"
            text = text.replace(default, value)
        self.address = self.socket
        if self.deployment.name == "apache-tcp" or self.deployment.http == "tcp":
            port = webserver.ports.free_port()
            self.address = ("127.0.0.1", port)
            text = text.replace("127.0.0.1:9000", f"127.0.0.1:{port}")
            text = text.replace("127.0.0.1:8080", f"127.0.0.1:{port}")
            text = text.replace('.port = "8080"', f'.port = "{port}"')
        for default, value in {
            "/run/rowtail/http.sock": self.socket,
            "/run/rowtail/rowtail.sock": self.socket,
            "/run/fcgiwrap.socket": self.directory / "run" / "fcgiwrap.sock",
            "/usr/local/share/rowtail": self.directory / "share",
            "/usr/local/bin/rowtail": self.binary,
            "/etc/rowtail.conf": self.config,
            "/usr/lib/cgi-bin": self.directory / "cgi-bin",
            "/usr/local/lib/rowtail": self.directory / "cgi",
        }.items():
            text = text.replace(default, str(value))
        return text

    def _place_programs(self):
        places = [self.directory / "cgi" / "events.cgi", self.directory / "cgi" / "events.fcgi"]
        if self._shared():
            places = [self.server.www / "events" / "events.cgi"]
            shutil.copy(webserver.DEPLOY / "rowtail-down.asis", places[0].parent)
        told = re.findall(r"^#\s+install .*rowtail\.conf (\S+)", self.configuration, re.M)
        for place in {*places, *map(pathlib.Path, told)}:
            place.parent.mkdir(exist_ok=True)
            shutil.copy(self.config, place)

    # Start and end.

    def start(self):
        if self.deployment.runs == "service":
            self.start_rowtail()
        if self.deployment.name == "nginx-fcgiwrap":
            self.start_wrapper()
        self.server.start()
        return self

    def start_rowtail(self, env=None):
        """rowtail as a service of the web server's user."""
        address = self.address
        listen = "%s:%d" % address if isinstance(address, tuple) else address
        kind, options = rowtail.Rowtail, ["--listen", listen]
        if self.deployment.http:
            kind = httpserver.HttpServer
            proxy = "127.0.0.1" if self.deployment.http == "tcp" else "unix"
            options = ["--http", listen, "--trusted-proxy", proxy]
            options += ["--pages", kind.pages_at(self.directory)]
        if self.deployment.name == "varnish-http":
            options += ["--listen-mode", "0666"]  # Varnish has a user of its own
        words = as_user([self.binary, *options, self.config])
        self.rowtail = kind(
            self.directory, words[1:], how=None, program=words[0], address=address, env=env
        )
        self.rowtail.start()

    def start_wrapper(self):
        """Starts fcgiwrap as the configuration says; Debian's unit passes the options as one word."""
        path = self.directory / "run" / "fcgiwrap.sock"
        (options,) = re.findall(r"DAEMON_OPTS=(.*)", self.configuration)
        command = ["/usr/sbin/fcgiwrap", options, "-s", f"unix:{path}"]
        self.wrapper = webserver.start(as_user(command), self.server.logs / "fcgiwrap.log")
        wait_until(path.exists, "socket of fcgiwrap", self.server.log)

    def stop(self):
        """Ends everything, and checks that rowtail ended cleanly."""
        self.hang_up()
        self.server.stop()
        webserver.end(self.wrapper)
        for pid in self.programs():
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                os.kill(pid, signal.SIGTERM)
        if self.rowtail:
            self.rowtail.assert_clean(self.rowtail.cleanup())

    # Observing it.

    def open(self, query="", *, path="", address=None, **how):
        """Requests a stream, from this server or a proxy; see httpc.open_request()."""
        target = self.deployment.mount + path + ("?" + query if query else "")
        self._opened.append(httpc.open_request(address or self.server.address, target, **how))
        return self._opened[-1]

    def hang_up(self):
        """Closes whatever open() has returned and is still open."""
        while self._opened:
            self._opened.pop().close()

    def follow(self, query="", **how):
        """A stream whose first event, its position, has arrived."""
        opened = self.open(query, **how).wait_head()
        assert opened.head.status == 200, f"{opened.head.raw!r} {self.server.log()}"
        assert opened.next().type == "position"
        return opened

    def programs(self):
        """The rowtail processes of this site, whoever started them."""
        return [pid for pid in _all_pids() if _executable(pid) == str(self.binary)]

    def family(self):
        """All processes of this site."""
        known = {self.server.process.pid, *self.programs()}
        if self.wrapper:
            known.add(self.wrapper.pid)
        return family(known)

    def control(self):
        """Direct access to rowtail's pages, without the web server."""
        if self.rowtail:
            return self.rowtail
        spawned = self.socket.with_name(self.socket.name + "-0")  # lighttpd numbers its sockets
        return rowtail.Rowtail(self.directory, how=None, address=spawned)

    def streams(self):
        """How many streams are open, by rowtail's count or by the number of processes."""
        if self.deployment.runs == "each":
            return len(self.programs())
        return self.control().metric("rowtail_streams")

    def wait_streams(self, count):
        wait_until(lambda: self.streams() == count, f"{count} streams", self.streams)

    def open_files(self):
        """How many descriptors the rowtail processes have open."""
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.programs())

    def memory_kib(self):
        """Memory of all rowtail processes; shared pages count once."""
        return memory_kib(self.family())


def family(known):
    """These processes and all their descendants."""
    known = set(known)
    grown = True
    while grown:
        children = {pid for pid in _all_pids() if _parent(pid) in known}
        grown = not children <= known
        known |= children
    return known


def memory_kib(pids):
    """Memory of these processes; shared pages count once."""
    return sum(map(_pss_kib, pids))


def wait_until(condition, what, now=lambda: "", timeout=stream.DEADLINE):
    """Waits for an outside event that no descriptor reports."""
    deadline, pause_s = time.monotonic() + timeout, 0.02
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {timeout} s: {now()}"
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.2, 0.1)


def _all_pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _executable(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return None


def _parent(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])


def _pss_kib(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return int(text.partition("\nPss:")[2].split()[0])
