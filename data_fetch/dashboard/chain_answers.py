"""What `reading` answers of chains, made once for all sessions of the dashboard.

A chain is kept by the key of its snapshot, which never changes: finding out which one is the
newest takes a few look-ups by key.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import streamlit as st

from data_fetch.analytics.surface import Surface
from data_fetch.core.clock import IST
from data_fetch.core.errors import NothingStored
from data_fetch.dashboard.desk import desk
from data_fetch.dashboard.ladder import Ladder, ladder_of
from data_fetch.dashboard.ladder_html import ladder_html
from data_fetch.dashboard.ladder_ticks import ChainFeed
from data_fetch.reading.chain_metrics import ChainMetrics, chain_metrics
from data_fetch.reading.chain_records import ChainHead, ChainQuery, chain_head, running_chains
from data_fetch.reading.chain_series import ChainSeries, chain_history
from data_fetch.reading.chain_surfaces import stored_surface
from data_fetch.reading.option_ticks import newest_option_ticks
from data_fetch.reading.records import clock_of
from data_fetch.reading.underlyings import expiries_to_come, listed_underlyings, products
from data_fetch.reading.volatility_days import DAYS_A_YEAR, DayVolatility, volatility_days

# Sessions that refresh at about the same time get the same heads.
A_MOMENT, A_WHILE = timedelta(seconds=1), timedelta(seconds=30)
# How often what a feed has is shown anew.
TICK_SECONDS = 1.0
KEPT = 64
DAY_FIGURES = ("pcr_oi", "straddle", "atm_iv", "spot")


@st.cache_resource(ttl=A_WHILE, max_entries=KEPT, show_spinner=False)
def symbols(at: datetime | None) -> list[str]:
    """The underlyings of which there is a chain, or is to be one, by name; then the others of the
    symbols file."""
    known = desk().ask(lambda settings: products(settings, at))
    return [*known, *(each for each in desk().ask(listed_underlyings) if each not in known)]


@st.cache_resource(ttl=A_MOMENT, max_entries=KEPT, show_spinner=False)
def running(symbol: str, at: datetime | None) -> Sequence[ChainHead]:
    """The newest snapshot of each expiry that is not over, nearest first; none is no error.

    Raises UnknownSymbol, StoreUnreachable.
    """
    try:
        return desk().ask(lambda settings: running_chains(settings, symbol, at))
    except NothingStored:
        return []


def not_stored(symbol: str) -> list[date]:
    """The listed expiries of *symbol* of which the store has no chain, nearest first."""
    stored = {head.shown.expiry for head in running(symbol, None)}
    return [day for day in to_come(symbol) if day not in stored]


@st.cache_resource(ttl=A_WHILE, max_entries=KEPT, show_spinner=False)
def to_come(symbol: str) -> Sequence[date]:
    """The listed expiries of *symbol* that are not over, nearest first."""
    return desk().ask(lambda settings: expiries_to_come(settings, symbol))


@st.cache_resource(ttl=A_MOMENT, max_entries=KEPT, show_spinner=False)
def head_of(symbol: str, expiry: date | None, at: datetime | None) -> ChainHead:
    """The head of one chain. Raises UnknownSymbol, NothingStored, StoreUnreachable."""
    query = ChainQuery(symbol=symbol, expiry=expiry, at=at)
    return desk().ask(lambda settings: chain_head(settings, query))


def compared(head: ChainHead, baseline: str) -> ChainMetrics:
    """The chain of *head* with its changes since *baseline*. Raises as `chain_metrics` does."""
    return _compared(*_key(head), baseline)


def feed_of(head: ChainHead) -> ChainFeed | None:
    """What a feed has of the chain of *head*; None where none brings it."""
    shown = head.shown
    chains = desk().recent(newest_option_ticks, TICK_SECONDS)
    ticks = chains.get((shown.underlying, shown.expiry), {})
    feed = ChainFeed(ticks, shown.last_confirmed, desk().ask(clock_of).now())
    return None if feed.is_away else feed


def polled_ladder(head: ChainHead, baseline: str, around: int | None) -> Ladder:
    """The ladder of *head*. Raises as `chain_metrics` does."""
    return _ladder(*_key(head), baseline, around)


def ladder_table(head: ChainHead, baseline: str, around: int | None, columns: Sequence[str]) -> str:
    """The ladder of *head* as an HTML table. Raises as `chain_metrics` does."""
    return _ladder_table(*_key(head), baseline, around, tuple(columns))


def history_of_day(head: ChainHead) -> ChainSeries:
    """The figures DAY_FIGURES of a chain from the morning of its day to *head*. Raises as
    `chain_history` does."""
    return _history(*_key(head))


def surface_of(symbol: str, at: datetime | None) -> Surface:
    """The volatility surface of the running expiries at *at*. Raises NothingStored without any."""
    heads = running(symbol, at)
    newest = max((head.shown.last_confirmed for head in heads), default=None)
    if newest is None:
        raise NothingStored(
            f"no expiry of {symbol} is running", hint="Choose another instant, or another symbol."
        )
    return _surface(tuple(map(_key, heads)), symbol, at or newest)


def earlier_volatilities(symbol: str, before: date) -> Sequence[DayVolatility]:
    """The volatility of each day of the year before *before*. Raises as `chain_history` does."""
    return _volatilities(symbol, before - timedelta(days=1))


Key = tuple[str, date, datetime, str, str]


def _key(head: ChainHead) -> Key:
    return (*head.shown.key, head.shown.content_hash)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _history(
    symbol: str, expiry: date, received: datetime, source: str, content: str
) -> ChainSeries:
    return desk().ask(
        lambda settings: chain_history(
            symbol,
            expiry,
            received.astimezone(IST).date(),
            received,
            source=source,
            columns=DAY_FIGURES,
            settings=settings,
        )
    )


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _surface(keys: tuple[Key, ...], symbol: str, _at: datetime) -> Surface:
    return desk().ask(lambda settings: stored_surface(settings, symbol, _at, None)).surface


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _volatilities(symbol: str, last: date) -> Sequence[DayVolatility]:
    first = last - timedelta(days=DAYS_A_YEAR)
    return desk().ask(lambda settings: volatility_days(settings, symbol, first, last))


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _compared(
    symbol: str, expiry: date, received: datetime, source: str, content: str, baseline: str
) -> ChainMetrics:
    return desk().ask(
        lambda settings: chain_metrics(settings, symbol, expiry, received, source, baseline)
    )


@st.cache_resource(max_entries=2 * KEPT, show_spinner=False)
def _ladder(
    symbol: str,
    expiry: date,
    received: datetime,
    source: str,
    content: str,
    baseline: str,
    around: int | None,
) -> Ladder:
    return ladder_of(_compared(symbol, expiry, received, source, content, baseline), around)


@st.cache_resource(max_entries=2 * KEPT, show_spinner=False)
def _ladder_table(
    symbol: str,
    expiry: date,
    received: datetime,
    source: str,
    content: str,
    baseline: str,
    around: int | None,
    columns: Sequence[str],
) -> str:
    ladder = _ladder(symbol, expiry, received, source, content, baseline, around)
    return ladder_html(ladder, columns)
