"""Joins the clients of providers to the ports of the services.

A second broker is added here: its clients in the shapes of `core.ports`, and its rate limits.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import urlsplit

from data_fetch.core.ports import (
    CalendarSource,
    CandleSource,
    ChainProvider,
    Clock,
    MinuteCandleSource,
    QuoteSource,
    RateWindows,
)
from data_fetch.core.settings import Settings
from data_fetch.sources.nse.chain_client import nse_chain_client
from data_fetch.sources.nse.holidays import NseHolidays
from data_fetch.sources.nse.limits import NSE_LIMITS
from data_fetch.sources.nse.site import NseSite
from data_fetch.sources.transport.pacing import Pacer, account_of
from data_fetch.sources.transport.refused_keys import RefusedKeys
from data_fetch.sources.upstox.api import UpstoxApi
from data_fetch.sources.upstox.candle_client import UpstoxCandleClient
from data_fetch.sources.upstox.chain_client import upstox_chain_client
from data_fetch.sources.upstox.ltp_client import UpstoxLtpClient
from data_fetch.sources.upstox.market_info import UpstoxCalendar
from data_fetch.sources.upstox.ohlc_client import UpstoxOhlcClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The source of each dataset, and the rate limits of candle requests.

    *chain_providers* and *calendars* build the sources of option chains and of the market
    calendar, in the order in which they are tried.
    """

    quotes: QuoteSource
    minute_candles: MinuteCandleSource
    candles: CandleSource
    chain_providers: Callable[[], Sequence[ChainProvider]]
    calendars: Callable[[], Sequence[CalendarSource]]
    limits: Mapping[timedelta, int]
    spending: Callable[[str], Sequence[datetime]]


def sources_at(
    settings: Settings,
    api: UpstoxApi,
    pacer: Pacer,
    clock: Clock,
    nse_url: str,
    windows: RateWindows,
) -> Sources:
    """The sources behind *api*, paced by *pacer*, and NSE's site at *nse_url*."""

    def refused_keys(name: str) -> RefusedKeys:
        return RefusedKeys(
            clock, settings.data_folder / "refused_keys" / f"{settings.world}-{name}.json"
        )

    return Sources(
        quotes=UpstoxLtpClient(api, clock, refused_keys("quotes")),
        minute_candles=UpstoxOhlcClient(api, clock, refused_keys("candles")),
        candles=UpstoxCandleClient(api, clock),
        chain_providers=partial(chain_providers, settings, api, clock, nse_url, windows),
        calendars=partial(calendar_sources, settings, api, clock, nse_url, windows),
        limits=pacer.limits,
        spending=pacer.spending,
    )


def chain_providers(
    settings: Settings, api: UpstoxApi, clock: Clock, nse_url: str, windows: RateWindows
) -> list[ChainProvider]:
    """The sources of chains in the order in which they are tried.

    Without NSE's site where it is disabled, and without Upstox where the site is the chosen
    source and there is no token: its failures would hide those of the site.
    The rate windows of NSE's site are in *windows*.
    """
    upstox: ChainProvider = upstox_chain_client(api, clock)
    nse: ChainProvider = nse_chain_client(_nse_site(settings, clock, nse_url, windows), clock)
    if settings.data_source == "nse":
        return [nse, upstox] if settings.access_token.get_secret_value() else [nse]
    return [upstox, nse] if settings.nse_enabled else [upstox]


def calendar_sources(
    settings: Settings, api: UpstoxApi, clock: Clock, nse_url: str, windows: RateWindows
) -> list[CalendarSource]:
    """The sources of the market calendar in the order in which they are tried."""
    upstox: CalendarSource = UpstoxCalendar(api, clock)
    nse: CalendarSource = NseHolidays(_nse_site(settings, clock, nse_url, windows), clock)
    if settings.data_source == "nse":
        return [nse, upstox]
    return [upstox, nse] if settings.nse_enabled else [upstox]


def _nse_site(settings: Settings, clock: Clock, nse_url: str, windows: RateWindows) -> NseSite:
    account = account_of(urlsplit(nse_url).netloc, "")
    return NseSite(
        pacing=Pacer(windows, lambda: account, clock, NSE_LIMITS),
        clock=clock,
        world=settings.world,
        base_url=nse_url,
        enabled=settings.nse_enabled,
        timeout_seconds=settings.request_timeout_seconds,
    )
