"""Every slot is collected or has a row with the reason why not; freshness is reported.

The services are real, and so are the calendar and the arithmetic of the clock; the provider
and the store are small honest stand-ins, so that every answer can be chosen.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from data_fetch.cli.shared.run_lines import slot_line
from data_fetch.core.batches import RejectedRow
from data_fetch.core.clock import IST, MINUTE, VirtualClock
from data_fetch.core.errors import (
    LostLeadership,
    OutsideError,
    StoreUnreachable,
    TokenRejected,
    Unreachable,
)
from data_fetch.core.freshness import FreshnessRules
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.market.members import Members
from data_fetch.core.ports import Lane, QuoteRepository
from data_fetch.core.quotes.quotes import Movement, Quote, QuoteResponse, StoredQuote
from data_fetch.core.runs import Outcome, SyncAttempt, SyncRun, SyncState
from data_fetch.services.freshness import FreshnessMonitor
from data_fetch.services.quotes import LtpService, WhyMissed
from data_fetch.storage.database.store import Store
from data_fetch.storage.quotes import QuoteStore
from data_fetch.storage.runs import recent_runs

CALENDAR = MarketCalendar.reviewed()
PLAIN_DAY, AUCTION_DAY = "2026-07-15", "2026-09-16"


def index(symbol: str, name: str) -> Instrument:
    key = f"NSE_INDEX|{name}"
    return Instrument(
        instrument_key=key,
        live_key=key,
        symbol=symbol,
        segment="NSE_INDEX",
        instrument_type="INDEX",
    )


def stock(symbol: str, *, cas_eligible: bool) -> Instrument:
    key = f"NSE_EQ|ZZP{symbol:0>9}"
    return Instrument(
        instrument_key=key,
        live_key=key,
        symbol=symbol,
        segment="NSE_EQ",
        instrument_type="EQ",
        cas_eligible=cas_eligible,
    )


NIFTY, VIX = index("NIFTY", "Nifty 50"), index("INDIAVIX", "India VIX")
TCS, INFY = stock("TCS", cas_eligible=True), stock("INFY", cas_eligible=True)
SMALL = stock("SMALL", cas_eligible=False)
EVERYBODY = (NIFTY, VIX, TCS, INFY, SMALL)
WITHOUT_AUCTION = {VIX.symbol, SMALL.symbol}
WITH_AUCTION = {NIFTY.symbol, TCS.symbol, INFY.symbol}
SYMBOL_OF = {instrument.instrument_key: instrument.symbol for instrument in EVERYBODY}


def ist(day: str, time: str) -> datetime:
    return datetime.fromisoformat(f"{day} {time}").replace(tzinfo=IST)


@dataclass
class Provider:
    """A QuoteSource that answers everything asked, but for what a test wants otherwise."""

    clock: VirtualClock
    takes: timedelta = timedelta(seconds=1)
    problem: OutsideError | None = None
    left_out: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)
    volumes: dict[str, int] = field(default_factory=dict)
    standing_still: set[str] = field(default_factory=set)
    asked: list[set[str]] = field(default_factory=list)

    def quotes(self, instrument_keys: Sequence[str], lane: Lane = Lane.LIVE) -> QuoteResponse:
        self.asked.append({SYMBOL_OF[key] for key in instrument_keys})
        self.clock.sleep(self.takes)
        if self.problem is not None:
            raise self.problem
        return QuoteResponse(
            records=tuple(self._quote(key) for key in instrument_keys if self._answers(key)),
            absent=self._among(instrument_keys, self.left_out),
            unknown=self._among(instrument_keys, self.unknown),
            rejected=tuple(
                RejectedRow(key, "last price -1.0 cannot be")
                for key in self._among(instrument_keys, self.rejected)
            ),
            requests=1,
            received_at=self.clock.now(),
        )

    def _answers(self, key: str) -> bool:
        return SYMBOL_OF[key] not in self.left_out | self.unknown | self.rejected

    def _among(self, keys: Sequence[str], symbols: set[str]) -> tuple[str, ...]:
        return tuple(key for key in keys if SYMBOL_OF[key] in symbols)

    def _quote(self, key: str) -> Quote:
        symbol = SYMBOL_OF[key]
        minutes = (self.clock.now() - ist(PLAIN_DAY, "00:00")) / MINUTE
        moved = 0 if symbol in self.standing_still else minutes * 0.05
        return Quote(
            instrument_key=key,
            last_price=100 + moved,
            volume=self.volumes.get(symbol, 0),
            prev_close=99.0,
        )


@dataclass
class Ledger:
    """A QuoteRepository in memory: all of a slot or, while it cannot write, nothing."""

    problem: Exception | None = None
    rows: dict[tuple[str, datetime], StoredQuote] = field(default_factory=dict)
    runs: list[SyncRun] = field(default_factory=list)
    attempts: dict[str, SyncAttempt] = field(default_factory=dict)

    def record_slot(
        self, run: SyncRun, quotes: Sequence[StoredQuote], attempts: Sequence[SyncAttempt]
    ) -> None:
        self.record_runs([run])
        self.rows |= {(quote.symbol, quote.slot): quote for quote in quotes}
        self.attempts |= {attempt.symbol: attempt for attempt in attempts}

    def record_runs(self, runs: Sequence[SyncRun]) -> None:
        if self.problem is not None:
            raise self.problem
        self.runs += runs

    def last_recorded(self, before: datetime) -> datetime | None:
        slots = (run.due_slot for run in self.runs if run.due_slot and run.due_slot < before)
        return max(slots, default=None)

    def recorded_slots(self, first: datetime, last: datetime) -> set[datetime]:
        slots = {run.due_slot for run in self.runs if run.due_slot is not None}
        return {slot for slot in slots if first <= slot <= last}

    def withdraw(self, run: SyncRun, since: datetime, until: datetime) -> SyncRun:
        raise NotImplementedError("a virtual clock is never set back")

    def latest(self) -> Mapping[str, StoredQuote]:
        in_session = [row for row in self.rows.values() if not row.off_session]
        return {row.symbol: row for row in sorted(in_session, key=lambda row: row.slot)}

    def movements(self, slots: Sequence[datetime]) -> Mapping[str, Movement]:
        of_symbol: dict[str, list[Quote]] = {}
        for (symbol, slot), row in self.rows.items():
            if slot in slots:
                of_symbol.setdefault(symbol, []).append(row.quote)
        return {
            symbol: Movement(
                slots=len(quotes),
                lowest_price=min(quote.last_price for quote in quotes),
                highest_price=max(quote.last_price for quote in quotes),
                lowest_volume=min(quote.volume for quote in quotes),
                highest_volume=max(quote.volume for quote in quotes),
            )
            for symbol, quotes in of_symbol.items()
        }

    def key_results(self, job: str = "quotes") -> list[tuple[str, str]]:
        """Slot (IST) and outcome of each run of *job*, as recorded."""
        return [
            (f"{run.due_slot.astimezone(IST):%H:%M}", str(run.outcome))
            for run in self.runs
            if run.job == job and run.due_slot is not None
        ]

    def symbols_in(self, day: str, slot: str) -> set[str]:
        return {symbol for symbol, at in self.rows if at == ist(day, slot)}


@dataclass
class CollectorEnv:
    """A collector at one moment of one day, all of whose neighbours can be arranged."""

    day: str
    clock: VirtualClock
    provider: Provider
    ledger: Ledger
    reported: list[tuple[SyncRun, Sequence[StoredQuote]]] = field(default_factory=list)

    def service(
        self,
        last_recorded_slot: str,
        members: Sequence[Instrument] = EVERYBODY,
        quotes_repository: QuoteRepository | None = None,
        unresolved: Sequence[str] = (),
    ) -> LtpService:
        return LtpService(
            source=self.provider,
            source_name="paper",
            quotes_repository=quotes_repository or self.ledger,
            members=Members.as_of(members, self.clock.now()),
            unresolved=unresolved,
            calendar=CALENDAR,
            clock=self.clock,
            last_recorded_slot=ist(self.day, last_recorded_slot),
            running_since=self.clock.now(),
            listeners=[lambda run, quotes: self.reported.append((run, quotes))],
        )

    def at(self, time: str) -> None:
        self.clock.sleep(ist(self.day, time) - self.clock.now())


@pytest.fixture
def env_at() -> Iterator[Callable[[str, str], CollectorEnv]]:
    """A service on a day at a time; the test's own thread is the running work."""
    holds = []

    def make(day: str, time: str) -> CollectorEnv:
        clock = VirtualClock(ist(day, time))
        holds.append(clock.hold())
        return CollectorEnv(day, clock, Provider(clock), Ledger())

    yield make
    for hold in holds:
        hold.release()


EnvAt = Callable[[str, str], CollectorEnv]


# --- slots ------------------------------------------------------------------------------------


def test_a_slot_has_a_row_for_every_symbol_and_an_audit_row(env_at: EnvAt) -> None:
    env = env_at(PLAIN_DAY, "10:01:00")

    env.service(last_recorded_slot="09:59").collect_due()

    [run] = env.ledger.runs
    assert (run.job, run.due_slot, run.outcome) == (
        "quotes",
        ist(PLAIN_DAY, "10:00"),
        Outcome.COMPLETED,
    )
    assert (run.requested, run.stored, run.requests) == (5, 5, 1)
    assert run.finished_at - run.started_at == timedelta(seconds=1)
    assert env.ledger.symbols_in(PLAIN_DAY, "10:00") == set(SYMBOL_OF.values())
    assert {row.run_id for row in env.ledger.rows.values()} == {run.run_id}
    assert not any(row.off_session for row in env.ledger.rows.values())
    assert {attempt.state for attempt in env.ledger.attempts.values()} == {SyncState.OK}


def test_a_missed_slot_that_has_a_row_gets_no_second_one(env_at: EnvAt) -> None:
    """Rows of the embedded store were brought over; what lies before them has none."""
    env = env_at(PLAIN_DAY, "10:01:00")
    env.service(last_recorded_slot="09:54").collect_due()
    env.at("10:02:00")
    brought_over = [run for run in env.ledger.runs if run.outcome is not Outcome.MISSED]
    env.ledger.runs = [*brought_over, env.ledger.runs[1]]
    had = {run.due_slot for run in env.ledger.runs}

    env.service(last_recorded_slot="09:54").collect_due()

    slots = sorted(run.due_slot for run in env.ledger.runs if run.due_slot is not None)
    assert slots == [ist(PLAIN_DAY, "09:55") + count * MINUTE for count in range(7)]
    assert len(had) == 2


def test_a_run_names_the_listed_symbols_without_an_instrument(env_at: EnvAt) -> None:
    env = env_at(PLAIN_DAY, "10:01:00")
    service = env.service(last_recorded_slot="09:59", unresolved=["GONE", "NOSUCH"])

    service.collect_due()
    repaired = service.repair(["TCS"])

    [run] = [run for run in env.ledger.runs if run.job == "quotes"]
    assert (run.requested, run.details["unresolved"]["sample"]) == (5, ["GONE", "NOSUCH"])
    assert "5 of 7 stored, 2 unresolved" in slot_line(run)
    assert repaired is not None
    assert "unresolved" not in repaired.details


def test_symbols_without_a_quote_are_recorded_with_the_reason(
    env_at: EnvAt,
) -> None:
    env = env_at(PLAIN_DAY, "10:01:00")
    env.provider.left_out = {"TCS"}
    env.provider.unknown = {"INFY"}
    env.provider.rejected = {"SMALL"}

    env.service(last_recorded_slot="09:59").collect_due()

    [run] = env.ledger.runs
    assert run.outcome is Outcome.INCOMPLETE
    assert (run.requested, run.stored) == (5, 2)
    assert (run.absent, run.quarantined, run.rejected) == (1, 1, 1)
    assert {attempt.symbol: attempt.state for attempt in env.ledger.attempts.values()} == {
        "NIFTY": SyncState.OK,
        "INDIAVIX": SyncState.OK,
        "TCS": SyncState.ABSENT,
        "INFY": SyncState.QUARANTINED,
        "SMALL": SyncState.REJECTED,
    }


def test_an_incomplete_slot_is_stored_with_its_reasons_in_both_databases(
    env_at: EnvAt, store: Store
) -> None:
    env = env_at(PLAIN_DAY, "10:01:00")
    env.provider.left_out = {"TCS"}
    env.provider.unknown = {"INFY"}
    env.provider.rejected = {"SMALL"}

    env.service(last_recorded_slot="09:59", quotes_repository=QuoteStore(store)).collect_due()

    [run] = recent_runs(store)
    assert (run.outcome, run.stored) == (Outcome.INCOMPLETE, 2)
    assert run.details == {
        state: {"count": 1, "reasons": {reason: 1}, "sample": {symbol: reason}}
        for state, symbol, reason in [
            ("absent", "TCS", "a good response left it out"),
            ("quarantined", "INFY", "the provider does not know this key"),
            ("rejected", "SMALL", "last price -1.0 cannot be"),
        ]
    }


def test_a_slot_is_collected_once(env_at: EnvAt) -> None:
    env = env_at(PLAIN_DAY, "10:01:00")
    service = env.service(last_recorded_slot="09:59")

    service.collect_due()
    service.collect_due()

    assert env.ledger.key_results() == [("10:00", "completed")]
    assert len(env.provider.asked) == 1


@pytest.mark.parametrize("time", ["08:00:00", "09:15:59", "23:00:00"])
def test_outside_the_session_nothing_is_due(env_at: EnvAt, time: str) -> None:
    env = env_at(PLAIN_DAY, time)
    service = env.service(last_recorded_slot="00:00" if time < "12" else "15:29")

    service.collect_due()

    assert (env.ledger.runs, env.provider.asked) == ([], [])


def test_a_slot_is_still_collected_late_in_the_minute_after_it(env_at: EnvAt) -> None:
    env = env_at(PLAIN_DAY, "10:01:59")

    env.service(last_recorded_slot="09:59").collect_due()

    assert env.ledger.key_results() == [("10:00", "completed")]


def test_slots_before_the_start_are_missed_because_no_collector_was_running(env_at: EnvAt) -> None:
    env = env_at(PLAIN_DAY, "10:03:30")

    env.service(last_recorded_slot="09:59").collect_due()

    assert env.ledger.key_results() == [
        ("10:00", "missed"),
        ("10:01", "missed"),
        ("10:02", "completed"),
    ]
    assert [run.error for run in env.ledger.runs[:2]] == [WhyMissed.NOT_RUNNING] * 2


def test_slots_that_passed_during_a_pause_are_missed_because_it_was_too_late(env_at: EnvAt) -> None:
    env = env_at(PLAIN_DAY, "10:01:00")
    service = env.service(last_recorded_slot="09:59")
    service.collect_due()

    env.at("10:05:10")
    service.collect_due()

    assert env.ledger.key_results() == [
        ("10:00", "completed"),
        ("10:01", "missed"),
        ("10:02", "missed"),
        ("10:03", "missed"),
        ("10:04", "completed"),
    ]
    assert {run.error for run in env.ledger.runs if run.error} == {WhyMissed.TOO_LATE}


def test_over_a_night_and_a_weekend_only_trading_minutes_are_due(env_at: EnvAt) -> None:
    env = env_at("2026-07-20", "09:16:05")  # a Monday
    service = LtpService(
        source=env.provider,
        source_name="paper",
        quotes_repository=env.ledger,
        members=Members.as_of(EVERYBODY, env.clock.now()),
        calendar=CALENDAR,
        clock=env.clock,
        last_recorded_slot=ist("2026-07-17", "15:27"),
        running_since=env.clock.now(),
    )

    service.collect_due()

    assert env.ledger.key_results() == [
        ("15:28", "missed"),
        ("15:29", "missed"),
        ("09:15", "completed"),
    ]
    assert service.last_recorded_slot == ist("2026-07-20", "09:15")


def test_listeners_receive_collected_and_missed_slots(env_at: EnvAt) -> None:
    env = env_at(PLAIN_DAY, "10:03:00")

    env.service(last_recorded_slot="10:00").collect_due()

    assert [(run.outcome, len(quotes)) for run, quotes in env.reported] == [
        (Outcome.MISSED, 0),
        (Outcome.COMPLETED, 5),
    ]


# --- closing auction --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "slot", "asked"),
    [
        pytest.param("15:15:00", "15:14", WITH_AUCTION | WITHOUT_AUCTION, id="the last for all"),
        pytest.param("15:16:00", "15:15", WITHOUT_AUCTION, id="continuous trading has ended"),
        pytest.param("15:30:00", "15:29", WITHOUT_AUCTION, id="the last of the others"),
        pytest.param("15:36:00", "15:35", WITH_AUCTION, id="the print of the auction"),
    ],
)
def test_on_an_auction_day_only_symbols_that_trade_are_requested(
    env_at: EnvAt, time: str, slot: str, asked: set[str]
) -> None:
    env = env_at(AUCTION_DAY, time)
    before = (ist(AUCTION_DAY, slot) - MINUTE).strftime("%H:%M")

    env.service(last_recorded_slot=before).collect_due()

    assert env.provider.asked == [asked]
    assert env.ledger.symbols_in(AUCTION_DAY, slot) == asked
    assert not any(row.off_session for row in env.ledger.rows.values())


def test_in_the_gap_before_the_auction_print_nothing_is_due(env_at: EnvAt) -> None:
    env = env_at(AUCTION_DAY, "15:33:00")

    env.service(last_recorded_slot="15:29").collect_due()

    assert (env.ledger.runs, env.provider.asked) == ([], [])


# --- once, and repairs ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "time", "off_session"),
    [
        pytest.param(PLAIN_DAY, "10:00:30", set(), id="in session"),
        pytest.param(PLAIN_DAY, "23:10:30", set(SYMBOL_OF.values()), id="at night"),
        pytest.param("2026-07-18", "11:00:30", set(SYMBOL_OF.values()), id="on a Saturday"),
        pytest.param(AUCTION_DAY, "15:20:30", WITH_AUCTION, id="beside the others' trading"),
        pytest.param(AUCTION_DAY, "15:33:30", set(SYMBOL_OF.values()), id="in the auction gap"),
        pytest.param(AUCTION_DAY, "15:35:30", WITHOUT_AUCTION, id="in the auction's own minute"),
    ],
)
def test_collecting_once_marks_what_was_not_in_session(
    env_at: EnvAt, day: str, time: str, off_session: set[str]
) -> None:
    env = env_at(day, time)

    run = env.service(last_recorded_slot="00:00").collect_now()

    assert run.due_slot == ist(day, time[:5])
    assert (run.job, run.requested, run.stored) == ("collect-once", 5, 5)
    marked = {row.symbol for row in env.ledger.rows.values() if row.off_session}
    assert marked == off_session
    assert run in env.ledger.runs


def test_collecting_once_records_no_slot_of_the_schedule(env_at: EnvAt) -> None:
    env = env_at(PLAIN_DAY, "10:01:00")
    service = env.service(last_recorded_slot="09:59")

    service.collect_now()

    assert service.last_recorded_slot == ist(PLAIN_DAY, "09:59")


def test_a_failed_single_collection_is_raised_and_recorded(env_at: EnvAt) -> None:
    env = env_at(PLAIN_DAY, "10:00:30")
    env.provider.problem = Unreachable("no route to the provider")

    with pytest.raises(Unreachable):
        env.service(last_recorded_slot="09:59").collect_now()

    assert env.ledger.key_results("collect-once") == [("10:00", "failed")]


def test_a_repair_requests_only_the_symbols_that_trade(env_at: EnvAt) -> None:
    env = env_at(AUCTION_DAY, "15:20:20")

    run = env.service(last_recorded_slot="15:18").repair(["TCS", "SMALL"])

    assert env.provider.asked == [{"SMALL"}]
    assert run is not None
    assert (run.job, run.due_slot, run.stored) == ("repair", ist(AUCTION_DAY, "15:19"), 1)
    assert env.ledger.symbols_in(AUCTION_DAY, "15:19") == {"SMALL"}


def test_a_repair_outside_the_session_sends_no_request(env_at: EnvAt) -> None:
    env = env_at(PLAIN_DAY, "16:00:20")

    assert env.service(last_recorded_slot="15:29").repair(["TCS"]) is None
    assert (env.provider.asked, env.ledger.runs) == ([], [])


# --- what goes wrong --------------------------------------------------------------------------


def test_a_failed_slot_has_a_row_and_the_next_slot_is_collected(env_at: EnvAt) -> None:
    env = env_at(PLAIN_DAY, "10:01:00")
    service = env.service(last_recorded_slot="09:59")
    env.provider.problem = Unreachable("no route to the provider")

    with pytest.raises(Unreachable):
        service.collect_due()
    env.provider.problem = None
    env.at("10:02:00")
    service.collect_due()

    assert env.ledger.key_results() == [("10:00", "failed"), ("10:01", "completed")]
    assert "no route to the provider" in (env.ledger.runs[0].error or "")
    assert env.ledger.symbols_in(PLAIN_DAY, "10:00") == set()
    assert env.reported[0][0].outcome is Outcome.FAILED


def test_a_failed_slot_is_a_failed_attempt_on_every_symbol(env_at: EnvAt) -> None:
    env = env_at(PLAIN_DAY, "10:01:00")
    env.provider.problem = Unreachable("no route to the provider")

    with pytest.raises(Unreachable):
        env.service(last_recorded_slot="09:59").collect_due()

    states = {attempt.symbol: attempt.state for attempt in env.ledger.attempts.values()}
    assert states == dict.fromkeys(SYMBOL_OF.values(), SyncState.FAILED)


def test_without_a_token_slots_are_missed_until_there_is_a_new_one(
    env_at: EnvAt, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    env = env_at(PLAIN_DAY, "10:01:00")
    service = env.service(last_recorded_slot="09:59")
    env.provider.problem = TokenRejected("the token is refused", hint="Put a new one into .env.")
    env.provider.takes = timedelta()

    for time in ("10:01:00", "10:02:00", "10:03:00"):
        env.at(time)
        service.collect_due()
    env.provider.problem = None
    env.at("10:04:00")
    service.collect_due()

    assert env.ledger.key_results() == [
        ("10:00", "missed"),
        ("10:01", "missed"),
        ("10:02", "missed"),
        ("10:03", "completed"),
    ]
    assert "Put a new one into .env." in (env.ledger.runs[0].error or "")
    assert caplog.messages == ["paused_for_token", "resumed_with_token"]


@pytest.mark.parametrize(
    "problem", [StoreUnreachable("the database does not answer"), LostLeadership("replaced")]
)
def test_a_slot_that_could_not_be_written_is_still_due(env_at: EnvAt, problem: Exception) -> None:
    env = env_at(PLAIN_DAY, "10:01:00")
    service = env.service(last_recorded_slot="09:59")
    env.ledger.problem = problem

    with pytest.raises(type(problem)):
        service.collect_due()

    assert service.last_recorded_slot == ist(PLAIN_DAY, "09:59")
    assert env.reported == []


@pytest.mark.parametrize(
    ("back_at", "key_results"),
    [
        pytest.param("10:01:40", [("10:00", "completed")], id="in time: collected again"),
        pytest.param(
            "10:03:00",
            [("10:00", "missed"), ("10:01", "missed"), ("10:02", "completed")],
            id="too late: missed",
        ),
    ],
)
def test_a_due_slot_is_recorded_when_the_store_is_back(
    env_at: EnvAt, back_at: str, key_results: list[tuple[str, str]]
) -> None:
    env = env_at(PLAIN_DAY, "10:01:00")
    service = env.service(last_recorded_slot="09:59")
    env.ledger.problem = StoreUnreachable("the database does not answer")
    with pytest.raises(StoreUnreachable):
        service.collect_due()

    env.ledger.problem = None
    env.at(back_at)
    service.collect_due()

    assert env.ledger.key_results() == key_results
    lost = [run.error for run in env.ledger.runs if run.outcome is Outcome.MISSED]
    assert all("could not be stored: the database does not answer" in why for why in lost[:1])
    assert all(why == WhyMissed.TOO_LATE for why in lost[1:])


def test_a_volume_that_falls_within_the_day_is_rejected(env_at: EnvAt) -> None:
    env = env_at(PLAIN_DAY, "10:01:00")
    service = env.service(last_recorded_slot="09:59")
    env.provider.volumes = {"TCS": 5000, "INFY": 5000}
    service.collect_due()

    env.provider.volumes = {"TCS": 4000, "INFY": 6000}
    env.at("10:02:00")
    service.collect_due()

    assert env.ledger.symbols_in(PLAIN_DAY, "10:01") == set(SYMBOL_OF.values()) - {"TCS"}
    assert env.ledger.attempts["TCS"].state is SyncState.REJECTED
    assert "from 5000 to 4000" in (env.ledger.attempts["TCS"].error or "")


def test_off_session_volumes_are_not_compared(env_at: EnvAt) -> None:
    env = env_at(PLAIN_DAY, "15:30:00")
    env.provider.volumes = dict.fromkeys(SYMBOL_OF.values(), 5000)
    service = env.service(last_recorded_slot="15:28")
    service.collect_due()

    # At night the provider begins the next day's volumes.
    env.provider.volumes = {}
    env.at("23:10:30")

    assert service.collect_now().stored == len(EVERYBODY)


def test_a_restart_remembers_the_volume_of_the_day(env_at: EnvAt) -> None:
    env = env_at(PLAIN_DAY, "10:01:00")
    env.provider.volumes = {"TCS": 5000}
    env.service(last_recorded_slot="09:59").collect_due()

    env.provider.volumes = {"TCS": 4000}
    env.at("10:02:00")
    env.service(last_recorded_slot="10:00").collect_due()

    assert env.ledger.attempts["TCS"].state is SyncState.REJECTED


def test_quotes_of_a_later_time_reject_no_slot_collected_again(
    env_at: EnvAt,
) -> None:
    env = env_at(PLAIN_DAY, "10:01:00")
    env.provider.volumes = {"TCS": 5000}
    env.service(last_recorded_slot="09:59").collect_due()
    later = env.ledger

    again = env_at(PLAIN_DAY, "09:31:00")
    again.ledger = later
    again.provider.volumes = {"TCS": 400}
    again.service(last_recorded_slot="09:29").collect_due()

    assert again.ledger.symbols_in(PLAIN_DAY, "09:30") == set(SYMBOL_OF.values())


# --- freshness --------------------------------------------------------------------------------


@dataclass
class Watch:
    """A monitor beside the service that collects what it judges."""

    env: CollectorEnv
    service: LtpService
    monitor: FreshnessMonitor

    @classmethod
    def at(cls, env: CollectorEnv) -> "Watch":
        service = env.service(last_recorded_slot="09:59")
        monitor = FreshnessMonitor(
            quotes_repository=env.ledger,
            members=Members.as_of(EVERYBODY, env.clock.now()),
            calendar=CALENDAR,
            clock=env.clock,
            rules=FreshnessRules(stale_after=5, frozen_after=3),
            repair=service.repair,
            chains=list,
        )
        return cls(env, service, monitor)

    def collect_until(self, time: str) -> None:
        """A slot each minute up to *time*; then it is 20 seconds later, when checks are due."""
        minute = self.env.clock.now()
        while minute <= ist(self.env.day, time):
            self.env.clock.sleep(minute - self.env.clock.now())
            self.service.collect_due()
            minute += MINUTE
        self.env.at(f"{time}:20")

    def states(self) -> dict[str, str]:
        return {judgement.symbol: str(judgement.state) for judgement in self.monitor.judge_all()}

    @property
    def last_check(self) -> SyncRun:
        return [run for run in self.env.ledger.runs if run.job == "freshness"][-1]


@pytest.fixture
def watch(env_at: EnvAt) -> Watch:
    env = env_at(PLAIN_DAY, "10:01:00")
    env.provider.volumes = dict.fromkeys(SYMBOL_OF.values(), 1000)
    return Watch.at(env)


def test_a_symbol_collected_every_minute_is_fresh(watch: Watch) -> None:
    watch.collect_until("10:12")

    watch.monitor.check()

    check = watch.last_check
    assert (check.outcome, check.requested, check.stored) == (Outcome.COMPLETED, 5, 5)
    assert check.due_slot == ist(PLAIN_DAY, "10:12")
    assert check.details["fresh"] == 5
    assert check.details["stale"] == {"count": 0, "sample": []}


def test_a_symbol_that_stopped_is_repaired_and_reported_once(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="data_fetch.ltp_service")
    watch.collect_until("10:01")
    watch.env.provider.left_out = {"TCS"}
    watch.collect_until("10:08")

    watch.monitor.check()
    watch.monitor.check()
    assert watch.env.provider.asked[-2:] == [{"TCS"}, {"TCS"}]
    assert (watch.last_check.outcome, watch.last_check.details["stale"]) == (
        Outcome.INCOMPLETE,
        {"count": 1, "sample": ["TCS"]},
    )
    assert watch.last_check.details["repaired"] == 0

    watch.env.provider.left_out = set()
    watch.monitor.check()
    assert watch.last_check.details["repaired"] == 1
    watch.monitor.check()
    watch.monitor.check()

    assert watch.last_check.outcome is Outcome.COMPLETED
    reported = [record for record in caplog.records if record.message == "freshness_changed"]
    assert [(record.levelname, record.state, record.symbols) for record in reported] == [
        ("WARNING", "stopped", ["TCS"]),
        ("INFO", "fresh", ["TCS"]),
    ]


def test_symbols_that_are_all_never_seen_raise_an_alarm(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    watch.env.provider.problem = TokenRejected("the token is refused")
    watch.collect_until("10:02")

    watch.monitor.check()

    check = watch.last_check
    assert (check.outcome, check.stored, check.details["never_seen"]) == (
        Outcome.INCOMPLETE,
        0,
        len(EVERYBODY),
    )
    assert "freshness_changed" in caplog.messages


def test_before_the_first_slot_nothing_is_late(
    env_at: EnvAt, caplog: pytest.LogCaptureFixture
) -> None:
    watch = Watch.at(env_at(PLAIN_DAY, "09:15:20"))

    watch.monitor.check()

    assert (watch.env.ledger.runs, caplog.messages) == ([], [])


def test_a_symbol_never_seen_is_not_called_stopped(watch: Watch) -> None:
    watch.env.provider.left_out = {"SMALL"}
    watch.collect_until("10:03")

    assert watch.states()["SMALL"] == "never_seen"
    assert watch.states()["TCS"] == "fresh"


def test_a_stock_without_changes_while_the_index_moves_is_frozen(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    watch.env.provider.standing_still = {"TCS"}
    watch.collect_until("10:05")

    watch.monitor.check()
    watch.monitor.check()

    assert watch.states() == {**dict.fromkeys(SYMBOL_OF.values(), "fresh"), "TCS": "frozen"}
    assert caplog.messages.count("freshness_changed") == 1
    assert {"TCS"} not in watch.env.provider.asked, "asking again does not mend it"


def test_only_the_last_slots_decide_whether_a_stock_is_frozen(watch: Watch) -> None:
    watch.collect_until("10:02")
    watch.env.provider.standing_still = {"TCS"}
    watch.env.at("10:03:00")
    watch.collect_until("10:05")

    assert watch.states()["TCS"] == "frozen", "it moved in the fourth slot back, and not since"


def test_no_stock_is_frozen_while_the_index_has_no_changes(watch: Watch) -> None:
    watch.env.provider.standing_still = {"TCS", "NIFTY"}
    watch.collect_until("10:05")

    assert set(watch.states().values()) == {"fresh"}


@pytest.mark.parametrize(
    ("day", "time", "closed"),
    [
        pytest.param(PLAIN_DAY, "18:00:20", set(SYMBOL_OF.values()), id="in the evening"),
        pytest.param("2026-07-18", "11:00:20", set(SYMBOL_OF.values()), id="on a Saturday"),
        pytest.param(AUCTION_DAY, "15:20:20", WITH_AUCTION, id="in the auction gap"),
    ],
)
def test_nothing_is_stale_while_its_market_is_closed(
    env_at: EnvAt, day: str, time: str, closed: set[str]
) -> None:
    watch = Watch.at(env_at(day, time))

    states = watch.states()

    assert {symbol for symbol, state in states.items() if state == "market_closed"} == closed
    assert {states[symbol] for symbol in set(states) - closed} <= {"never_seen"}


def test_no_alarm_and_no_request_at_night(env_at: EnvAt, caplog: pytest.LogCaptureFixture) -> None:
    env = env_at(PLAIN_DAY, "23:00:20")
    watch = Watch.at(env)

    watch.monitor.check()

    assert watch.last_check.outcome is Outcome.COMPLETED
    assert (env.provider.asked, caplog.messages) == ([], [])
