"""A host that buffers every answer until its end: long polling by --max-stream-age."""

import pytest

from follower import Crowd, Publisher, finish


@pytest.mark.deployments("lighttpd", "lighttpd-cgi")
def test_long_polling_loses_nothing(build, deployment):
    holds_back = {"server.stream-response-body = 2": "server.stream-response-body = 0"}
    site = build(deployment, edits=holds_back, max_stream_age=1, retry=0, retry_jitter=0).start()
    with Crowd(site.server.address, site.deployment.mount + "?last_event_id=0", 3) as crowd:
        with Publisher(site.log) as publisher:
            crowd.run(4.5)
            finish(crowd, publisher)
        assert all(follower.connections >= 3 for follower in crowd.followers)
