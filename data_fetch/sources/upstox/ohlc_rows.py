"""Reads the last completed minute of each instrument from Upstox's OHLC rows. Pure.

Only `prev_ohlc` is read: `live_ohlc` is still forming. An instrument that did not trade repeats
an older candle, so the minute is the one that is in the candle itself.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from reprlib import repr as shortened
from typing import Any

from data_fetch.core.batches import RejectedRow
from data_fetch.core.candles.candles import CandleBlock, CandleInterval, Kind
from data_fetch.core.clock import IST
from data_fetch.core.errors import BadRecord
from data_fetch.core.market.session import midnight_number, minute_number
from data_fetch.sources.transport.batches import ParsedBatch
from data_fetch.sources.transport.numbers import read_quantity
from data_fetch.sources.upstox.candle_rows import NOT_OVER_YET, read_prices, read_units
from data_fetch.sources.upstox.ltp_rows import rows_by_key

MINUTE_MS = 60_000


def read_ohlc_rows(
    data: Mapping[str, Any], instrument_keys: Sequence[str], received_at: datetime
) -> ParsedBatch[CandleBlock]:
    """The last completed minutes in the `data` of an OHLC response, in the order of the keys.

    A key without a candle of today is absent. The response has no open interest, so it is 0.
    """
    found = rows_by_key(data, instrument_keys)
    blocks: list[CandleBlock] = []
    absent: list[str] = list(found.absent)
    rejected: list[RejectedRow] = list(found.unnamed)
    for key, rows in found.rows.items():
        try:
            candle = _agreed_candle(key, rows, received_at)
        except BadRecord as problem:
            rejected.append(RejectedRow(key, problem.message))
        else:
            if candle is None:
                absent.append(key)
            else:
                blocks.append(candle)
    return ParsedBatch(
        records=tuple(blocks),
        absent=tuple(absent),
        rejected=tuple(rejected),
        unrequested=found.unrequested,
    )


def _agreed_candle(
    key: str, rows: Sequence[Mapping[str, Any]], received_at: datetime
) -> CandleBlock | None:
    """The one candle that all *rows* of a key agree on."""
    candles = [_candle(key, row.get("prev_ohlc"), received_at) for row in rows]
    if any(candle != candles[0] for candle in candles):
        raise BadRecord(f"{len(rows)} rows that disagree")
    return candles[0]


def _candle(key: str, raw: Any, received_at: datetime) -> CandleBlock | None:
    """One candle of today; None if there is none yet. Raises BadRecord."""
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise BadRecord(f"prev_ohlc is {shortened(raw)}, not a candle")
    start, rest = divmod(read_quantity(raw.get("ts"), "ts"), MINUTE_MS)
    if rest:
        raise BadRecord("ts is not a whole minute")
    if start < midnight_number(received_at.astimezone(IST).date()):
        return None
    if start + 1 > minute_number(received_at):
        raise BadRecord(NOT_OVER_YET)
    opened, high, low, close = read_prices(
        [raw.get(name) for name in ("open", "high", "low", "close")]
    )
    return CandleBlock(
        instrument_key=key,
        interval=CandleInterval.MINUTE,
        starts=[start],
        open=[opened],
        high=[high],
        low=[low],
        close=[close],
        volume=[read_units(raw.get("volume"))],
        oi=[0],
        kinds=[Kind.TRADED],
    )
