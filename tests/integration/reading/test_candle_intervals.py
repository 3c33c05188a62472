"""Candles that are made of stored minutes."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from candle_shelf import RELIANCE, TUESDAY, WEDNESDAY, Shelf, whole_day

from data_fetch.core.clock import IST
from data_fetch.core.errors import SetupError
from data_fetch.reading import candles


def rows(shelf: Shelf, interval: str, **given: Any) -> list[dict[str, Any]]:
    span = {"first": TUESDAY, "last": WEDNESDAY, **given}
    found = candles("RELIANCE", interval=interval, settings=shelf.settings, **span)
    return found.table.to_pylist()


@pytest.mark.parametrize(
    ("interval", "size", "a_day"), [("5minute", 5, 75), ("15minute", 15, 25), ("60minute", 60, 7)]
)
def test_buckets_are_what_their_minutes_are(
    shelf: Shelf, interval: str, size: int, a_day: int
) -> None:
    for day in (TUESDAY, WEDNESDAY):
        shelf.keeps(RELIANCE, day, whole_day())
    minutes = rows(shelf, "1minute")

    found = rows(shelf, interval)

    assert len(found) == 2 * a_day
    for bucket in found:
        end = bucket["timestamp"] + timedelta(minutes=size)
        own = [one for one in minutes if bucket["timestamp"] <= one["timestamp"] < end]
        assert (bucket["open"], bucket["close"]) == (own[0]["open"], own[-1]["close"])
        assert bucket["high"] == max(one["high"] for one in own)
        assert bucket["low"] == min(one["low"] for one in own)
        assert bucket["volume"] == sum(one["volume"] for one in own)
        assert bucket["minutes"] == bucket["minutes_expected"] == len(own)
        assert (bucket["oi"], bucket["is_final"], bucket["source"]) == (0, True, "upstox")


def test_a_bucket_says_which_of_its_minutes_are_not_there(shelf: Shelf) -> None:
    there = dict.fromkeys((0, 1, 3, 12), 10.0)
    shelf.keeps(RELIANCE, TUESDAY, there, final=False)

    found = rows(shelf, "5minute")

    counts = [(row["minutes"], row["minutes_expected"], row["minutes_missing"]) for row in found]
    assert counts == [(3, 5, 2), (1, 5, 4)]
    assert {row["is_final"] for row in found} == {False}


def test_what_the_source_lacks_is_not_missing(shelf: Shelf) -> None:
    shelf.keeps(RELIANCE, TUESDAY, {0: 10.0})
    shelf.answered(RELIANCE, TUESDAY)

    [found] = rows(shelf, "15minute")

    assert (found["minutes"], found["minutes_expected"], found["minutes_missing"]) == (1, 15, 0)


def test_buckets_as_of_an_instant(shelf: Shelf) -> None:
    noon = datetime(2025, 6, 10, 12, tzinfo=IST)
    shelf.keeps(RELIANCE, TUESDAY, {0: 10.0, 1: 20.0}, at=noon)
    shelf.keeps(RELIANCE, TUESDAY, {2: 30.0}, at=noon + timedelta(hours=1))

    [found] = rows(shelf, "5minute", as_of=noon + timedelta(minutes=1))

    assert (found["close"], found["minutes"], found["minutes_missing"]) == (20.0, 2, 3)


def test_they_are_made_of_continuous_trading_alone(shelf: Shelf) -> None:
    with pytest.raises(SetupError, match="continuous trading"):
        rows(shelf, "5minute", kinds=("traded", "auction"))


def test_a_range_without_a_minute_has_no_bucket(shelf: Shelf) -> None:
    assert rows(shelf, "60minute") == []
