"""schema/examples: each publisher run by its real interpreter, alone and all at once."""

import json
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import tempfile
import time

import pytest

import full
import nodejs
from schema import SCHEMA, SHELLS, VERSIONS, Shell, literal, run_text, set_up

EXAMPLES = SCHEMA / "examples"

TEXTS = [
    "",
    "plain",
    "it's \"quoted\" \\n \\' `id` $HOME $(id) %s %00 ; -- /* */ ''",
    "two\nlines\r\nand\rmore\n\n",
    "  blanks\t around  ",
    "żółć, 日本語, Ελληνικά, \u202eright to left\u202c, e\u0301",
    "👩\u200d🚀 😀\U0010fffd",
    ".quit\n.shell id\n'); DROP TABLE events; --",
    '{"total": 12, "note": "\\u00e9\\n"}',
    "x" * 20_000,
    # As in tests/browser/roundtrip.test.mjs.
    *("\r", "\n", "\r\n", "\r\r\n\n", "data:", "data: ", "id: 7", "id:\n", "event: x", "retry: 1", ":", "</script>"),
    *("\ufeff", "\ufeffx", "\u2028\u2029\u0085", "\x01\x0b\x1f\x7f\x80\x9f", "\ufffd", "\U0010ffff", "\ud7ff\ue000"),
    "".join(map(chr, range(1, 0x250))) + "".join(map(chr, range(0x10000, 0x110000, 0x3FF))),
    ("a row may be long: 🐌\r\n" * 50_000)[: 2**20],
    "\0",
    "a\0b\0\0c\n",
    "\ufffe\uffff",  # as U+FFFD where SQLite makes UTF-16 of it
]
# What a command-line argument can contain.
ARGUMENTS = [text for text in TEXTS if "\0" not in text and "\uffff" not in text and len(text) < 90_000]
ENCODINGS = ["UTF-8", "UTF-16le", "UTF-16be"]
EACH = 100 if full.FULL else 40


def some(texts, encoding, row=0):
    """A share for this encoding; the shares of a row, with each encoding, are all texts."""
    return full.share(texts, ENCODINGS.index(encoding) + row, len(ENCODINGS))


# Each publishes text N, N + 1, …, as often as asked, on the channel named after the language.
DRIVERS = {
    "python": """
import sys
sys.path.insert(0, sys.argv[1])
from publish import connect, publish
db = connect(sys.argv[2])
for number in range(int(sys.argv[4])):
    with open(f"{sys.argv[3]}/{number % int(sys.argv[5])}", encoding="utf-8", newline="") as text:
        publish(db, "python", "made", f"{number}:{text.read()}")
""",
    "php": """<?php
[, $examples, $path, $texts, $count, $of] = $argv;
require "$examples/publish.php";
$db = events_connect($path);
for ($number = 0; $number < $count; $number++)
    publish($db, 'php', 'made', "$number:" . file_get_contents("$texts/" . $number % $of));
""",
    "perl": """
use strict;
use warnings;
my ($examples, $path, $texts, $count, $of) = @ARGV;
require "$examples/publish.pl";
my $db = events_connect($path);
for my $number (0 .. $count - 1) {
    open my $text, '<:encoding(utf8)', "$texts/" . $number % $of or die $!;
    publish($db, 'perl', 'made', "$number:" . do { local $/; <$text> // '' });
}
""",
    "node": """
import { readFileSync } from 'node:fs';
const [examples, path, texts, count, of] = process.argv.slice(2);
const { connect, publish } = await import(`${examples}/publish.mjs`);
const db = connect(path);
for (let number = 0; number < count; number++)
  publish(db, 'node', 'made', `${number}:` + readFileSync(`${texts}/${number % of}`, 'utf8'));
""",
    "c": """
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <sqlite3.h>

sqlite3 *events_open(const char *path);
int64_t publish(sqlite3 *db, const char *channel, const char *event, const char *data);

int main(int argc, char **argv)
{
	static char data[1 << 22], name[4096];
	const long of = strtol(argv[5], NULL, 10);
	sqlite3 *db = events_open(argv[2]);

	for (int number = 0; number < strtol(argv[4], NULL, 10); number++) {
		FILE *text;
		size_t at = (size_t)snprintf(data, sizeof(data), "%d:", number);

		snprintf(name, sizeof(name), "%s/%ld", argv[3], number % of);
		if (!(text = fopen(name, "rb")))
			err(1, "%s", name);
		at += fread(data + at, 1, sizeof(data) - at - 1, text);
		data[at] = 0;
		fclose(text);
		if (!publish(db, "c", "made", data))
			errx(1, "%s", sqlite3_errmsg(db));
	}
	return 0;
}
""",
    "shell": """
number=0
while [ $number -lt "$4" ]; do
	{ printf %d: $number; cat "$3/$((number % $5))"; } | "$1/publish.sh" "$2" shell made >/dev/null
	number=$((number + 1))
done
""",
}
LANGUAGES = list(DRIVERS)


@pytest.fixture(scope="module")
def directory():
    with tempfile.TemporaryDirectory(prefix="rt-") as made:
        yield pathlib.Path(made)


NO_NODE = "no Node.js that has SQLite is here; after make integration there is one"


def run(*command, **options):
    options = {"capture_output": True, "text": True, "timeout": 120, "check": False, **options}
    return subprocess.run([str(word) for word in command], **options)


@pytest.fixture(scope="module")
def node():
    """A Node.js that has SQLite; None in a chroot without one."""
    return nodejs.find()


@pytest.fixture(scope="module")
def compiled(directory):
    """publish.c, compiled as its comment says, and again with the driver's main instead of its own."""
    example, driver = EXAMPLES / "publish.c", directory / "driver.c"
    driver.write_text(DRIVERS["c"], encoding="utf-8")
    strict = ["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"]
    renamed = ["-Dmain=publish_main", "-c", "-o", directory / "publish.o"]
    for command in (
        [*strict, "-o", directory / "publish", example, "-lsqlite3"],
        [*strict, *renamed, example],
        [*strict, "-o", directory / "driver", driver, directory / "publish.o", "-lsqlite3"],
    ):
        done = run(*command)
        assert (done.returncode, done.stderr) == (0, "")
    return directory


@pytest.fixture(scope="module")
def publishers(node, compiled):
    """The command of each example, for one record."""
    commands = {
        "python": ["/usr/bin/python3", EXAMPLES / "publish.py"],
        "php": ["php", EXAMPLES / "publish.php"],
        "perl": ["perl", EXAMPLES / "publish.pl"],
        "node": [node, EXAMPLES / "publish.mjs"],
        "c": [compiled / "publish"],
        "shell": [EXAMPLES / "publish.sh"],
    }
    return commands if node else {**commands, "node": None}


@pytest.fixture
def publisher(publishers, language):
    """The command of one example."""
    if not publishers[language]:
        pytest.skip(NO_NODE)
    return publishers[language]


@pytest.fixture(scope="module")
def drivers(directory, node, compiled):
    """The command of each driver."""
    interpreters = {"python": "/usr/bin/python3", "php": "php", "perl": "perl", "node": node}
    interpreters["shell"] = "sh"
    commands = {"c": [compiled / "driver"]}
    for language, interpreter in interpreters.items():
        suffix = ".mjs" if language == "node" else ""
        script = directory / f"driver-{language}{suffix}"
        script.write_text(DRIVERS[language].lstrip("\n"), encoding="utf-8")
        commands[language] = [interpreter, script] if interpreter else None
    return commands


@pytest.fixture
def driver(drivers, language):
    """The command of one driver."""
    if not drivers[language]:
        pytest.skip(NO_NODE)
    return drivers[language]


@pytest.fixture(scope="module")
def texts(directory):
    """Each text in a separate file."""
    return write_texts(directory / "texts", TEXTS)


def write_texts(place, texts):
    place.mkdir()
    for number, text in enumerate(texts):
        (place / str(number)).write_bytes(text.encode())
    return place


@pytest.fixture(params=ENCODINGS)
def encoding(request):
    return request.param


def make_log(directory, encoding="UTF-8"):
    """A log; it is made once in each encoding, and copied."""
    first = directory / f"{encoding}.db"
    if not first.exists():
        run_text(first, f"PRAGMA encoding = '{encoding}'; CREATE TABLE theirs(x);")
        set_up(first, "rowtail.sql")
    made = directory / "events.db"
    for name in ("events.db", "events.db-wal", "events.db-shm"):
        (directory / name).unlink(missing_ok=True)
    shutil.copyfile(first, made)
    return made


@pytest.fixture
def path(directory):
    return make_log(directory)


@pytest.fixture
def db(path):
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    yield connection
    connection.close()


@pytest.fixture
def encoded(directory, encoding):
    """A log in each encoding: its path, and a connection to it."""
    made = make_log(directory, encoding)
    connection = sqlite3.connect(made, timeout=10, isolation_level=None)
    assert connection.execute("PRAGMA encoding").fetchone() == (encoding,)
    yield made, connection
    connection.close()


def records(db):
    return db.execute("SELECT id, channel, event, data FROM events ORDER BY id").fetchall()


# One record, as the examples' comments say


@pytest.mark.parametrize("language", LANGUAGES)
def test_one_record(publisher, encoded, encoding, language):
    path, db = encoded
    arguments = ARGUMENTS if language == "shell" else ARGUMENTS[:9] + ARGUMENTS[-4:]
    arguments = some(arguments, encoding, LANGUAGES.index(language))
    for number, text in enumerate(arguments, 1):
        done = run(*publisher, path, "orders/4'2 ö 😀", "paid \"x\" é", text)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.strip() == str(number)
    made = [(number, "orders/4'2 ö 😀", 'paid "x" é', text) for number, text in enumerate(arguments, 1)]
    assert records(db) == made


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_through_the_library_function(driver, encoded, encoding, workdir, language):
    path, db = encoded
    # The shell starts a dozen processes for each text.
    texts = some(TEXTS, encoding, 1) if language == "shell" else TEXTS
    done = run(*driver, EXAMPLES, path, write_texts(workdir / "texts", texts), len(texts), len(texts))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    expected = [f"{number}:{text}" for number, text in enumerate(texts)]
    if language == "c":  # whose strings end at a NUL
        expected = [text.partition("\0")[0] for text in expected]
    found = [record[3] for record in records(db)]
    if encoding != "UTF-8":
        found, expected = (re.sub("[\ufffe\uffff]", "\ufffd", "|".join(texts)) for texts in (found, expected))
    assert found == expected


def test_shell_refuses_text_it_cannot_convert(publishers, encoded, encoding):
    """In UTF-8 the bytes are stored unchanged, and readers get U+FFFD instead."""
    path, db = encoded
    for bad in (b"ab\xffc", b"\xc3", b"\xed\xa0\x80"):
        done = run(*publishers["shell"], path, "a", "", input=bad, text=False)
        assert (done.returncode == 0) == (encoding == "UTF-8")
        assert encoding == "UTF-8" or done.stderr
    assert db.execute("SELECT count(*) FROM events").fetchone() == (3 if encoding == "UTF-8" else 0,)


@pytest.mark.parametrize("version", VERSIONS)
def test_shell_with_another_sqlite_version(publishers, encoded, encoding, directory, version):
    path, db = encoded
    arguments = some(ARGUMENTS, encoding, VERSIONS.index(version))
    place = directory / version
    place.mkdir(exist_ok=True)
    if not (place / "sqlite3").exists():
        (place / "sqlite3").symlink_to(SHELLS[version])
    environment = {**os.environ, "PATH": f"{place}:{os.environ['PATH']}"}
    for number, text in enumerate(arguments, 1):
        done = run(*publishers["shell"], path, "é", "", text, env=environment)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{number}\n", "")
    assert [record[3] for record in records(db)] == arguments
    refused = run(*publishers["shell"], path, "orders/*", "", "x", env=environment)
    assert refused.returncode != 0 and "no *, which is for patterns" in refused.stderr


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_an_event_type_it_is_a_plain_message(publisher, db, path):
    assert run(*publisher, path, "a", "", "x").returncode == 0
    assert records(db) == [(1, "a", None, "x")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_refused_record_is_an_error_with_a_reason(publisher, db, path):
    done = run(*publisher, path, "orders/*", "paid", "x")
    assert done.returncode != 0
    assert "no control characters, and no *" in done.stdout + done.stderr
    assert records(db) == []


def test_shell_takes_data_from_standard_input(publishers, encoded, encoding):
    path, db = encoded
    texts = some(TEXTS, encoding)
    for text in texts:
        data = text.encode()
        done = run(*publishers["shell"], path, "a", "", input=data, text=False)
        assert (done.returncode, done.stderr) == (0, b"")
    assert [record[3] for record in records(db)] == texts


# All at once


def start_all(drivers, path, texts):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return {
        language: subprocess.Popen([*command, EXAMPLES, path, texts, str(EACH), "10"], **pipes)
        for language, command in drivers.items()
    }


def finish(started):
    for language, process in started.items():
        output = process.communicate(timeout=120)
        assert (language, process.returncode, *output) == (language, 0, "", "")


def test_concurrent_publishers_lose_nothing(drivers, db, path, texts):
    """A writer holds the database while they start, so each has to wait for it, and then for the others."""
    drivers = {language: command for language, command in drivers.items() if command}
    db.execute("BEGIN IMMEDIATE")
    started = start_all(drivers, path, texts)
    try:
        time.sleep(2)
        assert [name for name, process in started.items() if process.poll() is not None] == []
        db.execute("COMMIT")
        finish(started)
    finally:
        for process in started.values():
            process.kill()
            process.communicate()
    made = [f"{number}:{TEXTS[number % 10]}" for number in range(EACH)]
    for language in drivers:
        its = db.execute("SELECT event, data FROM events WHERE channel = ? ORDER BY id", [language])
        assert its.fetchall() == [("made", text) for text in made], language
    [(count, newest)] = db.execute("SELECT count(*), max(id) FROM events")
    assert count == newest == EACH * len(drivers)


# The outbox: triggers on the application's own table


@pytest.fixture
def shop(encoded):
    path, db = encoded
    set_up(path, "examples/outbox.sql", "examples/outbox.sql")
    return db


def told(shop):
    return [(channel, event, json.loads(data)) for _, channel, event, data in records(shop)]


def test_outbox_publishes_order_changes(shop):
    shop.execute("INSERT INTO orders(id, customer, total) VALUES (42, 'Zoë \"Z\" O''Hara', 12)")
    shop.execute("UPDATE orders SET state = 'paid'")
    shop.execute("UPDATE orders SET customer = 'Zoë'")  # publishes nothing
    shop.execute("DELETE FROM orders")
    made = {"id": 42, "customer": 'Zoë "Z" O\'Hara', "state": "new", "total": 12}
    assert told(shop) == [
        ("orders/42", "made", made),
        ("orders/42", "paid", {"id": 42, "state": "paid", "total": 12, "was": "new"}),
        ("orders/42", "gone", {"id": 42}),
    ]


def test_outbox_publishes_nothing_on_rollback(shop):
    shop.execute("BEGIN")
    shop.execute("INSERT INTO orders(customer, total) VALUES ('Ann', 1)")
    assert len(told(shop)) == 1
    shop.execute("ROLLBACK")
    assert told(shop) == [] and shop.execute("SELECT * FROM orders").fetchall() == []
    with pytest.raises(sqlite3.IntegrityError):
        shop.execute("INSERT INTO orders(customer, total) VALUES ('Ann', 1), ('Bob', NULL)")
    assert told(shop) == [] and shop.execute("SELECT * FROM orders").fetchall() == []


def test_refused_event_rolls_the_row_back(shop):
    shop.execute("INSERT INTO orders(customer, total) VALUES ('Ann', 1)")
    for verb in ("UPDATE", "UPDATE OR IGNORE"):
        with pytest.raises(sqlite3.IntegrityError, match="choose another name"):
            shop.execute(f"{verb} orders SET state = 'open'")
    assert shop.execute("SELECT state FROM orders").fetchall() == [("new",)]
    assert len(told(shop)) == 1


NAMES = [text for text in ARGUMENTS if text and min(text) >= " " and len(text) < 1000]


@pytest.mark.parametrize("version", VERSIONS)
def test_outbox_works_with_every_sqlite_and_any_name(shop, encoded, version):
    with Shell(encoded[0], version) as shell:
        for number, name in enumerate(NAMES, 1):
            shell.sql(f"INSERT INTO orders(customer, state, total) VALUES ({literal(name)}, 'a\\\"b', {number})")
        shell.refusal("INSERT INTO orders(customer, total) VALUES (char(1), 1)")
    shop.execute("UPDATE orders SET state = 'paid'")
    told_of = told(shop)
    assert [data["customer"] for _, event, data in told_of if event == "made"] == NAMES
    assert {data["was"] for _, event, data in told_of if event == "paid"} == {'a\\"b'}


def test_outbox_is_committed_with_the_row(shop, encoded):
    """Other connections see both or neither at any time."""
    reader = sqlite3.connect(encoded[0], isolation_level=None)
    shop.execute("INSERT INTO orders(customer, total) VALUES ('Ann', 1)")
    shop.execute("BEGIN")
    shop.execute("INSERT INTO orders(customer, total) VALUES ('Bob', 2)")
    both = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM events)"
    assert reader.execute(both).fetchone() == (1, 1)
    shop.execute("COMMIT")
    assert reader.execute(both).fetchone() == (2, 2)
    reader.close()
