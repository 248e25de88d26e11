"""rowtail and the web server restarted under load: every client resumes, nothing lost or twice."""

import os
import signal

from follower import Crowd, Publisher, finish

QUICK = {"retry": 100, "retry_jitter": 100, "heartbeat": 1}


def end_rowtail(site, number):
    """Sends a signal to every rowtail process; the service stays down, the web server restarts its own."""
    for pid in site.programs():
        os.kill(pid, number)
    if site.rowtail:
        site.rowtail.wait_exit()


def disturb(site, crowd, publisher):
    """All kinds of restarts, each when all followers are connected."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        crowd.run_to_news(publisher)
        end_rowtail(site, number)
        crowd.run(0.6)
        if site.rowtail:
            site.rowtail.start()
    crowd.run_to_news(publisher)
    site.server.stop()
    crowd.run(0.4)
    site.server.start()


def test_nothing_lost_nothing_twice(build, deployment):
    site = build(deployment, **QUICK).start()
    size = 4 if site.deployment.runs == "each" else 12
    target = site.deployment.mount + "?last_event_id=0"
    with Crowd(site.server.address, target, size) as crowd:
        with Publisher(site.log) as publisher:
            disturb(site, crowd, publisher)
            finish(crowd, publisher)
        assert all(follower.connections >= 3 for follower in crowd.followers)
