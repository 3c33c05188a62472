"""A stock with a new ISIN: where the history under its new key begins, and what every way to look
at it reports."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from candle_shelf import stock
from listed_market import MINUTE, ListedMarket, listed_market
from sqlalchemy import select

from data_fetch.core.candles.coverage import State
from data_fetch.core.runs import Outcome
from data_fetch.reading import candles, coverage, gaps
from data_fetch.reading.coverage_audit import audit
from data_fetch.reading.coverage_days import DayRange
from data_fetch.storage.candles.coverage import load_days
from data_fetch.storage.instruments.instruments import lineage_table

OLD, NEW = stock("SPLIT", "INE000000011"), stock("SPLIT", "INE000000029")
OTHER = stock("TCS", "INE467B01029")
FIRST, CHANGE, LAST = date(2025, 6, 2), date(2025, 6, 9), date(2025, 6, 20)
LATE = date(2025, 6, 23)


@pytest.fixture
def market(database_url: str, tmp_path: Path) -> Iterator[ListedMarket]:
    with listed_market(database_url, tmp_path, datetime(2025, 5, 30, 2, tzinfo=UTC)) as found:
        found.lists(date(2025, 5, 30), OLD, OTHER)
        days = found.trading_days(OLD, FIRST, LAST)
        found.trades(OLD.live_key, {day: 3 for day in days if day < CHANGE})
        found.trades(NEW.live_key, {day: 3 for day in days if day >= CHANGE})
        found.source.unknown.add(OLD.live_key)
        yield found


def begins(market: ListedMarket) -> date:
    with market.store.reading() as connection:
        found: date = connection.scalar(select(lineage_table.c.valid_from))
        return found


def every_way(market: ListedMarket) -> list[tuple[int, ...]]:
    """Present, missed and unknown minutes as each way to look at the range reports them."""
    settings, first, last = market.settings, FIRST, LAST
    of_range = candles("SPLIT", first, last, settings=settings)
    held, of_days = of_range.completeness, coverage("SPLIT", first, last, settings=settings)
    lacking = gaps("SPLIT", first, last, settings=settings).completeness.lacking
    counts = of_days.completeness.counts
    recounted = audit(settings, DayRange(symbols=("SPLIT",), first=first, last=last))
    assert recounted.differences == []
    assert len(of_range.table) == held.present
    return [
        (held.present, held.missed, held.unknown_instrument),
        (counts.present, counts.missed, counts.unknown_instrument),
        (recounted.candles, lacking[State.MISSED], lacking[State.UNKNOWN_INSTRUMENT]),
    ]


# Five days under the old key, ten under the new one, of 375 minutes; three are traded.
FETCHED = [(30, 0, 5 * 375)] * 3


@pytest.mark.parametrize("noticed", [CHANGE, LATE], ids=["on the day", "two weeks late"])
def test_a_new_isin_begins_where_its_first_candle_is(market: ListedMarket, noticed: date) -> None:
    market.lists(noticed, NEW, OTHER)
    market.lists(LATE, NEW, OTHER)

    report = market.backfill(["SPLIT"], FIRST, LAST)

    assert (report.outcome, report.missed) == (Outcome.COMPLETED, 0)
    assert begins(market) == CHANGE
    assert every_way(market) == FETCHED
    requested = len(market.source.asked)
    market.backfill(["SPLIT"], FIRST, LAST)
    assert len(market.source.asked) == requested


def test_a_refused_key_that_is_listed_is_missed_and_all_its_windows_leave_a_trace(
    market: ListedMarket,
) -> None:
    market.source.unknown.add(OTHER.live_key)
    first = date(2025, 4, 1)

    report = market.backfill(["TCS"], first, date(2025, 5, 29))

    with market.store.reading() as connection:
        days = load_days(connection, [OTHER.instrument_key], MINUTE, first, date(2025, 5, 29))
    assert report.outcome is Outcome.INCOMPLETE
    assert set(days) == {
        (OTHER.instrument_key, day) for day in market.trading_days(OTHER, first, date(2025, 5, 29))
    }
    assert {(day.minutes(State.MISSED), day.attempts) for day in days.values()} == {(375, 1)}
    assert all(day.last_error and day.next_attempt for day in days.values())


def test_a_former_key_is_requested_again_after_a_day_and_its_answer_counts(
    market: ListedMarket,
) -> None:
    market.lists(LATE, NEW, OTHER)
    market.backfill(["SPLIT"], FIRST, LAST)
    market.source.unknown.clear()
    market.clock.sleep(timedelta(hours=25))

    market.backfill(["SPLIT"], FIRST, LAST)

    assert every_way(market) == [(45, 0, 0)] * 3


def test_the_first_day_moves_when_an_older_candle_appears(market: ListedMarket) -> None:
    market.lists(LATE, NEW, OTHER)
    market.backfill(["SPLIT"], FIRST, LAST)
    market.trades(NEW.live_key, {date(2025, 6, 6): 3})

    market.backfill(["SPLIT"], FIRST, LAST, retry_failed=True)

    assert begins(market) == date(2025, 6, 6)
    assert every_way(market) == [(33, 0, 4 * 375)] * 3


def test_as_of_an_instant_the_history_begins_where_it_was_known_to_begin_then(
    market: ListedMarket,
) -> None:
    """The change is not known; then it is, from the day of noticing; then by its candles."""
    looks = []

    def look() -> None:
        market.clock.sleep(timedelta(seconds=1))
        looks.append((market.clock.now(), as_it_is(market)))
        market.clock.sleep(timedelta(seconds=1))

    market.source.unknown.clear()
    del market.source.bars[OLD.live_key][date(2025, 6, 6)]
    market.lists(date(2025, 6, 21), OLD, OTHER)
    market.backfill(["SPLIT"], FIRST, date(2025, 6, 3))
    look()
    market.lists(LATE, NEW, OTHER)
    look()
    market.backfill(["SPLIT"], FIRST, LAST)
    look()
    market.trades(NEW.live_key, {date(2025, 6, 6): 3})
    market.backfill(["SPLIT"], FIRST, LAST, retry_failed=True)
    look()

    assert len({counts for _, counts in looks}) == 3
    assert [as_it_is(market, as_of) for as_of, _ in looks] == [counts for _, counts in looks]


def as_it_is(market: ListedMarket, as_of: datetime | None = None) -> tuple[int, ...]:
    found = candles("SPLIT", FIRST, LAST, as_of=as_of, settings=market.settings).completeness
    return found.present, found.source_empty, found.unknown_instrument, found.not_expected


def test_the_first_day_is_later_where_the_new_key_was_listed_before_it_traded(
    market: ListedMarket,
) -> None:
    market.source.unknown.clear()
    market.lists(date(2025, 6, 5), NEW, OTHER)
    market.lists(LATE, NEW, OTHER)

    market.backfill(["SPLIT"], FIRST, LAST)
    market.backfill(["SPLIT"], FIRST, LAST)

    assert begins(market) == CHANGE
    assert every_way(market) == [(45, 0, 0)] * 3


def test_candles_of_the_old_key_remain_readable_when_an_older_one_of_the_new_key_arrives(
    market: ListedMarket,
) -> None:
    market.source.unknown.clear()
    market.lists(date(2025, 6, 7), OLD, OTHER)
    market.backfill(["SPLIT"], FIRST, date(2025, 6, 6))
    market.lists(LATE, NEW, OTHER)
    market.trades(NEW.live_key, {date(2025, 6, 3): 2})

    market.backfill([NEW.instrument_key], FIRST, LAST)

    assert [present for present, _, _ in every_way(market)] == [45] * 3
