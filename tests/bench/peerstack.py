"""What make bench-peers starts: each peer as its own documentation sets it up, with the limits raised for the crowd.

Each is a rig.Stack: a target for subscribers, a way to publish, and what all of its processes use.
"""

import contextlib
import pathlib
import shutil
import socket

import ports
import rig
from database import Database

PEERS = pathlib.Path(__file__).parent / "peers"
MODULES = pathlib.Path("/usr/lib/nginx/modules")

NGINX = """daemon off;
worker_processes 1;
user root;
worker_rlimit_nofile {files};
pid {directory}/nginx.pid;
error_log {directory}/nginx.log;
{main}
events {{ worker_connections {files}; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    {http}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        {server}
    }}
}}
"""
NCHAN = """
        location = /publish {
            nchan_publisher;
            nchan_channel_id default;
            nchan_message_buffer_length 100000;
            nchan_message_timeout 1h;
        }
        location = /events {
            if ($arg_last_event_id != "") { rewrite ^ /replay last; }
            nchan_subscriber eventsource;
            nchan_channel_id default;
            nchan_subscriber_first_message newest;
        }
        location = /replay {
            nchan_subscriber eventsource;
            nchan_channel_id default;
            nchan_subscriber_first_message oldest;
        }
"""
GRIP = """
        location / {
            default_type text/event-stream;
            add_header Grip-Hold stream;
            add_header Grip-Channel default;
            return 200 ": hello\\n\\n";
        }
"""
PHP = """
        location /events {{
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME {script};
            fastcgi_param EVENTS_DB {directory}/events.db;
            fastcgi_pass unix:{directory}/php.sock;
            fastcgi_buffering off;
            fastcgi_read_timeout 1h;
        }}
"""
FPM = """[global]
error_log = {directory}/fpm.log
daemonize = no
rlimit_files = {files}
[www]
user = root
group = root
listen = {directory}/php.sock
listen.backlog = 4096
pm = static
pm.max_children = {streams}
"""
PUSHPIN = """[global]
include=/usr/lib/pushpin/internal.conf
rundir={directory}
ipc_prefix=p-
port_offset=0
[runner]
services=condure,pushpin-proxy,pushpin-handler
http_port=127.0.0.1:{port}
logdir={directory}
log_level=2
client_buffer_size=8192
client_maxconn=20000
condure_bin=condure
[proxy]
routesfile={directory}/routes
updates_check=off
zurl_out_specs=ipc://{directory}/zurl-in
zurl_out_stream_specs=ipc://{directory}/zurl-in-stream
zurl_in_specs=ipc://{directory}/zurl-out
[handler]
push_in_spec=tcp://127.0.0.1:{spare[0]}
push_in_sub_specs=tcp://127.0.0.1:{spare[1]}
push_in_http_addr=127.0.0.1
push_in_http_port={control}
command_spec=tcp://127.0.0.1:{spare[2]}
message_rate=1000000
message_hwm=1000000
"""
ZURL = """[General]
in_spec=ipc://{directory}/zurl-in
in_stream_spec=ipc://{directory}/zurl-in-stream
out_spec=ipc://{directory}/zurl-out
defpolicy=allow
max_open_requests=20000
buffer_size=200000
timeout=600
in_hwm=100000
out_hwm=100000
"""


def _descendants(pid):
    """A process and all below it."""
    found = [pid]
    for one in found:
        for task in pathlib.Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, task.read_text().split())
    return found


def _pss_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.partition("\nPss:")[2].split()[0])


class PeerStack(rig.Stack):
    """A peer, or rowtail or the floor, by the name of a method _start_NAME."""

    def __init__(self, the_rig, kind, front, streams=1, rows=0):
        self.streams = streams  # that it must be able to hold
        self.pool = None  # a server whose children are there before their clients
        stored = rows if kind in ("floor", "rowtail") else 0
        super().__init__(the_rig, kind, front, stored)
        if kind not in ("floor", "rowtail") and rows:
            rig.published(self.publish(rows, batch=1000))

    def cpu_seconds(self):
        """What all processes have used so far."""
        return sum(self._of_all(rig.cpu_seconds))

    def pss_kib(self):
        """The memory of all processes, shared pages divided among those that share them."""
        return sum(self._of_all(_pss_kib))

    def idle_kib(self):
        """The same before there are streams, without processes that wait for them."""
        return sum(self._of_all(_pss_kib, but=self.pool))

    def _of_all(self, value, but=None):
        for server in self.servers:
            for pid in [server.pid] if server is but else _descendants(server.pid):
                with contextlib.suppress(OSError):
                    yield value(pid)

    def _start_nginx(self, server, http="", main=""):
        port = self.port
        configuration = self.directory / f"nginx-{len(self.servers)}.conf"
        configuration.write_text(
            NGINX.format(
                directory=self.directory, port=port, files=self.rig.files, server=server, http=http, main=main
            )
        )
        command = ["/usr/sbin/nginx", "-e", self.directory / "nginx.log", "-c", configuration]
        return self._start(command, socket.AF_INET, ("127.0.0.1", port))

    def _start_nchan(self, _stored, _options):
        self._publish_to = ["--post", "/publish", "--port", self.port]
        module = MODULES / "ngx_nchan_module.so"
        return self._start_nginx(NCHAN, "nchan_max_reserved_memory 512M;", f"load_module {module};")

    def _start_node(self, _stored, _options):
        self._publish_to = ["--post", "/publish", "--port", self.port]
        return self._start([shutil.which("node"), PEERS / "node.mjs", self.port], *self._address())

    def _start_php(self, _stored, _options):
        log = self.directory / "events.db"
        with Database(log) as database:
            database.sql("PRAGMA journal_mode = WAL")
            database.sql("CREATE TABLE events(id INTEGER PRIMARY KEY AUTOINCREMENT, data TEXT)")
        self._publish_to = ["--db", log]
        pool = self.directory / "fpm.conf"
        pool.write_text(FPM.format(directory=self.directory, files=self.rig.files, streams=self.streams + 10))
        command = [fpm(), "--nodaemonize", "--allow-to-run-as-root", "--fpm-config", pool]
        self.pool = self._start(command, socket.AF_UNIX, str(self.directory / "php.sock"))
        return self._start_nginx(PHP.format(directory=self.directory, script=PEERS / "stream.php"))

    def _start_pushpin(self, _stored, _options):
        public, control = self.port, ports.free_port()
        self.port = origin = ports.free_port()
        self._start_nginx(GRIP)
        self.port = public
        self._publish_to = ["--post", "/publish/", "--port", control, "--pushpin", 1]
        names = {"directory": self.directory, "port": public, "control": control}
        names["spare"] = [ports.free_port() for _ in range(3)]
        (self.directory / "routes").write_text(f"* 127.0.0.1:{origin}\n")
        (self.directory / "zurl.conf").write_text(ZURL.format(**names))
        (self.directory / "pushpin.conf").write_text(PUSHPIN.format(**names))
        self.servers.append(
            rig.Server(["/usr/bin/zurl", f"--config={self.directory}/zurl.conf"], self.directory / "zurl.log")
        )
        command = ["/usr/bin/pushpin", f"--config={self.directory}/pushpin.conf", "--merge-output"]
        self._start(command, socket.AF_INET, ("127.0.0.1", control))
        return self._wait_port(public)

    def _wait_port(self, port):
        server = self.servers[-1]
        server.wait_up(socket.AF_INET, ("127.0.0.1", port))
        return server


def fpm():
    """Debian's PHP-FPM; None where there is none."""
    return next(map(str, sorted(pathlib.Path("/usr/sbin").glob("php-fpm*"))), None)


def missing(kind):
    """The package that a peer needs and this machine lacks; None if it can run."""
    needs = {
        "nchan": ("libnginx-mod-nchan", (MODULES / "ngx_nchan_module.so").exists()),
        "pushpin": ("pushpin", shutil.which("pushpin")),
        "node": ("npm's better-sse", (PEERS.parent / "node_modules" / "better-sse").exists()),
        "php": ("php-fpm and php-sqlite3", fpm()),
    }
    package, found = needs.get(kind, (None, True))
    return None if found else package
