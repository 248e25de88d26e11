"""schema/examples/postgresql: each publisher run by its real interpreter, with the rights of a publisher only."""

import contextlib
import shutil
import subprocess

import pytest

import nodejs
import pages
from schema import ROOT, SCHEMA

psycopg2 = pytest.importorskip("psycopg2")

EXAMPLES = SCHEMA / "examples" / "postgresql"
TEXTS = [
    "", "plain", "it's \"quoted\" \\n \\' `id` $HOME $(id) %s ? :'x' :x $1 ; -- /* */ ''", "two\nlines\r\nand\rmore\n\n",
    "  blanks\t around  ", "żółć, 日本語, \u202eleft\u202c 👩\u200d🚀 \U0010ffff", "\\q\n\\! id\n'); DROP TABLE events; --",
    "x" * 20_000, "\x01\x7f\x85\u2028\ufeff",
]
LANGUAGES = ["python", "php", "node", "shell"]


@pytest.fixture(scope="module")
def log(cluster):
    """The name of a database with the log, and of its publisher."""
    dbname = cluster.database("schema/postgresql.sql", "schema/examples/postgresql/outbox.sql")
    role = f"publisher_{dbname}"
    cluster.rows(f"CREATE ROLE {role} LOGIN", dbname)
    cluster.rows(f"SELECT events_allow_publisher('{role}')", dbname)
    return dbname, role


def command(cluster, log, language, workdir):
    """The publisher's command without the channel, the event and the data; and its environment."""
    dsn = cluster.dsn(*log).replace("'", "")
    if language == "node":
        modules = nodejs.package("pg", 8)
        node = shutil.which("node") or nodejs.find()
        if modules is None or node is None:
            pytest.skip("no npm here")
        shutil.copy(EXAMPLES / "publish.mjs", workdir)
        (workdir / "node_modules").symlink_to(modules)
        return [node, workdir / "publish.mjs"], cluster.environment(*log)
    if language == "php" and "pdo_pgsql" not in subprocess.run(
            ["php", "-m"], capture_output=True, text=True, check=False).stdout:
        pytest.skip("PHP has no driver for PostgreSQL here")
    return {
        "python": ["/usr/bin/python3", EXAMPLES / "publish.py", dsn],
        "php": ["php", EXAMPLES / "publish.php", dsn],
        "shell": ["sh", EXAMPLES / "publish.sh", dsn],
    }[language], None


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_arrives(cluster, log, workdir, language):
    publisher, environment = command(cluster, log, language, workdir)
    for text in TEXTS:
        done = subprocess.run([*publisher, "orders/4'2 ö 😀", 'paid "x" é', text], env=environment,
                              capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        row_id = int(done.stdout)
        assert cluster.rows("SELECT id, channel, event, data FROM events ORDER BY id DESC LIMIT 1", log[0]) == [
            (row_id, "orders/4'2 ö 😀", 'paid "x" é', text)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_empty_event_is_a_plain_message_and_a_refusal_is_shown(cluster, log, workdir, language):
    publisher, environment = command(cluster, log, language, workdir)
    done = subprocess.run([*publisher, "a", "", "x"], env=environment, capture_output=True, timeout=60, check=True)
    assert cluster.rows(f"SELECT event FROM events WHERE id = {int(done.stdout)}", log[0]) == [(None,)]
    done = subprocess.run([*publisher, "a*", "", "x"], env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode != 0
    assert b"no control characters, and no *, which is for patterns" in done.stdout + done.stderr


def test_the_shell_reads_standard_input(cluster, log, workdir):
    publisher, _ = command(cluster, log, "shell", workdir)
    text = "a\nb 'c'\n\n"
    done = subprocess.run([*publisher, "a", ""], input=text, capture_output=True, text=True, timeout=60, check=True)
    assert cluster.rows(f"SELECT data FROM events WHERE id = {int(done.stdout)}", log[0]) == [(text,)]


def test_outbox(cluster, log):
    """The application changes its own table; its rows and their events are committed together."""
    dbname, role = log
    cluster.rows(f"GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO {role}", dbname)
    [(before,)] = cluster.rows("SELECT events_position()", dbname)
    with contextlib.closing(cluster.connect(dbname, role, autocommit=False)) as db, db.cursor() as cursor:
        cursor.execute("""INSERT INTO orders(customer, total) VALUES (E'O\\'Hara "x"\n', 12.50)""")
        cursor.execute("UPDATE orders SET state = 'paid'")
        db.rollback()
        cursor.execute("""INSERT INTO orders(customer, total) VALUES (E'O\\'Hara "x"\n', 12.50) RETURNING id""")
        order = cursor.fetchone()[0]
        db.commit()
        cursor.execute("UPDATE orders SET customer = 'nobody'")
        cursor.execute("UPDATE orders SET state = 'paid'")
        cursor.execute("DELETE FROM orders")
        db.commit()
    rows = cluster.rows("SELECT channel, event, data::json->>'customer' FROM events WHERE id > %s ORDER BY id", dbname,
                        parameters=[before])
    assert rows == [(f"orders/{order}", "made", "O'Hara \"x\"\n"), (f"orders/{order}", "paid", "nobody"),
                    (f"orders/{order}", "removed", None)]
    assert cluster.rows("SELECT count(*) FROM orders", dbname) == [(0,)]


def test_the_commands_of_the_page_work(cluster):
    """deploy/scale/README.md: set up, allow, grant, publish."""
    dbname = cluster.database()
    cluster.rows("DROP ROLE IF EXISTS app; DROP ROLE IF EXISTS mirror; CREATE ROLE app LOGIN; CREATE ROLE mirror", dbname)
    commands, statement = [block.text for block in pages.blocks(ROOT / "deploy/scale/README.md")][:2]
    done = subprocess.run(["sh", "-euc", commands], cwd=ROOT, env=cluster.environment(dbname), capture_output=True,
                          text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    cluster.rows(statement, dbname, "app")
    assert cluster.rows("SELECT kind, channel FROM events_news WHERE id > 0 ORDER BY id", dbname) == [
        ("grant", "news/*"), ("row", "orders/42")]
    cluster.rows("DROP OWNED BY app, mirror; DROP ROLE app, mirror", dbname)
