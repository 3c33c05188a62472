"""The provider's OHLC rows, turned into the last completed minute of each name. Pure.

Only `prev_ohlc` is read: `live_ohlc` is still forming. A name that did not trade repeats an
older bar, so the minute is the one that the bar itself names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from reprlib import repr as shortened
from typing import Any

from data_fetch.core.batches import RejectedRow
from data_fetch.core.candles.candles import CandleBlock, CandleInterval, Kind
from data_fetch.core.clock import IST
from data_fetch.core.errors import BadRecord
from data_fetch.core.market.session import midnight_number, minute_number
from data_fetch.sources.transport.numbers import read_quantity
from data_fetch.sources.upstox.candle_rows import NOT_OVER_YET, read_prices, read_units
from data_fetch.sources.upstox.ltp_rows import rows_by_key

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedOhlc:
    """What one answer says about the keys asked for.

    Each key is in exactly one of *blocks* (one bar each), *absent* (no bar of today) and
    *rejected*; *unrequested* are rows that answer no key that was asked for.
    """

    blocks: tuple[CandleBlock, ...]
    absent: tuple[str, ...]
    rejected: tuple[RejectedRow, ...]
    unrequested: tuple[RejectedRow, ...]


def read_ohlc_rows(
    data: Mapping[str, Any], instrument_keys: Sequence[str], received_at: datetime
) -> ParsedOhlc:
    """The last completed minutes in the `data` of an OHLC answer, in the order of the keys.

    The answer tells no open interest, so it is 0.
    """
    asked = dict.fromkeys(instrument_keys)
    rows, unrequested = rows_by_key(data, asked)
    blocks: list[CandleBlock] = []
    absent: list[str] = []
    rejected: list[RejectedRow] = []
    for key in asked:
        try:
            bar = _the_bar(key, rows.get(key, ()), received_at)
        except BadRecord as problem:
            rejected.append(RejectedRow(key, problem.message))
        else:
            if bar is None:
                absent.append(key)
            else:
                blocks.append(bar)
    return ParsedOhlc(
        blocks=tuple(blocks),
        absent=tuple(absent),
        rejected=tuple(rejected),
        unrequested=unrequested,
    )


def _the_bar(
    key: str, rows: Sequence[Mapping[str, Any]], received_at: datetime
) -> CandleBlock | None:
    """The one bar that all *rows* of a key agree on."""
    bars = [_bar(key, row.get("prev_ohlc"), received_at) for row in rows]
    if any(bar != bars[0] for bar in bars):
        raise BadRecord(f"{len(rows)} rows that disagree")
    return bars[0] if bars else None


def _bar(key: str, told: Any, received_at: datetime) -> CandleBlock | None:
    """One bar of today; None if there is none yet. Raises BadRecord."""
    if told is None:
        return None
    if not isinstance(told, dict):
        raise BadRecord(f"prev_ohlc is {shortened(told)}, not a bar")
    start, rest = divmod(read_quantity(told.get("ts"), "ts"), MINUTE_MS)
    if rest:
        raise BadRecord("ts is not a whole minute")
    if start < midnight_number(received_at.astimezone(IST).date()):
        return None
    if start + 1 > minute_number(received_at):
        raise BadRecord(NOT_OVER_YET)
    opened, high, low, close = read_prices(
        [told.get(name) for name in ("open", "high", "low", "close")]
    )
    return CandleBlock(
        instrument_key=key,
        interval=CandleInterval.MINUTE,
        starts=[start],
        open=[opened],
        high=[high],
        low=[low],
        close=[close],
        volume=[read_units(told.get("volume"))],
        oi=[0],
        kinds=[Kind.TRADED],
    )
