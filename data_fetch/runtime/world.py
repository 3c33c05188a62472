"""The provider connection for one environment: clock, API client, instrument master, calendar.

In the paper world the provider is a paper exchange, found or started for the working folder.
Nothing is read, opened or connected until one of these functions is called.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from urllib.parse import urljoin, urlsplit

from data_fetch.core.clock import SystemClock
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.ports import Clock, RateWindows
from data_fetch.core.settings import INSTRUMENTS_URL, NSE_URL, UPSTOX_URL, Settings
from data_fetch.core.world import World
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.paper_exchange.shared import any_exchange
from data_fetch.runtime.calendars import calendar_for
from data_fetch.runtime.paper_market import own_market_clock
from data_fetch.runtime.provider_token import token_of
from data_fetch.runtime.rate_windows import folder_windows, provider_windows
from data_fetch.runtime.sources import Sources, sources_at
from data_fetch.sources.instruments.master import InstrumentMaster
from data_fetch.sources.instruments.symbols_file import FoStocksLoader
from data_fetch.sources.paper_clock import PaperClock
from data_fetch.sources.transport.pacing import Pacer, account_of
from data_fetch.sources.transport.retrying import RetryPolicy
from data_fetch.sources.upstox.api import UpstoxApi
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS
from data_fetch.sources.upstox.token import TokenKeeper

PAPER_MASTER_PATH = "/market-quote/instruments/exchange/NSE.json.gz"

# Finds or starts the paper exchange of a working folder.
KeepExchange = Callable[[Path, Callable[[], PaperExchange]], AbstractContextManager[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderConnection:
    """The connection to a provider: clock, sources of data, instrument master, calendar.

    *api* is the provider's API for requests that no port has: market status and holidays.
    """

    world: World
    clock: Clock
    base_url: str
    token: TokenKeeper
    pacer: Pacer
    api: UpstoxApi
    windows: RateWindows
    sources: Sources
    master: InstrumentMaster
    calendar: MarketCalendar

    @property
    def source_name(self) -> str:
        return "paper" if self.world is World.PAPER else "upstox"


@contextmanager
def master_for(settings: Settings) -> Iterator[InstrumentMaster]:
    """The instrument master that UPSTOX_INSTRUMENTS_URL names, else the world's own."""
    if settings.instruments_url is None and settings.world is World.PAPER:
        with provider_for(settings) as provider:
            yield provider.master
    else:
        # A configured master is a real one; its files are separate from the paper exchange's.
        address = settings.instruments_url or INSTRUMENTS_URL
        yield _master(settings, World.LIVE, SystemClock(), address)


@contextmanager
def provider_for(
    settings: Settings, keep: KeepExchange = any_exchange
) -> Iterator[ProviderConnection]:
    """The configured provider; in the paper world *keep* finds or starts an exchange."""
    calendar = calendar_for(settings)
    if settings.world is World.LIVE:
        url, clock = settings.base_url or UPSTOX_URL, SystemClock()
        with closing(provider_windows(settings)) as windows:
            yield provider_at(settings, clock, url, calendar, windows)
        return
    with _paper_exchange(settings, calendar, keep) as url:
        paper_clock = PaperClock(url)
        choose = provider_windows if settings.base_url else folder_windows
        with closing(choose(settings, paper_clock)) as windows:
            yield provider_at(settings, paper_clock, url, calendar, windows)


def provider_at(
    settings: Settings,
    clock: Clock,
    base_url: str,
    calendar: MarketCalendar,
    windows: RateWindows,
    *,
    random: Random | None = None,
) -> ProviderConnection:
    """The connection to the provider at *base_url*, with its rate windows in *windows*.

    *random* makes retries repeatable.
    """
    token = token_of(settings)
    pacer, api = api_with(token, settings, clock, base_url, windows, random)
    paper = settings.world is World.PAPER
    listed = urljoin(base_url, PAPER_MASTER_PATH) if paper else settings.instruments_url
    # The paper exchange stands in for both providers at one address.
    nse_url = settings.nse_base_url or (base_url if paper else NSE_URL)
    return ProviderConnection(
        world=settings.world,
        clock=clock,
        base_url=base_url,
        token=token,
        pacer=pacer,
        api=api,
        windows=windows,
        sources=sources_at(settings, api, pacer, clock, nse_url, windows),
        master=_master(settings, settings.world, clock, listed or INSTRUMENTS_URL),
        calendar=calendar,
    )


def api_with(
    token: TokenKeeper,
    settings: Settings,
    clock: Clock,
    base_url: str,
    windows: RateWindows,
    random: Random | None = None,
) -> tuple[Pacer, UpstoxApi]:
    """The API at *base_url* for the account of *token*, and the pacer of its requests."""
    host = urlsplit(base_url).netloc
    # A renewed token may belong to another account, so the windows follow the token in use.
    pacer = Pacer(windows, lambda: account_of(host, token.held), clock, UPSTOX_LIMITS)
    return pacer, UpstoxApi(
        base_url=base_url,
        token=token,
        pacing=pacer,
        clock=clock,
        world=settings.world,
        timeout_seconds=settings.request_timeout_seconds,
        policy=RetryPolicy(clock, random=random),
    )


def _master(settings: Settings, world: World, clock: Clock, address: str) -> InstrumentMaster:
    return InstrumentMaster(address, settings.data_folder / "instruments" / world, clock, world)


@contextmanager
def paused(clock: Clock) -> Iterator[None]:
    """Stops the paper market while a collector starts; every other clock runs on."""
    if isinstance(clock, PaperClock):
        with clock.paused():
            yield
    else:
        yield


@contextmanager
def _paper_exchange(
    settings: Settings, calendar: MarketCalendar, keep: KeepExchange
) -> Iterator[str]:
    """The address of the configured exchange, else of the one of this folder."""

    def start() -> PaperExchange:
        return exchange_at(settings, own_market_clock(settings, calendar), calendar)

    if settings.base_url is not None:
        yield settings.base_url
    else:
        with keep(settings.data_folder, start) as url:
            yield url


def exchange_at(settings: Settings, clock: Clock, calendar: MarketCalendar) -> PaperExchange:
    symbols = FoStocksLoader(lambda: settings).load_fo_stocks_from_file().symbols
    return PaperExchange(clock, seed=settings.paper_seed, symbols=symbols, calendar=calendar)
