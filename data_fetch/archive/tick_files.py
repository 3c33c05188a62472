"""Ticks of a recording in Parquet, for queries: a file for each minute in which they were received.

``folder/2026-09-16/0915.parquet`` has the ticks from 09:15 IST on, in the order of their receipt.
They are made of the recorded messages, and can be made again.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet as pq

from data_fetch.archive.parquet_files import UNREADABLE
from data_fetch.archive.recording_folder import minute_paths
from data_fetch.core.clock import minute_of
from data_fetch.core.errors import SetupError
from data_fetch.core.feed.ticks import NO_BEST, NO_DETAIL, Greeks, Tick
from data_fetch.core.files import new_file, private_folder

ROWS_PER_GROUP = 65_536
INSTANT, TRADE_TIME = pa.timestamp("us", "UTC"), pa.timestamp("ms", "UTC")
MINUTE_BAR = pa.struct(
    [
        ("start", TRADE_TIME),
        *((name, pa.float64()) for name in ("open", "high", "low", "close")),
        ("volume", pa.int64()),
    ]
)
SCHEMA = pa.schema(
    [
        ("received_at", INSTANT),
        ("server_time", INSTANT),
        ("instrument_key", pa.string()),
        ("mode", pa.string()),
        ("ltp", pa.float64()),
        ("traded_at", TRADE_TIME),
        ("ltq", pa.int64()),
        ("prev_close", pa.float64()),
        ("volume", pa.int64()),
        ("oi", pa.int64()),
        ("iv", pa.float64()),
        *((name, pa.float64()) for name in Greeks._fields),
        ("bid", pa.float64()),
        ("bid_qty", pa.int64()),
        ("ask", pa.float64()),
        ("ask_qty", pa.int64()),
        ("minutes", pa.list_(MINUTE_BAR)),
    ]
)
NO_GREEKS = dict.fromkeys(Greeks._fields)


@dataclass(frozen=True, slots=True)
class TickFile:
    """One file, and how many *ticks* it has."""

    path: Path
    ticks: int


def write_ticks(ticks: Iterable[Tick], folder: Path) -> Iterator[TickFile]:
    """Write *ticks* into files in *folder*, and yield each when it is complete. A file with ticks
    that is there is replaced.

    Prices are rupees, quantities shares, *iv* is a fraction, greeks are the provider's; *minutes*
    are the last whole minute and the running one. Memory is bounded by one group of rows. Raises
    OSError, and SetupError where a file of something else is there: the recordings themselves have
    such names.
    """
    written: set[Path] = set()
    for minute, received in groupby(ticks, lambda tick: minute_of(tick.received_at)):
        path = next(path for path in minute_paths(folder, minute) if path not in written)
        _refuse_other(path)
        written.add(path)
        private_folder(path.parent)
        rows = 0
        with new_file(path) as unfinished, pq.ParquetWriter(unfinished, SCHEMA) as writer:
            while group := [_row(tick) for tick in islice(received, ROWS_PER_GROUP)]:
                writer.write_table(pa.Table.from_pylist(group, SCHEMA))
                rows += len(group)
        yield TickFile(path, rows)


def _refuse_other(path: Path) -> None:
    """Raises SetupError if *path* is there and has no ticks."""
    if path.exists() and not _has_ticks(path):
        raise SetupError(
            f"{path} is there and is no file of ticks",
            hint="Name another folder for the ticks: nothing else is replaced.",
        )


def _has_ticks(path: Path) -> bool:
    try:
        return bool(pq.read_schema(path).equals(SCHEMA))
    except UNREADABLE:
        return False


def _row(tick: Tick) -> dict[str, Any]:
    detail = tick.detail or NO_DETAIL
    best = detail.best or NO_BEST
    greeks = NO_GREEKS if detail.greeks is None else detail.greeks._asdict()
    return {
        "received_at": tick.received_at,
        "server_time": tick.server_time,
        "instrument_key": tick.key,
        "mode": tick.mode.value,
        "ltp": tick.last_price,
        "traded_at": tick.traded_at,
        "ltq": tick.ltq,
        "prev_close": tick.prev_close,
        "volume": detail.volume,
        "oi": detail.open_interest,
        "iv": detail.iv,
        **greeks,
        "bid": best.bid,
        "bid_qty": best.bid_quantity,
        "ask": best.ask,
        "ask_qty": best.ask_quantity,
        "minutes": None
        if detail.bars is None
        else [
            {
                "start": bar.start,
                "open": bar.open,
                "high": bar.high,
                "low": bar.low,
                "close": bar.close,
                "volume": bar.volume,
            }
            for bar in detail.bars
        ],
    }
