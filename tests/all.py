"""make test and make test-all: runs the parts of the tests, reports as it goes, and sums up.

    /usr/bin/python3 tests/all.py            what make test runs
    /usr/bin/python3 tests/all.py --all      what make test-all runs

Each part is a target of the Makefile; its output is in build/test/PART.log. Parts run at the same time, in lanes. Those in
NICE compile or read files: they get the CPU that the others, which wait for servers and clocks, leave. A part that fails
does not stop the others.

A failed test in Python or in the browser runs a second time, alone, when the lanes have ended: on a busy machine a
deadline may pass. If it passes then, it counts as passed, and the summary names it. Every other failure counts at once:
unit tests, corpora, torture, whatever a sanitizer reports, and a suite in which many tests fail.

Ends with 0 if everything passed.
"""

import argparse
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
PART_LIMIT_S = 2700  # for a part that hangs
ALL_LIMIT_S = 6 * 3600  # for a part of make test-all that hangs
END_LIMIT_S = 30  # from SIGTERM to SIGKILL
SECOND_TRIES = 15  # when more tests of a part fail, no deadline is the reason
SHOWN_LINES = 150  # of the output of a part that failed
SANITIZER = re.compile(r"(Address|Leak|Memory|Thread|UndefinedBehavior)Sanitizer|: runtime error: ")

# The longest first: the lanes end at about the same time.
LANES = [
    ["servers"],
    ["integration"],
    ["browser", "portable-test"],
    ["test-releases-ci", "torture-short"],
    ["unit", "replay", "builds", "lint", "deb-test"],
    ["silence", "bench-test", "torture-mirror-short"],
]
NICE = ["unit", "replay", "builds", "lint", "deb-test", "test-releases-ci"]
ALONE = [["endurance"]]  # these compare times, and run when all others have ended
PORTABLE = ["portable-integration", "portable-servers"]
MORE = ["browser-chromium", "tidy", *PORTABLE, "integration-san", "integration-valgrind", "fuzz", "test-releases"]
MORE_TORTURE = ["torture", "torture-mirror"]
LEFT_OUT = (
    "make test leaves out: Debian 11, 12 and sid and most tests in Debian 13 (test-releases), integration-san, "
    "integration-valgrind, most tests of the static program (portable-integration, portable-servers), clang-tidy (tidy), "
    "clang -O0 and -O2, -flto for all programs but the largest, fuzz, an hour of torture, most figures of the bench, some "
    "combinations of the cuts and of web servers in tests/browser, some spellings, reloads and rows in tests/servers, some "
    "combinations, allocations and rows in tests/integration, and the browser tests in Chromium with its windows "
    "(browser-chromium). make test-all runs them too."
)
FULL = {"TEST_FULL": "1"}  # what make test-all sets: tests take all combinations


class Tests:
    """A part that passes or fails as a whole, without a count of its tests."""

    closing = re.compile(r"(?!)")  # the lines in which the part's own runner sums up

    def __init__(self, name):
        self.name = name

    def counts(self, text, status):
        """(passed, skipped) as the part's output tells."""
        return int(status == 0), 0

    def failed(self, text, status):
        """The names of the tests that failed; the part's own name if it does not tell."""
        return [self.name] if status else []

    def command(self, name):
        """What repeats one test."""
        return ["make", self.name]

    def second_try(self, names):
        """What runs these tests again; None if a failure counts at once."""
        return None


class Cmocka(Tests):
    closing = re.compile(r"\[  (PASSED|FAILED)  \]|^build/unit/\S+: FAILED")

    def counts(self, text, status):
        return sum(map(int, re.findall(r"\[  PASSED  \] (\d+) test", text))), 0

    def failed(self, text, status):
        return re.findall(r"(?m)^(build/unit/\S+): FAILED", text) or super().failed(text, status)

    def command(self, name):
        return ["make", "unit", f"UNIT={name}"] if "/" in name else super().command(name)


class Replay(Tests):
    closing = re.compile(r"^\d+ passed, \d+ failed|^build/replay/\S+: ")

    def counts(self, text, status):
        return sum(map(int, re.findall(r"(?m)^(\d+) passed, \d+ failed", text))), 0


class Pytest(Tests):
    closing = re.compile(r"^=*\s*\d+ (passed|failed|error|skipped|deselected).* in [\d.]+s")

    def __init__(self, name, again=True, **variables):
        super().__init__(name)
        self.again = again
        self.variables = [f"{key}={value}" for key, value in variables.items()]  # as the Makefile sets them
        self.cache = BUILD / "pytest" / name

    def counts(self, text, status):
        lines = [line for line in text.splitlines() if self.closing.match(line)]
        told = dict((what, int(n)) for n, what in re.findall(r"(\d+) (passed|skipped)", lines[-1] if lines else ""))
        return told.get("passed", 0), told.get("skipped", 0)

    def forget(self):
        self._last_failed().unlink(missing_ok=True)

    def failed(self, text, status):
        try:
            names = list(json.loads(self._last_failed().read_text()))
        except FileNotFoundError:
            names = []
        return names if status else []

    def _last_failed(self):
        return self.cache / "v" / "cache" / "lastfailed"

    def command(self, name):
        return [*self.variables, sys.executable, "-m", "pytest", name]

    def second_try(self, names):
        if not self.again:
            return None
        return ["env", *self.variables, sys.executable, "-m", "pytest", "-q", "-o", f"cache_dir={self.cache}", *names]


class Node(Tests):
    """Counts files, not tests."""

    closing = re.compile(r"^# (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) ")

    def counts(self, text, status):
        told = {what: int(n) for what, n in re.findall(r"(?m)^# (pass|skipped) (\d+)", text)}
        return told.get("pass", 0), told.get("skipped", 0)

    def failed(self, text, status):
        blocks = re.findall(r"(?ms)^\s*not ok .*?^\s*\.\.\.$", text)
        files = {name for block in blocks for name in re.findall(r"[\w.-]+\.test\.mjs", block)[:1]}
        return sorted(files) if status else []

    def command(self, name):
        return ["make", self.name, f"BROWSER_TESTS={name}"]

    def second_try(self, names):
        return ["make", "--no-print-directory", self.name, f"BROWSER_TESTS={' '.join(names)}"]


class Torture(Tests):
    closing = re.compile(r"^torture(-mirror)?: |^  ")


class Releases(Tests):
    """What failed there has run twice already."""

    closing = re.compile(r"^NOT RUN|^\w+, \w+: \w+: ")

    def counts(self, text, status):
        ended = re.findall(r"(?m)^\w+, \w+: \w+: (\d+) passed(.*)", text)
        skipped = sum(int(n) for _, rest in ended for n in re.findall(r"(\d+) skipped", rest))
        return sum(int(n) for n, _ in ended), skipped

    def failed(self, text, status):
        return re.findall(r"(?m)^\w+, \w+: FAILED .*$", text) or super().failed(text, status)


KINDS = {
    "unit": Cmocka,
    "replay": Replay,
    "integration": Pytest,
    "servers": Pytest,
    "silence": Pytest,
    "deb-test": Pytest,
    **dict.fromkeys(
        ["portable-test", *PORTABLE], lambda name: Pytest(name, ROWTAIL_BIN="build/portable/rowtail")
    ),
    "endurance": Pytest,
    "bench-test": Pytest,
    "integration-san": lambda name: Pytest(name, again=False, ROWTAIL_BIN="build/rowtail-san"),
    "integration-valgrind": lambda name: Pytest(
        name, again=False, ROWTAIL_BIN="tests/lib/valgrind.sh", TEST_PATIENCE=10
    ),
    "browser": Node,
    "browser-chromium": Node,
    "torture-short": Torture,
    "torture-mirror-short": Torture,
    "torture": Torture,
    "torture-mirror": Torture,
    "test-releases": Releases,
    "test-releases-ci": Releases,
}


def stamp(began):
    seconds = int(time.monotonic() - began)
    return f"{seconds // 60:3}:{seconds % 60:02}"


class Run:
    """All parts, what became of them, and what still runs."""

    def __init__(self, limit_s):
        self.limit_s = limit_s
        self.began = time.monotonic()
        self.parts = []
        self.speaking = threading.Lock()
        self.processes = {}
        self.ending = False

    def say(self, *lines):
        """Prints these lines together, not mixed with those of other lanes."""
        with self.speaking:
            print(f"{stamp(self.began)}  {lines[0]}", *lines[1:], sep="\n", flush=True)

    def execute(self, command, log):
        """Runs a command, its output appended to log; (status, CPU seconds of all its processes)."""
        with open(log, "ab") as out:
            process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        self.processes[process.pid] = process
        if self.ending:
            self._signal(process.pid, signal.SIGTERM)
        limit = threading.Timer(self.limit_s, self._signal, (process.pid, signal.SIGTERM))
        limit.start()
        _, status, usage = os.wait4(process.pid, 0)
        limit.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        del self.processes[process.pid]
        return process.returncode, usage.ru_utime + usage.ru_stime

    @staticmethod
    def _signal(group, number):
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            pass

    def end(self):
        """Ends what runs; the tests clean up at SIGTERM."""
        self.ending = True
        for number, wait_s in ((signal.SIGTERM, END_LIMIT_S), (signal.SIGKILL, 1)):
            for group in list(self.processes):
                self._signal(group, number)
            deadline = time.monotonic() + wait_s
            while self.processes and time.monotonic() < deadline:
                time.sleep(0.1)

    def side_by_side(self, lanes):
        threads = [threading.Thread(target=self.lane, args=(names,)) for names in lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def lane(self, names):
        for name in names:
            if self.ending:
                return
            part = Part(self, KINDS.get(name, Tests)(name))
            self.parts.append(part)
            part.first()

    def second_tries(self):
        for part in self.parts:
            if not self.ending and not part.tried_twice:
                part.second()


class Part:
    """One part, and what became of it."""

    def __init__(self, run, tests):
        self.run, self.tests, self.name = run, tests, tests.name
        self.log = BUILD / "test" / f"{self.name}.log"
        self.passed = self.skipped = self.cpu_s = self.wall_s = 0
        self.failed, self.second_time = [], []
        self.tried_twice = False
        self.not_run = ""

    def first(self):
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_bytes(b"")
        if isinstance(self.tests, Pytest):
            self.tests.forget()
        self.run.say(f"{self.name}: started")
        nice = ["nice"] if self.name in NICE else []
        status, text = self._execute([*nice, os.environ.get("MAKE", "make"), "--no-print-directory", self.name])
        self.passed, self.skipped = self.tests.counts(text, status)
        self.failed = self.tests.failed(text, status)
        # It ended badly without a test that failed.
        self.broken = status != 0 and not self.failed
        if self.broken:
            self.failed = [f"{self.name} (status {status})"]
        self.not_run = "".join(re.findall(r"(?m)^NOT RUN.*", text))
        self.clean = not SANITIZER.search(text)
        self.run.say(*self._report(text))

    def _execute(self, command):
        began, start = time.monotonic(), self.log.stat().st_size
        status, cpu_s = self.run.execute(command, self.log)
        self.wall_s += time.monotonic() - began
        self.cpu_s += cpu_s
        with open(self.log, "rb") as log:
            log.seek(start)
            return status, log.read().decode(errors="replace")

    def _report(self, text):
        lines = text.splitlines()
        yield f"{self.name}: {'failed' if self.failed else 'passed'} after {self.wall_s:.0f} s"
        if self.failed:
            begin = next((i for i, line in enumerate(lines) if re.match(r"=+ (FAILURES|ERRORS) =+", line)), 0)
            shown = lines[begin:][:SHOWN_LINES] if begin else lines[-SHOWN_LINES:]
            yield from (f"    | {line}" for line in shown)
            yield from self.commands()
            yield f"    everything it printed: {self.log.relative_to(ROOT)}"
        yield from (line for line in lines if self.tests.closing.search(line))

    def commands(self):
        """What failed, each with the command that repeats it."""
        for name in self.failed:
            command = ["make", self.name] if self.broken else self.tests.command(name)
            yield f"    FAILED {name}"
            yield f"        again: {shlex.join(command)}"

    def second(self):
        """Those that failed once more, alone, where a busy machine may have been the reason."""
        self.tried_twice = True
        if not self.failed or self.broken or not self.clean or len(self.failed) > SECOND_TRIES:
            return
        command = self.tests.second_try(self.failed)
        if command is None:
            return
        self.run.say(f"{self.name}: a second try, alone, of {', '.join(self.failed)}")
        status, text = self._execute(command)
        still = self.tests.failed(text, status) or (self.failed if status else [])
        self.second_time = [name for name in self.failed if name not in still]
        self.failed = still
        self.passed += len(self.second_time)
        self.run.say(*self._report(text))


def table(parts):
    columns = "{:<22}{:>8}{:>8}{:>9}{:>9}{:>9}"
    yield columns.format("part", "passed", "failed", "skipped", "seconds", "CPU s")
    for part in parts:
        row = [part.passed, len(part.failed), part.skipped, round(part.wall_s), round(part.cpu_s)]
        yield columns.format(part.name, *row) + ("   NOT RUN" if part.not_run else "")
    # The CPU seconds decide how long everything takes on a small machine: the parts keep all cores busy.
    total = [sum(row) for row in zip(*([p.passed, len(p.failed), p.skipped, p.cpu_s] for p in parts))]
    yield columns.format("all", *total[:3], "", round(total[3]))


def summary(run, all_of_them):
    """Prints it; returns whether everything passed."""
    flaky = [(part, name) for part in run.parts for name in part.second_time]
    bad = [part for part in run.parts if part.failed]
    word = "make test-all" if all_of_them else "make test"
    print("", *table(run.parts), "", sep="\n")
    if flaky:
        print("Failed once and passed at the second try, alone:")
        for part, name in flaky:
            print(f"    {name}\n        again: {shlex.join(part.tests.command(name))}")
    for part in bad:
        print(*part.commands(), sep="\n")
    not_run = [part.not_run for part in run.parts if part.not_run]
    print(*not_run, *([] if all_of_them else [LEFT_OUT]), sep="\n")
    total = f"{(time.monotonic() - run.began) / 60:.1f} minutes"
    if bad:
        print(f"{word}: FAILED: {', '.join(part.name for part in bad)}; {total}")
    else:
        but = ", except what was NOT RUN, see above" if not_run else ""
        print(f"{word}: all parts passed{but}; {total}", flush=True)
    return not bad


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--all", action="store_true", help="also what takes hours")
    parser.add_argument("parts", nargs="*", help="these parts only, one after the other")
    given = parser.parse_args()
    run = Run(ALL_LIMIT_S if given.all else PART_LIMIT_S)
    os.environ.update(FULL if given.all else {})

    def stop(number, _):
        threading.Thread(target=lambda: (run.end(), os._exit(128 + number))).start()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    run.side_by_side([given.parts] if given.parts else LANES)
    run.second_tries()
    if not given.parts:
        run.side_by_side(ALONE)
        if given.all:
            run.lane([*MORE, *MORE_TORTURE])
        run.second_tries()
    while run.ending:
        time.sleep(1)  # stop() ends this process
    return 0 if summary(run, given.all) else 1


if __name__ == "__main__":
    sys.exit(main())
