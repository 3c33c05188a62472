"""Documents from Redis that are no updates are refused before they reach the hub."""

from collections.abc import Callable
from typing import Any

import pytest

from data_fetch.publishing.stream_updates import (
    chain_update,
    option_tick_updates,
    price_update,
    tick_updates,
)

AT = "2026-09-16T04:00:00.000Z"


def tick(**facts: Any) -> dict[str, Any]:
    return {"source": "paper", "world": "paper", "ticks": [{"price": 1.0, **facts}]}


@pytest.mark.parametrize(
    ("made", "document"),
    [
        pytest.param(price_update, {"timestamp": AT}, id="no product"),
        pytest.param(price_update, {"product": ["A"], "timestamp": AT}, id="several products"),
        pytest.param(price_update, {"product": "A", "timestamp": 5}, id="an instant as number"),
        pytest.param(price_update, {"product": "A", "timestamp": AT[:-1]}, id="no time zone"),
        pytest.param(chain_update, {"product": "A", "expiry": {}, "timestamp": AT}, id="expiry"),
        pytest.param(tick_updates, {"source": "paper", "world": "paper"}, id="no ticks"),
        pytest.param(tick_updates, {"ticks": []}, id="ticks of no source"),
        pytest.param(tick_updates, tick(received_at=AT), id="a tick of no product"),
        pytest.param(tick_updates, tick(product={}, received_at=AT), id="a product as object"),
        pytest.param(tick_updates, tick(product="A"), id="a tick without an instant"),
        pytest.param(option_tick_updates, tick(received_at=AT), id="a tick of no contract"),
        pytest.param(option_tick_updates, tick(symbol=1, received_at=AT), id="a contract's number"),
        pytest.param(tick_updates, tick(product="A", received_at="now"), id="no instant"),
    ],
)
def test_what_is_no_update(made: Callable[[Any], Any], document: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError, LookupError)):
        made(document)
