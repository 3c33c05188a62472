"""A collector over New Year, and what it makes of holidays and sessions that are announced late.

The real scheduler and jobs on a virtual clock, against an exchange with a calendar of its own,
which the collector has to read from it. To be cheap the collector runs for some minutes only on
most days; what it does not collect then has to have its reason all the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import urllib3
from sqlalchemy import select
from watcher import Watcher

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.coverage import DayCoverage, State
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.clock import IST, MINUTE
from data_fetch.core.market.calendar import F_AND_O_STOCK, MarketCalendar, Segment
from data_fetch.core.market.provider import ProviderCalendar, ProviderHours
from data_fetch.core.market.table import TradingWindow
from data_fetch.core.runs import Outcome
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import QUOTES
from data_fetch.runtime.calendars import calendar_for
from data_fetch.runtime.collector import Collector, collector_of
from data_fetch.runtime.rehearsal import rehearsal_for
from data_fetch.scheduling.scheduler import DataScheduler
from data_fetch.services.calendar_refresh import follow_calendar
from data_fetch.storage.candles.coverage import load_days
from data_fetch.storage.candles.repository import CandleRepository
from data_fetch.storage.database.tables import LtpData, table
from data_fetch.storage.quotes import QuoteStore
from data_fetch.storage.runs import sync_runs

SYMBOLS = ["NIFTY", "TCS"]
# A holiday that follows the moon, and Republic Day observed a day early.
PONGAL, EARLY, REPUBLIC_DAY = date(2027, 1, 14), date(2027, 1, 25), date(2027, 1, 26)
DRILL = date(2027, 1, 10)
CALENDAR_APIS = ("holidays", "timings", "nse-holidays", "nse-page")


def hours(*texts: str) -> ProviderHours:
    return ProviderHours(tuple(map(TradingWindow.parse, texts)), "by circular")


def exchange_calendar(days: Mapping[date, ProviderHours]) -> MarketCalendar:
    listed = {(day, segment): given for day, given in days.items() for segment in Segment}
    return MarketCalendar.reviewed().with_provider(
        ProviderCalendar(listed=listed, years=frozenset({2027}))
    )


MARKET = exchange_calendar({PONGAL: hours(), EARLY: hours(), DRILL: hours("11:30-12:30")})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


@dataclass
class Life:
    """A collector that is started and stopped, and ways to look at what it left behind."""

    collector: Collector
    watcher: Watcher

    @property
    def calendar(self) -> MarketCalendar:
        return calendar_for(self.collector.context.settings)

    def fault(self, **fault: Any) -> None:
        url = f"{self.collector.provider.base_url}/paper/faults"
        answer = urllib3.request("POST", url, body=orjson.dumps({"fault": [fault]}))
        assert answer.status < 300, answer.data

    def nothing_is_announced_until(self, instant: str) -> None:
        for api in CALENDAR_APIS:
            kind = "server-error" if api in {"holidays", "timings"} else "nse-403"
            self.fault(kind=kind, api=api, until=instant)

    def run(self, begin: str, end: str) -> None:
        """Start it at *begin* and stop it at *end*."""
        clock, context = self.collector.provider.clock, self.collector.context
        hold = clock.hold()
        clock.sleep(at(begin) - clock.now())
        running = replace(context, running_since=clock.now())
        collector = collector_of(running, self.collector.universe, self.watcher)
        hold.release()
        scheduler = DataScheduler()
        self.collector = scheduler.run_days(collector, at(end), self.watcher)
        assert scheduler.failures == []

    def follow(self, market: MarketCalendar, days: Sequence[date]) -> None:
        """Have what is stored follow *market*."""
        store, now = self.collector.store, self.collector.provider.clock.now()
        follow_calendar(market, days, CandleRepository(store), QuoteStore(store), now)

    def slots(self, day: date) -> dict[str, tuple[str, str | None]]:
        """Outcome and reason of the recorded slots of *day*, by time."""
        begin = at(f"{day} 00:00")
        query = select(sync_runs.c.due_slot, sync_runs.c.outcome, sync_runs.c.error).where(
            sync_runs.c.job == QUOTES,
            sync_runs.c.due_slot.between(begin, begin + timedelta(days=1)),
        )
        with self.collector.store.reading() as connection:
            return {
                f"{slot.astimezone(IST):%H:%M}": (outcome, error)
                for slot, outcome, error in connection.execute(query)
            }

    def off_session(self, day: date) -> set[bool]:
        quotes = table(LtpData)
        begin = at(f"{day} 00:00")
        query = select(quotes.c.off_session).where(
            quotes.c.timestamp.between(begin, begin + timedelta(days=1))
        )
        with self.collector.store.reading() as connection:
            return set(connection.scalars(query))

    def stored_days(self, first: date, last: date) -> dict[tuple[str, date], DayCoverage]:
        """The rows of the ledger as they are stored."""
        keys = [one.instrument_key for one in self.collector.universe.members]
        with self.collector.store.reading() as connection:
            return load_days(connection, keys, CandleInterval.MINUTE, first, last)

    def expected_days(self, first: date, last: date) -> list[DayCoverage]:
        """Every day as the calendar expects it now."""
        expectation = Expectation(self.calendar, self.collector.provider.clock.now())
        stored = self.stored_days(first, last)
        return [
            day
            for one in self.collector.universe.members
            for day in expectation.days(one, CandleInterval.MINUTE, first, last, stored)
        ]


@contextmanager
def living(folder: Path, first: date, market: MarketCalendar = MARKET) -> Iterator[Life]:
    listed = folder / "symbols.txt"
    listed.write_text("\n".join(SYMBOLS))
    environment = {"FNO_SYMBOLS_FILE": str(listed), "REFRESH_INTERVAL": "3600"}
    watcher = Watcher()
    # The month is long enough to have a trading day.
    last = first + timedelta(days=30)
    settings = Settings.load(environment, folder)
    with rehearsal_for(settings, first, last, watcher, market) as (collector, _):
        yield Life(collector, watcher)


def due_slots(day: date) -> set[str]:
    found = set().union(*(MARKET.slots_on(day, each) for each in (Segment.CASH, Segment.INDEX)))
    # Nothing of these symbols is due between the end of trading and the auction's price.
    return {f"{slot.astimezone(IST):%H:%M}" for slot in found} - {
        f"{(at(f'{day} 15:15') + n * MINUTE):%H:%M}" for n in range(20)
    }


@pytest.mark.long
def test_from_new_years_eve_to_february(tmp_path: Path) -> None:
    """The list of the year arrives on 4 January and moves a holiday."""
    eve, february = date(2026, 12, 31), date(2027, 2, 5)
    with living(tmp_path, eve) as life:
        life.nothing_is_announced_until("2027-01-04T08:00:00")
        life.run("2026-12-31 15:33", "2026-12-31 15:37")
        life.run("2027-01-01 09:14", "2027-01-01 09:17:30")
        assert life.slots(date(2027, 1, 1))["09:15"] == ("completed", None)
        assert (life.calendar.lists(2027), len(life.watcher.with_word("Warning: the cal"))) == (
            False,
            2,
        ), "once in each run"

        life.run("2027-01-04 08:10", "2027-01-04 09:17:30")
        assert life.calendar.lists(2027)
        assert life.watcher.with_word("Calendar: 2027-01-14 cash, index: 09:15-15:30 -> closed")
        for piece in (
            f"{PONGAL} 09:10",
            f"{EARLY} 09:10",
            f"{REPUBLIC_DAY} 09:14",
            "2027-02-05 19:58",
        ):
            life.run(piece, str(at(piece) + 5 * MINUTE)[:19])
        # The weekly job fetches everything since the eve.
        life.run("2027-02-07 09:59", "2027-02-07 10:01")

        day = eve
        while day <= february:
            recorded = set(life.slots(day))
            expected = due_slots(day)
            if day == eve:
                # A new store begins with the slot in which the collector starts.
                expected = {slot for slot in expected if slot >= "15:33"}
            assert recorded == expected, day
            day += timedelta(days=1)
        assert life.slots(REPUBLIC_DAY)["09:15"] == ("completed", None)
        days = life.expected_days(eve, february)
        assert {each.day for each in days}.isdisjoint({PONGAL, EARLY})
        assert len({each.day for each in days}) == 26
        assert [each for each in days if each.minutes(State.MISSED, State.PENDING)] == []


def test_a_holiday_is_announced_on_the_evening_before(tmp_path: Path) -> None:
    with living(tmp_path, date(2027, 1, 13)) as life:
        life.nothing_is_announced_until("2027-01-13T18:00:00")
        life.run("2027-01-13 15:33", "2027-01-13 15:37")
        assert life.calendar.session(PONGAL, F_AND_O_STOCK).open

        life.run("2027-01-13 20:28", "2027-01-14 09:20")

        assert not life.calendar.session(PONGAL, F_AND_O_STOCK).open
        assert life.slots(PONGAL) == {}
        assert life.watcher.with_word("Calendar: 2027-01-14 cash, index: 09:15-15:30 -> closed")


def test_a_holiday_is_heard_of_while_it_is_collected(tmp_path: Path) -> None:
    """What was recorded of the day keeps its rows and gets the reason."""
    with living(tmp_path, PONGAL) as life:
        life.nothing_is_announced_until("2027-01-14T09:25:00")
        life.run("2027-01-14 09:10", "2027-01-14 09:36:30")

        slots = life.slots(PONGAL)
        assert set(slots) == {f"09:{minute}" for minute in range(15, 30)}
        assert {outcome for outcome, _ in slots.values()} == {Outcome.NOT_DUE}
        assert "no trading by the calendar of 2027-01-14 09:30 (by circular)" in str(slots["09:15"])
        assert life.off_session(PONGAL) == {True}
        stored = life.stored_days(PONGAL, PONGAL)
        assert stored
        for day in stored.values():
            assert day.minutes(State.MISSED, State.PENDING) == 0
            [proof] = {one.proof.by for one in day.intervals if one.proof is not None}
            assert proof == "calendar: by circular"
        assert len(life.watcher.with_word("Warning: the calendar was not refreshed")) == 1
        assert life.watcher.with_word("The calendar is refreshed again")


def test_a_session_is_announced_on_its_very_morning(tmp_path: Path) -> None:
    """A drill on a Sunday, for which nothing was planned when the collector started."""
    with living(tmp_path, DRILL) as life:
        life.nothing_is_announced_until("2027-01-10T11:10:00")
        life.run("2027-01-10 11:05", "2027-01-10 11:32:30")

        assert life.slots(DRILL) == {"11:30": ("completed", None), "11:31": ("completed", None)}
        assert life.off_session(DRILL) == {False}


def test_a_day_that_was_closed_by_mistake_is_expected_again(tmp_path: Path) -> None:
    """A list that is corrected: what was taken for a holiday was none."""
    day = date(2027, 1, 15)
    with living(tmp_path, day) as life:
        life.run("2027-01-15 09:14", "2027-01-15 09:17:30")
        before, ledger = life.slots(day), life.stored_days(day, day)
        assert set(before) == {"09:15", "09:16"}

        for market in (exchange_calendar({day: hours()}), MARKET):
            life.follow(market, [day])
            closed = market is not MARKET
            assert {outcome for outcome, _ in life.slots(day).values()} == (
                {Outcome.NOT_DUE} if closed else {Outcome.COMPLETED}
            )
            assert life.off_session(day) == {closed}
        assert life.slots(day) == before
        for one in life.expected_days(day, day):
            known = ledger[one.instrument_key, day]
            assert one.spans(State.PRESENT) == known.spans(State.PRESENT)
            assert one.minutes(State.NOT_EXPECTED) == 0


@pytest.mark.parametrize("lost", ["symbols", "master"])
def test_a_morning_without_a_new_universe_goes_on_with_yesterdays(
    tmp_path: Path, lost: str
) -> None:
    with living(tmp_path, date(2027, 1, 4)) as life:
        clock = life.collector.provider.clock
        settings = life.collector.context.settings
        life.run("2027-01-04 08:05", "2027-01-04 08:06")
        if lost == "symbols":
            (tmp_path / "symbols.txt").unlink()
        else:
            life.fault(kind="server-error", api="master")
            for file in (settings.data_folder / "instruments").rglob("*.gz"):
                file.unlink()

        life.run("2027-01-04 08:10", "2027-01-04 09:16:30")

        assert clock.now() == at("2027-01-04 09:16:30")
        assert len(life.watcher.with_word("Continuing with yesterday's universe")) == 1
        assert life.slots(date(2027, 1, 4)) == {"09:15": ("completed", None)}
