"""HAProxy in front of rowtail: channels in the path, users, bodies, and frontends that do more."""

import pytest

import webserver
from logins import PASSWORDS, basic
from sites import SPELLED

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SITE = "haproxy"


@pytest.fixture(scope="module")
def running(fleet, shared_log):
    """A site on which everyone may read every channel."""
    shared_log.grant("*", "*")
    return fleet(SITE)


@pytest.mark.parametrize("spelled", [*SPELLED, "100%zz"])
def test_channel_in_the_path(running, shared_log, spelled):
    channel = SPELLED.get(spelled, spelled)
    row = shared_log.insert("there", channel=channel)
    with running.follow(path=f"/{spelled}", last_event_id=str(row - 1)) as opened:
        assert opened.next().last_event_id == str(row)
    assert running.open(path=f"/{spelled}%0Ax").wait_head().head.status == 400


def test_body_of_every_length(running, shared_log):
    """rowtail gets whole bodies up to its limit, chunked ones up to HAProxy's; never a part."""
    channels = [f"{number}/{'x' * 240}" for number in range(100)]
    body = "&".join(["positions=1", *(f"channel={name}" for name in channels)]).encode()
    with running.follow(method="POST", body=body, headers=FORM) as opened:
        shared_log.insert("for the last one", channel=channels[-1])
        assert opened.next().data == "for the last one"
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    headers = {**FORM, "Transfer-Encoding": "chunked"}
    with running.open(method="POST", headers=headers).send(chunked) as answer:
        # HAProxy 3.2 closes the connection instead.
        answer.wait(lambda: answer.head or answer.eof, "head or end")
        assert answer.head is None or answer.head.status in (400, 413)


class BusyHAProxy(webserver.HAProxy):
    """HAProxy with its own logins, and with every kind of processing for answers."""

    edits = {
        "timeout server  50000": "timeout server  10s\n\thttp-reuse always\n\toption forwardfor",
        "timeout client  50000": "timeout client  20s",
        "defaults\n": "userlist staff\n\tuser ann insecure-password x\ndefaults\n",
    }
    around = """
	acl staff http_auth(staff)
	use_backend files if staff { path_beg /admin/ }
	http-request set-header X-Staff %[http_auth_group(staff)] if staff
	http-request set-var(txn.rowtail_user) str(ann) if { path /elsewhere }
	option http-buffer-request
	option httpclose
	timeout http-request 5s
	timeout tunnel 5s
	http-response set-header X-Content-Type-Options nosniff
	http-response set-header Strict-Transport-Security max-age=31536000
"""


def test_frontend_that_does_more(build):
    """Rows arrive at once and unchanged for all HTTP versions, and nobody becomes ann."""
    site = build(SITE, server=BusyHAProxy, public=None, heartbeat=1).start()
    site.log.grant("user:ann", "*")
    site.log.grant("*", "open")
    for headers in {}, basic("ann", "wrong"), basic("ann", "x"), basic("ann", PASSWORDS["ann"]):
        for more in {}, {"REMOTE_USER": "ann", "Remote-User": "ann", "X-Forwarded-User": "ann"}:
            refused = site.open("channel=private", headers={**headers, **more}).wait_head()
            assert refused.head.status == 401, refused.describe()
    with site.follow("channel=open") as opened:
        for number in range(3):
            site.log.insert(f"row {number}", channel="open")
            assert opened.next().data == f"row {number}"
