"""A stream without rows lives on, at the time-outs that each server has by default."""

import time

from deployment import DEPLOYMENTS
from stream import DEADLINE, pump_all

SILENCE_S = 90


def test_ninety_seconds_without_a_row(build, shared_log):
    """All servers side by side. The heartbeat, every 15 s as shipped, is what comes meanwhile."""
    opened = {name: build(name, log=shared_log).start().follow() for name in DEPLOYMENTS}
    began = time.monotonic()
    pump_all(
        opened.values(),
        lambda quiet: len(quiet.parser.comments) >= SILENCE_S // 15,
        "ninety seconds of heartbeats",
        timeout=SILENCE_S + DEADLINE,
    )
    assert time.monotonic() - began > SILENCE_S - 5, "more heartbeats than there should be"
    row = shared_log.insert("after the silence")
    for name, stream in opened.items():
        assert stream.next().last_event_id == str(row), name
        assert stream.parser.empty_blocks == 0, name
