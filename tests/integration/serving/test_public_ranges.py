"""The role `public` sees older data only, and nothing of how collecting is doing now."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from range_shelf import RangeServer
from served import serving
from viewing import seen_by

from data_fetch.core.accounts.accounts import Role
from data_fetch.core.clock import SystemClock
from data_fetch.serving.server import Server
from data_fetch.serving.viewers import Viewer

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
# What was asked for, and what is known in advance.
NOT_DATA = {"from", "to", "next", "expires_at"}
LIMITS = [
    pytest.param(datetime(2025, 6, 11, 4, 2, 30, tzinfo=UTC), id="among the quotes"),
    pytest.param(datetime(2025, 6, 12, 4, tzinfo=UTC), id="after the candles"),
    pytest.param(datetime(2026, 9, 16, 3, 50, 30, tzinfo=UTC), id="among the snapshots"),
]
DATA = [
    "/api/data/ltp?symbols=RELIANCE,TCS",
    "/api/data/quotes/RELIANCE?from=2025-06-11&to=2025-06-11",
    "/api/data/candles/RELIANCE?from=2025-06-10&to=2025-06-11",
    "/api/data/candles/RELIANCE?from=2025-06-10&to=2025-06-11&interval=15minute",
    "/api/data/candles/RELIANCE?from=2025-06-10&to=2025-06-11&as_of=2030-01-01T00:00:00Z",
    "/api/data/chain/NIFTY/history?from=2026-09-16&to=2026-09-16",
    "/api/data/chain/NIFTY/history?from=2026-09-16&to=2026-09-16&every=1m",
    "/api/data/leg?symbol=NIFTY&expiry=2026-09-22&strike=24000&option_type=CE"
    "&from=2026-09-16&to=2026-09-16&as_of=2030-01-01T00:00:00Z",
]
OPERATION = ["coverage", "gaps", "freshness", "runs", "polling-plan"]


def texts(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        for name, value in document.items():
            if name not in NOT_DATA:
                yield from texts(value)
    elif isinstance(document, list):
        for value in document:
            yield from texts(value)
    elif isinstance(document, str):
        yield document


def instants(document: Any) -> list[datetime]:
    return [datetime.fromisoformat(text) for text in texts(document) if INSTANT.fullmatch(text)]


def seen_until(ranges: RangeServer, limit: datetime) -> Any:
    delay = SystemClock().now() - limit
    viewer = Viewer(role=Role.PUBLIC, delay=delay)
    return serving(seen_by(Server(ranges.shelf.settings), viewer))


@pytest.mark.parametrize("limit", LIMITS)
def test_nothing_newer_is_in_an_answer(ranges: RangeServer, limit: datetime) -> None:
    shown = 0
    with seen_until(ranges, limit) as server:
        for path in DATA:
            document = orjson.loads(server.ask(path).data)
            found = instants(document)
            # Some seconds pass while the test asks.
            late = [at for at in found if (at - limit).total_seconds() > 60]
            assert not late, path
            shown += document.get("count", 0)

    assert shown > 0


def test_a_snapshot_is_as_it_was_known_then(ranges: RangeServer) -> None:
    limit = datetime(2026, 9, 16, 3, 50, 30, tzinfo=UTC)
    with seen_until(ranges, limit) as server:
        document = orjson.loads(server.ask(DATA[-1]).data)

    assert document["columns"]["last_confirmed"][-1] == "2026-09-16T03:50:00Z"
    assert document["columns"]["confirmations"][-1] == 1


@pytest.mark.parametrize("form", ["json", "csv", "arrow"])
def test_no_form_shows_more(ranges: RangeServer, form: str) -> None:
    """Before the candles were stored there is none."""
    limit = datetime(2025, 6, 11, 14, tzinfo=UTC)
    with seen_until(ranges, limit) as server:
        answer = server.ask(f"{DATA[2]}&format={form}")

    assert answer.status == 200
    assert b"1500" not in answer.data
    assert len(answer.data) < 5_000


@pytest.mark.parametrize("path", OPERATION)
def test_operation_is_not_public(ranges: RangeServer, path: str) -> None:
    with seen_until(ranges, datetime(2026, 1, 1, tzinfo=UTC)) as server:
        answer = server.ask(f"/api/data/{path}")

    assert (answer.status, orjson.loads(answer.data)["code"]) == (403, "forbidden")
