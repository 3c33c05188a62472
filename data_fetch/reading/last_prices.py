"""The last prices of indices and pinned symbols: ticks while a feed brings them, else quotes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from data_fetch.core.quotes.quotes import Quote, StoredQuote
from data_fetch.core.settings import Settings
from data_fetch.publishing.redis_streams import TICKS
from data_fetch.reading.feed_ticks import feed_ticks
from data_fetch.reading.latest_quotes import latest_quotes
from data_fetch.reading.records import clock_of
from data_fetch.reading.stream_products import general_products


class Origin(StrEnum):
    """What a last price is of."""

    TICK = "tick"
    QUOTE = "quote"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastPrice:
    """The last price of *symbol* in rupees, *since* when it is that, as far as that is known.

    It was received at *received_at* from *source*, a provider.
    """

    symbol: str
    price: float
    change_percent: float | None
    origin: Origin
    source: str
    since: datetime
    received_at: datetime


def general_quotes(settings: Settings) -> list[LastPrice]:
    """The newest quotes of the listed indices and of pinned symbols, by symbol.

    Raises SymbolsFileBad, StoreUnreachable.
    """
    names = sorted(general_products(settings))
    if not names:
        return []
    found = latest_quotes(settings, names, clock_of(settings).now())
    return [_of_quote(each.asked, each.stored) for each in found if each.stored is not None]


def newest_ticks(settings: Settings) -> dict[str, LastPrice]:
    """The newest tick of each symbol that the collector of this folder has received; none without
    a feed."""
    return {each.symbol: each for each in feed_ticks(settings, TICKS, _of_tick)}


def newest_prices(quotes: Iterable[LastPrice], ticks: Mapping[str, LastPrice]) -> list[LastPrice]:
    """Each of *quotes*, or the tick of its symbol when that was received later."""
    return [
        max(quote, ticks.get(quote.symbol, quote), key=lambda price: price.received_at)
        for quote in quotes
    ]


def _of_quote(symbol: str, stored: StoredQuote) -> LastPrice:
    return LastPrice(
        symbol=symbol,
        price=stored.quote.last_price,
        change_percent=stored.quote.change_percent,
        origin=Origin.QUOTE,
        source=stored.source,
        since=stored.received_at,
        received_at=stored.received_at,
    )


def _of_tick(tick: Mapping[str, Any], source: str) -> LastPrice:
    price, received_at = tick["price"], datetime.fromisoformat(tick["received_at"])
    as_quote = Quote(
        instrument_key=tick["product"], last_price=price, prev_close=tick["prev_close"]
    )
    traded_at = tick["traded_at"]
    return LastPrice(
        symbol=tick["product"],
        price=price,
        change_percent=as_quote.change_percent,
        origin=Origin.TICK,
        source=source,
        since=received_at if traded_at is None else datetime.fromisoformat(traded_at),
        received_at=received_at,
    )
