"""What rowtail writes to standard error while it serves."""

import re

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z rowtail\[\d+\] [a-z]+: .+")


def test_one_line_per_entry(launch, log):
    server = launch("--log-level", "debug")
    server.open({"channel": "a"}, user="ann\nforged").close()
    server.ask("tail=x%0aforged%1b[2J", headers={"Origin": "a\r\nforged"}).wait_complete()
    server.connect().send(b"GET / HTTP/1.1\r\n\r\n").wait_end()
    server.wait_metric(0, "rowtail_streams")
    server.stop()
    lines = server.stderr.splitlines()
    assert lines
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", server.stderr)


def test_no_secret_is_logged(launch, log):
    server = launch("--log-level", "debug", "--allow-query-token")
    secret = "5ecre7" * 6
    headers = {"Authorization": f"Bearer {secret}", "Cookie": f"rowtail_token={secret}"}
    for query in (f"access_token={secret}", f"access_token={secret}&tail=x", f"tail={'x' * 9}"):
        server.ask(query, headers=headers).wait_head()
    server.stop()
    assert "5ecre7" not in server.stderr


def test_log_level_hides_lower_levels(launch, log):
    server = launch("--log-level", "error")
    server.serves(log)
    server.ask("tail=x").wait_complete()
    server.stop()
    assert server.stderr == ""
