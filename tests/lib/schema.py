"""The SQL of schema/: runs it as a user does, with any SQLite, and counts a statement's cost."""

import itertools
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "schema"
# What rowtail 0.1.0 came with.
FORMER = ROOT / "tests" / "schema-0.1.0"
# The shells that tests/sqlite/sqlite.mk builds, by their version.
SHELLS = {path.parent.name: path for path in ROOT.glob("build/sqlite/*/sqlite3")}
VERSIONS = re.search(
    r"^SQLITE_VERSIONS := (.*)$", (ROOT / "tests/sqlite/sqlite.mk").read_text(), re.MULTILINE
)[1].split()
_serial = itertools.count()


def run_text(path, text, sqlite="sqlite3"):
    """sqlite3 PATH with the text on standard input; returns what subprocess.run() does."""
    return subprocess.run(
        [str(sqlite), str(path)],
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def run_script(path, name, sqlite="sqlite3", directory=SCHEMA):
    """sqlite3 PATH < schema/NAME, as the README says; returns what subprocess.run() does."""
    return run_text(path, (directory / name).read_text(encoding="utf-8"), sqlite)


def set_up(path, *names, sqlite="sqlite3", directory=SCHEMA):
    """Runs each script, which must succeed."""
    for name in names:
        done = run_script(path, name, sqlite, directory)
        assert (done.returncode, done.stderr) == (0, ""), name


class Shell:
    """An SQLite shell that stays open: one connection, as of a publisher with an old library.

    Refused: the error message for a statement.
    """

    class Refused(Exception):
        pass

    def __init__(self, path, version):
        self.version = version
        self.process = subprocess.Popen(
            [str(SHELLS[version]), "-batch", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.sql("PRAGMA busy_timeout = 20000")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()

    def sql(self, statement):
        """Runs one statement, and returns its rows as lists of texts; values hold no line breaks."""
        mark = f"done {next(_serial)}"
        text = f"{statement.rstrip(';')};\nSELECT '{mark}';\n"
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()
        lines = []
        while True:
            line = self.process.stdout.readline().decode("utf-8", "replace")
            assert line, f"SQLite {self.version} ended: {lines}"
            if line == mark + "\n":
                break
            lines.append(line[:-1])
        for line in lines:
            if re.match(r"(Parse |Runtime )?[Ee]rror", line):
                raise self.Refused("\n".join(lines))
        return [line.split("|") for line in lines]

    def refusal(self, statement):
        """Runs a statement that must be refused, and returns the message."""
        try:
            done = self.sql(statement)
        except self.Refused as refused:
            return str(refused)
        raise AssertionError(f"SQLite {self.version} took {statement[:200]}: {done}")


def literal(value):
    """A value as SQL with the same meaning in each version and encoding; a text without NUL."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if not isinstance(value, str):
        return repr(value)
    parts = re.split("([\x00-\x1f\x7f])", value)
    return "(" + " || ".join(
        f"char({ord(part)})" if index % 2 else "'" + part.replace("'", "''") + "'"
        for index, part in enumerate(parts)
    ) + ")"


def steps(db, statement):
    """Steps of SQLite's virtual machine that a statement takes: its cost on any machine."""
    count = 0

    def count_one():
        nonlocal count
        count += 1

    db.set_progress_handler(count_one, 1)
    db.execute(statement)
    db.set_progress_handler(None, 0)
    return count


def counts(db):
    """What retention.sql has counted, and what it must have counted for its rules: each {channel: rows}, '' for all."""
    counted = dict(db.execute(
        "SELECT channel, row_count FROM retention_counts, retention_state WHERE channel <> '' OR counted"
    ))
    real = dict(db.execute("SELECT channel, count(*) FROM events GROUP BY channel"))
    real[""] = sum(real.values())
    rules = db.execute("SELECT channel FROM retention WHERE keep_rows IS NOT NULL OR keep_seconds IS NOT NULL")
    kinds = {bool(channel) for (channel,) in rules}
    return counted, {channel: rows for channel, rows in real.items() if bool(channel) in kinds}
