"""Joins the parts. The only module that knows which supplier fits which shape.

Nothing is read, opened or connected until one of these functions is called. What has to be
closed again is a context manager.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from random import Random
from threading import Event

from pydantic import SecretStr
from sqlalchemy import Connection

from data_fetch.archive.raw_responses import RawResponseStore
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.chains.polls import Poll
from data_fetch.core.clock import IST, MINUTE, SystemClock, VirtualClock, minute_of
from data_fetch.core.errors import SetupError
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.universe import Universe
from data_fetch.core.market.calendar import MarketCalendar, end_warning
from data_fetch.core.ports import Clock, SlotListener
from data_fetch.core.quotes.freshness import FreshnessRules
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import CANDLES, FRESHNESS, QUOTES, Timetable, standard_timetable
from data_fetch.core.world import World
from data_fetch.paper_exchange.shared import serving_exchange
from data_fetch.publishing.redis_quotes import QuoteFeed
from data_fetch.runtime.chains import (
    ChainContext,
    Polling,
    chain_import_at,
    chain_poller_at,
    chain_reprocess_at,
    chain_service_at,
    raw_store_for,
    refuse_unknown,
)
from data_fetch.runtime.logs import start_logging, stop_logging
from data_fetch.runtime.reporting import ProgressReporter
from data_fetch.runtime.stores import store_to_look_at
from data_fetch.runtime.world import (
    ProviderConnection,
    calendar_for,
    exchange_at,
    master_for,
    provider_at,
    provider_for,
)
from data_fetch.services.backfill import BackfillService
from data_fetch.services.backfill_jobs import BackfillJobs
from data_fetch.services.chain_import import ChainImport
from data_fetch.services.chain_jobs import ChainPoller
from data_fetch.services.chain_reprocess import ChainReprocess
from data_fetch.services.minute_candles import CandleService
from data_fetch.services.quotes import FreshnessMonitor, LtpService, Members
from data_fetch.services.universe import load_universe
from data_fetch.sources.instruments.symbols_file import FoStocksLoader
from data_fetch.sources.transport.pacing import UPSTOX_LIMITS
from data_fetch.sources.upstox.candle_client import UpstoxCandleClient
from data_fetch.sources.upstox.ltp_client import UpstoxLtpClient
from data_fetch.sources.upstox.ohlc_client import UpstoxOhlcClient
from data_fetch.storage.candles.repository import CandleRepository
from data_fetch.storage.database.leadership import Leadership
from data_fetch.storage.database.store import Guard, Store, open_store
from data_fetch.storage.instruments.instruments import (
    first_seen_days,
    instruments_named,
    last_master_date,
)
from data_fetch.storage.quotes import QuoteStore
from data_fetch.storage.runs import last_due_slot

__all__ = [
    "Collector",
    "ProgressReporter",
    "ProviderConnection",
    "Records",
    "Selection",
    "backfill_at",
    "calendar_for",
    "chain_import_for",
    "chain_polls_for",
    "chain_reprocess_for",
    "collector_at",
    "context_for",
    "logs_for",
    "master_for",
    "one_off_for",
    "polling_for",
    "polling_in",
    "provider_for",
    "records_for",
    "rehearsal_for",
    "selection_at",
    "settings",
    "store_for",
]

# Before the morning's first job; a rehearsal ends after the evening's last one.
REHEARSAL_STARTS, REHEARSAL_LASTS = time(8, 0), timedelta(hours=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorContext:
    """What stays for as long as one scheduler leads one store."""

    settings: Settings
    provider: ProviderConnection
    store: Store
    guard: Guard | None
    leads: Callable[[], bool]
    running_since: datetime
    stop: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Everything a scheduler runs, joined anew each morning."""

    context: CollectorContext
    calendar: MarketCalendar
    universe: Universe
    service: LtpService
    monitor: FreshnessMonitor
    rounds: BackfillJobs
    chains: ChainPoller
    timetable: Timetable
    jobs: Mapping[str, Callable[[], object]]

    @property
    def provider(self) -> ProviderConnection:
        return self.context.provider

    @property
    def store(self) -> Store:
        return self.context.store

    def close(self) -> None:
        """Return when what its jobs have set to work is done."""
        self.chains.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """A store to read from: its instruments, and what is expected of them by now."""

    store: Store
    instruments: tuple[Instrument, ...]
    expectation: Expectation


@dataclass(frozen=True, slots=True)
class Selection:
    """Instruments, and the first day of those that are contracts."""

    instruments: tuple[Instrument, ...]
    listed: Mapping[str, date]


def settings() -> Settings:
    """The configuration of this process in its working folder."""
    return Settings.load(os.environ, Path.cwd())


def store_for(settings: Settings) -> Store:
    """The configured store. Raises StoreUnreachable: a one-off command does not fall back."""
    return open_store(settings.store_url, settings.world)


@contextmanager
def records_for(settings: Settings, symbols: Sequence[str] = ()) -> Iterator[Records]:
    """What the store holds of *symbols* (of the listed ones when none are named), to read.

    Asks no provider. Raises SetupError for a symbol that the store does not know.
    """
    with ExitStack() as stack:
        store = store_to_look_at(settings)
        stack.callback(store.close)
        clock: Clock = SystemClock()
        if settings.world is World.PAPER:
            clock = stack.enter_context(provider_for(settings)).clock
        with store.reading() as connection:
            if symbols:
                universe = _named(connection, symbols)
            else:
                listed = FoStocksLoader(lambda: settings).load_fo_stocks_from_file()
                universe = instruments_named(connection, listed.entries)
            chosen = _chosen(connection, universe.members)
        if not chosen.instruments:
            raise SetupError(
                f"{store.name} knows no instruments yet",
                hint="Fetch something first: data-fetch backfill --days 5, or data-fetch run.",
            )
        yield Records(
            store=store,
            instruments=chosen.instruments,
            expectation=Expectation(calendar_for(settings), clock.now(), chosen.listed),
        )


@contextmanager
def logs_for(settings: Settings) -> Iterator[None]:
    """Log files in the working folder for as long as this lasts."""
    start_logging(settings.log_folder, settings.log_level, settings.secrets())
    try:
        yield
    finally:
        stop_logging()


@contextmanager
def context_for(
    settings: Settings, store: Store, stop: Event, reporter: ProgressReporter
) -> Iterator[CollectorContext | None]:
    """A desk once the store is ours; None when told to stop while waiting for it."""
    leadership = Leadership(store)

    def on_wait() -> None:
        leader = leadership.leader()
        who = f"another scheduler, {leader}, collects into it" if leader else "it does not answer"
        reporter.message(f"Waiting for {store.name}: {who}.")

    fence = leadership.acquire(stop, on_wait)
    if fence is None:
        yield None
        return
    try:
        with provider_for(settings, serving_exchange) as provider:
            _warn(settings, provider, reporter)
            yield CollectorContext(
                settings=settings,
                provider=provider,
                store=store,
                guard=fence,
                leads=leadership.held,
                running_since=provider.clock.now(),
                stop=stop,
            )
    finally:
        leadership.release()


def _warn(settings: Settings, provider: ProviderConnection, reporter: ProgressReporter) -> None:
    """What a person should know before trouble comes of it."""
    today = provider.clock.now().astimezone(IST).date()
    if (ends := end_warning(provider.calendar, today)) is not None:
        reporter.message(f"Warning: {ends}")
    if settings.ignored_mongo_name is not None:
        reporter.message(
            f"Warning: {settings.ignored_mongo_name} is set, but the store is SQL "
            f"({settings.world} world). To import: docs/howto/coming-from-the-scripts.md"
        )
    if settings.world is World.LIVE and settings.token_in_environment:
        reporter.message(
            "Warning: UPSTOX_ACCESS_TOKEN is set in the process environment. It wins over .env "
            "and cannot be renewed without a restart; put it into .env instead."
        )
    elif settings.world is World.LIVE and not provider.token.held:
        reporter.message("Warning: there is no access token. Put UPSTOX_ACCESS_TOKEN into .env.")
    elif settings.world is World.LIVE and provider.token.expires_at() is None:
        reporter.message("The token does not say when it expires; daily ones end at 03:30 IST.")


@contextmanager
def one_off_for(settings: Settings, reporter: ProgressReporter) -> Iterator[Collector]:
    """The same parts for a command that does one thing beside a running scheduler.

    Raises SetupError when the configured source has nothing but chains.
    """
    if settings.data_source == "nse":
        raise SetupError(
            "DATA_SOURCE=nse has chains only: no quotes, no candles",
            hint="Set DATA_SOURCE to upstox or paper; or: data-fetch chain collect --once",
        )
    with _one_off_context(settings) as context:
        yield collector_at(context, reporter)


@contextmanager
def _one_off_context(settings: Settings) -> Iterator[CollectorContext]:
    store = store_for(settings)
    with provider_for(settings) as provider:
        yield CollectorContext(
            settings=settings,
            provider=provider,
            store=store,
            guard=None,
            leads=lambda: True,
            running_since=provider.clock.now(),
            stop=Event(),
        )


def backfill_at(context: CollectorContext, calendar: MarketCalendar) -> BackfillService:
    """What fetches missing candles for as long as the desk is not told to stop."""
    provider = context.provider
    return BackfillService(
        source=UpstoxCandleClient(provider.api, provider.clock),
        source_name=provider.source_name,
        repository=CandleRepository(context.store, context.guard),
        calendar=calendar,
        clock=provider.clock,
        limits=UPSTOX_LIMITS,
        spending=provider.pacer.spending,
        stop=context.stop,
    )


def chain_context_at(
    context: CollectorContext, calendar: MarketCalendar, report: Callable[[str], None]
) -> ChainContext:
    """What the chains share with everything else at *context*."""
    return ChainContext(
        settings=context.settings,
        api=context.provider.api,
        nse_url=context.provider.nse_url,
        pacing_folder=context.provider.pacing_folder,
        clock=context.provider.clock,
        calendar=calendar,
        store=context.store,
        guard=context.guard,
        stop=context.stop,
        report=report,
    )


@contextmanager
def chain_polls_for(
    settings: Settings, reporter: ProgressReporter, symbols: Sequence[str], expiries: int | None
) -> Iterator[Iterator[Poll]]:
    """One poll of each of *symbols* (none named: of all that are polled), as they are drawn."""
    with _one_off_context(settings) as context:
        polling = _polling_at(context, reporter)
        targets = polling.targets(symbols, expiries)
        chains = chain_context_at(context, calendar_for(settings), reporter.message)
        service = chain_service_at(chains)
        yield (service.poll(target) for target in targets)


@contextmanager
def polling_for(
    settings: Settings, reporter: ProgressReporter
) -> Iterator[tuple[Polling, datetime]]:
    """What is polled, to look at and to change, and what time it is there."""
    with _one_off_context(settings) as context:
        yield _polling_at(context, reporter), context.provider.clock.now()


def polling_in(settings: Settings, store: Store) -> Polling:
    """What is polled as far as *store* knows; asks no provider."""
    listed = FoStocksLoader(lambda: settings).load_fo_stocks_from_file()
    with store.reading() as connection:
        return Polling(settings, store, instruments_named(connection, listed.entries).members)


def _polling_at(context: CollectorContext, reporter: ProgressReporter) -> Polling:
    """The instruments come from the store; from today's master when it knows none."""
    loader = FoStocksLoader(lambda: context.settings)
    with context.store.reading() as connection:
        known = last_master_date(connection) is not None
        universe = instruments_named(connection, loader.load_fo_stocks_from_file().entries)
    if not known:
        now = context.provider.clock.now()
        universe = load_universe(
            loader, context.provider.master, context.store, now, context.guard, reporter.message
        )
    return Polling(context.settings, context.store, universe.members)


@contextmanager
def chain_import_for(settings: Settings) -> Iterator[ChainImport]:
    """What stores captured documents in the configured store."""
    store = store_for(settings)
    try:
        yield chain_import_at(store, calendar_for(settings), SystemClock())
    finally:
        store.close()


@contextmanager
def chain_reprocess_for(settings: Settings) -> Iterator[tuple[ChainReprocess, RawResponseStore]]:
    """What works tables out again, and the vault it does so from."""
    store = store_for(settings)
    try:
        reprocess = chain_reprocess_at(store, calendar_for(settings), SystemClock())
        yield reprocess, raw_store_for(settings)
    finally:
        store.close()


def selection_at(
    context: CollectorContext, universe: Universe, symbols: Sequence[str]
) -> Selection:
    """The instruments *symbols* name; the whole *universe* when none are named.

    A symbol need not be in the universe: the instrument master knows the others. Raises
    SetupError for one that it does not know.
    """
    with context.store.reading() as connection:
        members = _named(connection, symbols).members if symbols else universe.members
        return _chosen(connection, members)


def _named(connection: Connection, symbols: Sequence[str]) -> Universe:
    """What *symbols* stand for. Raises SetupError for the first one that is not known."""
    return refuse_unknown(instruments_named(connection, symbols))


def _chosen(connection: Connection, instruments: tuple[Instrument, ...]) -> Selection:
    contracts = [one.instrument_key for one in instruments if one.expiry]
    return Selection(instruments, first_seen_days(connection, contracts))


@contextmanager
def rehearsal_for(
    settings: Settings, day: date, reporter: ProgressReporter
) -> Iterator[tuple[Collector, datetime]]:
    """A collector on a virtual clock and an exchange of its own, and when its day ends.

    Raises SetupError when the market is closed on *day*, WrongWorld when the named store is
    a live one.
    """
    calendar = MarketCalendar.reviewed()
    starts = datetime.combine(day, REHEARSAL_STARTS, IST)
    with ExitStack() as stack:
        # Windows deletes no file that is still open.
        temporary = tempfile.TemporaryDirectory(prefix="rehearsal-", ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(temporary))
        paper = _rehearsal_settings(settings, folder)
        clock = VirtualClock(starts)
        exchange = stack.enter_context(exchange_at(paper, clock, calendar))
        store = store_for(paper)
        stack.callback(store.close)
        leadership = Leadership(store)
        fence = leadership.try_acquire()
        if fence is None:
            raise SetupError(
                f"a scheduler collects into {store.name}",
                hint="Stop it, or rehearse in another store.",
            )
        stack.callback(leadership.release)
        provider = provider_at(
            paper, clock, exchange.url, calendar, state_folder=folder, random=Random(0)
        )
        stack.callback(provider.pacer.close)
        context = CollectorContext(
            settings=paper,
            provider=provider,
            store=store,
            guard=fence,
            leads=lambda: True,
            running_since=starts,
            stop=Event(),
        )
        collector = collector_at(context, reporter, last_recorded_slot=starts - MINUTE)
        if not collector.service.slots_on(day):
            raise SetupError(
                f"the market is closed on {day}",
                hint="Ask for a trading day: data-fetch calendar next",
            )
        yield collector, starts + REHEARSAL_LASTS


def _rehearsal_settings(settings: Settings, folder: Path) -> Settings:
    """Always paper, everything in a folder of its own but a store that was named."""
    symbols = FoStocksLoader(lambda: settings).load_fo_stocks_from_file()
    temporary = SecretStr(f"sqlite:///{folder / 'rehearsal.db'}")
    return settings.model_copy(
        update={
            "data_source": "paper",
            "base_url": None,
            "folder": folder,
            "symbols_file": symbols.path.resolve(),
            "database_url": settings.database_url or temporary,
            # Whoever listens there wants the prices of the run, not of a rehearsal.
            "redis_url": None,
        }
    )


def collector_at(
    context: CollectorContext,
    reporter: ProgressReporter,
    last_recorded_slot: datetime | None = None,
) -> Collector:
    """The parts as calendar, symbols list and instrument master have them now.

    Without *last_recorded_slot* the store says from which slot on rows are owed. A store without a
    past owes nothing from before now, and neither does one whose paper market was set back.
    """
    settings, provider, store = context.settings, context.provider, context.store
    calendar, clock = calendar_for(settings), provider.clock
    universe = load_universe(
        FoStocksLoader(lambda: settings),
        provider.master,
        store,
        clock.now(),
        context.guard,
        reporter.message,
    )
    members = Members(universe.members)
    quotes_repository = QuoteStore(store, context.guard)
    listeners: list[SlotListener] = [reporter.slot]
    if settings.redis_url is not None:
        listeners.append(QuoteFeed(settings.redis_url.get_secret_value(), store.world))
    now = clock.now()
    last_recorded_slot = last_recorded_slot or last_due_slot(store, QUOTES)
    if last_recorded_slot is None or last_recorded_slot > now:
        last_recorded_slot = minute_of(now) - MINUTE
    service = LtpService(
        source=UpstoxLtpClient(provider.api, clock),
        source_name=provider.source_name,
        quotes_repository=quotes_repository,
        members=members,
        calendar=calendar,
        clock=clock,
        last_recorded_slot=last_recorded_slot,
        running_since=context.running_since,
        listeners=listeners,
    )
    monitor = FreshnessMonitor(
        quotes_repository=quotes_repository,
        members=members,
        calendar=calendar,
        clock=clock,
        rules=FreshnessRules(
            stale_after=settings.stale_after_minutes, frozen_after=settings.frozen_after_slots
        ),
        repair=service.repair,
    )
    candles = CandleService(
        source=UpstoxOhlcClient(provider.api, clock),
        source_name=provider.source_name,
        repository=CandleRepository(store, context.guard),
        members=universe.members,
        calendar=calendar,
        clock=clock,
    )
    chosen = selection_at(context, universe, ())
    rounds = BackfillJobs(
        service=backfill_at(context, calendar),
        instruments=chosen.instruments,
        listed=chosen.listed,
        clock=clock,
        stop=context.stop,
        report=reporter.message,
    )
    chains = chain_poller_at(
        chain_context_at(context, calendar, reporter.message), universe.members
    )
    jobs: dict[str, Callable[[], object]] = {
        QUOTES: service.collect_due,
        CANDLES: candles.collect,
        FRESHNESS: monitor.check,
        **rounds.jobs,
        **chains.jobs,
    }
    return Collector(
        context=context,
        calendar=calendar,
        universe=universe,
        service=service,
        monitor=monitor,
        rounds=rounds,
        chains=chains,
        timetable=standard_timetable(calendar, members.groups, settings.finalise_at),
        # NSE's site tells chains and nothing else.
        jobs=dict(chains.jobs) if settings.data_source == "nse" else jobs,
    )
