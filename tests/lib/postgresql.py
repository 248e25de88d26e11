"""PostgreSQL for tests: a cluster of its own in a temporary directory, reached through unix sockets only.

    with postgresql.Cluster() as primary, primary.standby() as standby:
        name = primary.database("schema/postgresql.sql")
        primary.rows("INSERT INTO events(data) VALUES ('hello')", name)
        standby.wait_for(primary)
        subprocess.run(["psql", primary.dsn(name)])
        primary.kill()
        standby.promote()

PostgreSQL refuses to run as root, so root runs it as `nobody`. It ends when the test process ends, however that
happens. fsync is off: a test that pulls the plug on PostgreSQL kills processes, not the machine.

initdb runs once and not for each cluster: its result is in build/postgresql, and each cluster starts with a copy. So all
clusters have the same system identifier, except one that upgrade() has made.
"""

import contextlib
import fcntl
import functools
import hashlib
import itertools
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SETTINGS = {
    "fsync": "off",
    "listen_addresses": "",
    "max_connections": "60",
    "max_prepared_transactions": "8",
    "max_wal_senders": "8",
    "wal_keep_size": "1GB",
    "dynamic_shared_memory_type": "mmap",  # a killed server leaves none outside its directory
    "wal_init_zero": "off",
    "min_wal_size": "48MB",
    "shared_buffers": "32MB",
    "jit": "off",  # it compiles for longer than the tests' queries run
    "timezone": "Europe/Berlin",  # nobody may rely on UTC
}
_serial = itertools.count()


def _find_bin():
    """POSTGRESQL_BIN, or the directory of the newest PostgreSQL, from 14 on; None if there is none."""
    if os.environ.get("POSTGRESQL_BIN"):
        return pathlib.Path(os.environ["POSTGRESQL_BIN"]).resolve()
    found = {}
    for path in pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"):
        version = path.parent.parent.name
        if version.isdigit() and int(version) >= 14:
            found[int(version)] = path.parent
    if not found and shutil.which("postgres") and shutil.which("initdb"):
        return pathlib.Path(shutil.which("postgres")).parent
    return found[max(found)] if found else None


BIN = _find_bin()


class Failed(AssertionError):
    """PostgreSQL did not do what a test needs; the message has its log."""


def _user():
    """The account that PostgreSQL runs as, if not this one."""
    return pwd.getpwnam("nobody") if os.getuid() == 0 else None


def _as_user(*command):
    user = _user()
    change = ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"] if user else []
    # A fast shutdown when this process ends.
    return ["setpriv", *change, "--pdeathsig", "INT", *map(str, command)]


def _tool(name, *arguments, cwd="/"):
    done = subprocess.run(
        _as_user(BIN / name, *arguments), cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode != 0:
        raise Failed(f"{name}: {done.stdout[-2000:]} {done.stderr}")


# Without checksums pg_rewind would refuse.
INITDB = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--data-checksums"]


@functools.cache
def _initialized(which="first"):
    """The files that initdb makes, made once by whichever process comes first; each `which` is another system."""
    binary = (BIN / "initdb").resolve()
    made_from = repr((str(binary), binary.stat().st_mtime, os.getuid(), INITDB, *([which] if which != "first" else [])))
    home = ROOT / "build" / "postgresql"
    home.mkdir(parents=True, exist_ok=True)
    made = home / hashlib.sha256(made_from.encode()).hexdigest()[:16]
    with open(home / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _initialize(made)
    return made


def _initialize(made):
    with tempfile.TemporaryDirectory(prefix="rt-pg-") as place:
        if _user():
            os.chown(place, _user().pw_uid, _user().pw_gid)
        data = pathlib.Path(place) / "data"
        _tool("initdb", "-D", data, *INITDB)
        partial = made.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(data, partial)
        partial.rename(made)


def _copy_initialized(data, which="first"):
    """A copy for a cluster; cp shares the blocks where the file system can."""
    subprocess.run(["cp", "-r", _initialized(which), data], check=True)
    data.chmod(0o700)
    if _user():
        subprocess.run(["chown", "-R", f"{_user().pw_uid}:{_user().pw_gid}", data], check=True)


class Cluster:
    """A running PostgreSQL server.

    settings: settings for this cluster, in addition to SETTINGS.
    """

    def __init__(self, settings=None, source=None):
        assert BIN, "PostgreSQL 14 or newer is not installed; run make deps"
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="rt-pg-"))
        self.data = self.directory / "data"
        self.log = self.directory / "log"
        self.settings = {**SETTINGS, **(settings or {})}
        self.process = None
        try:
            if _user():
                os.chown(self.directory, _user().pw_uid, _user().pw_gid)
            self.directory.chmod(0o755)
            if source is None:
                _copy_initialized(self.data)
                self._write_settings(self.data)
            else:
                self._copy(source)
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends the server and removes its files."""
        if self.process is not None and self.process.poll() is None:
            self.resume()
            self.stop("immediate")
        shutil.rmtree(self.directory, ignore_errors=True)

    def _write_settings(self, data):
        """Also for the servers that pg_rewind and pg_upgrade start."""
        with open(data / "postgresql.conf", "a", encoding="utf-8") as file:
            file.write("".join(f"{name} = '{value}'\n" for name, value in self.settings.items()))

    def _copy(self, source):
        _tool("pg_basebackup", "-d", source.dsn(), "-D", self.data, "-R", "-X", "stream", "-c", "fast", "--no-sync")

    # Connections

    def dsn(self, dbname="postgres", user="postgres"):
        """A connection string for libpq, psycopg2 and psql."""
        return f"host={self.directory} port=5432 dbname='{dbname}' user='{user}'"

    def environment(self, dbname="postgres", user="postgres"):
        """The same as environment variables, for clients that take no string."""
        return {**os.environ, "PGHOST": str(self.directory), "PGPORT": "5432", "PGDATABASE": dbname, "PGUSER": user}

    def connect(self, dbname="postgres", user="postgres", autocommit=True):
        """A connection of psycopg2, which commits each statement unless told otherwise."""
        import psycopg2

        connection = psycopg2.connect(self.dsn(dbname, user))
        connection.autocommit = autocommit
        return connection

    def rows(self, statement, dbname="postgres", user="postgres", parameters=None):
        """Runs a statement in a connection of its own; returns its rows, or None if it has none."""
        with contextlib.closing(self.connect(dbname, user)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else None

    def psql(self, *arguments, dbname="postgres", user="postgres", text=None, environment=None):
        """psql with these arguments, without ~/.psqlrc; returns what subprocess.run() does."""
        # Debian's psql in PATH is a wrapper in Perl, which takes longer than most scripts.
        psql = BIN / "psql" if (BIN / "psql").exists() else "psql"
        return subprocess.run(
            [psql, "-X", "-q", "-A", "-t", "-d", self.dsn(dbname, user), *map(str, arguments)],
            input=text, capture_output=True, text=True, timeout=120, check=False,
            env={**os.environ, **(environment or {})},
        )

    def database(self, *files, encoding="UTF8"):
        """Makes a database, runs these files of the repository in it, and returns its name."""
        name = f"test_{next(_serial)}"
        # To copy the files costs a third of writing them to the WAL, which is the default since PostgreSQL 15.
        quick = "STRATEGY file_copy" if int((self.data / "PG_VERSION").read_text()) >= 15 else ""
        self.rows(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C' {quick}")
        for file in files:
            done = self.psql("-v", "ON_ERROR_STOP=1", "-f", ROOT / file, dbname=name)
            assert done.returncode == 0, f"{file}: {done.stderr}"
        return name

    # The server as a whole

    def start(self):
        """Starts the server, and waits until it accepts connections."""
        deadline = time.monotonic() + 60
        while True:
            with open(self.log, "ab") as log:
                self.process = subprocess.Popen(
                    _as_user(BIN / "postgres", "-D", self.data, "-p", "5432", "-k", self.directory,
                             *(f"-c{name}={value}" for name, value in self.settings.items())),
                    cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )
            if self._accepts(deadline):
                return
            # After a kill, processes of the old server may hold its memory for a moment.
            if time.monotonic() > deadline:
                self.process.kill()
                raise Failed(self.log.read_text(errors="replace")[-3000:])
            time.sleep(0.1)

    def _accepts(self, deadline):
        while time.monotonic() < deadline and self.process.poll() is None:
            if self._status() in ("ready", "standby"):
                return True
            time.sleep(0.02)
        return False

    def _status(self):
        """What this server last wrote about itself, as pg_ctl reads it; a file of a server before it does not count."""
        with contextlib.suppress(FileNotFoundError):
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            if len(lines) >= 8 and lines[0] == str(self.process.pid):
                return lines[7].strip()
        return ""

    def stop(self, mode="fast"):
        """Shuts down: "smart" waits for clients, "fast" disconnects them, "immediate" is like a crash."""
        how = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode]
        self.process.send_signal(how)
        self.process.wait(60)

    def kill(self):
        """SIGKILL for the server and all its processes; start() recovers."""
        processes = self._processes()
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(60)

    def pause(self):
        """Stops all processes of the server where they are, as a machine that hangs; resume() continues them."""
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def resume(self):
        """Continues after pause()."""
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _processes(self):
        main = self.process.pid
        children = pathlib.Path(f"/proc/{main}/task/{main}/children")
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return [main, *map(int, children.read_text().split())]
        return []

    def upgrade(self):
        """pg_upgrade to a new cluster, of the same version: another system identifier, and the timeline is 1 again."""
        old = self.directory / "old"
        self.stop()
        self.data.rename(old)
        _copy_initialized(self.data, "second")
        self._write_settings(self.data)
        _tool("pg_upgrade", "-b", BIN, "-B", BIN, "-d", old, "-D", self.data, "-U", "postgres", "-s", self.directory,
              "--link", *(["--no-sync"] if int((self.data / "PG_VERSION").read_text()) >= 15 else []), cwd=self.directory)
        self.start()

    # Replication

    def standby(self, settings=None):
        """A hot standby that streams from this server."""
        return Cluster({**self.settings, **(settings or {})}, source=self)

    def follow(self, primary):
        """Makes this server, which is stopped, a standby of another one; its own data is replaced."""
        shutil.rmtree(self.data)
        self._copy(primary)
        self.start()

    def cut(self):
        """Ends this standby's connection to its primary, for good: it falls behind."""
        self.rows("ALTER SYSTEM SET primary_conninfo = ''")
        self.rows("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 30
        while self.rows("SELECT count(*) FROM pg_stat_wal_receiver") != [(0,)]:
            if time.monotonic() > deadline:
                raise Failed(self.log.read_text(errors="replace")[-3000:])
            time.sleep(0.01)

    def rewind(self, primary):
        """Makes this server, which was killed, a standby of the one that took over from it, by pg_rewind.

        Raises Failed if that does not work, for example because WAL that it needs is gone; follow() always works.
        """
        primary.rows("CHECKPOINT")  # or pg_rewind takes both servers for one timeline
        _tool("pg_rewind", "-D", self.data, "--source-server", primary.dsn(), "-R", "--no-sync")
        self.start()

    def promote(self):
        """Makes a standby the primary; returns when it accepts writes."""
        assert self.rows("SELECT pg_promote(true, 60)") == [(True,)], self.log.read_text(errors="replace")[-3000:]

    def wait_for(self, primary):
        """Waits until this standby shows all that the primary has committed."""
        # This commit flushes what comes before it, hint bits for example, which otherwise waits for 15 s.
        primary.rows("SELECT pg_logical_emit_message(true, 'wait', '')")
        [(position,)] = primary.rows("SELECT pg_current_wal_flush_lsn()")
        deadline = time.monotonic() + 30
        while self.rows(f"SELECT pg_last_wal_replay_lsn() >= '{position}'") != [(True,)]:
            if time.monotonic() > deadline:
                raise Failed(f"the standby did not reach {position}: {self.log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.01)


class Pooled:
    """A server behind PgBouncer, which gives each transaction one of a few connections."""

    PROGRAM = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")

    def __init__(self, cluster, connections=3):
        self.directory = cluster.directory
        config = self.directory / "pgbouncer.ini"
        config.write_text(
            f"[databases]\n* = host={cluster.directory} port=5432 user=postgres\n[pgbouncer]\nlisten_addr =\n"
            f"listen_port = 6432\nunix_socket_dir = {cluster.directory}\nauth_type = any\npool_mode = transaction\n"
            f"default_pool_size = {connections}\n", encoding="utf-8")
        self.process = subprocess.Popen(_as_user(self.PROGRAM, config), cwd="/", stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not (self.directory / ".s.PGSQL.6432").exists():
            assert self.process.poll() is None and time.monotonic() < deadline, "PgBouncer does not start"
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)

    def connect(self, dbname, autocommit=True):
        import psycopg2

        connection = psycopg2.connect(host=str(self.directory), port=6432, dbname=dbname, user="postgres")
        connection.autocommit = autocommit
        return connection


@contextlib.contextmanager
def running(settings=None):
    """A server; skips the test where this release has none that will do."""
    import pytest

    if BIN is None:
        pytest.skip("this release has no PostgreSQL 14 or newer")
    with Cluster(settings) as started:
        yield started
