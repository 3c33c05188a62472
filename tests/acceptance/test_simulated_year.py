"""A collector that is left alone for a year: nothing is missing but what was planned to be.

The real scheduler and every job of it on a virtual clock, against an exchange with holidays,
Muhurat trading, moved expiries and new hours; the token is renewed each morning, the database
restarted each week. `CHAOS=1` (`make chaos`) lives 365 days, otherwise a festive evening and the
morning after it, with the same troubles.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from effort import CHAOS
from servers import PostgresServer, postgres_binaries, postgres_of
from simulated_life import SimulatedLife, Span, at, simulated_life
from sqlalchemy import func, select

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.coverage import DayCoverage, State
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.clock import IST, MINUTE, stopwatch
from data_fetch.core.market.calendar import F_AND_O_STOCK, INDEX, MarketCalendar, Segment
from data_fetch.core.market.provider import ProviderCalendar, ProviderHours
from data_fetch.core.market.session import minute_number
from data_fetch.core.market.table import TradingWindow
from data_fetch.core.runs import Outcome
from data_fetch.core.spans import common
from data_fetch.core.timetable import CHAINS, QUOTES
from data_fetch.reading.coverage_audit import audit
from data_fetch.reading.coverage_days import DayRange
from data_fetch.runtime.calendars import calendar_for
from data_fetch.scheduling.rehearsal import peak_memory_mb
from data_fetch.storage.candles.coverage import load_days
from data_fetch.storage.database.tables import CandleRevision, ChainSnapshotRow, table
from data_fetch.storage.runs import sync_runs

DAY = timedelta(days=1)
BARS_BECOME_DUE = timedelta(minutes=6)
RENEWED, RESTARTED, DOWN = time(8, 20), time(12, 10, 20), timedelta(seconds=20)
MUHURAT = date(2026, 11, 8)


def hours(*windows: str) -> ProviderHours:
    return ProviderHours(tuple(map(TradingWindow.parse, windows)), "by circular")


# Of 2026 the reviewed table has the holidays; those of 2027 are listed by the exchange only.
LISTED = {
    MUHURAT: hours("18:00-19:00"),
    date(2027, 1, 14): hours(),
    date(2027, 1, 26): hours(),
}
MARKET = MarketCalendar.reviewed().with_provider(
    ProviderCalendar(
        listed={(day, segment): given for day, given in LISTED.items() for segment in Segment},
        years=frozenset({2027}),
    )
)


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Requests of slots within *span* come to nothing; their rows have *outcome* and *cause*."""

    span: Span
    outcome: Outcome
    cause: str
    fault: Mapping[str, str] = field(default_factory=dict)


def outage(day: str, begin: str, end: str, last_day: str | None = None) -> Trouble:
    return Trouble(
        span=Span(at(f"{day} {begin}"), at(f"{last_day or day} {end}")),
        outcome=Outcome.FAILED,
        cause="Upstox",
        fault={"kind": "reset"},
    )


def late_token(day: str, until: str) -> Trouble:
    """On that morning the token is renewed at *until*."""
    return Trouble(
        span=Span.of(day, "08:20:00", until), outcome=Outcome.MISSED, cause="UPSTOX_ACCESS_TOKEN"
    )


def absence(day: str, begin: str, end: str) -> Trouble:
    return Trouble(
        span=Span.of(day, begin, end), outcome=Outcome.MISSED, cause="collector was not running"
    )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A stretch of time, and all that goes wrong in it.

    The provider never has the candles of *lost* minutes of SBIN, has those of *late* minutes of
    TCS a day later, and corrects those of *corrected* minutes of INFY in the evening.
    """

    begins: datetime
    ends: datetime
    symbols: str
    outages: tuple[Trouble, ...]
    late_tokens: tuple[Trouble, ...]
    absences: tuple[Trouble, ...]
    restarts: tuple[datetime, ...]
    lost: Span
    late: Span
    corrected: Span

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        return (*self.outages, *self.late_tokens, *self.absences)

    @property
    def empty_at_the_end(self) -> list[tuple[str, Span]]:
        """What the provider has never had; minutes are requested again a day later."""
        late = [("TCS", self.late)] if self.ends < self.late.end + 2 * DAY else []
        return [("SBIN", self.lost), *late]

    @property
    def days(self) -> list[date]:
        first, last = self.begins.date(), self.ends.date()
        return [first + n * DAY for n in range((last - first).days + 1)]

    def renewal(self, day: date) -> datetime:
        """When the token of *day* is saved."""
        usual = datetime.combine(day, RENEWED, IST)
        late = [each.span.end for each in self.late_tokens if each.span.begin == usual]
        return late[0] if late else usual


YEAR = Plan(
    begins=at("2026-02-01 08:00:00"),
    ends=at("2027-01-31 23:00:00"),
    symbols="NIFTY RELIANCE TCS INFY SBIN ITC M&M LT HDFCBANK ICICIBANK AXISBANK MARUTI",
    outages=(
        outage("2026-03-17", "10:29:40", "12:44:40"),
        outage("2026-06-29", "14:59:40", "11:09:40", "2026-07-01"),
    ),
    late_tokens=(late_token("2026-05-12", "10:04:30"), late_token("2026-12-15", "09:21:30")),
    absences=(
        absence("2026-08-19", "11:00:30", "13:59:30"),
        absence("2026-10-06", "15:00:30", "17:59:30"),
    ),
    restarts=tuple(
        datetime.combine(date(2026, 2, 4) + 7 * n * DAY, RESTARTED, IST) for n in range(52)
    ),
    lost=Span.of("2026-04-22", "11:00", "11:20"),
    late=Span.of("2026-07-20", "13:00", "13:30"),
    corrected=Span.of("2026-09-02", "10:00", "10:10"),
)
FESTIVE_EVENING = Plan(
    begins=at("2026-11-08 17:50:00"),
    ends=at("2026-11-09 11:10:30"),
    symbols="NIFTY SBIN TCS INFY",
    outages=(outage("2026-11-08", "18:09:40", "18:14:40"),),
    late_tokens=(late_token("2026-11-09", "09:21:30"),),
    absences=(absence("2026-11-09", "10:00:30", "10:09:30"),),
    restarts=(at("2026-11-08 18:20:20"), at("2026-11-09 09:40:20")),
    lost=Span.of("2026-11-08", "18:30", "18:33"),
    late=Span.of("2026-11-08", "18:40", "18:45"),
    corrected=Span.of("2026-11-08", "18:50", "18:53"),
)


@dataclass
class Milestones:
    """Days that are over, seconds and memory since the beginning, about once a month."""

    began: float = field(default_factory=stopwatch)
    reached: list[tuple[date, float, int]] = field(default_factory=list)

    def reach(self, day: date) -> None:
        self.reached.append((day, stopwatch() - self.began, peak_memory_mb()))
        print(f"{day}: {self.reached[-1][1]:.0f} s, {self.reached[-1][2]} MB", flush=True)


@contextmanager
def lived(
    plan: Plan, server: PostgresServer, folder: Path, milestones: Milestones
) -> Iterator[SimulatedLife]:
    """The life that *plan* describes, when it is over."""
    (folder / ".env").write_text(f"UPSTOX_ACCESS_TOKEN=token-of-{plan.days[0]}\n")
    symbols = plan.symbols.split()
    with simulated_life(folder, server.url, plan.begins, MARKET, symbols) as life:
        for day in plan.days:
            life.clock.at(plan.renewal(day), lambda day=day: life.save_token(f"token-of-{day}"))
        for restart in plan.restarts:
            life.clock.at(restart, server.stop)
            life.clock.at(restart + DOWN, server.start)
        for day in plan.days[30::30]:
            noon = datetime.combine(day, time(12), IST)
            life.clock.at(noon, lambda day=day: milestones.reach(day))
        for trouble in plan.outages:
            life.fault(trouble.span, **trouble.fault)
        keys = {one.symbol: one.instrument_key for one in life.members}
        forever = Span(plan.begins, plan.ends)
        for symbol, kind, bars, seen in (
            ("SBIN", "lost-minutes", plan.lost, forever),
            ("TCS", "withheld-minutes", plan.late, Span(plan.begins, plan.late.begin + DAY)),
            ("INFY", "corrected-candles", plan.corrected, evening_of(plan.corrected, forever)),
        ):
            between = {"bars_from": bars.begin.isoformat(), "bars_until": bars.end.isoformat()}
            life.fault(seen, kind=kind, instruments=[keys[symbol]], **between)
        life.live(plan.ends, [each.span for each in plan.absences])
        yield life


def evening_of(span: Span, forever: Span) -> Span:
    return Span(span.end + timedelta(minutes=5), forever.end)


def slots_of(life: SimulatedLife) -> list[tuple[datetime, Outcome, str]]:
    """Every row of the audit about a slot: the slot, outcome and cause."""
    query = (
        select(sync_runs.c.due_slot, sync_runs.c.outcome, sync_runs.c.error)
        .where(sync_runs.c.job == QUOTES)
        .order_by(sync_runs.c.due_slot)
    )
    with life.store.reading() as connection:
        return [(slot, Outcome(how), why or "") for slot, how, why in connection.execute(query)]


def ledger_of(life: SimulatedLife, plan: Plan) -> list[DayCoverage]:
    """Every day of every instrument as the calendar expects it at the end."""
    expectation = Expectation(calendar_for(life.context.settings), life.clock.now())
    first, last = plan.days[0], plan.days[-1]
    keys = [one.instrument_key for one in life.members]
    with life.store.reading() as connection:
        stored = load_days(connection, keys, CandleInterval.MINUTE, first, last)
    return [
        day
        for one in life.members
        for day in expectation.days(one, CandleInterval.MINUTE, first, last, stored)
    ]


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(FESTIVE_EVENING, id="a festive evening and the next morning"),
        pytest.param(
            YEAR,
            marks=pytest.mark.skipif(not CHAOS, reason="takes hours: make chaos"),
            id="a year",
        ),
    ],
)
def test_nothing_is_missing_but_what_was_planned_to_be(plan: Plan, tmp_path: Path) -> None:
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL that may be restarted: install the package postgresql")
    milestones = Milestones()
    with (
        no_logs_kept(),
        postgres_of(binaries) as server,
        lived(plan, server, tmp_path, milestones) as life,
    ):
        slots = slots_of(life)
        every_slot_has_one_row(slots, plan)
        every_slot_without_quotes_has_its_trouble(slots, plan)
        every_minute_is_accounted_for(ledger_of(life, plan), life, plan)
        candles_and_ledger_agree(life, plan)
        corrections_are_kept(life, plan)
        every_chain_is_of_a_contract_that_traded(life, plan)
        memory_does_not_grow(milestones)


def every_slot_has_one_row(slots: list[tuple[datetime, Outcome, str]], plan: Plan) -> None:
    due = {
        slot
        for day in plan.days
        for group in (F_AND_O_STOCK, INDEX)
        for slot in MARKET.session(day, group).slots()
        if plan.begins <= slot < plan.ends - MINUTE
    }
    assert [slot for slot, _, _ in slots] == sorted(due)


def every_slot_without_quotes_has_its_trouble(
    slots: list[tuple[datetime, Outcome, str]], plan: Plan
) -> None:
    unfinished = [each for each in slots if each[1] is not Outcome.COMPLETED]
    for slot, outcome, cause in unfinished:
        [trouble] = [each for each in plan.troubles if each.span.includes(slot + MINUTE)]
        assert (outcome, trouble.cause in cause) == (trouble.outcome, True), (slot, cause)
    without = {slot for slot, _, _ in unfinished}
    for trouble in plan.troubles:
        # The requests of its last minute may be repeated after its end.
        within = Span(trouble.span.begin, trouble.span.end - MINUTE)
        requested = [slot for slot, _, _ in slots if within.includes(slot + MINUTE)]
        assert [slot for slot in requested if slot not in without] == [], trouble


def every_minute_is_accounted_for(
    ledger: list[DayCoverage], life: SimulatedLife, plan: Plan
) -> None:
    settled = ((0, minute_number(plan.ends - BARS_BECOME_DUE)),)
    open_spans = [each.spans(State.MISSED, State.PENDING) for each in ledger]
    assert [spans for spans in open_spans if common(spans, settled)] == []
    empty = {
        (each.instrument_key, span) for each in ledger for span in each.spans(State.SOURCE_EMPTY)
    }
    keys = {one.symbol: one.instrument_key for one in life.members}
    assert empty == {(keys[symbol], minutes_of(span)) for symbol, span in plan.empty_at_the_end}
    assert all(
        interval.proof is not None
        for each in ledger
        for interval in each.intervals
        if interval.state in {State.SOURCE_EMPTY, State.NO_TRADE}
    )


def candles_and_ledger_agree(life: SimulatedLife, plan: Plan) -> None:
    found = audit(life.context.settings, DayRange(first=plan.days[0], last=plan.days[-1]))
    assert (found.findings, found.differences) == ([], [])
    assert found.candles > 0


def corrections_are_kept(life: SimulatedLife, plan: Plan) -> None:
    query = select(func.count()).select_from(table(CandleRevision))
    with life.store.reading() as connection:
        kept = connection.scalar(query)
    assert kept == (plan.corrected.end - plan.corrected.begin) // MINUTE


def every_chain_is_of_a_contract_that_traded(life: SimulatedLife, plan: Plan) -> None:
    snapshots = table(ChainSnapshotRow)
    query = select(snapshots.c.expiry, func.min(snapshots.c.timestamp)).group_by(snapshots.c.expiry)
    failed = select(sync_runs.c.started_at, sync_runs.c.error).where(
        sync_runs.c.job == CHAINS, sync_runs.c.outcome != Outcome.COMPLETED
    )
    with life.store.reading() as connection:
        expiries = sorted(row.expiry for row in connection.execute(query))
        polls = connection.execute(failed).all()
    assert all(MARKET.session(day, F_AND_O_STOCK).open for day in expiries)
    assert all(later - earlier <= 8 * DAY for earlier, later in pairwise(expiries))
    for begun, cause in polls:
        assert any(each.span.includes(begun) for each in plan.troubles), (begun, cause)


@contextmanager
def no_logs_kept() -> Iterator[None]:
    """The test program keeps records with their tracebacks, which would be most of a year's
    memory."""
    logging.disable()
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def memory_does_not_grow(milestones: Milestones) -> None:
    """After half a year: until then the exchange of this process fills what it keeps of days."""
    memory = [megabytes for _, _, megabytes in milestones.reached]
    if memory:
        assert memory[-1] <= 1.1 * memory[5]


def minutes_of(span: Span) -> tuple[int, int]:
    return minute_number(span.begin), minute_number(span.end)
