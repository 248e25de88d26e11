"""deploy/access through the real web servers: who is admitted, who is not, and for how long."""

import base64

import pytest


def basic(user, password):
    """What a browser sends when somebody has typed name and password."""
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def test_a_name_that_nobody_has_checked_is_nobody(build, deployment):
    """No server asks for a login here: a name with any password must not be taken for that user."""
    site = build(deployment, public=None).start()
    site.log.grant("user:ann", "default")
    assert site.open(headers=basic("ann", "a guess")).wait_head().head.status == 401
