"""Tokens: presented in three ways, granted by hash, rate-limited against guessing, never disclosed."""

import hashlib
import json

import pytest

TOKEN = "Zm9yIHRoZSBwcm9vZiBvZiB0aGUgcHVkZGluZw"
HASH = hashlib.sha256(TOKEN.encode()).hexdigest()


@pytest.fixture
def granted(log):
    """Only `orders` and the channels below it are granted, to whoever presents TOKEN."""
    log.sql("DELETE FROM grants")
    log.grant("token:" + HASH, "orders")
    log.grant("token:" + HASH, "orders/*")
    return log


def bearer(token):
    return {"Authorization": "Bearer " + token}


def status(server, query="channel=orders", **how):
    peer = server.ask(query, **how).wait_head()
    code = peer.head.status
    peer.close()
    return code


@pytest.mark.parametrize(
    "headers",
    [
        bearer(TOKEN),
        {"Authorization": "bearer  " + TOKEN},
        {"Cookie": "rowtail_token=" + TOKEN},
        {"Cookie": f"a=b; rowtail_token={TOKEN}; xrowtail_token=no"},
    ],
)
def test_ways_to_present_a_token(launch, granted, headers):
    server = launch()
    assert status(server, headers=headers) == 200
    assert status(server, "channel=orders/*", headers=headers) == 200
    assert status(server, "channel=orders&channel=other", headers=headers) == 403


@pytest.mark.parametrize(
    "headers",
    [
        bearer("wrong"),
        bearer(""),
        bearer(HASH),
        bearer("token:" + HASH),
        {"Cookie": "rowtail_token=wrong"},
        {"Cookie": "xrowtail_token=" + TOKEN},
        {"Authorization": "Basic " + TOKEN},
        {"Authorization": TOKEN},
    ],
)
def test_malformed_token(launch, granted, headers):
    assert status(launch(), headers=headers) == 401


def test_an_empty_token_is_never_valid(launch, granted):
    """Its hash gets into the table by a script whose variable was empty."""
    granted.grant("token:" + hashlib.sha256(b"").hexdigest(), "orders")
    server = launch("--allow-query-token")
    assert status(server, headers=bearer("")) == 401
    assert status(server, "channel=orders&access_token=") == 401


def test_token_in_the_url_only_when_allowed(launch, granted):
    closed = launch()
    refused = closed.answer(f"channel=orders&access_token={TOKEN}")
    assert refused.head.status == 400
    assert "--allow-query-token" in refused.sentence() and TOKEN not in refused.sentence()
    assert status(launch("--allow-query-token"), f"channel=orders&access_token={TOKEN}") == 200


def test_wrong_token_is_not_treated_as_anonymous(launch, granted):
    """A page with an expired token is told so, even if everyone may read."""
    granted.grant("*", "orders")
    server = launch()
    assert status(server) == 200
    assert status(server, headers=bearer("wrong")) == 401
    # Browsers send cookies unasked, so a stale cookie does no harm.
    assert status(server, headers={"Cookie": "rowtail_token=wrong"}) == 200


PLAIN = {"accept": "*/*"}


def guess(server, count, prefix="guess", **how):
    """The statuses for so many different tokens, all wrong."""
    tokens = (f"{prefix}{number}" for number in range(count))
    return [status(server, headers=bearer(token), **how) for token in tokens]


def test_guessing_tokens_is_rate_limited(launch, granted):
    server = launch()
    codes = guess(server, 30, addr="192.0.2.1", **PLAIN)
    assert set(codes) == {401, 429}
    assert codes[0] == 401 and codes[-1] == 429
    last = server.answer("channel=orders", headers=bearer("x"), addr="192.0.2.1", **PLAIN)
    assert last.head.get("Retry-After")
    # Other addresses, and clients without a token, are not affected.
    assert status(server, headers=bearer(TOKEN), addr="192.0.2.2") == 200
    assert status(server, addr="192.0.2.1") == 401


def test_event_source_reconnects_after_too_many_guesses(launch, granted):
    """Any status except 200 would end it for good; the refusal is temporary."""
    server = launch()
    guess(server, 15, addr="192.0.2.1")
    peer = server.ask("channel=orders", headers=bearer(TOKEN), addr="192.0.2.1").wait_complete()
    assert peer.head.status == 200 and peer.parser.retries and not peer.events
    assert peer.parser.comments


def test_repeated_stale_token_is_not_a_guess(launch, granted):
    """Pages behind one address that retry with an old token block nobody."""
    server = launch()
    for _ in range(30):
        assert status(server, headers=bearer("stale"), addr="192.0.2.1") == 401
    assert status(server, headers=bearer(TOKEN), addr="192.0.2.1") == 200


def test_one_valid_cookie_among_several(launch, granted):
    """A browser may send a stale cookie of another path first."""
    server = launch()
    for cookies in (
        f"rowtail_token=stale; rowtail_token={TOKEN}",
        f"rowtail_token={TOKEN}; rowtail_token=stale",
        f"rowtail_token=; rowtail_token=stale; a=b; rowtail_token={TOKEN}",
    ):
        assert status(server, headers={"Cookie": cookies}, addr="192.0.2.1") == 200
    stale = {"Cookie": "rowtail_token=stale; rowtail_token=old"}
    assert status(server, headers=stale, addr="192.0.2.1") == 401


def test_token_is_never_logged(launch, granted):
    server = launch("--log-level", "debug")
    for token in TOKEN, "wrong-" + TOKEN:
        answer = server.ask("channel=orders", headers=bearer(token)).wait_head()
        assert token.encode() not in answer.head.raw and token.encode() not in bytes(answer.body)
        answer.close()
    assert TOKEN.encode() not in bytes(server.page("metrics").body)
    assert TOKEN.encode() not in bytes(server.page("status").body)
    server.stop()
    assert TOKEN not in server.stderr


def test_revoked_token_ends_its_streams(launch, granted):
    server = launch("--heartbeat", 1)
    peer = server.open("channel=orders", headers=bearer(TOKEN))
    other = server.open("channel=orders/1", headers=bearer(TOKEN))
    granted.sql("DELETE FROM grants WHERE channel = 'orders'")
    peer.wait_complete()
    assert peer.events[-1].type == "denied"
    assert json.loads(peer.events[-1].data) == {"reason": "revoked"}
    granted.insert("still", channel="orders/1")
    assert other.next_row().data == "still"


def test_token_with_an_expiry(launch, granted):
    granted.sql("UPDATE grants SET expires_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+2 seconds')")
    server = launch("--heartbeat", 1)
    peer = server.open("channel=orders", headers=bearer(TOKEN)).wait_complete()
    assert json.loads(peer.events[-1].data) == {"reason": "expired"}
    assert status(server, headers=bearer(TOKEN)) == 403
