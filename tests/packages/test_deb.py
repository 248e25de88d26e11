"""The Debian packages that make deb builds, installed, upgraded and purged in a copy of this system.

make test-releases does the same in bare chroots, with an older version: tests/packages/lifecycle.sh.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNITS = ["rowtail.service", "rowtail.socket", "rowtail-http.socket", "rowtail@.service", "rowtail@.socket"]


@pytest.fixture(scope="module")
def package():
    """The package, as the target deb-test of the Makefile has built it."""
    found = sorted((ROOT / "build" / "deb").glob("rowtail_*.deb"))
    if not found:
        pytest.skip("there is no package: make deb builds it, with debhelper")
    return found[-1]


class System:
    """A root directory that shows this machine's files; what is written there goes into memory."""

    def __init__(self, place):
        self.place = place
        self.root = place / "root"

    def mount(self):
        subprocess.run(["mount", "-t", "tmpfs", "none", self.place], check=True)
        for name in ("upper", "work", "root"):
            (self.place / name).mkdir()
        options = f"lowerdir=/,upperdir={self.place}/upper,workdir={self.place}/work"
        done = subprocess.run(["mount", "-t", "overlay", "none", "-o", options, self.root], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no overlay here: {done.stderr}")
        subprocess.run(["mount", "-t", "proc", "none", self.root / "proc"], check=True)
        # dpkg would let mandb read every manual of this machine, with each package.
        (self.root / "var/lib/man-db/auto-update").unlink(missing_ok=True)
        # What a real installation leaves out, so that the test cannot pass because of this machine.
        self.run("sh", "-c", "userdel rowtail; groupdel rowtail; rm -rf /etc/rowtail.conf /var/lib/rowtail", check=False)

    def run(self, *command, check=True, **more):
        done = subprocess.run(
            ["chroot", self.root, *map(str, command)], capture_output=True, text=True, timeout=120,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}, **more,
        )
        assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
        return done

    def install(self, package):
        shutil.copy(package, self.root / "rowtail.deb")
        return self.run("dpkg", "-i", "/rowtail.deb")


@pytest.fixture
def system(tmp_path):
    if os.geteuid():
        pytest.skip("only root can mount")
    made = System(tmp_path)
    try:
        made.mount()
        yield made
    finally:
        for place in (made.root / "proc", made.root, made.place):
            with contextlib.suppress(OSError):
                subprocess.run(["umount", place], capture_output=True)


def test_lintian_has_no_remark(package):
    if not shutil.which("lintian"):
        pytest.skip("there is no lintian")
    packages = sorted(package.parent.glob("*.deb"))
    assert len(packages) == 3
    done = subprocess.run(["lintian", "--allow-root", *packages], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_an_installed_package_serves_after_the_log_is_made(system, package):
    system.install(package)
    assert system.run("getent", "passwd", "rowtail").stdout.startswith("rowtail:")
    directory = (system.root / "var/lib/rowtail").stat()
    assert directory.st_mode & 0o7777 == 0o2770
    system.run("runuser", "-u", "rowtail", "--", "sh", "-c",
               "sqlite3 /var/lib/rowtail/events.db < /usr/share/rowtail/schema/rowtail.sql")
    checked = system.run("runuser", "-u", "rowtail", "--", "rowtail", "--check", "/etc/rowtail.conf")
    assert "rowtail can serve." in checked.stdout
    for program in (system.root / "usr/bin").glob("rowtail*"):
        assert b"/usr/local/" not in program.read_bytes(), program


def test_nothing_is_enabled_by_the_installation(system, package):
    system.install(package)
    for unit in UNITS:
        assert (system.root / "lib/systemd/system" / unit).exists(), unit
    wanted = list((system.root / "etc/systemd/system").glob("*.wants/rowtail*"))
    assert wanted == []


def test_rowtail_publish_is_a_package_that_starts_nothing(system, package):
    system.install(package)
    system.install(next(package.parent.glob("rowtail-publish_*.deb")))
    for unit in "rowtail-publish.service", "rowtail-publish.socket":
        assert (system.root / "lib/systemd/system" / unit).exists(), unit
    assert list((system.root / "etc/systemd/system").glob("*.wants/rowtail*")) == []
    done = system.run("systemd-analyze", "verify", "--man=no", "rowtail-publish.service", check=False)
    assert "rowtail" not in done.stderr, done.stderr
    as_rowtail = ["runuser", "-u", "rowtail", "--"]
    system.run(*as_rowtail, "sh", "-c", "sqlite3 /var/lib/rowtail/events.db < /usr/share/rowtail/schema/rowtail.sql")
    checked = system.run(*as_rowtail, "rowtail-publish", "--check", "/etc/rowtail-publish.conf")
    assert checked.stdout.startswith("ok")
    system.run("dpkg", "-P", "rowtail-publish")
    assert not (system.root / "etc/rowtail-publish.conf").exists()


def test_the_template_unit_is_valid(system, package):
    system.install(package)
    (system.root / "etc/rowtail/shop.conf").write_text("db = /var/lib/rowtail/shop.db\n")
    done = system.run("systemd-analyze", "verify", "--man=no", "rowtail@shop.service", "rowtail.service", check=False)
    assert "rowtail" not in done.stderr, done.stderr
    service = (system.root / "lib/systemd/system/rowtail@.service").read_text()
    assert "ExecStart=/usr/bin/rowtail /etc/rowtail/%i.conf" in service
    assert "ListenStream=/run/rowtail/%i.sock" in (system.root / "lib/systemd/system/rowtail@.socket").read_text()


def test_an_upgrade_stops_nothing_that_is_not_started_again(system, package):
    """What the packages ask of systemd, which a systemctl of the test's own notes."""
    system.install(package)
    (system.root / "run/systemd/system").mkdir(parents=True, exist_ok=True)
    (system.root / "usr/sbin/policy-rc.d").unlink(missing_ok=True)
    (system.root / "usr/bin/systemctl").unlink()
    (system.root / "usr/bin/systemctl").write_text('#!/bin/sh\necho "$*" >>/calls\n')
    (system.root / "usr/bin/systemctl").chmod(0o755)
    system.install(package)
    calls = (system.root / "calls").read_text()
    assert "try-restart rowtail.service" in calls and "stop" not in calls
    system.run("dpkg", "-r", "rowtail")
    assert "stop rowtail.socket" in (system.root / "calls").read_text()


def test_a_purge_without_a_log_leaves_nothing(system, package):
    system.install(package)
    (system.root / "etc/rowtail/shop.conf").write_text("db = /var/lib/rowtail/shop.db\n")
    wants = system.root / "etc/systemd/system/sockets.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "rowtail@shop.socket").symlink_to("/lib/systemd/system/rowtail@.socket")
    system.run("dpkg", "-P", "rowtail")
    for name in ("etc/rowtail.conf", "etc/rowtail", "var/lib/rowtail", "usr/share/rowtail", "usr/share/doc/rowtail"):
        assert not (system.root / name).exists(), name
    assert not list(wants.glob("rowtail*"))
    assert system.run("getent", "passwd", "rowtail", check=False).returncode == 2
    assert system.run("getent", "group", "rowtail", check=False).returncode == 2


def test_an_upgrade_keeps_the_edited_configuration_and_purge_removes_it(system, package):
    system.install(package)
    conf = system.root / "etc/rowtail.conf"
    conf.write_text(conf.read_text() + "public = yes\n")
    system.install(package)
    assert conf.read_text().endswith("public = yes\n")
    (system.root / "var/lib/rowtail/events.db").write_text("the log")
    system.run("dpkg", "-r", "rowtail")
    assert conf.exists() and not (system.root / "usr/bin/rowtail").exists()
    system.run("dpkg", "-P", "rowtail")
    assert not conf.exists()
    assert not list((system.root / "lib/systemd/system").glob("rowtail*"))
    assert (system.root / "var/lib/rowtail/events.db").read_text() == "the log"
