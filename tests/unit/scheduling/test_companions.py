"""How long a companion that ended by itself waits until it is started again."""

import pytest

from data_fetch.scheduling.companions import Companion

COMPANION = Companion(name="The API", command=(), first_wait=1, longest_wait=60)


@pytest.mark.parametrize(
    ("wait", "ran", "following"),
    [
        pytest.param(0.5, 0, 1, id="the first time"),
        pytest.param(1, 0, 2, id="it doubles"),
        pytest.param(32, 59, 60, id="up to the longest"),
        pytest.param(60, 1, 60, id="and stays there"),
        pytest.param(60, 60, 1, id="until it has run for that long"),
    ],
)
def test_waits_grow(wait: float, ran: float, following: float) -> None:
    assert COMPANION.following(wait, ran) == following
