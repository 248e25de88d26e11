"""What make test leaves to make test-all, which sets TEST_FULL=1.

Where a test is parametrised with values that hardly depend on each other, make test takes each pair of values, and not
each combination of three. make test-all takes them all.
"""

import os
import random

FULL = os.environ.get("TEST_FULL") == "1"


def share(values, number, of):
    """One of `of` shares of the values; together the shares are all of them. All values with TEST_FULL=1."""
    return list(values) if FULL else list(values)[number % of :: of]


def sample(values, of):
    """One in so many of the values, others in each run. All values with TEST_FULL=1."""
    return share(values, random.randrange(of), of)
