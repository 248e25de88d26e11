"""What is built and tested in a chroot, and the results."""

import os
import re
import shlex
import shutil
import xml.etree.ElementTree
from typing import NamedTuple

PARTS = {"full": ("build", "suites", "packages"), "ci": ("build", "ci")}
NAMES = ("build", "unit", "replay", "integration", "servers", "packages")


def parts(part, names):
    """The parts of deps.sh that these suites need in their chroot."""
    return PARTS[part] if set(names) - {"build", "packages"} else ("build", "packages")


# What make test runs in one release after the build: enough to see that the program starts, streams and ends there, and
# one test of each web server. (The unit tests take longer than all of this; make test-all runs them.)
CI = {
    "integration": "test_cgi test_start test_shutdown test_fastcgi test_head".split(),
    "servers": ["test_stream.py::test_row_arrives_before_the_next_is_inserted"],
}
# The browser tests do not depend on the release.
ELSEWHERE = "--ignore=tests/servers/test_eventsource.py --ignore=tests/servers/test_proxies_browser.py"

# The summary shows the versions of these packages, and which ones are missing.
VERSIONS = (
    "gcc clang libc6 libuv1-dev libfcgi-dev libsqlite3-dev nettle-dev libsodium-dev nginx-common "
    "apache2 libapache2-mod-fcgid lighttpd caddy haproxy varnish fcgiwrap php-cli python3 systemd"
).split()


# Deprecation warnings of a newer library, above all cmocka 2, are not errors.
WERROR = "WERROR='-Werror -Wno-error=deprecated-declarations'"


class Outcome(NamedTuple):
    """The result of one suite: lists of names, and (name, reason) for skipped tests."""

    passed: int
    failed: list
    skipped: list
    second_time: int = 0  # how many of the passed tests failed at first
    broken: bool = False  # it did not finish

    @property
    def good(self):
        return not self.failed and not self.broken

    def __str__(self):
        words = [f"{self.passed} passed"]
        if self.second_time:
            words.append(f"{self.second_time} of them the second time")
        if self.skipped:
            words.append(f"{len(self.skipped)} skipped")
        if self.failed:
            words.append(f"{len(self.failed)} FAILED")
        if self.broken:
            words.append("FAILED to build or to run")
        return ", ".join(words)


class Runner:
    """The suites with one compiler, in one copy of the tree.

    part     "full" or "ci"
    tests    what pytest runs instead of a whole suite: files, names, options; or ""
    """

    def __init__(self, where, scratch, compiler, part, tests=""):
        self.where, self.scratch, self.compiler = where, scratch, compiler
        self.part, self.tests = part, tests

    def run(self, name):
        """Runs one suite; failed Python tests run once more, since the machine may be busy."""
        log = self.log(name)
        log.write_bytes(b"")
        if name == "packages":
            return self._packages(log)
        status = self._make(name, log)
        if name in ("integration", "servers"):
            first = self._python_outcome(name, status)
            if not first.failed or first.broken:
                return first
            status = self._make(name, log, again=True)
            return _both(first, self._python_outcome(f"{name}-again", status))
        return _c_outcome(log, status)

    def _packages(self, log):
        """Builds the Debian packages here, and installs, upgrades and purges them in a bare chroot of the release."""
        made = f"make -s deb CC={self.compiler} && lintian --allow-root --fail-on error,warning build/deb/*.deb && "
        status = self.where.run(made + "sh tests/packages/older.sh build/deb build/older", self.scratch, log)
        if status != 0:
            return Outcome(0, [], [], broken=True)
        bare = self.where.bare()
        with bare.ready(()), bare.scratch() as scratch:
            for name in ("build/deb", "build/older", "tests/packages"):
                shutil.copytree(self.scratch / "tree" / name, scratch / "tree" / name)
            script = "sh tests/packages/lifecycle.sh build/older build/deb"
            status = bare.run(script, scratch, log, network=True)
        text = log.read_text(errors="replace")
        failed = re.findall(r"(?m)^FAILED (.*)$", text)
        passed = len(re.findall(r"(?m)^ok ", text))
        return Outcome(passed, failed, [], broken=not re.search(r"(?m)^(ok|FAILED) the end$", text))

    def log(self, name):
        return self.where.place / f"{self.compiler}-{name}.log"

    def _make(self, name, log, again=False):
        made = {"build": "all portable bench-tools faults"}.get(name, name)
        what = [f"CC={self.compiler}", WERROR, "BROWSER=", "SQLITES="]
        if self.part == "ci":
            what.append("CFLAGS=-O2")  # nobody debugs there, and -g takes time
        if again:
            what += [f"{name.upper()}='--lf --lfnf=none tests/{name}'", "SIDE_BY_SIDE=0"]
        elif self.tests and name in CI:
            what.append(f"{name.upper()}={shlex.quote(self.tests)}")
        elif self.part == "ci" and name in CI:
            files = [word if "::" in word else f"{word}.py" for word in CI[name]]
            paths = " ".join(f"tests/{name}/{file}" for file in files)
            what.append(f"{name.upper()}='{paths}'")
        env = {
            "PYTEST_ADDOPTS": f"-rs --junitxml=/tmp/{name}{'-again' if again else ''}.xml {ELSEWHERE}",
            "TEST_RELEASE": self.where.release,
        }
        jobs = os.cpu_count()
        script = f"make -s --no-print-directory -j{jobs} {' '.join(what)} {made}"
        return self.where.run(script, self.scratch, log, env)

    def _python_outcome(self, target, status):
        try:
            root = xml.etree.ElementTree.parse(self.scratch / "tmp" / f"{target}.xml").getroot()
        except (OSError, xml.etree.ElementTree.ParseError):
            return Outcome(0, [], [], broken=True)
        passed, failed, skipped = 0, [], []
        for case in root.iter("testcase"):
            name = f"{case.get('classname').rpartition('.')[2]}.{case.get('name')}"
            reason = case.find("skipped")
            if reason is not None:
                skipped.append((name, reason.get("message")))
            elif case.find("failure") is not None or case.find("error") is not None:
                failed.append(name)
            else:
                passed += 1
        return Outcome(passed, failed, skipped, broken=status != 0 and not failed)


def _both(first, again):
    passed = len(first.failed) - len(again.failed)
    return Outcome(first.passed + passed, again.failed, first.skipped, passed, again.broken)


def _c_outcome(log, status):
    """cmocka counts its tests; a suite without a count counts as one test."""
    text = log.read_text(errors="replace")
    counted = [int(number) for number in re.findall(r"\[  PASSED  \] (\d+) test", text)]
    failed = re.findall(r"(?m)^\[  FAILED  \] (\w+)$", text)
    return Outcome(sum(counted) or int(status == 0), failed, [], broken=status != 0 and not failed)


def versions(where, scratch):
    """{package: version} of what is installed in the chroot, without Debian's own suffixes."""
    log = scratch / "versions"
    asked = "dpkg-query -W -f '${Package} ${Version}\\n' 2>/dev/null || true"
    where.run(asked, scratch, log)
    found = dict(line.split() for line in log.read_text().splitlines() if " " in line)
    return {name: re.sub(r"^\d+:|[-+~].*$", "", version) for name, version in found.items()}


def left_out(where):
    """The packages that this release does not have."""
    said = re.findall(r"(?m)^deps\.sh: not in this release.*:(.*)$", where.log.read_text())
    return said[-1].split() if said else []
