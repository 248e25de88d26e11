"""A stream without rows stays open with each server's default time-outs."""

from conftest import SILENCE_S


def test_ninety_seconds_without_a_row(silent_streams):
    """All servers side by side, while other tests run; the kernel buffers what nobody reads."""
    for name, seen in silent_streams.seen().items():
        parser = silent_streams.opened[name].parser
        assert seen == str(silent_streams.row), name
        assert len(parser.comments) >= SILENCE_S // 15 - 1, name
        assert parser.empty_blocks == 0, name
