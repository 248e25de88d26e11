"""Debian's web servers, each as Debian configures it, with one configuration of deploy/ added.

A server reads Debian's own main configuration with other paths and ports, text compression switched on, and a
TLS port beside the plain one. The file from deploy/ is where its first lines tell the user to copy it. Only
paths, ports and names are replaced in it.
"""

import contextlib
import ctypes
import functools
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time

import packages
import ports
import stream

DEPLOY = pathlib.Path(__file__).parents[2] / "deploy"
AS_ROOT = os.geteuid() == 0
USER = "www-data"
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def deployed(name, replacements):
    """A file of deploy/ with each default replaced; a missing default is a failure."""
    text = (DEPLOY / name).read_text()
    for default, value in replacements.items():
        assert default in text, f"{name} does not say {default!r}"
        text = text.replace(default, str(value))
    return text


@functools.cache
def _certificate():
    """A self-signed certificate for localhost, made once in each process; the contents of the key and of the certificate."""
    with tempfile.TemporaryDirectory() as directory:
        command = (
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
            f"-subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout {directory}/key -out {directory}/cert"
        )
        subprocess.run(command.split(), check=True, capture_output=True)
        return [(pathlib.Path(directory) / name).read_bytes() for name in ("key", "cert")]


def certificate(directory):
    """Writes a certificate for localhost and its key into a directory, once; (key, certificate)."""
    paths = directory / "key.pem", directory / "cert.pem"
    for path, content in zip(paths, _certificate()):
        if not path.exists():
            path.write_bytes(content)
    return paths


def give(*paths):
    """Gives files and directories to the web server's user, if that is not us."""
    if AS_ROOT:
        for path in paths:
            shutil.chown(path, USER, USER)


def as_user(command, user=USER):
    """A command that runs as this user and ends with us."""
    if not AS_ROOT:
        return command
    who = [f"--reuid={user}", f"--regid={user}", "--init-groups", "--pdeathsig=TERM"]
    return ["/usr/bin/setpriv", *who, *map(str, command)]


def start(command, log, env=None):
    """Starts a process that ends with us; its output is appended to a file."""
    with open(log, "ab") as out:
        return subprocess.Popen(
            [str(word) for word in command],
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            preexec_fn=_as_a_service,
        )


def _as_a_service():
    """Between fork and exec: ends with us, and has the descriptor limit of a systemd service."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))


def end(process, timeout=stream.DEADLINE):
    """Sends SIGTERM; then SIGKILL if the process ignores it, and to what it has left behind."""
    if process is None:
        return
    process.terminate()
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class WebServer:
    """One server. A subclass says how it is configured and started.

    directory     its directory, created by the caller
    address       ("127.0.0.1", port), plain HTTP
    tls_address   the same site over TLS and, where the server can, HTTP/2
    program       where Debian's package has put the server
    package       that package; a test is skipped in a release of Debian that does not have it
    around        the rest of the site: further lines of its configuration, in the server's own language.
                  nginx: inside server { }; Caddy: inside the site's block; Apache: after Debian's
                  configuration, outside of the virtual hosts; lighttpd: in a file that is read first;
                  HAProxy: in the frontend, in front of rowtail's lines
    """

    stop_signal = signal.SIGTERM
    program, package = "", ""
    around = ""

    def __init__(self, directory, configuration):
        packages.need(self.program, self.package)
        self.directory = directory
        self.port, self.tls_port = ports.free_port(), ports.free_port()
        self.address = ("127.0.0.1", self.port)
        self.tls_address = ("127.0.0.1", self.tls_port)
        self.www = directory / "www"
        self.logs = directory / "logs"
        for made in (self.www, self.logs, directory / "tmp"):
            made.mkdir(exist_ok=True)
            give(made)
        (self.www / "index.html").write_text("a static page\n")
        self.key, self.certificate = certificate(directory)
        self.process = None
        self.configure(configuration)

    def configure(self, configuration):
        raise NotImplementedError

    def command(self):
        raise NotImplementedError

    def environment(self):
        return {}

    def start(self):
        """Starts the server and waits until it accepts."""
        self.process = start(self.command(), self.logs / "console.log", self.environment())
        deadline = time.monotonic() + stream.DEADLINE
        for address in self.listens():
            while True:
                assert self.process.poll() is None, self.log()
                try:
                    stream.connect(address).close()
                    break
                except ConnectionRefusedError:
                    assert time.monotonic() < deadline, self.log()
                    time.sleep(0.01)
        return self

    def listens(self):
        """The address where it accepts once it is up."""
        return [self.address, self.tls_address]

    def stop(self):
        """Ends it, without waiting for servers that would wait for the end of every stream."""
        end(self.process, timeout=1)

    def reload(self):
        """Does what `systemctl reload` does on Debian: a signal to the main process."""
        self.process.send_signal(self.reload_signal)

    def log(self):
        """Everything in the server's logs."""
        files = sorted(path for path in self.logs.iterdir() if "access" not in path.name)
        return "\n".join(f"{path.name}:\n{path.read_text(errors='replace')}" for path in files)


class Apache(WebServer):
    """apache2 with its event MPM; its /etc/apache2 is rebuilt around Debian's apache2.conf."""

    program, package = "/usr/sbin/apache2", "apache2"
    etc = pathlib.Path("/etc/apache2")
    # What Debian's package enables by default, TLS with HTTP/2, and CGI programs at /cgi-bin/.
    modules = (
        "access_compat alias auth_basic authn_core authn_file authz_core authz_host authz_user "
        "autoindex deflate dir env filter mime mpm_event negotiation reqtimeout setenvif status "
        "ssl http2 cgid"
    ).split()
    allow_override = "None"
    inside = ""  # lines for both virtual hosts
    reload_signal = signal.SIGUSR1  # apachectl graceful

    def configure(self, configuration):
        self.root = self.directory / "apache2"
        enabled = self.root / "mods-enabled"
        for made in (enabled, self.root / "conf-enabled", self.root / "sites-enabled"):
            made.mkdir(parents=True)
        asked_for = re.findall(r"^#\s+a2enmod (.*)$", configuration, re.M)
        for module in [*self.modules, *" ".join(asked_for).split()]:
            self.enable(module, enabled)
        shutil.copy(self.etc / "apache2.conf", self.root)
        (self.root / "ports.conf").write_text("# The site has its own.\n")
        (self.root / "conf-enabled" / "rowtail.conf").write_text(configuration)
        cgi_bin = (self.etc / "conf-available" / "serve-cgi-bin.conf").read_text()
        cgi_bin = cgi_bin.replace("/usr/lib/cgi-bin", str(self.directory / "cgi-bin"))
        (self.root / "conf-enabled" / "serve-cgi-bin.conf").write_text(cgi_bin)
        (self.root / "sites-enabled" / "site.conf").write_text(self.site())

    def enable(self, module, enabled):
        """Does what a2enmod does: enables the module, its configuration, and its dependencies."""
        load = self.etc / "mods-available" / f"{module}.load"
        if (enabled / load.name).exists():
            return
        needs = re.findall(r"^# Depends: (.*)$", load.read_text(), re.M)
        for needed in " ".join(needs).split():
            self.enable(needed, enabled)
        for path in (load, load.with_suffix(".conf")):
            if path.exists():
                (enabled / path.name).symlink_to(path)

    def site(self):
        return f"""
Listen 127.0.0.1:{self.port}
Listen 127.0.0.1:{self.tls_port}
ServerName localhost
DocumentRoot "{self.www}"
<Directory "{self.www}">
	Require all granted
	AllowOverride {self.allow_override}
</Directory>
AddOutputFilterByType DEFLATE text/event-stream
{self.around}
<IfModule mod_fcgid.c>
	FcgidIPCDir "{self.directory}/tmp/fcgid"
	FcgidProcessTableFile "{self.directory}/tmp/fcgid_shm"
</IfModule>
<VirtualHost 127.0.0.1:{self.port}>
{self.inside}
</VirtualHost>
<VirtualHost 127.0.0.1:{self.tls_port}>
	SSLEngine on
	SSLCertificateFile "{self.certificate}"
	SSLCertificateKeyFile "{self.key}"
{self.inside}
</VirtualHost>
"""

    def command(self):
        return [self.program, "-DFOREGROUND", "-d", self.root, "-f", "apache2.conf"]

    def environment(self):
        run = self.directory / "tmp"
        return {
            "APACHE_RUN_USER": USER,
            "APACHE_RUN_GROUP": USER,
            "APACHE_PID_FILE": str(run / "apache2.pid"),
            "APACHE_RUN_DIR": str(run),
            "APACHE_LOCK_DIR": str(run),
            "APACHE_LOG_DIR": str(self.logs),
        }

    def start(self):
        (self.directory / "tmp" / "socks").mkdir(exist_ok=True)
        give(self.directory / "tmp" / "socks")
        return super().start()

    def stop(self):
        """Also removes the shared memory (of mod_fcgid) that it leaves where it has to be killed."""
        memory = self._shared_memory()
        super().stop()
        for path in memory:
            path.unlink(missing_ok=True)

    def _shared_memory(self):
        try:
            maps = pathlib.Path(f"/proc/{self.process.pid}/maps").read_text()
        except (AttributeError, OSError):
            return set()
        return {pathlib.Path(line.split()[-1]) for line in maps.splitlines() if "/dev/shm/ShM." in line}


class SharedApache(Apache):
    """Apache on a shared host: only the user's files, including a .htaccess, are ours."""

    modules = [*Apache.modules, "asis", "headers"]
    allow_override = "All"

    def configure(self, configuration):
        super().configure("")
        place = self.www / "events"
        place.mkdir()
        (place / ".htaccess").write_text(configuration)


@functools.cache
def printed_by(program):
    """What the program prints; it runs once, not with each start of lighttpd."""
    return subprocess.run(program, capture_output=True, text=True, check=True).stdout


class Lighttpd(WebServer):
    """lighttpd; its /etc/lighttpd is rebuilt around Debian's lighttpd.conf."""

    program, package = "/usr/sbin/lighttpd", "lighttpd"
    etc = pathlib.Path("/etc/lighttpd")
    reload_signal = signal.SIGUSR1

    def configure(self, configuration):
        self.root = self.directory / "lighttpd"
        enabled = self.root / "conf-enabled"
        enabled.mkdir(parents=True)
        text = (self.etc / "lighttpd.conf").read_text()
        for default, value in {
            "/var/www/html": self.www,
            "/var/cache/lighttpd/uploads": self.directory / "tmp",
            "/var/log/lighttpd/error.log": self.logs / "error.log",
            # As in /run, its user may not write there.
            "/run/lighttpd.pid": self.directory / "lighttpd.pid",
            "/etc/lighttpd/conf-enabled": enabled,
        }.items():
            assert default in text, default
            text = text.replace(default, str(value))
        text = re.sub(r"(?m)^server\.port .*$", f"server.port = {self.port}", text)
        text = re.sub(r'(?m)^include_shell .*use-ipv6.*$', 'server.bind = "127.0.0.1"', text)
        text = re.sub(r'(?m)^include_shell "(.*create-mime.*)"$', lambda found: printed_by(found[1]), text)
        (self.root / "lighttpd.conf").write_text(text)
        (enabled / "20-site.conf").write_text(self.site())
        (enabled / "98-rowtail.conf").write_text(configuration)
        give(self.logs)

    def site(self):
        return f"""
server.modules += ( "mod_deflate", "mod_openssl" )
deflate.mimetypes = ( "text/" )
$SERVER["socket"] == "127.0.0.1:{self.tls_port}" {{
	ssl.engine = "enable"
	ssl.pemfile = "{self.certificate}"
	ssl.privkey = "{self.key}"
}}
{self.around}
"""

    def command(self):
        return [self.program, "-D", "-f", self.root / "lighttpd.conf"]


class Nginx(WebServer):
    """nginx; its /etc/nginx is rebuilt around Debian's nginx.conf."""

    program, package = "/usr/sbin/nginx", "nginx"
    etc = pathlib.Path("/etc/nginx")
    edits = {}
    reload_signal = signal.SIGHUP

    def configure(self, configuration):
        self.root = self.directory / "nginx"
        for made in ("sites-enabled", "snippets", "conf.d"):
            (self.root / made).mkdir(parents=True)
        text = (self.etc / "nginx.conf").read_text()
        for default, value in {
            "/etc/nginx/modules-enabled/": self.root / "none",
            "/etc/nginx/conf.d": self.root / "conf.d",
            "/etc/nginx/sites-enabled": self.root / "sites-enabled",
            "/run/nginx.pid": self.directory / "tmp" / "nginx.pid",
            "/var/log/nginx": self.logs,
            **self.edits,
        }.items():
            assert default in text, default
            text = text.replace(default, str(value))
        (self.root / "nginx.conf").write_text(text)
        for name in ("fastcgi_params", "mime.types"):
            (self.root / name).symlink_to(self.etc / name)
        (self.root / "snippets" / "rowtail.conf").write_text(configuration)
        (self.root / "sites-enabled" / "site").write_text(self.site())

    def site(self):
        scratch = "".join(
            f"\t{kind}_temp_path {self.directory}/tmp/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return f"""
server {{
	listen 127.0.0.1:{self.port};
	listen 127.0.0.1:{self.tls_port} ssl http2;
	ssl_certificate {self.certificate};
	ssl_certificate_key {self.key};
	root {self.www};
	gzip_types text/event-stream text/plain;
	include snippets/rowtail.conf;
{self.around}
}}
{scratch}"""

    def command(self):
        return [self.program, "-g", "daemon off;", "-c", self.root / "nginx.conf"]


class Caddy(WebServer):
    """caddy; its configuration is the file of deploy/ plus ports, certificate and `encode`."""

    program, package = "/usr/bin/caddy", "caddy"

    def configure(self, configuration):
        site = "app.example.org {\n"
        assert configuration.count(site) == 1
        body = f"(site) {{\n\tbind 127.0.0.1\n\tencode gzip\n\troot * {self.www}\n\tfile_server\n{self.around}\n"
        ports = (
            f"http://:{self.port} {{\n\timport site\n}}\n"
            f"https://:{self.tls_port} {{\n\timport site\n\ttls {self.certificate} {self.key}\n}}\n"
        )
        self.file = self.directory / "Caddyfile"
        self.admin = self.directory / "tmp" / "admin.sock"
        options = f"\n{{\n\tadmin unix/{self.admin}\n\tauto_https off\n"
        assert configuration.count("\n{\n") == 1, "where the global options begin"
        configuration = configuration.replace("\n{\n", options)
        self.file.write_text(configuration.replace(site, body) + ports)

    def command(self):
        return as_user([self.program, "run", "--config", self.file, "--adapter", "caddyfile"])

    def reload(self):
        """Runs what Debian's unit runs for `systemctl reload caddy`."""
        options = ["--config", self.file, "--adapter", "caddyfile", "--force"]
        command = as_user([self.program, "reload", *options, "--address", f"unix/{self.admin}"])
        environment = {**os.environ, **self.environment()}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def environment(self):
        scratch = str(self.directory / "tmp")
        return {"HOME": scratch, "XDG_DATA_HOME": scratch, "XDG_CONFIG_HOME": scratch}


class WithoutFiles(WebServer):
    """A server that serves no files: another one, at `static`, has the static files."""

    def __init__(self, directory, configuration):
        self.static = ("127.0.0.1", ports.free_port())
        self.files = None
        super().__init__(directory, configuration)

    def start(self):
        if self.files is None:
            command = ["/usr/bin/python3", "-m", "http.server", "--bind", self.static[0]]
            command += ["--directory", self.www, self.static[1]]
            self.files = start(command, self.logs / "files.log")
        return super().start()

    def stop(self):
        super().stop()
        end(self.files, timeout=1)
        self.files = None


class HAProxy(WithoutFiles):
    """haproxy, with Debian's haproxy.cfg, in a chroot."""

    program, package = "/usr/sbin/haproxy", "haproxy"
    etc = pathlib.Path("/etc/haproxy")
    edits = {}
    reload_signal = signal.SIGUSR2

    def configure(self, configuration):
        (self.directory / "site.pem").write_text(self.certificate.read_text() + self.key.read_text())
        text = (self.etc / "haproxy.cfg").read_text()
        for default, value in {
            "log /dev/log\tlocal0": f"log {self.directory}/log local0",
            "log /dev/log\tlocal1 notice": "",
            "chroot /var/lib/haproxy": f"chroot {self.directory}" if AS_ROOT else "",
            "stats socket /run/haproxy/admin.sock": f"stats socket {self.directory}/tmp/admin.sock",
            "user haproxy": f"user {USER}" if AS_ROOT else "",
            "group haproxy": f"group {USER}" if AS_ROOT else "",
            **self.edits,
        }.items():
            assert default in text, default
            text = text.replace(default, value)
        if AS_ROOT:
            configuration = configuration.replace(f"unix@{self.directory}/", "unix@/")
        self.file = self.directory / "haproxy.cfg"
        self.file.write_text(text + self.site(configuration))

    def site(self, configuration):
        # The lines for the frontend are in the file's first comment.
        rules = "\n".join(re.findall(r"(?m)^#(\s+use_backend .*)$", configuration))
        return f"""
frontend site
	bind 127.0.0.1:{self.port}
	bind 127.0.0.1:{self.tls_port} ssl crt {self.directory}/site.pem alpn h2,http/1.1
	compression algo gzip
	compression type text/event-stream text/plain
{self.around}
{rules}
	default_backend files
backend files
	server files {self.static[0]}:{self.static[1]}
{configuration}
"""

    def command(self):
        return [self.program, "-Ws", "-f", self.file, "-p", self.directory / "tmp/pid"]


class Varnish(WithoutFiles):
    """varnishd, without TLS, as Debian's unit runs it."""

    program, package = "/usr/sbin/varnishd", "varnish"
    # The default one spends most of a start on optimizing the VCL.
    quick_compiler = "cc_command=exec gcc -O0 -pthread -fpic -shared -o %o %s"

    def configure(self, configuration):
        self.vcl = self.directory / "default.vcl"
        (self.directory / "rowtail.vcl").write_text(configuration)
        host, port = self.static
        self.vcl.write_text(
            f'vcl 4.1;\nbackend default {{ .host = "{host}"; .port = "{port}"; }}\n'
            f'include "{self.directory}/rowtail.vcl";\n{self.around}\n'
        )

    def listens(self):
        return [self.address]

    def command(self):
        jail = "-junix,user=vcache" if AS_ROOT else "-jnone"
        work = ["-n", self.directory / "tmp" / "varnish", "-smalloc,256m"]
        # Debian's unit raises its open-files limit.
        many = ["/bin/sh", "-c", 'ulimit -n $(ulimit -Hn); exec "$0" "$@"']
        listen = "-a%s:%d" % self.address
        work += ["-p", self.quick_compiler]
        return [*many, self.program, jail, "-F", listen, "-f", self.vcl, *work]

    def reload(self):
        """Does what varnishreload of Debian's unit does: loads the file and uses it."""
        self.loaded = getattr(self, "loaded", 0) + 1
        for words in ["vcl.load", f"again{self.loaded}", self.vcl], ["vcl.use", f"again{self.loaded}"]:
            command = ["/usr/bin/varnishadm", "-n", self.directory / "tmp" / "varnish", *words]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
