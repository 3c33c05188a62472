"""The columns of the archive's files: one schema per table, with its version and sort order.

A file has the columns of its table, in the table's order. Prices are rupees, quantities units
(shares), instants UTC with microseconds. A whole number has 64 bits, a strike is a decimal with
four places, and a column of JSON is its text with sorted keys. *version* changes with the
columns; files of every version stay readable.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from data_fetch.core.archive.days import TABLES

TEXT, WHOLE, DOUBLE, FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()
INSTANT, DATE = pa.timestamp("us", "UTC"), pa.date32()
EXACT = pa.decimal128(18, 4)

OWN_NUMBERS = ("iv", "delta", "gamma", "theta", "vega", "rho")
# Numbers that repeat rarely: a dictionary of them would be nearly as large as they are, and split
# into their bytes they pack better. Of other columns the dictionary is smaller (measured).
SPLIT_NUMBERS: Mapping[str, tuple[str, ...]] = {
    "option_chain_data": (*OWN_NUMBERS, "price", "ltp", "bid", "ask"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSchema:
    """The files of *table*: their columns, and the order of their rows.

    *key* is the table's key, in the order by which the rows of a file are sorted.
    """

    table: str
    version: int
    arrow: pa.Schema
    key: tuple[str, ...]

    @property
    def time(self) -> str:
        """The column that decides the day of a row."""
        return next(of[self.table] for of in TABLES.values() if self.table in of)


def _given(kind: pa.DataType, *names: str) -> list[pa.Field]:
    return [pa.field(name, kind, nullable=False) for name in names]


def _optional(kind: pa.DataType, *names: str) -> list[pa.Field]:
    return [pa.field(name, kind) for name in names]


SNAPSHOT_KEY = [
    *_given(TEXT, "underlying"),
    *_given(DATE, "expiry"),
    *_given(INSTANT, "timestamp"),
    *_given(TEXT, "source"),
]
SNAPSHOT_FACTS = [
    *_optional(INSTANT, "exchange_time"),
    *_optional(DOUBLE, "spot"),
    *_given(TEXT, "unit"),
]
CANDLE = [
    *_given(TEXT, "instrument_key", "interval"),
    *_given(INSTANT, "timestamp"),
    *_given(DOUBLE, "open", "high", "low", "close"),
    *_given(WHOLE, "volume"),
    *_optional(WHOLE, "oi"),
    *_given(TEXT, "kind", "source"),
    *_given(FLAG, "is_final"),
    *_given(INSTANT, "fetched_at"),
    *_given(TEXT, "run_id"),
]

RECEIPTS = [
    *_given(TEXT, "underlying"),
    *_given(DATE, "expiry"),
    *_given(TEXT, "source"),
    *_given(INSTANT, "received_at"),
    *_optional(INSTANT, "exchange_time"),
    *_given(TEXT, "content_hash", "run_id"),
]
SNAPSHOTS = [
    *SNAPSHOT_KEY,
    *SNAPSHOT_FACTS,
    *_given(TEXT, "content_hash"),
    *_optional(WHOLE, "lot_size"),
    *_given(WHOLE, "legs", "confirmations"),
    *_given(INSTANT, "last_confirmed"),
    *_given(WHOLE, "rejected"),
    *_given(TEXT, "run_id"),
]
LEGS = [
    *SNAPSHOT_KEY,
    *_given(EXACT, "strike"),
    *_given(TEXT, "option_type"),
    *_optional(TEXT, "instrument_key"),
    *_optional(DOUBLE, "ltp", "prev_close", "bid"),
    *_optional(WHOLE, "bid_qty"),
    *_optional(DOUBLE, "ask"),
    *_optional(WHOLE, "ask_qty", "total_buy_qty", "total_sell_qty", "volume", "oi", "prev_oi"),
    *_optional(DOUBLE, "volume_contracts", "oi_contracts", "prev_oi_contracts"),
    *_optional(TEXT, "oi_reason"),
    *_optional(DOUBLE, "provider_iv", "provider_delta", "provider_gamma"),
    *_optional(DOUBLE, "provider_theta", "provider_vega", "price", "forward", *OWN_NUMBERS),
    *_optional(TEXT, "reason"),
    *_given(TEXT, "run_id"),
]
SUMMARIES = [
    *SNAPSHOT_KEY,
    *SNAPSHOT_FACTS,
    *_optional(DOUBLE, "forward"),
    *_optional(TEXT, "forward_method"),
    *_given(WHOLE, "forward_strikes"),
    *_optional(DOUBLE, "forward_spread", "years"),
    *_optional(INSTANT, "priced_at"),
    *_given(INSTANT, "expires_at"),
    *_given(FLAG, "provisional"),
    *_given(DOUBLE, "rate"),
    *_given(TEXT, "convention"),
    *_optional(DOUBLE, "call_oi", "put_oi", "call_volume", "put_volume", "pcr_oi", "pcr_volume"),
    *_optional(DOUBLE, "max_pain", "atm_strike", "straddle", "atm_iv", "support", "resistance"),
    *_optional(DOUBLE, "gamma_exposure"),
    *_given(WHOLE, "legs", "priced"),
    *_optional(DOUBLE, "age_seconds"),
    *_given(TEXT, "build_up", "inputs", "run_id"),
]
QUOTES = [
    *_given(TEXT, "symbol"),
    *_given(INSTANT, "timestamp"),
    *_given(TEXT, "instrument_key"),
    *_given(DOUBLE, "ltp"),
    *_optional(WHOLE, "volume"),
    *_optional(DOUBLE, "change", "change_percent", "prev_close"),
    *_optional(WHOLE, "ltq"),
    *_given(FLAG, "off_session"),
    *_given(INSTANT, "received_at"),
    *_given(TEXT, "source", "run_id"),
]
REVISIONS = [*CANDLE, *_given(WHOLE, "revision"), *_given(INSTANT, "superseded_at")]

# The sort order answers, with few row groups each: a chain at an instant, one contract over a day,
# one instrument over a day.
SERIES = ("underlying", "expiry", "source")


def _schema(table: str, columns: list[pa.Field], *key: str, version: int = 1) -> ArchiveSchema:
    return ArchiveSchema(table=table, version=version, arrow=pa.schema(columns), key=key)


ARCHIVE_SCHEMAS: Mapping[str, ArchiveSchema] = {
    schema.table: schema
    for schema in (
        _schema("chain_receipts", RECEIPTS, *SERIES, "received_at"),
        _schema("chain_snapshots", SNAPSHOTS, *SERIES, "timestamp"),
        _schema("option_chain_data", LEGS, *SERIES, "timestamp", "strike", "option_type"),
        _schema("chain_summary", SUMMARIES, *SERIES, "timestamp"),
        _schema("ltp_data", QUOTES, "symbol", "timestamp"),
        _schema("candles", CANDLE, "instrument_key", "interval", "timestamp"),
        _schema(
            "candle_revisions", REVISIONS, "instrument_key", "interval", "timestamp", "revision"
        ),
    )
}
