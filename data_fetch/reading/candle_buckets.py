"""Tables of minutes as tables of longer candles.

Apart from `candle_ranges`, because NumPy takes longer to load than most questions take.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from data_fetch.analytics.candle_buckets import Buckets, Prices, bucketed, inside
from data_fetch.core.candles.candles import CandleInterval, Kind, expected_spans
from data_fetch.core.candles.coverage import State
from data_fetch.reading.candle_days import CandleDay
from data_fetch.storage.database.dialects import MICROSECONDS_PER_MINUTE

SEPARATOR = "+"


def bucket_table(table: Any, days: Sequence[CandleDay], minutes: int, begin: int) -> Any:
    """*table*, of minutes of *days*, in buckets of so many *minutes*; those that start before
    *begin* are left out.

    Minutes outside of their sessions (an audit finds them) are in no bucket.
    """
    windows = tuple(
        span for day in days for span in expected_spans(day.session, CandleInterval.MINUTE)
    )
    starts = table["timestamp"].cast(pa.int64()).to_numpy() // MICROSECONDS_PER_MINUTE
    kept = inside(starts, windows)
    starts, table = starts[kept], table.filter(kept)
    prices = Prices(
        **{name: table[name].to_numpy() for name in ("open", "high", "low", "close", "volume")},
        oi=table["oi"].cast(pa.float64()).to_numpy(),
    )
    found = bucketed(starts, prices, windows, minutes)
    lacking = tuple(
        span for day in days for span in day.coverage.spans(State.MISSED, State.PENDING)
    )
    columns = {
        "timestamp": pa.array(found.starts * MICROSECONDS_PER_MINUTE, pa.timestamp("us", "UTC")),
        "open": found.prices.open,
        "high": found.prices.high,
        "low": found.prices.low,
        "close": found.prices.close,
        "volume": found.prices.volume,
        "oi": pa.array(found.prices.oi, from_pandas=True).cast(pa.int64()),
        "kind": pa.array([Kind.TRADED.value] * len(found), pa.string()),
        "is_final": _all_final(table, found),
        "instrument_key": table["instrument_key"].take(found.first_rows),
        "source": _sources(table, found),
        "minutes": np.diff(found.first_rows, append=len(starts)),
        "minutes_expected": found.ends - found.starts,
        "minutes_missing": found.minutes_of(lacking),
    }
    return pa.table(columns).filter(pa.array(found.starts >= begin))


def _all_final(table: Any, found: Buckets) -> Any:
    final = table["is_final"].to_numpy()
    return np.logical_and.reduceat(final, found.first_rows) if len(found) else final[:0]


def _sources(table: Any, found: Buckets) -> Any:
    """The source of each bucket; those of its minutes, joined, where they have several."""
    coded = table["source"].combine_chunks().dictionary_encode()
    codes, names = coded.indices.to_numpy(), coded.dictionary.to_pylist()
    if len(names) <= 1:
        return table["source"].take(found.first_rows)
    rows = np.split(codes, found.first_rows[1:])
    return pa.array([SEPARATOR.join(sorted({names[code] for code in each})) for each in rows])
