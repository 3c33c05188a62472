"""Legs that meet conditions, out of the newest snapshots of every expiry."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from typing import Any

from data_fetch.core.chains.chains import OptionType
from data_fetch.core.settings import Settings
from data_fetch.reading.nse_entries import nse_entries
from data_fetch.reading.seam import Question, question
from data_fetch.reading.underlyings import stored_underlyings, underlying_named
from data_fetch.storage.chains.heads import ChainHead, newest_heads
from data_fetch.storage.chains.lineage import chain_lineages
from data_fetch.storage.chains.records import ChainRecord, LegConditions, leg_records


@dataclass(frozen=True, slots=True, kw_only=True)
class LegFilter:
    """Conditions on legs; None sets none. Strikes from *lowest* to *highest*, both included.

    *limit* legs are returned, *offset* of those that meet the conditions are skipped.
    """

    symbol: str | None
    option_type: OptionType | None
    lowest: float | None
    highest: float | None
    expiry: date | None
    limit: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FilteredLegs:
    """The *entries* that meet the conditions, newest first; whether there are *more*; the last
    receipt of their snapshots and their sources."""

    entries: list[dict[str, Any]]
    more: bool
    newest: datetime | None
    sources: tuple[str, ...]


def filtered_legs(settings: Settings, of: LegFilter, at: datetime | None) -> FilteredLegs:
    """The legs that *of* asks for, of the newest snapshot of every expiry as of *at*.

    Of every underlying unless one is named. Snapshots are read only until there are enough legs.
    Raises UnknownSymbol, StoreUnreachable.
    """
    with question(settings) as asked:
        heads = _heads(asked, of, at)
        heads.sort(key=lambda head: (head.shown.underlying, head.shown.expiry))
        heads.sort(key=lambda head: head.shown.timestamp, reverse=True)
        matching = _matching(asked, heads, of)
        found = list(islice(matching, of.offset, of.offset + of.limit + 1))
    shown = found[: of.limit]
    return FilteredLegs(
        entries=[entry for _, entry in shown],
        more=len(found) > len(shown),
        newest=max((head.shown.last_confirmed for head, _ in shown), default=None),
        sources=tuple(sorted({str(head.shown.source) for head, _ in shown})),
    )


def _heads(asked: Question, of: LegFilter, at: datetime | None) -> list[ChainHead]:
    connection = asked.connection
    if of.symbol is None:
        lineages = chain_lineages(connection, stored_underlyings(connection))
    else:
        lineages = [underlying_named(connection, of.symbol)]
    for lineage in lineages:
        asked.recall_heads(lineage, of.expiry, at)
    return [
        head
        for lineage in lineages
        for head in newest_heads(connection, lineage, at, None, of.expiry)
    ]


def _matching(
    asked: Question, heads: list[ChainHead], of: LegFilter
) -> Iterator[tuple[ChainHead, dict[str, Any]]]:
    wanted = LegConditions(of.option_type, of.lowest, of.highest)
    for head in heads:
        asked.recall_contents([head.stored])
        legs = leg_records(asked.connection, head, wanted)
        for entry in nse_entries(ChainRecord(head.shown, {}, legs)):
            yield head, entry
