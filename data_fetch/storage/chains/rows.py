"""Converts chains to rows of the three tables of a snapshot, and back.

Legs are handled as columns, because a minute has tens of thousands of them.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from itertools import chain as joined
from itertools import islice, repeat
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, select

from data_fetch.core.archive.days import day_of
from data_fetch.core.chains.chains import (
    LARGEST_EXACT_NUMBER,
    WHOLE_WITHIN,
    Chain,
    ChainLeg,
    ChainSource,
    LotReason,
    OptionType,
    QuantityUnit,
    by_column,
)
from data_fetch.core.chains.valuation import (
    ChainSummary,
    Forward,
    ForwardMethod,
    LegValuation,
    Metric,
    PricedChain,
    Reason,
)
from data_fetch.core.errors import BadRecord
from data_fetch.storage.database import binary_copy
from data_fetch.storage.database.dialects import SQLITE
from data_fetch.storage.database.engine import is_postgres
from data_fetch.storage.database.partitions import cover
from data_fetch.storage.database.tables import (
    ChainReceiptRow,
    ChainSnapshotRow,
    ChainSummaryRow,
    OptionChainData,
    table,
)
from data_fetch.storage.database.types import Exact, Instant

LegKey = tuple[Decimal, OptionType]

receipts = table(ChainReceiptRow)
snapshots = table(ChainSnapshotRow)
legs_table = table(OptionChainData)
summaries = table(ChainSummaryRow)
SNAPSHOT_COLUMNS = tuple(column.name for column in snapshots.columns)
LEG_COLUMNS = tuple(column.name for column in legs_table.columns)
SUMMARY_COLUMNS = tuple(column.name for column in summaries.columns)
INSERT_LEGS = str(legs_table.insert().compile(dialect=SQLITE))

# Few enough to fit into the processor's cache.
ROWS_AT_ONCE = 1_000

METRICS = (
    "call_oi",
    "put_oi",
    "call_volume",
    "put_volume",
    "pcr_oi",
    "pcr_volume",
    "max_pain",
    "atm_strike",
    "straddle",
    "atm_iv",
    "support",
    "resistance",
    "gamma_exposure",
)
# The fields of the order book, in the order of the record. Quantities depend on the unit.
BOOK = ("ltp", "prev_close", "bid", "bid_qty", "ask", "ask_qty", "total_buy_qty", "total_sell_qty")
QUANTITIES = ("volume", "oi", "prev_oi")
PROVIDED = ("provider_iv", "provider_delta", "provider_gamma", "provider_theta", "provider_vega")
FLOATS = frozenset(
    {"ltp", "prev_close", "bid", "ask", *PROVIDED, "forward", *LegValuation._fields}
    | {f"{name}_contracts" for name in QUANTITIES}
) - {"reason"}
WHOLE = frozenset({name for name in BOOK if name.endswith("_qty")} | set(QUANTITIES))

# By whether the lot is unknown.
LOT_REASONS = (LotReason.LOT_MISMATCH.value, LotReason.LOT_UNKNOWN.value)

to_str = str.__str__


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A priced chain, ready to be stored.

    *lot_size* is the one in force that day, None if unknown. *instrument_keys* holds the dated
    key of each leg for a source that sends no keys (NSE's site); Upstox sends its own, so that
    only those of contracts whose expiry was moved are needed.
    *rejected* counts legs of the response whose values are impossible.
    """

    summary: ChainSummary
    received_at: datetime
    lot_size: int | None = None
    instrument_keys: Mapping[LegKey, str] = field(default_factory=dict)
    rejected: int = 0

    def __post_init__(self) -> None:
        if self.received_at.tzinfo is None:
            raise BadRecord(
                f"{self.chain.underlying}: received at {self.received_at}, no time zone"
            )

    @property
    def priced(self) -> PricedChain:
        return self.summary.priced

    @property
    def chain(self) -> Chain:
        return self.summary.priced.chain


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotHead:
    """One row of `chain_snapshots`: a content, when it was first and last received, how often."""

    underlying: str
    expiry: date
    timestamp: datetime
    source: str
    exchange_time: datetime | None
    content_hash: str
    unit: str
    spot: float | None
    lot_size: int | None
    legs: int
    confirmations: int
    last_confirmed: datetime
    rejected: int
    run_id: str

    @property
    def series(self) -> "SeriesKey":
        return self.underlying, self.expiry, self.source

    @property
    def key(self) -> "SnapshotKey":
        return self.underlying, self.expiry, self.timestamp, self.source


# Underlying, expiry, source. The snapshots of a series follow each other in time.
SeriesKey = tuple[str, date, str]
SnapshotKey = tuple[str, date, datetime, str]
HEAD_VALUES = attrgetter(*SNAPSHOT_COLUMNS)


@dataclass(frozen=True, slots=True)
class StoredChain:
    """A received chain and the snapshot that it becomes."""

    head: SnapshotHead
    received: Received


def head_row(head: SnapshotHead) -> tuple[Any, ...]:
    values: tuple[Any, ...] = HEAD_VALUES(head)
    return values


def head_of(row: Row[Any]) -> SnapshotHead:
    return SnapshotHead(**{name: getattr(row, name) for name in SNAPSHOT_COLUMNS})


def summary_row(stored: StoredChain) -> tuple[Any, ...]:
    summary, priced, chain = stored.received.summary, stored.received.priced, stored.received.chain
    metrics = summary.metrics
    return (
        *stored.head.key,
        chain.exchange_time,
        chain.spot,
        chain.unit.value,
        priced.forward.value,
        priced.forward.method,
        priced.forward.strikes,
        priced.forward.spread,
        priced.years,
        priced.priced_at,
        priced.expires_at,
        priced.provisional,
        priced.rate,
        priced.convention,
        *(metrics[name].value if name in metrics else None for name in METRICS),
        len(chain.legs),
        sum(numbers.iv is not None for numbers in priced.numbers),
        summary.age_seconds,
        dict(summary.build_up),
        {name: stored_inputs(name, metric) for name, metric in metrics.items()},
        stored.head.run_id,
    )


def stored_inputs(name: str, metric: Metric) -> list[Any]:
    """The figure *name* as `inputs` has it: used, of, then its reason and its value if needed.

    Positions instead of names, because a row that is longer than a quarter of a page takes a page
    more on SQLite: a summary 4,650 bytes instead of some 700.
    """
    if name not in METRICS:
        # A figure without a column of its own has its value here.
        return [metric.used, metric.of, metric.reason, metric.value]
    if metric.reason is None:
        return [metric.used, metric.of]
    return [metric.used, metric.of, metric.reason]


def stored_metrics(
    figures: Mapping[str, Any], inputs: Mapping[str, list[Any]]
) -> dict[str, Metric]:
    """The inverse of `stored_inputs` for all of *inputs*; *figures* are the columns METRICS."""
    found = {}
    for name, (used, of, *rest) in inputs.items():
        reason, value = (*rest, None, None)[:2]
        found[name] = Metric(
            value=figures[name] if name in METRICS else value,
            used=used,
            of=of,
            reason=None if reason is None else Reason(reason),
        )
    return found


def write_legs(connection: Connection, stored: Sequence[StoredChain]) -> None:
    """Add the legs of snapshots that have none, in the fastest way of the database.

    Raises IntegrityError when one is stored already.
    """
    if not stored:
        return
    columns = leg_columns(stored)
    if is_postgres(connection):
        cover(connection, legs_table.name, {day_of(each.head.timestamp) for each in stored})
        binary = [_BINARY.get(name, binary_copy.texts)(columns[name]) for name in LEG_COLUMNS]
        binary_copy.copy_in(connection, legs_table, LEG_COLUMNS, [binary])
    else:
        bound = (_BOUND.get(name, _unchanged)(columns[name]) for name in LEG_COLUMNS)
        rows = zip(*bound, strict=True)
        while several := list(islice(rows, ROWS_AT_ONCE)):
            connection.exec_driver_sql(INSERT_LEGS, several)


def leg_columns(stored: Sequence[StoredChain]) -> dict[str, Sequence[Any]]:
    """The columns of `option_chain_data`, leg after leg."""
    chains = [each.received.chain for each in stored]
    counts = [len(chain.legs) for chain in chains]

    def each_leg(values: Iterable[Any]) -> list[Any]:
        return list(joined.from_iterable(map(repeat, values, counts)))

    legs = joined.from_iterable(chain.legs for chain in chains)
    numbers = joined.from_iterable(each.received.priced.numbers for each in stored)
    columns = by_column(legs)
    columns |= zip(LegValuation._fields, zip(*numbers, strict=True), strict=True)
    columns |= _quantities(columns, stored)
    key = zip(*(each.head.key for each in stored), strict=True)
    for name, values in zip(("underlying", "expiry", "timestamp", "source"), key, strict=True):
        columns[name] = each_leg(values)
    return columns | {
        "option_type": list(map(to_str, columns["option_type"])),
        "instrument_key": list(joined.from_iterable(map(_dated_keys, stored))),
        "forward": each_leg(each.received.priced.forward.value for each in stored),
        "reason": [None if reason is None else to_str(reason) for reason in columns["reason"]],
        "run_id": each_leg(each.head.run_id for each in stored),
    }


def _quantities(
    received: Mapping[str, Sequence[Any]], stored: Sequence[StoredChain]
) -> dict[str, Sequence[Any]]:
    """Volume and open interest in shares, and in contracts where the source reports those.

    The vectorised form of `core.chains.in_shares`.
    """
    legs = [len(each.received.chain.legs) for each in stored]
    lots = np.repeat([_shares_per_unit(each.received) for each in stored], legs)
    contracts = np.repeat(
        [each.received.chain.unit is QuantityUnit.CONTRACTS for each in stored], legs
    )
    columns: dict[str, Sequence[Any]] = {}
    lost = np.zeros(len(lots), np.bool_)
    for name in QUANTITIES:
        values = np.array(received[name], np.float64)
        shares = values * lots
        whole = np.rint(shares)
        with_shares = (np.abs(shares - whole) <= WHOLE_WITHIN) & (whole <= LARGEST_EXACT_NUMBER)
        lost |= ~with_shares & ~np.isnan(values)
        columns[name] = _null_unless(np.where(with_shares, whole, 0).astype(np.int64), with_shares)
        columns[f"{name}_contracts"] = _null_unless(values, contracts & ~np.isnan(values))
    whether = zip(lost.tolist(), np.isnan(lots).tolist(), strict=True)
    columns["oi_reason"] = [LOT_REASONS[unknown] if each else None for each, unknown in whether]
    return columns


def _shares_per_unit(received: Received) -> float:
    """How many shares one of the chain's unit is; NaN if the lot is unknown."""
    if received.chain.unit is QuantityUnit.SHARES:
        return 1.0
    return math.nan if received.lot_size is None else float(received.lot_size)


def _null_unless(values: NDArray[Any], known: NDArray[np.bool_]) -> list[Any]:
    """*values* where they are *known*, None elsewhere."""
    if not known.any():
        return [None] * len(values)
    column: list[Any] = values.tolist()
    for row in np.flatnonzero(~known).tolist():
        column[row] = None
    return column


def _dated_keys(stored: StoredChain) -> Iterable[str | None]:
    chain, named = stored.received.chain, stored.received.instrument_keys
    if chain.names_contracts:
        day = f"|{chain.expiry:%d-%m-%Y}"
        known = {key.rpartition("|")[0]: key for key in named.values()}
        return [
            None if leg.live_key is None else known.get(leg.live_key, leg.live_key + day)
            for leg in chain.legs
        ]
    if not named:
        return repeat(None, len(chain.legs))
    return [named.get(leg.key) for leg in chain.legs]


def _unchanged(values: Sequence[Any]) -> Sequence[Any]:
    return values


def _convert_distinct(convert: Callable[[Any], Any]) -> Callable[[Sequence[Any]], list[Any]]:
    """Converts a column in which a few values repeat many times."""

    def column(values: Sequence[Any]) -> list[Any]:
        converted = {value: convert(value) for value in set(values)}
        return list(map(converted.__getitem__, values))

    return column


_MICROSECONDS = _convert_distinct(lambda at: Instant().process_bind_param(at, SQLITE))
_TEN_THOUSANDTHS = _convert_distinct(lambda strike: Exact().process_bind_param(strike, SQLITE))
# Conversions for SQLite's driver.
_BOUND: dict[str, Callable[[Sequence[Any]], Sequence[Any]]] = {
    "expiry": _convert_distinct(date.isoformat),
    "timestamp": _MICROSECONDS,
    "strike": _TEN_THOUSANDTHS,
}
# Conversions for PostgreSQL's binary format; columns without one are text.
_BINARY: dict[str, Callable[[Sequence[Any]], binary_copy.WireColumn]] = {
    "expiry": binary_copy.dates,
    "timestamp": lambda values: binary_copy.microseconds(_MICROSECONDS(values)),
    "strike": lambda values: binary_copy.exact_numbers(_TEN_THOUSANDTHS(values)),
    **dict.fromkeys(FLOATS, binary_copy.known_floats),
    **dict.fromkeys(WHOLE, binary_copy.known_whole_numbers),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSnapshot:
    """A stored snapshot: *summary* holds the chain, in its own unit, and the numbers.

    *instrument_keys* are the dated keys of the legs that have one. *head* has the times and the
    number of its receipts.
    """

    head: SnapshotHead
    summary: ChainSummary
    instrument_keys: Mapping[LegKey, str]

    @property
    def chain(self) -> Chain:
        return self.summary.priced.chain

    @property
    def timestamp(self) -> datetime:
        return self.head.timestamp

    @property
    def lot_size(self) -> int | None:
        return self.head.lot_size

    @property
    def confirmations(self) -> int:
        return self.head.confirmations

    @property
    def last_confirmed(self) -> datetime:
        return self.head.last_confirmed

    def shown_as(self, head: SnapshotHead) -> "StoredSnapshot":
        """The same snapshot under the symbol and the expiry of *head*."""
        chain = replace(self.chain, underlying=head.underlying, expiry=head.expiry)
        priced = replace(self.summary.priced, chain=chain)
        return replace(self, head=head, summary=replace(self.summary, priced=priced))


def read_snapshot(connection: Connection, head: SnapshotHead) -> StoredSnapshot:
    """The whole snapshot of *head*: summary and legs."""
    rows = {
        of.name: connection.execute(
            select(of).where(
                of.c.underlying == head.underlying,
                of.c.expiry == head.expiry,
                of.c.timestamp == head.timestamp,
                of.c.source == head.source,
            )
        ).all()
        for of in (summaries, legs_table)
    }
    [summary] = rows[summaries.name]
    legs = sorted(rows[legs_table.name], key=lambda leg: (leg.strike, leg.option_type))
    return _snapshot_of(head, summary, legs)


def _snapshot_of(head: SnapshotHead, summary: Row[Any], legs: Sequence[Row[Any]]) -> StoredSnapshot:
    """The inverse of `summary_row` and `leg_columns`."""
    source, unit = ChainSource(head.source), QuantityUnit(head.unit)
    priced = PricedChain(
        chain=Chain(
            underlying=head.underlying,
            expiry=head.expiry,
            source=source,
            unit=unit,
            spot=head.spot,
            exchange_time=head.exchange_time,
            legs=tuple(leg_of_row(row, source, unit) for row in legs),
        ),
        convention=summary.convention,
        priced_at=summary.priced_at,
        expires_at=summary.expires_at,
        provisional=summary.provisional,
        years=summary.years,
        rate=summary.rate,
        forward=Forward(
            value=summary.forward,
            method=None if (m := summary.forward_method) is None else ForwardMethod(m),
            strikes=summary.forward_strikes,
            spread=summary.forward_spread,
        ),
        numbers=tuple(map(derived_numbers, legs)),
    )
    return StoredSnapshot(
        head=head,
        summary=ChainSummary(
            priced=priced,
            age_seconds=summary.age_seconds,
            metrics=stored_metrics(summary._asdict(), summary.inputs),
            build_up=summary.build_up,
        ),
        instrument_keys={
            (row.strike, OptionType(row.option_type)): row.instrument_key
            for row in legs
            if row.instrument_key is not None
        },
    )


def _columns_of(*names: str) -> Callable[[Row[Any]], tuple[Any, ...]]:
    places = map(LEG_COLUMNS.index, names)
    return itemgetter(*places)


_PRICES_OF = _columns_of(*BOOK, *PROVIDED)
_QUANTITIES_OF = {
    QuantityUnit.SHARES: _columns_of(*QUANTITIES),
    QuantityUnit.CONTRACTS: _columns_of(*(f"{name}_contracts" for name in QUANTITIES)),
}
_NUMBERS_OF = _columns_of(*LegValuation._fields)


def leg_of_row(row: Row[Any], source: ChainSource, unit: QuantityUnit) -> ChainLeg:
    """The leg as received, from a row that begins with the columns of the table."""
    volume, oi, prev_oi = _QUANTITIES_OF[unit](row)
    key = row.instrument_key if source.names_contracts else None
    return ChainLeg(
        strike=row.strike,
        option_type=OptionType(row.option_type),
        live_key=None if key is None else key.rpartition("|")[0],
        volume=None if volume is None else float(volume),
        oi=None if oi is None else float(oi),
        prev_oi=None if prev_oi is None else float(prev_oi),
        **dict(zip((*BOOK, *PROVIDED), _PRICES_OF(row), strict=True)),
    )


def derived_numbers(row: Row[Any]) -> LegValuation:
    """The derived numbers of the leg, from a row that begins with the columns of the table."""
    *numbers, reason = _NUMBERS_OF(row)
    return LegValuation._make((*numbers, None if reason is None else Reason(reason)))
