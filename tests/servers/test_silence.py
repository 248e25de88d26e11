"""A stream without rows lives on, at the time-outs that each server has by default.

make servers leaves this file out: make silence runs it by itself, since it only waits.
"""

import time

import proxies
import pytest
from conftest import directory, is_here
from deployment import DEPLOYMENTS
from packages import missing

SILENCE_S = 90


@pytest.fixture
def log(build):
    with directory() as path:
        yield build.log(path)


@pytest.fixture
def streams(build, log):
    """{name: a stream}: one through every server and every second proxy, all in their shipped configuration."""
    sites = {name: build(name, log=log).start() for name in DEPLOYMENTS if is_here(name)}
    opened = {name: site.follow() for name, site in sites.items()}
    for outer, server in proxies.PROXIES.items():
        if missing(server.program, server.package):
            continue
        for plain in False, True:
            inner = {"lighttpd": sites["lighttpd"].server.address}
            address = build.proxy(outer, inner, plain=plain).addresses["lighttpd"]
            name = f"lighttpd behind {outer}{', plain' if plain else ''}"
            opened[name] = sites["lighttpd"].follow(address=address)
    return opened


def test_ninety_seconds_without_a_row(streams, log):
    """All servers side by side; the kernel keeps what nobody reads."""
    time.sleep(SILENCE_S)
    row = str(log.insert("after the silence"))
    for name, stream in streams.items():
        assert stream.next().last_event_id == row, name
        assert len(stream.parser.comments) >= SILENCE_S // 15 - 1, name
        assert stream.parser.empty_blocks == 0, name
