"""A stream without rows lives on, at the time-outs that each server has by default."""

import time

from conftest import SILENCE_S


def test_ninety_seconds_without_a_row(silent_streams):
    """All servers side by side, while other tests run; the kernel keeps what nobody reads."""
    time.sleep(max(0, silent_streams.began + SILENCE_S - time.monotonic()))
    row = silent_streams.log.insert("after the silence")
    for name, stream in silent_streams.opened.items():
        assert stream.next().last_event_id == str(row), name
        assert len(stream.parser.comments) >= SILENCE_S // 15 - 1, name
        assert stream.parser.empty_blocks == 0, name
