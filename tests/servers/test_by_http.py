"""What only a web server that reaches rowtail by HTTP (--http) must do.

The other tests of this directory run for these servers, too.
"""

import pytest

import httpc
import httpserver
from deployment import BY_HTTP, DEPLOYMENTS, other_transport, wait_until

pytestmark = [httpserver.needed, pytest.mark.deployments(*BY_HTTP)]


def test_other_transport(build, deployment):
    """The lines of the file for a unix socket, or for TCP."""
    site = build(deployment, changed=other_transport(deployment)).start()
    assert site.deployment.http != DEPLOYMENTS[deployment].http
    with site.follow() as opened:
        row = site.log.insert("the other way")
        assert opened.next().last_event_id == str(row)


def test_address_of_the_client(build, deployment):
    """rowtail sees the client's address, not the server's, and none that a client forges."""
    site = build(deployment, max_streams_per_client=1).start()
    ann, bob = "127.0.0.2", "127.0.0.3"

    def refused(client, **forged):
        answer = site.open(client=client, headers=forged, accept="*/*").wait_head()
        return answer.head.status == 503

    site.follow(client=ann)
    assert refused(ann) and refused(ann, **{"X-Forwarded-For": "192.0.2.7"})
    site.follow(client=bob)
    assert refused(bob) and refused(ann)


def test_next_request_of_a_connection(build, deployment):
    """After rowtail's answer, the connection belongs to the site again, and the other way round."""
    site = build(deployment).start()
    targets = {
        "/events?channel=": b"channel",
        "/events?format=json": b'"position":0',
        "/index.html": b"a static page",
    }
    for first, says in targets.items():
        for second, says_then in targets.items():
            with httpc.open_request(site.server.address, first, accept="*/*") as opened:
                assert says in opened.wait_complete().body, opened.describe()
                if opened.head.get("Connection") != "close":
                    again = httpc.open_request(None, second, accept="*/*", on=opened)
                    assert says_then in again.wait_complete().body, again.describe()


@pytest.mark.deployments("varnish-http")
def test_varnish_closes_while_rowtail_is_down(build, deployment):
    """An EventSource reconnects then, as after the answer of the other servers."""
    site = build(deployment)
    site.server.start()
    answer = site.open().wait_end()
    assert answer.head is None
    site.start_rowtail()
    # Varnish does not try a server again for a quarter of a second after it has refused a connection.
    wait_until(lambda: site.open().rest(0.1).head, "stream")
