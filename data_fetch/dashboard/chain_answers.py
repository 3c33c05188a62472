"""What `reading` answers of chains, made once for all sessions of the dashboard.

A chain is kept by the key of its snapshot, which never changes: finding out which one is the
newest takes a few look-ups by key.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import streamlit as st

from data_fetch.core.errors import NothingStored
from data_fetch.dashboard.desk import desk
from data_fetch.dashboard.ladder import ladder_of
from data_fetch.dashboard.ladder_html import ladder_html
from data_fetch.reading.chain_metrics import ChainMetrics, chain_metrics
from data_fetch.reading.chain_records import ChainHead, ChainQuery, chain_head, running_chains
from data_fetch.reading.underlyings import products

# Sessions that refresh at about the same time get the same heads.
A_MOMENT, A_WHILE = timedelta(seconds=1), timedelta(seconds=30)
KEPT = 64


@st.cache_resource(ttl=A_WHILE, max_entries=KEPT, show_spinner=False)
def symbols(at: datetime | None) -> list[str]:
    """The underlyings of which there is a chain, or is to be one, by name."""
    return desk().ask(lambda settings: products(settings, at))


@st.cache_resource(ttl=A_MOMENT, max_entries=KEPT, show_spinner=False)
def running(symbol: str, at: datetime | None) -> Sequence[ChainHead]:
    """The newest snapshot of each expiry that is not over, nearest first; none is no error.

    Raises UnknownSymbol, StoreUnreachable.
    """
    try:
        return desk().ask(lambda settings: running_chains(settings, symbol, at))
    except NothingStored:
        return []


@st.cache_resource(ttl=A_MOMENT, max_entries=KEPT, show_spinner=False)
def head_of(symbol: str, expiry: date | None, at: datetime | None) -> ChainHead:
    """The head of one chain. Raises UnknownSymbol, NothingStored, StoreUnreachable."""
    query = ChainQuery(symbol=symbol, expiry=expiry, at=at)
    return desk().ask(lambda settings: chain_head(settings, query))


def compared(head: ChainHead, baseline: str) -> ChainMetrics:
    """The chain of *head* with its changes since *baseline*. Raises as `chain_metrics` does."""
    return _compared(*_key(head), baseline)


def ladder_table(head: ChainHead, baseline: str, around: int | None, columns: Sequence[str]) -> str:
    """The ladder of *head* as an HTML table. Raises as `chain_metrics` does."""
    return _ladder_table(*_key(head), baseline, around, tuple(columns))


Key = tuple[str, date, datetime, str, str]


def _key(head: ChainHead) -> Key:
    return (*head.shown.key, head.shown.content_hash)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _compared(
    symbol: str, expiry: date, received: datetime, source: str, content: str, baseline: str
) -> ChainMetrics:
    return desk().ask(
        lambda settings: chain_metrics(settings, symbol, expiry, received, source, baseline)
    )


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
    found = _compared(symbol, expiry, received, source, content, baseline)
    return ladder_html(ladder_of(found, around), columns)
