"""A channel that ends, behind each web server: its streams are closed, and then 204 passes, at which an EventSource stops."""


def test_end(site, channel, shared_log):
    peer = site.open(f"channel={channel}").wait_head()
    assert peer.head.status == 200, peer.describe()
    peer.next()
    shared_log.insert("one", channel=channel)
    end = shared_log.insert("done", channel=channel, event="end")
    peer.wait_complete()
    assert [(event.type, event.data) for event in peer.rows] == [("message", "one"), ("end", "done")]
    for method in ("GET", "HEAD"):
        peer = site.open(f"channel={channel}&last_event_id={end}", method=method).wait_complete()
        assert (peer.head.status, bytes(peer.body)) == (204, b""), peer.describe()
    peer = site.open(f"channel={channel}&last_event_id={end - 1}").wait_complete()
    assert (peer.head.status, [event.type for event in peer.rows]) == (200, ["end"])
