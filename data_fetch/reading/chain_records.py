"""Finds option chains to serve: first their heads, and the legs only of what changed."""

from dataclasses import dataclass
from datetime import date, datetime

from data_fetch.core.clock import END_OF_TIME
from data_fetch.core.errors import TransientError
from data_fetch.core.settings import Settings
from data_fetch.reading.chain_snapshots import nothing_stored, source_named
from data_fetch.reading.seam import question
from data_fetch.reading.underlyings import underlying_named
from data_fetch.storage.chains.heads import ChainHead as ChainHead
from data_fetch.storage.chains.heads import Place as Place
from data_fetch.storage.chains.heads import newest_head, newest_heads, not_over, recent_heads
from data_fetch.storage.chains.records import ChainRecord as ChainRecord
from data_fetch.storage.chains.records import chain_record


class SnapshotReplaced(TransientError):
    """Another program replaced a snapshot after its head was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainQuery:
    """A chain of *symbol*: of *expiry*, else of the nearest one that was not over; in force at
    *at*, else the newest; from *source*, else from the one that reported last."""

    symbol: str
    expiry: date | None = None
    at: datetime | None = None
    source: str | None = None


def chain_head(settings: Settings, of: ChainQuery) -> ChainHead:
    """The head of the chain: a few look-ups by key.

    Raises UnknownSymbol, NothingStored without one, StoreUnreachable.
    """
    source = source_named(of.source)
    with question(settings) as asked:
        lineage = underlying_named(asked.connection, of.symbol)
        asked.recall_heads(lineage, of.expiry, of.at)
        found = newest_head(asked.connection, lineage, of.expiry, of.at, source)
        if found is None:
            raise nothing_stored(asked, lineage, of.at)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentChains:
    """The last *limit* snapshots of *symbol*, newest first: of *expiry*, else of every one; as of
    *at*, and after the place *after*."""

    symbol: str
    limit: int
    expiry: date | None = None
    at: datetime | None = None
    after: Place | None = None


def recent_chains(settings: Settings, of: RecentChains) -> tuple[ChainHead, ...]:
    """The heads of these snapshots; none of a page that comes after the last.

    Raises UnknownSymbol, NothingStored without any, StoreUnreachable.
    """
    with question(settings) as asked:
        lineage = underlying_named(asked.connection, of.symbol)
        expiry, at, after = of.expiry, of.at, of.after
        asked.recall_heads(lineage, expiry, at)

        def found_so_far() -> list[ChainHead]:
            return recent_heads(
                asked.connection, lineage, of.limit, expiry=expiry, at=at, after=after
            )

        found = found_so_far()
        until = min(at or END_OF_TIME, END_OF_TIME if after is None else after.timestamp)
        days = asked.earlier_days(lineage, until) if len(found) < of.limit else []
        while len(found) < of.limit and days:
            asked.recall_day(lineage, days.pop())
            found = found_so_far()
        if not found and after is None:
            raise nothing_stored(asked, lineage, at)
        return tuple(found)


def running_chains(settings: Settings, symbol: str, at: datetime | None) -> list[ChainHead]:
    """The head of the newest snapshot of each expiry that was not over at *at*, nearest first.

    Raises UnknownSymbol, NothingStored without any, StoreUnreachable.
    """
    with question(settings) as asked:
        lineage = underlying_named(asked.connection, symbol)
        asked.recall_heads(lineage, None, at)
        found = not_over(asked.connection, newest_heads(asked.connection, lineage, at), at)
        if not found:
            raise nothing_stored(asked, lineage, at)
        return found


def record_of(settings: Settings, head: ChainHead) -> ChainRecord:
    """The whole snapshot of *head*. Raises SnapshotReplaced, StoreUnreachable."""
    with question(settings) as asked:
        asked.recall_contents([head.stored])
        found = chain_record(asked.connection, head)
    if found is None:
        raise SnapshotReplaced(
            f"the chain of {head.shown.underlying} was replaced while it was read",
            hint="Send the request again.",
        )
    return found
