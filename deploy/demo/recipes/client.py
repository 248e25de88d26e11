#!/usr/bin/python3
"""A client of rowtail in Python's standard library: prints each row as it arrives, until you stop it.

    client.py http://127.0.0.1:8080/events?channel=orders/* [POSITION]

follow() is all that a program needs. It loses nothing and repeats nothing, however a connection ends: the rules are those of
"If you write a client" in deploy/clients.md. A `gap` record says that rows are missing: fetch the state again.
"""

import http.client
import random
import sys
import time
import urllib.error
import urllib.request

SILENCE_S = 45  # more than twice rowtail's heartbeat
LONGEST_PAUSE_S = 60
FINAL = (400, 401, 403)


def records(lines, set_retry):
    """Yields (type, data, id) of each complete record in an iterable of lines, as bytes. id is None if it has none."""
    kind, data, position = "", [], None
    for line in lines:
        name, _, value = line.rstrip(b"\r\n").decode("utf-8", "replace").partition(":")
        value = value[1:] if value.startswith(" ") else value
        if line in (b"\n", b"\r\n"):
            if data or position is not None:
                yield kind or "message", "\n".join(data), position
            kind, data, position = "", [], None
        elif name == "data":
            data.append(value)
        elif name == "event":
            kind = value
        elif name == "id" and "\0" not in value:
            position = value
        elif name == "retry" and value.isdigit():
            set_retry(int(value) / 1000)


def follow(url, position=None, headers=None, retry_s=2.0):
    """Yields (type, data, id) of each row and gap. Raises HTTPError on 400, 401, 403; returns at the end of the channel."""
    retry, failures = retry_s, 0

    def set_retry(seconds):
        nonlocal retry
        retry = seconds

    while True:
        asked = {"Accept": "text/event-stream", "Cache-Control": "no-store", **(headers or {})}
        if position is not None:
            asked["Last-Event-ID"] = position
        least = 0
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=asked), timeout=SILENCE_S) as answer:
                if answer.status == 204:
                    return
                failures += 1
                if answer.headers.get_content_type() == "text/event-stream":
                    for kind, data, new in records(answer, set_retry):
                        failures = 0
                        position = position if new is None else new
                        if kind != "position":
                            yield kind, data, new
                        if kind in ("end", "denied"):
                            return
        except urllib.error.HTTPError as error:
            if error.code in FINAL:
                raise
            failures += 1
            least = min(float(error.headers.get("Retry-After") or 0), LONGEST_PAUSE_S)
        except (OSError, http.client.HTTPException):
            failures += 1
        pause = min(retry * 2 ** max(failures - 1, 0), LONGEST_PAUSE_S)
        time.sleep(max(least, pause * random.uniform(1, 1.5)))


def main():
    url, position = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    for kind, data, new in follow(url, position):
        print(new, kind, data, flush=True)


if __name__ == "__main__":
    main()
