"""client.py and client.php of deploy/demo/recipes: nothing lost, nothing twice, whatever ends their connections.

client.py has only Python's standard library; client.php uses Symfony's HttpClient.
"""

import contextlib
import importlib.util
import json
import os
import pathlib
import queue
import random
import shutil
import socket
import subprocess
import threading
import urllib.error

import pytest

import httpserver
import rowtail
import stream

pytestmark = httpserver.needed
ROWS = 300
FAST = ("--retry", 10, "--retry-jitter", 0)

RECIPES = rowtail.ROOT / "deploy/demo/recipes"
SYMFONY = pathlib.Path("/usr/share/php/Symfony/Component/HttpClient/autoload.php")
HAS_SYMFONY = shutil.which("php") and SYMFONY.exists()

spec = importlib.util.spec_from_file_location("client", RECIPES / "client.py")
client = importlib.util.module_from_spec(spec)
spec.loader.exec_module(client)


class Cutter:
    """A proxy that gives each connection a fate: a number of bytes after which it is cut off, or bytes to answer with."""

    def __init__(self, port, fates):
        self.port, self.fates = port, iter(fates)
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/events"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                taken, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(taken, next(self.fates, None)), daemon=True).start()

    def _serve(self, taken, fate):
        with taken, contextlib.suppress(OSError):
            asked = taken.recv(65536)
            if isinstance(fate, bytes):
                taken.sendall(fate)
                return
            with socket.create_connection(("127.0.0.1", self.port)) as onward:
                onward.sendall(asked)
                left = fate
                while piece := onward.recv(1024):
                    taken.sendall(piece if left is None else piece[:left])
                    left = None if left is None else left - len(piece)
                    if left is not None and left <= 0:
                        return

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def server(workdir, log):
    with rowtail.launching(lambda *more: httpserver.HttpServer(workdir, ["--db", log.path, *FAST, *more])) as start:
        yield start()


def follow_in_python(url, position, got):
    def take():
        try:
            for record in client.follow(url, position, retry_s=0.01):
                got.put(record)
        except urllib.error.HTTPError as error:
            got.put(error.code)

    threading.Thread(target=take, daemon=True).start()


def follow_in_php(url, position, got):
    """Returns the process. Its last line names the status of a refusal."""
    command = ["php", RECIPES / "client.php", url, *([] if position is None else [position])]
    env = {**os.environ, "AUTOLOAD": str(SYMFONY), "RETRY": "0.01"}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def take():
        for line in process.stdout:
            if line.startswith("["):
                got.put(tuple(json.loads(line)))
            elif "HTTP/1.1 4" in line:
                got.put(int(line.partition("HTTP/1.1 ")[2][:3]))

    threading.Thread(target=take, daemon=True).start()
    return process


LANGUAGES = {
    "python": follow_in_python,
    "php": pytest.param(follow_in_php, marks=pytest.mark.skipif(not HAS_SYMFONY, reason="no php-symfony-http-client")),
}


@pytest.fixture(params=LANGUAGES.values(), ids=LANGUAGES.keys())
def follow(request, server):
    """follow(fates, position): starts the client behind a cutter; returns (a queue of what it gets, the cutter)."""
    cutters, processes = [], []

    def start(fates, position="0"):
        cutter = Cutter(server.web[1], fates)
        cutters.append(cutter)
        got = queue.Queue()
        processes.append(request.param(cutter.url, position, got))
        return got, cutter

    yield start
    for process in filter(None, processes):
        process.kill()
        process.wait()
    for cutter in cutters:
        cutter.close()


def text(number):
    return f"{number}: Grüße aus Köln ☕\nand a second line"


def publish(log, begin, end):
    log.sql("BEGIN")
    for number in range(begin, end):
        log.insert(text(number), event="update" if number % 3 == 0 else None)
    log.sql("COMMIT")


def test_nothing_is_lost_or_repeated_over_cuts(log, follow):
    chance = random.Random(1)
    publish(log, 1, ROWS // 2)
    got, cutter = follow([chance.randrange(1, 4000) for _ in range(25)])
    publish(log, ROWS // 2, ROWS)
    taken = [got.get(timeout=stream.DEADLINE) for _ in range(1, ROWS)]
    assert taken == [("update" if n % 3 == 0 else "message", text(n), str(n)) for n in range(1, ROWS)]
    assert cutter.connections > 5


def test_an_id_counts_only_with_the_end_of_its_record(log, follow):
    publish(log, 1, 3)
    begun = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 10\nevent: position\ndata: 0\nid: 0\n\n"
    got, _ = follow([begun + b"data: cut off\nid: 1\n", begun + b"data: cut off\nid: 1", None])
    assert [got.get(timeout=stream.DEADLINE)[1:] for _ in range(2)] == [(text(1), "1"), (text(2), "2")]


def test_a_passing_refusal_and_a_restart_lose_nothing(log, server, follow):
    unavailable = b"HTTP/1.1 503 No\r\nContent-Length: 3\r\nRetry-After: 0\r\n\r\nNo\n"
    login = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<form>"
    got, _ = follow([unavailable, login, b"", None], position=None)
    publish_until_heard(log, got)
    server.stop()
    log.insert("while rowtail is down")
    server.start()
    assert got.get(timeout=stream.DEADLINE)[1] == "while rowtail is down"


def publish_until_heard(log, got):
    """Inserts until the client, which begins at the tail, has got a row; it then has all later ones."""
    for number in range(1000):
        log.insert(f"row {number}")
        try:
            first = got.get(timeout=0.05)
        except queue.Empty:
            continue
        newest = int(first[2])
        for later in range(newest + 1, number + 2):
            assert got.get(timeout=stream.DEADLINE)[2] == str(later)
        return
    raise AssertionError("no row arrived")


@pytest.mark.parametrize("status", (400, 401, 403))
def test_a_refusal_for_good_ends_it(follow, status):
    got, cutter = follow([b"HTTP/1.1 %d No\r\nContent-Length: 3\r\n\r\nNo\n" % status])
    assert got.get(timeout=stream.DEADLINE) == status
    assert cutter.connections == 1
