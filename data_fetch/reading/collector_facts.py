"""How collecting goes, in a few figures for a monitor: today's slots and runs, ages, coverage.

Every query is bounded: by the present day, by the listed symbols, or by rows of the ledger. Years
of data make none of them slower.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TypeVar

from sqlalchemy import func, select

from data_fetch.alerts.rules import RULE_NAMES
from data_fetch.core.candles.day_counts import DayCounts
from data_fetch.core.clock import IST, MINUTE, minute_of
from data_fetch.core.errors import DataFetchError, StoreFailure
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar, TradingGroup
from data_fetch.core.market.members import Members
from data_fetch.core.runs import Outcome
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import LONGEST_BREAK, QUOTES
from data_fetch.core.work import UnitCount
from data_fetch.reading.alert_list import alerts_of
from data_fetch.reading.chain_freshness import chain_freshness
from data_fetch.reading.coverage_days import DayRange, coverage_grid
from data_fetch.reading.feed_status import FeedSummary, feed_in
from data_fetch.reading.instants import midnight_before
from data_fetch.reading.quote_freshness import quote_freshness
from data_fetch.reading.readiness import readiness_in
from data_fetch.reading.records import clock_of, listed_instruments, store_of
from data_fetch.reading.token_status import TokenStatus, token_status
from data_fetch.reading.unit_documents import open_units
from data_fetch.runtime.calendars import calendar_for
from data_fetch.runtime.pauses import WindowUse, required_pauses, used_windows
from data_fetch.runtime.stores import waiting_rows
from data_fetch.storage.database.store import Store
from data_fetch.storage.runs import sync_runs

T = TypeVar("T")
# What a problem can be about.
FACTS = (
    "store", "stand_in", "clock", "calendar", "symbols",
    "runs", "slots", "quotes", "chains", "coverage", "provider", "token", "readiness", "alerts",
    "units", "feed",
)  # fmt: skip
DAY = timedelta(days=1)
# A weekly job is in it.
LATELY = timedelta(days=8)
COLLECTED = frozenset({Outcome.COMPLETED.value, Outcome.INCOMPLETE.value})
MISSED = frozenset({Outcome.MISSED.value, Outcome.FAILED.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """The runs of one *job* with one *outcome*: how many began today, their rows and requests,
    and when the newest of the last days ended."""

    job: str
    outcome: str
    today: int
    stored: int
    requests: int
    last_ended: datetime


@dataclass(frozen=True, slots=True)
class SlotFigures:
    """Today's slots of quotes that are over (*due*); of these the collected and the missed ones.

    A slot that is neither has no record yet.
    """

    due: int
    collected: int
    missed: int


@dataclass(frozen=True, slots=True)
class DatasetFigures:
    """How many symbols are in each state of freshness, and the *newest* datum of all.

    A symbol without a quote on the days that are in the store counts as never seen.
    """

    states: Mapping[str, int]
    newest: datetime | None


@dataclass(frozen=True, slots=True)
class DayCoverageFigures:
    """The minutes of all listed symbols on one trading *day*, by state."""

    day: date
    counts: DayCounts

    @property
    def ratio(self) -> float | None:
        """The part of the minutes due so far that is settled: a candle, or proof that there is
        none. None when none is due."""
        counts = self.counts
        due = counts.expected - counts.pending
        return (counts.present + counts.no_trade + counts.source_empty) / due if due else None


@dataclass(frozen=True, slots=True)
class ProviderFigures:
    """The pauses that providers require, by API, and the use of their limits."""

    pauses: Mapping[str, datetime]
    windows: Sequence[WindowUse]


@dataclass(slots=True, kw_only=True)
class CollectorFacts:
    """What is known at the instant *at*; the rest is None, with the reason in *problems*.

    *coverage* is by "today" and "last_session", as far as there are such days. *waiting_rows*
    are in the embedded store that stands in for the configured one. *token* is also None where none
    is needed. *ready* is the result of the check before today's open: go or no-go. *alerts*
    counts the open ones of each rule. *feed* is also None where no collector ever had one.
    """

    at: datetime | None = None
    store_answers: bool = False
    market_open: bool | None = None
    runs: Sequence[RunFigures] | None = None
    slots: SlotFigures | None = None
    quotes: DatasetFigures | None = None
    chains: DatasetFigures | None = None
    coverage: Mapping[str, DayCoverageFigures] | None = None
    provider: ProviderFigures | None = None
    waiting_rows: int | None = None
    token: TokenStatus | None = None
    ready: bool | None = None
    alerts: Mapping[str, int] | None = None
    units: Sequence[UnitCount] | None = None
    feed: FeedSummary | None = None
    problems: dict[str, str] = field(default_factory=dict)


def collector_facts(settings: Settings) -> CollectorFacts:
    """The figures of the configured store now, or of the one that `run` fell back to.

    What cannot be found out is left out and never raised: a monitor needs the rest.
    """
    facts = CollectorFacts()
    facts.provider = _known(facts, "provider", lambda: provider_figures(settings))
    facts.token = _known(facts, "token", lambda: token_status(settings))
    facts.waiting_rows = _known(facts, "stand_in", lambda: _waiting_rows(settings))
    try:
        with store_of(settings) as store:
            _ask(settings, store, facts)
    except DataFetchError as problem:
        # Away, refused, damaged, or of the other world.
        facts.problems["store"] = problem.message
    return facts


def _ask(settings: Settings, store: Store, facts: CollectorFacts) -> None:
    with store.reading() as connection:
        connection.scalar(select(1))
    facts.store_answers = True
    facts.at = now = _known(facts, "clock", lambda: clock_of(settings).now())
    if now is None:
        return
    facts.ready = _known(facts, "readiness", lambda: _ready(store, now))
    facts.runs = _known(facts, "runs", lambda: run_figures(store, now))
    facts.alerts = _known(facts, "alerts", lambda: _open_alerts(store))
    facts.units = _known(facts, "units", lambda: open_units(store))
    facts.feed = _known(facts, "feed", lambda: feed_in(store, now))
    calendar = _known(facts, "calendar", lambda: calendar_for(settings))
    listed = _known(facts, "symbols", lambda: _listed(settings, store))
    if calendar is None or listed is None:
        return
    groups = Members.as_of(listed, now).groups
    facts.market_open = any(calendar.is_open(now, group) for group in groups)
    facts.slots = _known(facts, "slots", lambda: _slots(store, calendar, groups, now))
    facts.quotes = _known(facts, "quotes", lambda: _quotes(settings, store, calendar, now, listed))
    facts.chains = _known(facts, "chains", lambda: _chains(settings, store, calendar, now, listed))
    facts.coverage = _known(facts, "coverage", lambda: _coverage(settings, calendar, groups, now))


def _known(facts: CollectorFacts, name: str, find: Callable[[], T]) -> T | None:
    """What *find* returns; None, with a line in the problems, when it cannot be found out."""
    try:
        return find()
    except StoreFailure:
        raise
    except DataFetchError as problem:
        facts.problems[name] = problem.message
        return None


def provider_figures(settings: Settings) -> ProviderFigures:
    """What providers allow this machine at present; nothing in the paper world."""
    return ProviderFigures(required_pauses(settings), used_windows(settings))


def _ready(store: Store, now: datetime) -> bool | None:
    run = readiness_in(store, now)
    return None if run is None else run.outcome is Outcome.COMPLETED


def _waiting_rows(settings: Settings) -> int:
    waiting = waiting_rows(settings)
    return waiting.rows if waiting else 0


def _open_alerts(store: Store) -> Mapping[str, int]:
    found = Counter(each.rule for each in alerts_of(store).open)
    return {rule: found[rule] for rule in RULE_NAMES}


def run_figures(store: Store, now: datetime) -> list[RunFigures]:
    """The runs of the last days by job and outcome. Raises StoreUnreachable."""
    runs = sync_runs.c
    of_today = runs.started_at >= midnight_before(now)
    query = (
        select(
            runs.job,
            runs.outcome,
            func.count().filter(of_today).label("today"),
            func.coalesce(func.sum(runs.stored).filter(of_today), 0).label("stored"),
            func.coalesce(func.sum(runs.requests).filter(of_today), 0).label("requests"),
            func.max(runs.finished_at).label("last_ended"),
        )
        .where(runs.started_at >= now - LATELY)
        .group_by(runs.job, runs.outcome)
        .order_by(runs.job, runs.outcome)
    )
    with store.reading() as connection:
        return [RunFigures(**row) for row in connection.execute(query).mappings()]


def _listed(settings: Settings, store: Store) -> Sequence[Instrument]:
    with store.reading() as connection:
        return listed_instruments(connection, settings)


def _slots(
    store: Store, calendar: MarketCalendar, groups: frozenset[TradingGroup], now: datetime
) -> SlotFigures:
    before = midnight_before(now) - MINUTE
    over = minute_of(now) - MINUTE
    due = {slot for group in groups for slot in calendar.slots_between(before, over, group)}
    query = select(sync_runs.c.due_slot, sync_runs.c.outcome).where(
        sync_runs.c.job == QUOTES, sync_runs.c.due_slot.between(before, over)
    )
    with store.reading() as connection:
        rows = connection.execute(query).all()
    collected = due & {slot for slot, outcome in rows if outcome in COLLECTED}
    missed = due & {slot for slot, outcome in rows if outcome in MISSED} - collected
    return SlotFigures(len(due), len(collected), len(missed))


def _quotes(
    settings: Settings,
    store: Store,
    calendar: MarketCalendar,
    now: datetime,
    listed: Sequence[Instrument],
) -> DatasetFigures:
    found = quote_freshness(settings, store, calendar, now, listed)
    return DatasetFigures(found.counts, found.last_quote)


def _chains(
    settings: Settings,
    store: Store,
    calendar: MarketCalendar,
    now: datetime,
    listed: Sequence[Instrument],
) -> DatasetFigures:
    found = chain_freshness(settings, store, calendar, now, listed)
    received = [each.last.received_at for each in found.judgements if each.last]
    return DatasetFigures(found.counts, max(received, default=None))


def _coverage(
    settings: Settings, calendar: MarketCalendar, groups: frozenset[TradingGroup], now: datetime
) -> dict[str, DayCoverageFigures]:
    today = now.astimezone(IST).date()
    days = {"today": today if trades_on(calendar, groups, today) else None}
    days["last_session"] = session_before(calendar, groups, today)
    return {
        name: DayCoverageFigures(day, coverage_grid(settings, DayRange(first=day, last=day)).totals)
        for name, day in days.items()
        if day is not None
    }


def trades_on(calendar: MarketCalendar, groups: Collection[TradingGroup], day: date) -> bool:
    """Whether any of *groups* trades on *day*."""
    return any(calendar.session(day, group).open for group in groups)


def session_before(
    calendar: MarketCalendar, groups: Collection[TradingGroup], day: date
) -> date | None:
    """The last trading day before *day*."""
    earlier = (day - count * DAY for count in range(1, LONGEST_BREAK.days + 1))
    return next((each for each in earlier if trades_on(calendar, groups, each)), None)
