"""PyJWT, which signs tokens independently of rowtail; the releases of Debian have versions 1 and 2."""

import jwt
import pytest


def encode(claims, key, algorithm):
    """A token, as text; skips the test where this PyJWT does not know the algorithm."""
    try:
        token = jwt.encode(claims, key, algorithm=algorithm)
    except NotImplementedError:
        pytest.skip(f"PyJWT {jwt.__version__} does not know {algorithm}")
    return token if isinstance(token, str) else token.decode()
