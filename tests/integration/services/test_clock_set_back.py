"""A clock that was ahead and is set back: slots are accounted for by the new time."""

from collections.abc import Sequence
from datetime import datetime

import pytest
from sqlalchemy import select

from data_fetch.core.clock import IST, MINUTE, ScaledClock, minute_of
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.market.members import Members
from data_fetch.core.ports import Lane
from data_fetch.core.quotes.quotes import Quote, QuoteResponse
from data_fetch.services.quotes import LONGEST_WITHDRAWAL, LtpService
from data_fetch.storage.database.store import Store
from data_fetch.storage.database.tables import LtpData, table
from data_fetch.storage.quotes import QuoteStore
from data_fetch.storage.runs import recent_runs

KEY = "NSE_EQ|ZZPTCS"
TCS = Instrument(
    instrument_key=KEY, live_key=KEY, symbol="TCS", segment="NSE_EQ", instrument_type="EQ"
)
ltp_data = table(LtpData)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-09-16 {text}").replace(tzinfo=IST)


class Source:
    """Quotes whose volume is the number of requests so far."""

    def __init__(self, clock: ScaledClock) -> None:
        self._clock = clock
        self.requests = 0

    def quotes(self, instrument_keys: Sequence[str], lane: Lane = Lane.LIVE) -> QuoteResponse:
        self.requests += 1
        quote = Quote(instrument_key=TCS.instrument_key, last_price=100.0, volume=self.requests)
        return QuoteResponse(records=(quote,), requests=1, received_at=self._clock.now())


class Collecting:
    """A service whose clock stands still until it is set."""

    def __init__(self, store: Store, now: str, last_recorded: str) -> None:
        self.store = store
        self.clock = ScaledClock(at(now), speed=1e-9)
        self.service = LtpService(
            source=Source(self.clock),
            source_name="paper",
            quotes_repository=QuoteStore(store),
            members=Members.as_of([TCS], self.clock.now()),
            calendar=MarketCalendar.reviewed(),
            clock=self.clock,
            last_recorded_slot=at(last_recorded),
            running_since=self.clock.now(),
        )

    def collect_at(self, *times: str) -> None:
        for time in times:
            self.clock.set(at(time))
            self.service.collect_due()

    def set_back(self, to: str) -> None:
        """As the loop reports it, which has read the clock when it started the last job."""
        before = minute_of(self.clock.now())
        self.clock.set(at(to))
        self.service.clock_set_back(before, self.clock.now())

    def outcomes(self, job: str = "quotes") -> list[tuple[str, str]]:
        """Slot and outcome of each run of *job*, in the order of the slots."""
        runs = recent_runs(self.store, job=job)
        return sorted((_name(run.due_slot), str(run.outcome)) for run in runs if run.due_slot)

    def quotes(self) -> list[tuple[str, int, bool]]:
        """Slot, volume and whether it is off session, of each stored quote."""
        query = select(ltp_data).order_by(ltp_data.c.timestamp)
        with self.store.reading() as connection:
            return [
                (_name(row.timestamp), row.volume, row.off_session)
                for row in connection.execute(query)
            ]


def _name(slot: datetime) -> str:
    return f"{slot.astimezone(IST):%H:%M}"


@pytest.fixture
def ahead(store: Store) -> Collecting:
    """A collector whose clock was half an hour ahead while it collected two slots."""
    collecting = Collecting(store, "13:28:30", last_recorded="13:27")
    # Later than the instants at which the loop started the job, as slots always are.
    collecting.collect_at("13:29:07", "13:30:07")
    return collecting


def test_slots_recorded_ahead_leave_the_account_and_their_quotes_count_no_more(
    ahead: Collecting,
) -> None:
    ahead.set_back("12:59:50")
    ahead.service.collect_due()

    assert ahead.outcomes("withdrawn") == [("13:28", "completed"), ("13:29", "completed")]
    assert ahead.outcomes() == []
    assert ahead.quotes() == [("13:28", 1, True), ("13:29", 2, True)]
    assert QuoteStore(ahead.store).latest() == {}
    [step] = recent_runs(ahead.store, job="clock")
    assert step.error == ("the clock was set back from 16 Sep 13:30:00 to 16 Sep 12:59:50 IST")
    assert step.details == {"withdrawn_slots": 2, "withdrawn_quotes": 2}


def test_after_it_each_slot_is_collected_at_its_time(ahead: Collecting) -> None:
    ahead.set_back("12:59:50")
    ahead.collect_at("13:00:00", "13:01:00")

    assert ahead.outcomes() == [("12:59", "completed"), ("13:00", "completed")]


def test_when_the_time_of_a_withdrawn_slot_comes_its_quotes_are_replaced(
    ahead: Collecting,
) -> None:
    ahead.set_back("13:26:50")
    ahead.collect_at("13:27:00", "13:28:00", "13:29:00")

    assert ahead.outcomes() == [(f"13:{n}", "completed") for n in (26, 27, 28)]
    assert ahead.quotes() == [
        ("13:26", 3, False), ("13:27", 4, False), ("13:28", 5, False), ("13:29", 2, True)
    ]  # fmt: skip


def test_slots_of_the_true_time_that_were_passed_are_missed_with_the_reason(store: Store) -> None:
    Collecting(store, "10:57:30", last_recorded="10:56").collect_at("10:58:00")
    ahead = Collecting(store, "13:28:30", last_recorded="13:27")
    ahead.collect_at("13:29:00")
    ahead.set_back("11:00:30")
    ahead.service.collect_due()

    runs = {run.due_slot: run for run in recent_runs(store, job="quotes")}
    missed = runs[at("10:58")]
    assert (missed.outcome, missed.error) == (
        "missed",
        "the clock was ahead, and was set back later",
    )
    assert runs[at("10:59")].outcome == "completed"


def test_a_step_of_more_than_a_day_withdraws_nothing(ahead: Collecting) -> None:
    """Then it is rather the new time that is wrong."""
    before = ahead.clock.now()
    ahead.clock.set(before - LONGEST_WITHDRAWAL - MINUTE)
    ahead.service.clock_set_back(before, ahead.clock.now())
    ahead.service.collect_due()

    assert [name for name, _ in ahead.outcomes()][-2:] == ["13:28", "13:29"]
    assert [off_session for *_, off_session in ahead.quotes()][-2:] == [False, False]
    [step] = recent_runs(ahead.store, job="clock")
    assert step.error is not None
    assert step.error.endswith("the slots ahead of it stay as they are")
