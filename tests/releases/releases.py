"""make test-releases: builds and tests rowtail in chroots of Debian's releases.

    python3 tests/releases/releases.py --cache build/releases bullseye bookworm trixie sid
    python3 tests/releases/releases.py --cache build/releases --compilers clang --suites unit sid
    python3 tests/releases/releases.py --cache build/releases --ci trixie
    python3 tests/releases/releases.py --cache build/releases --shell trixie

Exits with 0 if all passed, 1 if something failed, 77 if this machine cannot have chroots. With --ci the last
is not a failure, since no change to rowtail can fix it: it prints NOT RUN, which make test repeats at its
end.
"""

import argparse
import pathlib
import signal
import sys
import time

import chroot
import suites

NOT_HERE = 77


def say(*lines):
    print(*lines, sep="\n", flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("releases", nargs="+", metavar="release")
    parser.add_argument("--cache", type=pathlib.Path, required=True, help="where the chroots stay")
    parser.add_argument("--compilers", default="gcc clang", type=str.split)
    parser.add_argument("--suites", default=" ".join(suites.NAMES), type=str.split)
    parser.add_argument("--tests", default="", help="what pytest runs instead of whole suites")
    parser.add_argument("--ci", action="store_true", help="the part that make test runs")
    parser.add_argument("--shell", action="store_true", help="no test: a shell in the chroot")
    given = parser.parse_args()
    for name in given.suites:
        if name not in suites.NAMES:
            parser.error(f"{name}: one of {', '.join(suites.NAMES)}")
    given.cache = given.cache.resolve()
    given.part = "ci" if given.ci else "full"
    return given


class Report:
    """The results of all runs, and their table."""

    def __init__(self):
        self.rows = []  # (release, compiler, suite, Outcome, log)
        self.notes = []
        self.failures = []

    def add(self, release, compiler, suite, outcome, log):
        self.rows.append((release, compiler, suite, outcome, log))

    @property
    def good(self):
        return not self.failures and all(outcome.good for *_, outcome, _ in self.rows)

    def lines(self):
        yield from self.notes
        seen = set()
        for release, _, _, outcome, _ in self.rows:
            for name, reason in outcome.skipped:
                if (release, name) not in seen:
                    seen.add((release, name))
                    yield f"{release}: skipped {name}: {reason}"
        for release, compiler, suite, outcome, log in self.rows:
            yield from (f"{release}, {compiler}: FAILED {suite}: {name}" for name in outcome.failed)
            if not outcome.good:
                yield f"{release}, {compiler}: {suite}: {log}"
        yield ""
        for release, compiler, suite, outcome, _ in self.rows:
            yield f"{release:10} {compiler:6} {suite:12} {outcome}"
        yield from self.failures


def test(release, given, report):
    """Tests one release with each compiler."""
    where = chroot.Chroot(release, given.cache)
    say(f"{release}: the chroot, {where.path}")
    with where.ready(suites.parts(given.part, given.suites)):
        for number, compiler in enumerate(given.compilers):
            with where.scratch() as scratch:
                chroot.copy_tree(scratch / "tree")
                if number == 0:
                    found = suites.versions(where, scratch)
                    named = [f"{name} {found.get(name, '(none)')}" for name in suites.VERSIONS]
                    report.notes.append(f"{release}: {', '.join(named)}")
                runner = suites.Runner(where, scratch, compiler, given.part, given.tests)
                for name in given.suites:
                    if not run(runner, name, report) and name == "build":
                        break
        if release != "sid" and not where.has_security():
            report.notes.append(f"{release}: without security updates (the mirror has none)")
        gone = suites.left_out(where)
        if gone:
            report.notes.append(f"{release}: has no {', '.join(gone)}")


def run(runner, name, report):
    """Runs one suite; True if it passed."""
    began = time.monotonic()
    outcome = runner.run(name)
    log = runner.log(name)
    report.add(runner.where.release, runner.compiler, name, outcome, log)
    took_s = time.monotonic() - began
    say(f"{runner.where.release}, {runner.compiler}: {name}: {outcome} ({took_s:.0f} s)")
    if not outcome.good:
        text = log.read_text(errors="replace").splitlines()
        say(*(f"    {line}"[:160] for line in text[-40:]), f"Full log: {log}")
    return outcome.good


def shell(release, given):
    where = chroot.Chroot(release, given.cache)
    with where.ready(suites.PARTS[given.part]), where.scratch() as scratch:
        chroot.copy_tree(scratch / "tree")
        return where.shell(scratch)


def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: everything is cleaned up
    given = arguments()
    try:
        chroot.look_around()
    except chroot.NotHere as why:
        say(f"NOT RUN: the tests in chroots of {', '.join(given.releases)}: {why}.")
        return 0 if given.ci else NOT_HERE
    if given.shell:
        return shell(given.releases[0], given)
    report = Report()
    for release in given.releases:
        try:
            test(release, given, report)
        except chroot.CannotMake as why:
            say(why)
            report.failures.append(f"{release:10} FAILED: the chroot could not be made")
    text = "\n".join(report.lines()) + "\n"
    (given.cache / "summary").write_text(text)
    say("", text)
    return 0 if report.good else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
