"""Who may read what: grants for everyone and for users whom the web server has authenticated."""

import json

import pytest


@pytest.fixture
def grants(log):
    """Removes all grants."""
    log.sql("DELETE FROM grants")
    return log


def status(server, query="", **how):
    peer = server.ask(query, **how).wait_head()
    code = peer.head.status
    peer.close()
    return code


def test_nobody_reads_without_a_grant(launch, grants):
    server = launch()
    anonymous = server.answer()
    assert anonymous.head.status == 401
    assert anonymous.head.get("WWW-Authenticate")
    anonymous.sentence()
    assert server.answer(user="ann").head.status == 403
    assert server.answer(accept="*/*").head.status == 401


def test_public_needs_no_grant(launch, grants):
    server = launch("--public")
    assert status(server, "channel=*") == 200
    assert status(server, user="ann") == 200


@pytest.mark.parametrize(
    "granted, asked, allowed",
    [
        ("news", "news", True),
        ("news", "news/a", False),
        ("news", "News", False),
        ("news", "*", False),
        ("news/*", "news/a", True),
        ("news/*", "news/a/b", True),
        ("news/*", "news/*", True),
        ("news/*", "news/a/*", True),
        ("news/*", "news", False),
        ("news/*", "newsletter", False),
        ("news/a/*", "news/*", False),
        ("news/*", "*", False),
        ("*", "anything", True),
        ("*", "any/*", True),
        ("*", "*", True),
    ],
)
def test_grant_covers_its_channel_or_pattern(launch, grants, granted, asked, allowed):
    grants.grant("*", granted)
    assert (status(launch(), {"channel": asked}) == 200) == allowed


def test_one_ungranted_channel_refuses_the_request(launch, grants):
    grants.grant("*", "news")
    grants.grant("user:ann", "private/*")
    server = launch()
    query = "channel=news&channel=private/1"
    assert status(server, query, user="ann") == 200
    assert status(server, query, user="bob") == 403
    assert status(server, query) == 401
    assert status(server, "channel=news") == 200


def test_grant_is_for_the_user_it_names(launch, grants):
    grants.grant("user:ann", "*")
    server = launch()
    assert status(server, user="ann") == 200
    assert status(server, user="Ann") == 403
    assert status(server, user="*") == 403
    assert status(server, headers={"Remote-User": "ann"}) == 401


def test_expired_grant_is_ignored(launch, grants):
    grants.grant("*", "past", "2001-01-01 00:00:00")
    grants.grant("*", "future", "2999-01-01T00:00:00Z")
    server = launch()
    assert status(server, "channel=past") == 401
    assert status(server, "channel=future") == 200


def test_refusal_does_not_reveal_which_channels_exist(launch, grants):
    grants.insert("secret", channel="exists")
    server = launch()
    answers = [bytes(server.answer({"channel": name}).body) for name in ("exists", "absent")]
    assert answers[0].replace(b"exists", b"") == answers[1].replace(b"absent", b"")


@pytest.mark.parametrize(
    "end, reason",
    [
        ("DELETE FROM grants WHERE channel = 'a'", "revoked"),
        ("UPDATE grants SET expires_at = '2001-01-01 00:00:00' WHERE channel = 'a'", "expired"),
    ],
)
def test_expiring_grant_ends_its_streams(launch, grants, end, reason):
    for channel in "ab":
        grants.grant("*", channel)
    server = launch()
    loser, keeper = server.open("channel=a"), server.open("channel=b")
    grants.insert("last", channel="a")
    assert loser.next_row().data == "last"
    grants.sql(end)
    denied = loser.next()
    assert (denied.type, json.loads(denied.data)) == ("denied", {"reason": reason})
    loser.wait_complete()
    grants.insert("on", channel="b")
    assert keeper.next_row().data == "on"
