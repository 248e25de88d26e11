"""Chroots of Debian's releases, made by debootstrap, and commands in them.

A chroot is kept, with the packages of tests/deps.sh in it. A command in it gets a copy of the source tree at
/rowtail, a private /tmp and, unless it asks for the network, only the loopback interface; its other changes are discarded
when it ends. It runs in separate namespaces, so no process and no mount outlives this program.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[2]
ENTER = pathlib.Path(__file__).with_name("enter.sh")
DEPS = ROOT / "tests" / "deps.sh"
# What tests/integration gets from npm: a Node.js, and SQLite's shells, which are static.
FROM_NPM = [pathlib.Path("build", "node"), pathlib.Path("build", "sqlite")]
UPGRADE_AFTER_S = 7 * 24 * 3600
ATTEMPTS, PAUSE_S = 3, 15  # a mirror may be down for a moment
# A mirror's package lists may be weeks old; they are good enough for tests.
APT_CONF = 'Acquire::Retries "3";\nAcquire::Check-Valid-Until "false";\n'
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)

# The caller's environment is not passed on.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "PYTHONDONTWRITEBYTECODE": "1",
}


class CannotMake(Exception):
    """A chroot could not be made; the message says why."""


class NotHere(Exception):
    """This machine or user cannot have a chroot; the message says why."""


def look_around():
    """Raises NotHere unless this user may make chroots and namespaces on this machine."""
    if os.geteuid() != 0:
        raise NotHere("chroots can be made only by root")
    for program in ("debootstrap", "unshare", "ip"):
        if not shutil.which(program):
            raise NotHere(f"there is no {program} here; make deps installs it")
    trial = "mount -t tmpfs none /mnt && mount -t proc proc /proc && ip link set lo up"
    tried = subprocess.run(
        [*_namespaces(network=False), "sh", "-c", trial], capture_output=True, text=True, check=False
    )
    if tried.returncode != 0:
        raise NotHere(f"namespaces and mounts are refused here: {tried.stderr.strip()}")


def _namespaces(network):
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--ipc", "--uts"] + (
        [] if network else ["--net"]
    )


def _end_with_us():
    """Between fork and exec: unshare is killed when we are, and its namespaces end with it."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _run(command, log, env=None):
    """Runs a command to its end, its output appended to log; returns its status."""
    with open(log, "ab") as out:
        process = subprocess.Popen(
            [str(word) for word in command],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,  # we handle Ctrl-C
            preexec_fn=_end_with_us,
        )
        try:
            return process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise


class Mirror:
    """The mirror of this machine's apt; none if this is another distribution."""

    def __init__(self):
        self.archive = os.environ.get("RELEASES_MIRROR") or self._of("Debian")
        self.security = os.environ.get("RELEASES_SECURITY_MIRROR") or self._of("Debian-Security")

    @staticmethod
    def _of(label):
        wanted = ["--format", "$(REPO_URI)", "Origin: Debian", f"Label: {label}"]
        said = subprocess.run(
            ["apt-get", "indextargets", *wanted], capture_output=True, text=True, check=False
        )
        return next(iter(said.stdout.split()), None)


class Chroot:
    """One release's chroot below the directory `cache`, in the directory `name` there if that is not the release's."""

    def __init__(self, release, cache, name=None):
        self.release = release
        self.place = cache / (name or release)
        self.path = self.place / "chroot"
        self.log = self.place / "chroot.log"
        self.stamp = self.place / "packages"
        self.mirror = Mirror()

    def bare(self):
        """Another chroot of the release, in which nothing but Debian's smallest system is installed."""
        return Chroot(self.release, self.place.parent, f"{self.release}-bare")

    @contextlib.contextmanager
    def ready(self, parts):
        """Locks the chroot, with the packages of these parts of deps.sh installed; makes it if necessary."""
        self.place.mkdir(parents=True, exist_ok=True)
        with open(self.place / "lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            if not self._is_current(parts):
                self._wait_alone(lock)
                self._make(parts)
                fcntl.flock(lock, fcntl.LOCK_SH)
            yield self

    def _wait_alone(self, lock):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{self.release}: the chroot is in use; waiting", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)

    def _is_current(self, parts):
        """Whether it has the packages, and they were updated within a week."""
        try:
            age_s = time.time() - self.stamp.stat().st_mtime
            digest, *installed = self.stamp.read_text().split()
        except (OSError, ValueError):
            return False
        includes = ["ci"] if "suites" in installed else []
        known = digest == _digest_of_deps() and set(parts) <= {*installed, *includes}
        return known and age_s < UPGRADE_AFTER_S

    def _make(self, parts):
        """Makes or updates it.

        The security archive disappears soon after a release's support ends: if the packages cannot be
        installed with it, the chroot is made again without it.
        """
        self.log.write_bytes(b"")
        if not self.path.exists() and self.mirror.security and self.release != "sid":
            if self._attempt(lambda: self._debootstrap(self.mirror.security) or self._install(parts)):
                return self._made(parts)
            shutil.rmtree(self.path, ignore_errors=True)
        if not self.path.exists() and not self._attempt(self._debootstrap):
            raise CannotMake(self._why("make the chroot"))
        if not self._attempt(lambda: self._install(parts)):
            raise CannotMake(self._why("install the packages"))
        self._made(parts)

    def _made(self, parts):
        self.stamp.write_text(f"{_digest_of_deps()} {' '.join(parts)}\n")

    def _attempt(self, act):
        """Repeats the action with pauses until its status is 0; False if it never is."""
        for attempt in range(ATTEMPTS):
            time.sleep(PAUSE_S * attempt)
            if act() == 0:
                return True
        return False

    def _why(self, what):
        last = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
        return (
            f"{self.release}: tried {ATTEMPTS} times to {what}, in vain. Is the mirror reachable? "
            f"All was said in {self.log}; its end:\n{last}"
        )

    def has_security(self):
        """Whether its packages include the security updates."""
        return "-security" in (self.path / "etc/apt/sources.list").read_text()

    def _debootstrap(self, security=None):
        if self.path.exists():
            return 0
        making = self.place / "making"
        shutil.rmtree(making, ignore_errors=True)
        command = ["debootstrap", "--variant=minbase", self.release, making]
        status = _run([*command, *filter(None, [self.mirror.archive])], self.log)
        if status == 0:
            if security:
                with open(making / "etc/apt/sources.list", "a", encoding="ascii") as sources:
                    sources.write(f"deb {security} {self.release}-security main\n")
            (making / "etc/apt/apt.conf.d/90rowtail").write_text(APT_CONF)
            (making / "etc/dpkg/dpkg.cfg.d/90rowtail").write_text("force-unsafe-io\n")
            (making / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
            policy = making / "usr/sbin/policy-rc.d"
            policy.write_text("#!/bin/sh\nexit 101\n")
            policy.chmod(0o755)
            making.rename(self.path)
        return status

    def _install(self, parts):
        """Updates the packages and installs missing ones."""
        shutil.copy("/etc/resolv.conf", self.path / "etc/resolv.conf")
        shutil.copy(DEPS, self.path / "root/deps.sh")
        script = f"""set -e
			apt-get update -q
			apt-get dist-upgrade -q -y --no-install-recommends
			sh /root/deps.sh {' '.join(parts)}
			apt-get clean"""
        with self.scratch() as scratch:
            return _run(self._command(["sh", "-c", script], "change", scratch, network=True), self.log)

    @contextlib.contextmanager
    def scratch(self):
        """A directory for one run. Removes directories left by killed runs."""
        for old in self.place.glob("run-*"):
            with contextlib.suppress(OSError), _locked(old):
                shutil.rmtree(old, ignore_errors=True)
        made = pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=self.place))
        with _locked(made):
            try:
                made.chmod(0o755)
                for name in ("tree", "tmp", "root"):
                    (made / name).mkdir()
                (made / "tmp").chmod(0o1777)
                yield made
            finally:
                shutil.rmtree(made, ignore_errors=True)

    def _command(self, command, kept, scratch, env=None, network=False):
        settings = {**ENVIRONMENT, **(_proxies() if network else {}), **(env or {})}
        return [
            *_namespaces(network),
            *("sh", ENTER, kept, self.path, scratch),
            *("env", "-i", *(f"{name}={value}" for name, value in settings.items())),
            *command,
        ]

    def run(self, script, scratch, log, env=None, network=False):
        """Runs a shell script in /rowtail, with this machine's network if asked; returns its status."""
        command = ["sh", "-c", f"cd /rowtail && {script}"]
        return _run(self._command(command, "discard", scratch, env, network), log)

    def shell(self, scratch):
        """A shell in /rowtail, at this terminal."""
        env = {"TERM": os.environ.get("TERM", "dumb"), "PS1": f"({self.release}) \\w# "}
        command = ["sh", "-c", "cd /rowtail && exec bash --norc"]
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the shell handles it
        return subprocess.run(
            [str(word) for word in self._command(command, "discard", scratch, env)], check=False
        ).returncode


def _digest_of_deps():
    return hashlib.sha256(DEPS.read_bytes()).hexdigest()


def _proxies():
    """The proxies for fetching packages."""
    names = [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "no_proxy")]
    return {name: os.environ[name] for name in names}


@contextlib.contextmanager
def _locked(directory):
    """Raises OSError while another process holds the lock."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def copy_tree(target):
    """Copies the source tree as git sees it, including uncommitted changes, and a Node.js if present."""
    git = ["git", "-c", "safe.directory=*", "-C", ROOT, "ls-files", "-z", "-co", "--exclude-standard"]
    listed = subprocess.run(git, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, listed):
        source = ROOT / name
        if not source.is_file():
            continue  # deleted, but still in the index
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target / name)
    for directory in FROM_NPM:
        if (ROOT / directory).is_dir():
            shutil.copytree(ROOT / directory, target / directory, symlinks=True)
