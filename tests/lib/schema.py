"""The SQL of schema/: running it as a user does, and counting what a statement costs."""

import pathlib
import subprocess

SCHEMA = pathlib.Path(__file__).resolve().parents[2] / "schema"


def run_script(path, name):
    """sqlite3 PATH < schema/NAME, as the README says; returns what subprocess.run() does."""
    with open(SCHEMA / name, encoding="utf-8") as script:
        return subprocess.run(
            ["sqlite3", path], stdin=script, capture_output=True, text=True, timeout=60, check=False
        )


def set_up(path, *names):
    """Runs each script, which must succeed."""
    for name in names:
        done = run_script(path, name)
        assert (done.returncode, done.stderr) == (0, ""), name


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
