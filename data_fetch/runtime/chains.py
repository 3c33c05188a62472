"""Builds the services for option chains."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from threading import Event

from sqlalchemy import Connection

from data_fetch.analytics.chain_pricing import not_priced, price_dated
from data_fetch.archive.raw_responses import RawResponseStore
from data_fetch.core.chains.freshness import ChainJudgement
from data_fetch.core.chains.polls import Poll
from data_fetch.core.clock import IST, SystemClock
from data_fetch.core.errors import BrokerUnreachable
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.ports import ChainProvider, Clock
from data_fetch.core.settings import Settings
from data_fetch.runtime.calendars import calendar_for
from data_fetch.runtime.context import CollectorContext, one_off_context
from data_fetch.runtime.late_days import bring_back_into
from data_fetch.runtime.limits import CHAIN_LIMITS
from data_fetch.runtime.reporting import ProgressReporter
from data_fetch.runtime.services import universe_at
from data_fetch.runtime.stores import store_for
from data_fetch.runtime.units import dispatch_at
from data_fetch.services.chain_enrichment import ChainEnricher, Price
from data_fetch.services.chain_freshness import judge_polled
from data_fetch.services.chain_import import ChainImport
from data_fetch.services.chain_jobs import ChainPoller
from data_fetch.services.chain_reprocess import ChainReprocess
from data_fetch.services.chain_units import offering_to_price
from data_fetch.services.chains import ChainService
from data_fetch.services.late_days import BringBack, refuse
from data_fetch.services.polling import Polling
from data_fetch.services.work import UnitDispatch
from data_fetch.sources.instruments.symbols_file import FoStocksLoader
from data_fetch.storage.chains.lineage import chain_lineage
from data_fetch.storage.chains.snapshots import Beside, ChainStore, nothing_beside
from data_fetch.storage.chains.symbol_config import SymbolConfigs
from data_fetch.storage.database.store import Guard, Store
from data_fetch.storage.instruments.contracts import listed_expiries
from data_fetch.storage.instruments.instruments import (
    instruments_named,
    instruments_with,
    last_master_date,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainContext:
    """The parts that option chains share with everything else that is collected. With a *dispatch*
    workers price what is received."""

    settings: Settings
    providers: Sequence[ChainProvider]
    clock: Clock
    calendar: MarketCalendar
    store: Store
    guard: Guard | None
    stop: Event
    reporter: ProgressReporter
    dispatch: UnitDispatch | None = None


def chain_service_at(context: ChainContext) -> ChainService:
    """The service that polls one symbol at a time."""
    raw_store = raw_store_for(context.settings)
    try:
        raw_store.prune(context.clock.now().astimezone(IST).date())
    except OSError as problem:
        context.reporter.message(f"Old raw chain responses cannot be deleted ({problem}).")
    price, beside = _pricing(context)
    return ChainService(
        providers=context.providers,
        chains=ChainStore(context.store, context.guard, beside),
        enricher=ChainEnricher(context.store, context.calendar, price),
        raw_store=raw_store,
        stored_expiries=lambda underlying: _listed(context, underlying),
        calendar=context.calendar,
        clock=context.clock,
        stop=context.stop,
        report=context.reporter.message,
    )


def chain_poller_at(context: ChainContext, members: Sequence[Instrument]) -> ChainPoller:
    """The poller of the indices among *members* and of the configured symbols."""
    return ChainPoller(
        service=chain_service_at(context),
        targets=Polling(context.settings, context.store, members).poll_targets,
        limits=CHAIN_LIMITS,
        clock=context.clock,
        report=context.reporter.message,
        polled=_polled(context),
    )


def _pricing(context: ChainContext) -> tuple[Price, Beside]:
    """How received chains are priced, and what is written beside them."""
    if context.dispatch is None:
        return price_dated, nothing_beside
    return not_priced, offering_to_price(context.dispatch.clock)


def _polled(context: ChainContext) -> Callable[[Poll], None]:
    """Reports a poll; its chains go to the workers at once if they price them."""
    dispatch, report = context.dispatch, context.reporter.polled
    if dispatch is None:
        return report

    def polled(poll: Poll) -> None:
        report(poll)
        # Without a broker units wait in the store; their own job reports that.
        with suppress(BrokerUnreachable):
            dispatch.run()

    return polled


def chain_judgements_at(
    context: CollectorContext, calendar: MarketCalendar, poller: ChainPoller
) -> Callable[[], list[ChainJudgement]]:
    """Judges the chains that *poller* polls, by its plan at the time of the call."""
    settings, clock = context.settings, context.provider.clock
    return lambda: judge_polled(
        context.store, poller.plan, calendar, settings.freshness_rules, clock.now()
    )


def chain_import_at(
    store: Store, calendar: MarketCalendar, clock: Clock, bring_back: BringBack = refuse
) -> ChainImport:
    """The import of captured documents; it may run beside a collector."""
    return ChainImport(
        chains=ChainStore(store),
        enricher=ChainEnricher(store, calendar),
        clock=clock,
        symbol_of=lambda name: _symbol_of(store, name),
        bring_back=bring_back,
    )


def chain_reprocess_at(
    store: Store, calendar: MarketCalendar, clock: Clock, bring_back: BringBack = refuse
) -> ChainReprocess:
    """The service that builds the chain tables again from stored raw responses."""
    return ChainReprocess(
        chains=ChainStore(store),
        enricher=ChainEnricher(store, calendar),
        clock=clock,
        live_key_of=lambda symbol: _live_key_of(store, symbol),
        strikes=_strikes_by_name(store),
        bring_back=bring_back,
    )


def _strikes_by_name(store: Store) -> dict[str, int | None]:
    """How many strikes to store, by every name that a configured underlying had."""
    configs = SymbolConfigs(store).all()
    with store.reading() as connection:
        former = {
            name.label: each.strikes
            for each in configs
            for name in chain_lineage(connection, each.symbol).names
        }
    return former | {each.symbol: each.strikes for each in configs}


def raw_store_for(settings: Settings) -> RawResponseStore:
    return RawResponseStore(settings.raw_folder, settings.raw_vault_days)


def _listed(context: ChainContext, underlying: Instrument) -> Sequence[date]:
    today = context.clock.now().astimezone(IST).date()
    with context.store.reading() as connection:
        return listed_expiries(connection, [underlying.instrument_key], today)


def _symbol_of(store: Store, name: str) -> str:
    """The trading symbol of a provider's key, if the store knows it."""
    if "|" not in name:
        return name
    with store.reading() as connection:
        found = _instrument(connection, name)
    return found.symbol if found else name


def _live_key_of(store: Store, symbol: str) -> str | None:
    """The key that Upstox returns for the underlying *symbol*, if the store knows it."""
    with store.reading() as connection:
        found = instruments_named(connection, [symbol]).members
    return found[0].live_key if found else None


def _instrument(connection: Connection, key: str) -> Instrument | None:
    return next(iter(instruments_with(connection, [key])), None)


def chain_context_at(
    context: CollectorContext, calendar: MarketCalendar, reporter: ProgressReporter
) -> ChainContext:
    """The context of the chain services at *context*."""
    return ChainContext(
        settings=context.settings,
        providers=context.provider.sources.chain_providers(),
        clock=context.provider.clock,
        calendar=calendar,
        store=context.store,
        guard=context.guard,
        stop=context.stop,
        reporter=reporter,
        dispatch=dispatch_at(context.store, context.queue) if context.queue else None,
    )


@contextmanager
def chain_polls_for(
    settings: Settings,
    reporter: ProgressReporter,
    symbols: Sequence[str],
    expiries: int | None,
    expiry: date | None,
) -> Iterator[Iterator[Poll]]:
    """One poll of each of *symbols*, when it is iterated; without any, of all that are polled.

    Of *expiry* alone, else of so many *expiries* (None: as configured).
    """
    with one_off_context(settings) as context:
        polling = _polling_at(context, reporter)
        targets = [
            replace(each, expiries=expiries or each.expiries, expiry=expiry)
            for each in polling.targets(symbols)
        ]
        chains = chain_context_at(context, calendar_for(settings), reporter)
        service = chain_service_at(chains)
        yield (service.poll(target) for target in targets)


@contextmanager
def polling_for(
    settings: Settings, reporter: ProgressReporter
) -> Iterator[tuple[Polling, datetime]]:
    """The polling configuration, to read and to change, and the provider's time."""
    with one_off_context(settings) as context:
        yield _polling_at(context, reporter), context.provider.clock.now()


def _polling_at(context: CollectorContext, reporter: ProgressReporter) -> Polling:
    """Instruments are those of the store; of today's master when it has none."""
    loader = FoStocksLoader(lambda: context.settings)
    with context.store.reading() as connection:
        known = last_master_date(connection) is not None
        universe = instruments_named(connection, loader.load_fo_stocks_from_file().entries)
    if not known:
        universe = universe_at(context, reporter)
    return Polling(context.settings, context.store, universe.members)


@contextmanager
def chain_import_for(settings: Settings, report: Callable[[str], None]) -> Iterator[ChainImport]:
    """The import of captured documents into the configured store; *report* receives lines about
    days that are brought back from the archive."""
    store = store_for(settings)
    try:
        bring_back = bring_back_into(settings, store, report)
        yield chain_import_at(store, calendar_for(settings), SystemClock(), bring_back)
    finally:
        store.close()


@contextmanager
def chain_reprocess_for(
    settings: Settings, report: Callable[[str], None]
) -> Iterator[tuple[ChainReprocess, RawResponseStore]]:
    """The service that builds chain tables again, and its raw responses; *report* as of
    `chain_import_for`."""
    store = store_for(settings)
    try:
        bring_back = bring_back_into(settings, store, report)
        reprocess = chain_reprocess_at(store, calendar_for(settings), SystemClock(), bring_back)
        yield reprocess, raw_store_for(settings)
    finally:
        store.close()
