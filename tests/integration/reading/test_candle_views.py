"""A range of candles as a chart shows it."""

from datetime import timedelta

import pytest
from candle_shelf import EVENING, RELIANCE, THURSDAY, TUESDAY, WEDNESDAY, Shelf, whole_day

from data_fetch.core.candles.coverage import State
from data_fetch.core.candles.intervals import Interval
from data_fetch.reading import candle_views
from data_fetch.reading.candle_views import CandleView, candle_view
from data_fetch.reading.coverage_minutes import day_minutes


def view(shelf: Shelf, interval: Interval = Interval.MINUTE) -> CandleView:
    return candle_view(shelf.settings, "RELIANCE", TUESDAY, THURSDAY, interval)


@pytest.mark.parametrize(
    ("interval", "bars", "blanks"),
    [(Interval.MINUTE, 377, 748), (Interval.FIVE_MINUTES, 76, 149), (Interval.DAY, 0, 3)],
)
def test_each_expected_bar_is_a_candle_or_blank(
    shelf: Shelf, interval: Interval, bars: int, blanks: int
) -> None:
    shelf.keeps(RELIANCE, TUESDAY, whole_day())
    shelf.keeps(RELIANCE, WEDNESDAY, {0: 10.0, 3: 11.0})

    found = view(shelf, interval)

    assert (len(found.table), len(found.blanks)) == (bars, blanks)
    assert {each.cause for each in found.blanks} == {State.MISSED}
    assert (found.interval, found.too_many) == (interval, 0)


def test_too_many_bars_are_put_together(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candle_views, "MOST_BARS", 100)
    shelf.keeps(RELIANCE, TUESDAY, whole_day())

    found = view(shelf)

    assert (found.interval, found.too_many) == (Interval.FIFTEEN_MINUTES, 3 * 375)
    assert len(found.table) + len(found.blanks) == 3 * 25


def test_a_corrected_candle_has_its_old_value(shelf: Shelf) -> None:
    shelf.keeps(RELIANCE, TUESDAY, {0: 10.0, 1: 11.0}, final=False)
    shelf.keeps(RELIANCE, TUESDAY, {1: 12.0}, at=EVENING + timedelta(minutes=1))

    [corrected] = view(shelf).corrections

    assert corrected.at == EVENING + timedelta(minutes=1)
    assert ("close", 11.0, 12.0) in corrected.changes


def test_a_minute_is_known_by_its_run(shelf: Shelf) -> None:
    shelf.keeps(RELIANCE, TUESDAY, {0: 10.0}, final=False)

    found = day_minutes(shelf.settings, "RELIANCE", TUESDAY)

    assert found.coverage is not None
    first = found.coverage.intervals[0].first
    there, missed = found.facts(first), found.facts(first + 1)
    assert there is not None
    assert there.origin is not None
    assert missed is not None
    assert (there.state, there.origin.source, there.origin.is_final) == (
        State.PRESENT, "upstox", False,
    )  # fmt: skip
    assert (missed.state, missed.origin, missed.run) == (State.MISSED, None, None)
    assert found.facts(first - 1) is None
