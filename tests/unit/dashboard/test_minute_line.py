"""The line of the running minute on the page Candles."""

from datetime import UTC, datetime, timedelta

import pytest

from data_fetch.dashboard.minute_line import minute_line
from data_fetch.reading.feed_ticks import AWAY
from data_fetch.reading.running_minutes import RunningMinute

START = datetime(2026, 9, 16, 4, 30, tzinfo=UTC)
RECEIVED = START + timedelta(seconds=12)


def minute(volume: int) -> RunningMinute:
    return RunningMinute(
        symbol="NIFTY",
        start=START,
        open=24_000.0,
        high=24_010.5,
        low=23_999.0,
        close=24_001.0,
        volume=volume,
        source="upstox",
        received_at=RECEIVED,
    )


PRICES = "open 24,000.00 · high 24,010.50 · low 23,999.00 · last 24,001.00"


@pytest.mark.parametrize(
    ("volume", "after", "line"),
    [
        pytest.param(
            0, timedelta(seconds=3), f"provisional, 3 s old · {PRICES}", id="an index has no volume"
        ),
        pytest.param(
            1_25_000,
            AWAY,
            f"provisional, 5 min old · {PRICES} · volume 1,25,000",
            id="just recent",
        ),
    ],
)
def test_it_says_what_and_how_old_it_is(volume: int, after: timedelta, line: str) -> None:
    found = minute_line(minute(volume), RECEIVED + after)

    assert found == f"Minute 10:00 by the live feed of upstox, {line}"


@pytest.mark.parametrize(
    "of", [pytest.param(None, id="no feed"), pytest.param(minute(0), id="a feed that is away")]
)
def test_there_is_none_without_a_feed(of: RunningMinute | None) -> None:
    assert minute_line(of, RECEIVED + AWAY + timedelta(seconds=1)) is None
