"""Joins the parts. The only module that knows which supplier fits which shape.

Nothing is read, opened or connected until one of these functions is called. What has to be
closed again is a context manager.
"""

import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from threading import Event
from urllib.parse import urljoin, urlsplit

import orjson
from filelock import FileLock

from data_fetch.core.clock import IST, SystemClock, VirtualClock
from data_fetch.core.errors import StoreUnreachable, Unreachable
from data_fetch.core.freshness import FreshnessRules
from data_fetch.core.market import MarketCalendar
from data_fetch.core.ports import Clock, SlotListener
from data_fetch.core.records import World
from data_fetch.core.settings import INSTRUMENTS_URL, UPSTOX_URL, Settings
from data_fetch.core.timetable import FRESHNESS, QUOTES, UNIVERSE, Timetable, standard_timetable
from data_fetch.fo_stocks_loader import Universe, fo_stocks_loader
from data_fetch.ltp_service import FreshnessMonitor, LtpService, Members
from data_fetch.paper_exchange.clock import PaperMarketClock
from data_fetch.paper_exchange.server import PaperExchange
from data_fetch.sources.instrument_master import InstrumentMaster
from data_fetch.sources.market_info import load_calendar
from data_fetch.sources.pacing import Pacer, state_file_for
from data_fetch.sources.paper_clock import PaperClock, ask_paper_clock
from data_fetch.sources.token import TokenKeeper
from data_fetch.sources.upstox import UpstoxApi
from data_fetch.storage.quote_feed import QuoteFeed
from data_fetch.storage.store import Store, open_store
from data_fetch.upstox_ltp_client import UpstoxLtpClient

log = logging.getLogger(__name__)

# No account is needed there: the paper exchange takes any token that begins like this.
PAPER_TOKEN = "paper-analytics"
PAPER_MASTER_PATH = "/market-quote/instruments/exchange/NSE.json.gz"
# Early enough for the morning's first job, late enough for the day's instrument master.
REHEARSAL_STARTS, REHEARSAL_DAY = time(8, 0), timedelta(hours=16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One world's outside: what time it is there, who answers, what is listed."""

    world: World
    clock: Clock
    base_url: str
    token: TokenKeeper
    pacer: Pacer
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
    timetable: Timetable
    jobs: dict[str, Callable[[], object]]
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
    with _paper_exchange(settings, calendar) as url:
        yield _market(settings, PaperClock(url), url, calendar)


def _market(
    settings: Settings,
    clock: Clock,
    base_url: str,
    calendar: MarketCalendar,
    state_folder: Path | None = None,
) -> Market:
    token = _token(settings, base_url)
    pacer = Pacer(
        state_file_for(urlsplit(base_url).netloc, token.first, state_folder),
        clock,
        lease=timedelta(seconds=settings.request_timeout_seconds),
    )
    return Market(
        world=settings.world,
        clock=clock,
        base_url=base_url,
        token=token,
        pacer=pacer,
        api=UpstoxApi(
            base_url=base_url,
            token=token,
            pacing=pacer,
            clock=clock,
            timeout_seconds=settings.request_timeout_seconds,
        ),
        master=_master(settings, clock, base_url),
        calendar=calendar,
    )
