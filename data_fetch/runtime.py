"""Joins the parts. The only module that knows which supplier fits which shape.

Nothing is read, opened or connected until one of these functions is called. What has to be
closed again is a context manager.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from random import Random
from threading import Event
from typing import Protocol
from urllib.parse import urljoin, urlsplit

import orjson
from pydantic import SecretStr

from data_fetch.core.clock import IST, MINUTE, SystemClock, VirtualClock, minute_of
from data_fetch.core.errors import SetupError, StoreUnreachable
from data_fetch.core.freshness import FreshnessRules
from data_fetch.core.market import MarketCalendar, end_warning
from data_fetch.core.ports import Clock, SlotListener
from data_fetch.core.records import StoredQuote, SyncRun, World
from data_fetch.core.settings import INSTRUMENTS_URL, UPSTOX_URL, Settings
from data_fetch.core.timetable import FRESHNESS, QUOTES, UNIVERSE, Timetable, standard_timetable
from data_fetch.core.universe import Universe, resolve
from data_fetch.fo_stocks_loader import FoStocksLoader
from data_fetch.logs import start_logging, stop_logging
from data_fetch.ltp_service import FreshnessMonitor, LtpService, Members
from data_fetch.paper_exchange.clock import PaperMarketClock
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.paper_exchange.shared import shared_exchange
from data_fetch.sources.instrument_master import InstrumentMaster
from data_fetch.sources.instrument_rows import read_instruments
from data_fetch.sources.market_info import load_calendar
from data_fetch.sources.pacing import Pacer, state_file_for
from data_fetch.sources.paper_clock import PaperClock
from data_fetch.sources.token import TokenKeeper
from data_fetch.sources.upstox import UpstoxApi
from data_fetch.storage.instruments import is_saved, listed_but_options, save_master
from data_fetch.storage.leadership import Fence, Leadership
from data_fetch.storage.quote_feed import QuoteFeed
from data_fetch.storage.quotes import QuoteStore
from data_fetch.storage.store import Store, open_store
from data_fetch.storage.sync import last_due_slot
from data_fetch.upstox_ltp_client import UpstoxLtpClient

# No account is needed there: the paper exchange takes any token that begins like this.
PAPER_TOKEN = "paper-analytics"
PAPER_MASTER_PATH = "/market-quote/instruments/exchange/NSE.json.gz"
# Before the morning's first job; a rehearsal ends after the evening's last one.
REHEARSAL_STARTS, REHEARSAL_LASTS = time(8, 0), timedelta(hours=15)


class Screen(Protocol):
    """Somebody who watches: a terminal, a test, nobody."""

    def told(self, text: str) -> None:
        """A remark for people."""

    def slot(self, run: SyncRun, quotes: Sequence[StoredQuote]) -> None:
        """What a slot came to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One world's outside: what time it is there, who answers, what is listed."""

    world: World
    clock: Clock
    base_url: str
    token: TokenKeeper
    api: UpstoxApi
    master: InstrumentMaster
    calendar: MarketCalendar

    @property
    def source_name(self) -> str:
        return "paper" if self.world is World.PAPER else "upstox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Everything a scheduler runs, joined for one world and one store."""

    market: Market
    store: Store
    universe: Universe
    service: LtpService
    monitor: FreshnessMonitor
    timetable: Timetable
    jobs: Mapping[str, Callable[[], object]]
    leads: Callable[[], bool]
    degraded: str | None = None


def settings() -> Settings:
    """The configuration of this process in its working folder."""
    return Settings.load(os.environ, Path.cwd())


def calendar_for(settings: Settings) -> MarketCalendar:
    """The reviewed calendar with what was refreshed in this world and overridden here."""
    return load_calendar(settings.data_folder, settings.world, settings.calendar_override)


def store_for(settings: Settings) -> Store:
    """The configured store. Raises StoreUnreachable: a one-off command does not fall back."""
    return open_store(settings.store_url, settings.world)


def store_to_look_at(settings: Settings) -> Store:
    """The configured store; the embedded one when `run` had to fall back to it."""
    try:
        return store_for(settings)
    except StoreUnreachable:
        if degraded_reason(settings) is None:
            raise
        return open_store(settings.embedded_store_url, settings.world)


@contextmanager
def master_for(settings: Settings) -> Iterator[InstrumentMaster]:
    """The instrument master that UPSTOX_INSTRUMENTS_URL names, else the world's own."""
    if settings.instruments_url is None and settings.world is World.PAPER:
        with market_for(settings) as market:
            yield market.master
    else:
        yield _master(settings, SystemClock(), settings.instruments_url or INSTRUMENTS_URL)


@contextmanager
def market_for(settings: Settings) -> Iterator[Market]:
    """The outside world as configured; in the paper world an exchange is found or started."""
    if settings.data_source == "nse":
        raise SetupError(
            "DATA_SOURCE=nse has no quotes", then="Set DATA_SOURCE to upstox or paper."
        )
    calendar = calendar_for(settings)
    if settings.world is World.LIVE:
        yield _market(settings, SystemClock(), settings.base_url or UPSTOX_URL, calendar)
        return
    state_folder = None if settings.base_url else settings.data_folder / "pacing"
    with _paper_exchange(settings, calendar) as url:
        yield _market(settings, PaperClock(url), url, calendar, state_folder=state_folder)


def _market(
    settings: Settings,
    clock: Clock,
    base_url: str,
    calendar: MarketCalendar,
    *,
    state_folder: Path | None = None,
    random: Random | None = None,
) -> Market:
    """The parts of one world. An exchange of our own has its budget kept in *state_folder*,
    not with the accounts of the user; *random* makes retries repeatable."""
    token = _token(settings)
    pacer = Pacer(
        state_file_for(
            urlsplit(base_url).netloc, settings.access_token.get_secret_value(), state_folder
        ),
        clock,
    )
    api = UpstoxApi(
        base_url=base_url,
        token=token,
        pacing=pacer,
        clock=clock,
        timeout_seconds=settings.request_timeout_seconds,
    )
    paper = settings.world is World.PAPER
    listed = urljoin(base_url, PAPER_MASTER_PATH) if paper else settings.instruments_url
    return Market(
        world=settings.world,
        clock=clock,
        base_url=base_url,
        token=token,
        api=api,
        master=_master(settings, clock, listed or INSTRUMENTS_URL),
        calendar=calendar,
    )


def _master(settings: Settings, clock: Clock, address: str) -> InstrumentMaster:
    return InstrumentMaster(address, settings.data_folder / "instruments" / settings.world, clock)


def _token(settings: Settings) -> TokenKeeper:
    """A real token never goes to an exchange that we start ourselves."""
    if settings.world is World.PAPER and settings.base_url is None:
        return TokenKeeper(PAPER_TOKEN, env_file=None, in_environment=False)
    own = settings.access_token.get_secret_value()
    fallback = PAPER_TOKEN if settings.world is World.PAPER else ""
    return TokenKeeper(
        own or fallback,
        env_file=settings.env_file,
        in_environment=settings.token_in_environment,
    )


@contextmanager
def _paper_exchange(settings: Settings, calendar: MarketCalendar) -> Iterator[str]:
    """The address of the configured exchange, else of the one that serves this folder."""

    def start() -> PaperExchange:
        clock = PaperMarketClock(
            calendar,
            today=SystemClock().now().astimezone(IST).date(),
            state_file=settings.data_folder / "paper_clock.json",
        )
        return _exchange(settings, clock, calendar)

    if settings.base_url is not None:
        yield settings.base_url
    else:
        with shared_exchange(settings.data_folder, start) as url:
            yield url


def _exchange(settings: Settings, clock: Clock, calendar: MarketCalendar) -> PaperExchange:
    symbols = FoStocksLoader(lambda: settings).load_fo_stocks_from_file().symbols
    return PaperExchange(clock, seed=settings.paper_seed, symbols=symbols, calendar=calendar)


@contextmanager
def collector_for(settings: Settings, stop: Event, screen: Screen) -> Iterator[Collector | None]:
    """What `run` runs, once the store is ours; None when told to stop while waiting for it."""
    store, degraded = _store_for_run(settings, screen)

    leadership = Leadership(store)

    def on_wait() -> None:
        leader = leadership.leader() or "of unknown name"
        screen.told(f"Another scheduler, {leader}, collects into {store.name}: waiting for it.")

    fence = leadership.acquire(stop, on_wait)
    if fence is None:
        yield None
        return
    start_logging(settings.log_folder, settings.log_level, _secrets(settings))
    try:
        with market_for(settings) as market:
            _warn(settings, market, screen)
            owed_since = last_due_slot(store, QUOTES)
            collector = _collector(settings, market, store, fence, owed_since, screen)
            yield replace(collector, leads=leadership.held, degraded=degraded)
    finally:
        leadership.release()
        stop_logging()


def _warn(settings: Settings, market: Market, screen: Screen) -> None:
    """What a person should know before trouble comes of it."""
    today = market.clock.now().astimezone(IST).date()
    if (ends := end_warning(market.calendar, today)) is not None:
        screen.told(f"Warning: {ends}")
    if settings.ignored_mongo_name is not None:
        screen.told(
            f"Warning: {settings.ignored_mongo_name} is set, but the store is SQL "
            f"({settings.world} world). To import: docs/coming-from-the-scripts.md"
        )
    if settings.world is World.LIVE and settings.token_in_environment:
        screen.told(
            "Warning: UPSTOX_ACCESS_TOKEN is set in the process environment. It wins over .env "
            "and cannot be renewed without a restart; put it into .env instead."
        )
    elif settings.world is World.LIVE and market.token.expires_at() is None:
        screen.told("The token does not say when it expires; daily ones end at 03:30 IST.")


@contextmanager
def one_off_for(settings: Settings, screen: Screen) -> Iterator[Collector]:
    """The same parts for a command that does one thing beside a running scheduler."""
    store = store_for(settings)
    with market_for(settings) as market:
        yield _collector(settings, market, store, None, None, screen)


@contextmanager
def rehearsal_for(
    settings: Settings, day: date, screen: Screen
) -> Iterator[tuple[Collector, datetime]]:
    """A collector on a virtual clock and an exchange of its own, and when its day ends.

    Raises SetupError when the market is closed on *day*, WrongWorld when the named store is
    a live one.
    """
    calendar = MarketCalendar.reviewed()
    starts = datetime.combine(day, REHEARSAL_STARTS, IST)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rehearsal-")))
        paper = _rehearsal_settings(settings, folder)
        clock = VirtualClock(starts)
        exchange = stack.enter_context(_exchange(paper, clock, calendar))
        store = store_for(paper)
        leadership = Leadership(store)
        fence = leadership.acquire(Event(), lambda: None)
        stack.callback(leadership.release)
        market = _market(
            paper, clock, exchange.url, calendar, state_folder=folder, random=Random(0)
        )
        collector = _collector(paper, market, store, fence, starts - MINUTE, screen)
        if not collector.service.slots_on(day):
            raise SetupError(
                f"the market is closed on {day}",
                then="Ask for a trading day: data-fetch calendar next",
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
        }
    )


def _collector(
    settings: Settings,
    market: Market,
    store: Store,
    fence: Fence | None,
    owed_since: datetime | None,
    screen: Screen,
) -> Collector:
    universe, listed_on = _universe(settings, market, store, screen)
    members = Members(universe.members)
    keeping = QuoteStore(store, fence)
    listeners: list[SlotListener] = [screen.slot]
    if settings.redis_url is not None:
        listeners.append(QuoteFeed(settings.redis_url.get_secret_value()))
    service = LtpService(
        source=UpstoxLtpClient(market.api, market.clock),
        source_name=market.source_name,
        keeping=keeping,
        members=members,
        calendar=market.calendar,
        clock=market.clock,
        # A store without a past owes nothing from before now.
        owed_since=owed_since or minute_of(market.clock.now()) - 2 * MINUTE,
        listeners=listeners,
    )
    monitor = FreshnessMonitor(
        keeping=keeping,
        members=members,
        calendar=market.calendar,
        clock=market.clock,
        rules=FreshnessRules(
            stale_after=settings.stale_after_minutes, frozen_after=settings.frozen_after_slots
        ),
        repair=service.repair,
    )

    def renew_universe() -> None:
        """Listings change over night: keys, names, which contracts there are."""
        nonlocal listed_on
        if market.master.today().as_of == listed_on:
            return
        renewed, listed_on = _universe(settings, market, store, screen)
        service.use(Members(renewed.members))
        monitor.use(Members(renewed.members))

    return Collector(
        market=market,
        store=store,
        universe=universe,
        service=service,
        monitor=monitor,
        timetable=standard_timetable(market.calendar, members.venues),
        jobs={
            QUOTES: service.collect_due,
            FRESHNESS: monitor.check,
            UNIVERSE: renew_universe,
        },
        leads=lambda: True,
    )


def _universe(
    settings: Settings, market: Market, store: Store, screen: Screen
) -> tuple[Universe, date]:
    """The instruments of the listed symbols, and the date of the master that names them.

    The whole master goes into the store on the way.
    """
    listed = FoStocksLoader(lambda: settings).load_fo_stocks_from_file()
    master = market.master.today()
    if master.warning:
        screen.told(f"Warning: {master.warning}")
    with store.reading() as connection:
        saved = is_saved(connection, master.as_of, master.instruments)
    if not saved:
        save_master(store, read_instruments(master.path), master.as_of, market.clock.now())
    with store.reading() as connection:
        universe = resolve(listed.entries, listed_but_options(connection, master.as_of))
    for missing in universe.unresolved:
        near = f" Near: {', '.join(missing.near)}." if missing.near else ""
        screen.told(f"Warning: {missing.symbol} is not in the instrument master.{near}")
    if not universe.members:
        raise SetupError(
            f"none of the {universe.listed} symbols in {listed.path} is in the master",
            then="See why: data-fetch universe",
        )
    return universe, master.as_of


def _store_for_run(settings: Settings, screen: Screen) -> tuple[Store, str | None]:
    """The configured store; the embedded one, and why, when that does not answer."""
    marker = settings.data_folder / "degraded.json"
    try:
        store = store_for(settings)
    except StoreUnreachable as problem:
        cure = f"data-fetch db merge {settings.embedded_store_url} <the database>"
        degraded = f"{problem.what}; collecting into SQLite instead. Later: {cure}"
        screen.told(f"WARNING: {degraded}")
        store = open_store(settings.embedded_store_url, settings.world)
        marker.write_bytes(orjson.dumps({"reason": degraded}))
        return store, degraded
    marker.unlink(missing_ok=True)
    return store, None


def degraded_reason(settings: Settings) -> str | None:
    """Why the last `run` in this folder could not use the configured database, if so."""
    try:
        told: str = orjson.loads((settings.data_folder / "degraded.json").read_bytes())["reason"]
    except OSError:
        return None
    return told


def _secrets(settings: Settings) -> list[str]:
    """What no log line may hold."""
    hidden = (settings.access_token, settings.postgres_password)
    return [secret.get_secret_value() for secret in hidden]
