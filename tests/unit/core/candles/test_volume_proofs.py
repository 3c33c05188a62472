"""Proof by cumulative volume: a minute in which it stood still had no trade."""

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.candles.volume_proofs import VolumeSeen, holds_all_volume, still_spans
from data_fetch.core.clock import IST
from data_fetch.core.market.session import instant_of, minute_number
from data_fetch.core.spans import Spans

DAY = datetime(2026, 9, 15, tzinfo=IST)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
OPENING = datetime.combine(DAY, time(9, 15), IST).astimezone(UTC)


def seen(text: str) -> list[VolumeSeen]:
    """Parse quotes like ``"10:00 700, 10:01:30 700"``: time, and the day's volume."""
    pairs = [quote.split() for quote in text.split(",")]
    return [
        VolumeSeen(datetime.combine(DAY, time.fromisoformat(at), IST).astimezone(UTC), int(volume))
        for at, volume in pairs
    ]


def written(spans: Spans) -> list[str]:
    ends = [(instant_of(first), instant_of(end)) for first, end in spans]
    return [f"{a.astimezone(IST):%H:%M}-{b.astimezone(IST):%H:%M}" for a, b in ends]


@pytest.mark.parametrize(
    ("quotes", "still"),
    [
        pytest.param("10:00 700", [], id="a single quote proves nothing"),
        pytest.param("10:00 700, 10:01 700", ["10:00-10:01"], id="exactly around a minute"),
        pytest.param("10:00 700, 10:00:59 700", [], id="a second too short"),
        pytest.param("10:00:30 700, 10:01:30 700", [], id="a minute long, but no whole minute"),
        pytest.param("10:00:30 700, 10:02:30 700", ["10:01-10:02"], id="mid-minute"),
        pytest.param(
            "10:00:00.000001 700, 10:02 700", ["10:01-10:02"], id="an instant after the start"
        ),
        pytest.param("09:59:59 700, 10:00:59.999999 700", [], id="an instant before the end"),
        pytest.param("10:00 700, 10:01 701", [], id="it moved"),
        pytest.param("10:00 700, 10:01 650, 10:02 700", [], id="it fell and rose again"),
        pytest.param("10:00 700, 10:01 650, 10:02 650", ["10:01-10:02"], id="it fell, then stood"),
        pytest.param("10:00 0, 10:03 0", ["10:00-10:03"], id="nothing traded yet"),
        pytest.param("10:00 700, 14:00 700", ["10:00-14:00"], id="no quotes in between"),
        pytest.param(
            "10:00 700, 10:00:30 700, 10:01 700, 10:02 700", ["10:00-10:02"], id="many agree"
        ),
        pytest.param(
            "10:00 700, 10:02 700, 10:03 900, 10:05 900",
            ["10:00-10:02", "10:03-10:05"],
            id="one trade between two quiet times",
        ),
    ],
)
def test_minutes_between_quotes_of_equal_volume_are_still(quotes: str, still: list[str]) -> None:
    assert written(still_spans(seen(quotes))) == still


def test_no_quotes_prove_nothing() -> None:
    assert still_spans([]) == ()


OFFSETS = st.integers(0, 20 * 60).map(lambda seconds: OPENING + seconds * SECOND)


@given(
    quoted_at=st.sets(OFFSETS, max_size=25),
    trades=st.lists(OFFSETS.map(lambda at: at + SECOND / 2), max_size=6),
)
def test_exactly_the_minutes_between_two_equal_quotes_are_still(
    quoted_at: set[datetime], trades: list[datetime]
) -> None:
    quotes = [VolumeSeen(at, sum(trade < at for trade in trades)) for at in sorted(quoted_at)]
    still = {minute for first, end in still_spans(quotes) for minute in range(first, end)}

    first = minute_number(OPENING)
    enclosed = set()
    for minute in range(first, first + 20):
        begins, over = instant_of(minute), instant_of(minute + 1)
        before = [quote.volume for quote in quotes if quote.at <= begins]
        after = [quote.volume for quote in quotes if quote.at >= over]
        if before and after and before[-1] == after[0]:
            enclosed.add(minute)
    assert still == enclosed
    assert not still & {minute_number(trade) for trade in trades}


@pytest.mark.parametrize(
    ("day_volume", "stored_volume", "complete"),
    [
        pytest.param(9000, 9000, True, id="equal"),
        pytest.param(0, 0, True, id="no trade all day"),
        pytest.param(9000, 8999, False, id="a share is missing"),
        pytest.param(9000, 9001, False, id="more than the day had: one of them is wrong"),
        pytest.param(None, 0, False, id="the day's volume is not known"),
    ],
)
def test_whether_stored_minutes_have_all_the_volume(
    day_volume: int | None, stored_volume: int, complete: bool
) -> None:
    assert holds_all_volume(day_volume, stored_volume) is complete
