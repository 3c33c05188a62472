"""Stored chains as plain records: what documents are written from.

`StoredSnapshot` is a chain to compute with. Making its objects takes longer than the query.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection, FromClause, Row, Select, bindparam, select

from data_fetch.core.chains.chains import OptionType
from data_fetch.core.chains.valuation import Metric
from data_fetch.storage.chains.heads import ChainHead, in_series
from data_fetch.storage.chains.rows import (
    METRICS,
    SeriesKey,
    SnapshotHead,
    SnapshotKey,
    legs_table,
    stored_metrics,
    summaries,
)
from data_fetch.storage.database.types import DECIMAL_PLACES


class LegRecord(NamedTuple):
    """The columns of a leg. Volume and open interest are shares, null with *oi_reason* where the
    lot is unknown; in contracts too where the source counts those. Prices are rupees."""

    strike: float
    option_type: str
    ltp: float | None
    prev_close: float | None
    bid: float | None
    bid_qty: int | None
    ask: float | None
    ask_qty: int | None
    volume: int | None
    oi: int | None
    prev_oi: int | None
    volume_contracts: float | None
    oi_contracts: float | None
    prev_oi_contracts: float | None
    oi_reason: str | None
    provider_iv: float | None
    iv: float | None
    delta: float | None
    gamma: float | None
    theta: float | None
    vega: float | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class ChainRecord:
    """A snapshot under its present names, its *figures*, its *legs*: lowest strike first, the
    call before the put."""

    head: SnapshotHead
    figures: Mapping[str, Metric]
    legs: tuple[LegRecord, ...]


def chain_record(connection: Connection, head: ChainHead) -> ChainRecord | None:
    """The snapshot of *head*; None when it was replaced since."""
    of = dict(zip(KEY, head.stored.key, strict=True))
    summary = connection.execute(FIGURES, of).one_or_none()
    if summary is None:
        return None
    legs = sorted(map(_leg_record, connection.execute(LEGS, of).all()))
    return ChainRecord(head.shown, _figures(summary), tuple(legs))


@dataclass(frozen=True, slots=True)
class LegConditions:
    """Which legs of a snapshot: of one type, with strikes from *lowest* to *highest*, both
    included; None sets no condition."""

    option_type: OptionType | None = None
    lowest: float | None = None
    highest: float | None = None


def leg_records(
    connection: Connection, head: ChainHead, wanted: LegConditions
) -> tuple[LegRecord, ...]:
    """The legs of a snapshot that meet the conditions, in order."""
    query, columns = LEGS, legs_table.c
    if wanted.option_type is not None:
        query = query.where(columns.option_type == wanted.option_type.value)
    if wanted.lowest is not None:
        query = query.where(columns.strike >= _exact(wanted.lowest, ROUND_CEILING))
    if wanted.highest is not None:
        query = query.where(columns.strike <= _exact(wanted.highest, ROUND_FLOOR))
    of = dict(zip(KEY, head.stored.key, strict=True))
    return tuple(sorted(map(_leg_record, connection.execute(query, of).all())))


def _exact(price: float, rounding: str) -> Decimal:
    """*price* in the decimal places of a strike."""
    return Decimal(str(price)).quantize(Decimal(1).scaleb(-DECIMAL_PLACES), rounding)


def figures_of(
    connection: Connection, heads: Iterable[ChainHead]
) -> dict[SnapshotKey, Mapping[str, Metric]]:
    """The figures of snapshots by their stored keys, with one query for each series."""
    timestamps: dict[SeriesKey, list[datetime]] = {}
    for head in heads:
        timestamps.setdefault(head.stored.series, []).append(head.stored.timestamp)
    found: dict[SnapshotKey, Mapping[str, Metric]] = {}
    for series, several in timestamps.items():
        underlying, expiry, source = series
        query: Select[Any] = select(*FIGURES.selected_columns, summaries.c.timestamp).where(
            *in_series(summaries, series), summaries.c.timestamp.in_(several)
        )
        for row in connection.execute(query):
            found[underlying, expiry, row.timestamp, source] = _figures(row)
    return found


KEY = ("underlying", "expiry", "timestamp", "source")


def _of_snapshot(table: FromClause, *columns: str) -> Select[Any]:
    """These columns of one snapshot's rows, whose key is given by parameters."""
    return select(*(table.c[name] for name in columns)).where(
        *(table.c[name] == bindparam(name, type_=table.c[name].type) for name in KEY)
    )


LEGS = _of_snapshot(legs_table, *LegRecord._fields)
FIGURES = _of_snapshot(summaries, *METRICS, "inputs")


def _leg_record(row: Row[Any]) -> LegRecord:
    return LegRecord._make((float(row[0]), *row[1:]))


def _figures(summary: Row[Any]) -> Mapping[str, Metric]:
    return stored_metrics(dict(zip(METRICS, summary, strict=False)), summary.inputs)
