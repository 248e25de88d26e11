"""The manuals name every metric, table, column, setting and exit status, and no other."""

import os
import pathlib
import re
import subprocess

import pytest

import database
import rowtail

MANUAL = pathlib.Path(__file__).parents[2] / "fcgi" / "rowtail.8"
TABLES = MANUAL.with_name("rowtail.5")


def in_manual():
    """{metric: [reason, …]} of the section METRICS."""
    section = re.search(r"(?ms)^\.Sh METRICS\n(.*?)^\.Sh ", MANUAL.read_text())[1]
    found = {}
    for name, explained in re.findall(r"(?m)^\.It Li (\S+)(?: Ta (.+))?$", section):
        if explained:
            found[list(found)[-1]].append(name)
        else:
            found[name] = []
    return found


def in_page(text):
    """The same of the page `metrics`."""
    found = {name: [] for name in re.findall(r"(?m)^# TYPE (\S+) ", text)}
    for name, reason in re.findall(r'(?m)^(\w+){reason="(\w+)"} ', text):
        found[name].append(reason)
    return found


def test_exit_statuses():
    """Those of the program are in EXIT STATUS; the directories of other programs are left out."""
    text = MANUAL.read_text()
    section = re.search(r"(?ms)^\.Sh EXIT STATUS\n(.*?)^\.Sh ", text)[1]
    told = {int(number) for number in re.findall(r"(?m)^\.It (\d+)$", section)}
    files = [file for file in MANUAL.parent.rglob("*.c") if file.parent.name not in ("doctor", "mirror", "publish")]
    used = {name for file in files for name in re.findall(r"\b(EX_[A-Z]+)\b", file.read_text())}
    assert told == {0} | {getattr(os, name) for name in used if hasattr(os, name)}


def test_metrics_and_their_reasons(server, log):
    log.insert("a row, which has an age")
    page = in_page(server.page("metrics").body.decode())
    assert any(page.values())
    manual = in_manual()
    assert list(sorted(manual)) == list(sorted(page))
    for name, reasons in page.items():
        assert manual[name] == reasons, name


# rowtail(5)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A database with everything that schema/ makes."""
    path = tmp_path_factory.mktemp("tables") / "events.db"
    with database.Database.create(path) as made:
        retention = (rowtail.ROOT / "schema" / "retention.sql").read_text()
        made.connection.executescript(retention)
        yield made


def literals():
    """The examples of rowtail(5)."""
    return re.findall(r"(?ms)^\.Bd -literal.*?\n(.*?)^\.Ed$", TABLES.read_text())


@pytest.mark.parametrize("table", re.findall(r"(?m)^\.Ss (\w+)\n", TABLES.read_text()))
def test_columns_of_a_table(tables, table):
    section = re.search(rf"(?ms)^\.Ss {table}\n(.*?)^\.S[sh] ", TABLES.read_text())[1]
    told = re.findall(r"(?m)^\.It Li (\w+) Ta (\w+) Ta (.+) Ta (.+)$", section)
    made = []
    for _, name, kind, not_null, default, key in tables.sql(f"PRAGMA table_info({table})"):
        null = "NOT NULL" if not_null else "-" if key else "NULL"
        if "strftime" in (default or ""):
            default = "the time now"
        made.append((name, kind, null, default or {"-": "the next id", "NULL": "NULL", "NOT NULL": "none"}[null]))
    assert told == made


def test_every_table_and_view_is_named(tables):
    text = TABLES.read_text()
    made = [name for (name,) in tables.sql("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
    assert len(made) > 10
    assert [name for name in made if not re.search(rf"\b{name}\b", text) and name != "sqlite_sequence"] == []
    explained = re.findall(r"(?m)^\.Ss (\w+)\n", text)
    assert set(explained) <= set(made) and {"events", "grants", "publishers", "retention"} <= set(explained)


def test_settings_and_their_defaults():
    """Each line of a CONFIG file, in the order of --help; --help and --version are for the command line."""
    options = rowtail.run("--help").stdout.partition("Options:\n")[2].partition("\n\n")[0]
    made = []
    for name, operand, text in re.findall(r"(?m)^  --([a-z-]+)(?: ([A-Z]+))?((?: .*|\n {10,}.*)*)", options):
        default = re.search(r"\(default (\S+)\)$", " ".join(text.split()))
        value = f"Ar {operand}" if operand else "yes or no"
        made.append((name, value, default[1] if default else "none" if operand else "no"))
    made = [setting for setting in made if setting[0] not in ("help", "version")]
    told = re.findall(r"(?m)^\.It Cm ([a-z-]+) Ta (.+) Ta (.+)$", TABLES.read_text())
    assert len(made) > 30 and told == made


def test_examples_of_sql_work(tables):
    statements = [text for text in literals() if text.startswith("INSERT")]
    assert len(statements) >= 4
    for text in statements:
        tables.connection.executescript(text)
    assert ("orders/42", "paid") in tables.sql("SELECT channel, event FROM events")
    assert tables.sql("SELECT count(*) FROM grants") == [(2,)]


def test_example_of_a_config_file_is_valid(tables, tmp_path):
    [text] = [text for text in literals() if "listen = " in text]
    text = re.sub("/var/lib/rowtail/events.db", str(tables.path), text)
    config = tmp_path / "rowtail.conf"
    config.write_text(text.replace("/run/rowtail/", f"{tmp_path}/"))
    done = rowtail.run("--check", config)
    assert done.returncode == 0, done.stdout + done.stderr


def test_commands_that_make_the_log_work(tmp_path):
    [text] = [text for text in literals() if text.startswith("$ sqlite3")]
    script = re.sub("(?m)^[$] ", "", text).replace("events.db", str(tmp_path / "events.db"))
    subprocess.run(["sh", "-ec", script], cwd=rowtail.ROOT, check=True, capture_output=True)
    assert rowtail.run("--check", "--db", tmp_path / "events.db", "--public").returncode == 0
