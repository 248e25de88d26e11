"""A lighttpd for one test, for mod_fastcgi and mod_cgi."""

import ctypes
import pathlib
import signal
import subprocess
import time

import httpc
import ports
import stream

BINARY = "/usr/sbin/lighttpd"


class Lighttpd:
    """One server on a free port of 127.0.0.1; `configuration` is lighttpd's own language.

    The document root is workdir/www.
    """

    def __init__(self, workdir, modules, configuration):
        self.port = ports.free_port()
        self.address = ("127.0.0.1", self.port)
        self.root = pathlib.Path(workdir) / "www"
        self.root.mkdir(exist_ok=True)
        self.error_log = pathlib.Path(workdir) / "lighttpd.log"
        self.process = None
        self._file = pathlib.Path(workdir) / "lighttpd.conf"
        names = ", ".join(f'"{module}"' for module in modules)
        self._file.write_text(
            f"server.modules = ( {names} )\n"
            'server.bind = "127.0.0.1"\n'
            f"server.port = {self.port}\n"
            f'server.document-root = "{self.root}"\n'
            f'server.errorlog = "{self.error_log}"\n'
            "server.stream-response-body = 2\n" + configuration
        )

    def __enter__(self):
        def die_with_parent():
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)

        self.process = subprocess.Popen(
            [BINARY, "-D", "-f", str(self._file)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        deadline = time.monotonic() + stream.DEADLINE
        while True:
            assert self.process.poll() is None, self.log()
            try:
                stream.connect(self.address).close()
                return self
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.01)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(stream.DEADLINE)

    def log(self):
        return self.error_log.read_text() if self.error_log.exists() else ""

    def open(self, target, **how):
        """Sends a request; see httpc.open_request()."""
        return httpc.open_request(self.address, target, **how)
