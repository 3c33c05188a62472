"""Reads Upstox's candle rows into blocks. Pure.

A good body is read column by column. One in which anything is unusual is read again row by
row, which takes ten times as long and reports what is wrong with which rows.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_fetch.core.candles.candles import CandleBlock, CandleInterval, Kind
from data_fetch.core.candles.expectation import DAY_IS_OVER
from data_fetch.core.clock import MINUTE
from data_fetch.core.errors import BadRecord, BadResponse
from data_fetch.core.market.session import (
    EPOCH,
    IST_AHEAD,
    MINUTES_OF_DAY,
    midnight_number,
    minute_number,
)
from data_fetch.sources.transport.numbers import (
    LARGEST_PRICE,
    LARGEST_QUANTITY,
    SMALLEST_PRICE,
    read_number,
    read_quantity,
)
from data_fetch.sources.transport.responses import Response

Ints = NDArray[np.int64]

# The provider's clock and ours differ a little, so a minute that is just over may be missing.
FORMING_GRACE = timedelta(seconds=5)
# From the timestamp of a candle until it is over for certain.
SETTLED_AFTER = {CandleInterval.MINUTE: MINUTE + FORMING_GRACE, CandleInterval.DAY: DAY_IS_OVER}

# Such a row is neither used nor rejected; each other reason but NO_OPEN_INTEREST rejects a row.
NOT_OVER_YET = "not over yet"
OF_ANOTHER_DAY = "of another day"
NO_ROW = "not a row of six or seven values"
NO_STAMP = "not stamped with a whole minute and its offset"
NO_MIDNIGHT = "a day that does not begin at midnight in India"
NO_PRICE = "a price that cannot be"
NO_ORDER = "prices outside of low and high"
NO_QUANTITY = "a volume that cannot be"
# Such a row is used, without its open interest.
NO_OPEN_INTEREST = "no open interest, or one that cannot be"
CONTRADICTED = "contradicted by another row of the same time"

NO_REJECTIONS = frozenset({NOT_OVER_YET, NO_OPEN_INTEREST})

WHOLE_MINUTE = b":00+05:30"
STAMP_FORM = b"0000-00-00T00:00:00+00:00"
MINUTE_LENGTH = len(STAMP_FORM) - len(WHOLE_MINUTE)
DIGITS_AS_0 = bytes.maketrans(b"123456789", b"0" * 9)

# start, open, high, low, close, volume, open interest
COLUMNS = 7
Candle = tuple[int, float, float, float, float, int, int | None]
NO_COLUMNS = tuple(() for _ in range(COLUMNS))
# The same as columns, and the number of unused rows, by reason.
Columns = tuple[Sequence[Any], ...]
Read = tuple[Columns, Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedCandles:
    """The candles of the requested days in one response.

    *block* has the good rows whose time is over, all of kind `TRADED`. *still_forming* counts
    rows whose time is not over, *rejected_rows* the bad ones, by reason, *without_open_interest*
    candles in which only that is missing or bad. Only a *complete* response proves anything about
    what it lacks: it was not partial, and no row is bad.
    """

    block: CandleBlock
    complete: bool
    still_forming: int
    rejected_rows: Mapping[str, int]
    without_open_interest: int


@dataclass(frozen=True, slots=True)
class _Requested:
    """The starts that a response should contain: *first* to *end*, and over up to *latest*."""

    first: int
    end: int
    latest: int
    daily: bool


def read_candles(
    response: Response,
    *,
    instrument_key: str,
    interval: CandleInterval,
    first_day: date,
    last_day: date,
    received_at: datetime,
) -> ParsedCandles:
    """The candles of *instrument_key* in a response to a request for these days.

    A candle that was forming when the request was sent is not over, however late the response
    arrived. Raises BadResponse when there is no list of rows.
    """
    rows = response.data.get("candles") if isinstance(response.data, dict) else None
    if not isinstance(rows, list):
        raise BadResponse("Upstox returned data without a list of candles")
    known_at = response.requested_at or received_at
    requested = _Requested(
        first=midnight_number(first_day),
        end=midnight_number(last_day) + MINUTES_OF_DAY,
        latest=minute_number(known_at - SETTLED_AFTER[interval]),
        daily=interval is CandleInterval.DAY,
    )
    columns, counts = _at_once(rows, requested) or _one_by_one(rows, requested)
    if requested.daily and OF_ANOTHER_DAY in counts:
        # The dates of the response may all be wrong by a day.
        columns = NO_COLUMNS
    rejected_rows = {why: count for why, count in counts.items() if why not in NO_REJECTIONS}
    starts, opened, high, low, close, volume, oi = columns
    block = CandleBlock(
        instrument_key=instrument_key,
        interval=interval,
        starts=starts,
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=volume,
        oi=oi,
        kinds=[Kind.TRADED] * len(starts),
    )
    return ParsedCandles(
        block=block,
        complete=not response.partial and not rejected_rows,
        still_forming=counts.get(NOT_OVER_YET, 0),
        rejected_rows=rejected_rows,
        without_open_interest=counts.get(NO_OPEN_INTEREST, 0),
    )


def _at_once(rows: list[Any], requested: _Requested) -> Read | None:
    """All of it, when every row is good and the newest comes first, as usual."""
    if set(map(type, rows)) != {list} or set(map(len, rows)) != {COLUMNS}:
        return None
    # Not `zip(*rows)`: its thousands of iterators keep the garbage collector busy.
    oldest_first = rows[::-1]
    stamps, opened, high, low, close, volume, oi = (
        [row[place] for row in oldest_first] for place in range(COLUMNS)
    )
    starts, prices = _starts_at_once(stamps), _prices_at_once((opened, high, low, close))
    if starts is None or prices is None or not _fit(starts, requested):
        return None
    if not (_are_quantities(volume) and _are_quantities(oi)):
        return None
    forming = int(np.count_nonzero(starts > requested.latest))
    columns = (starts.tolist(), *prices, volume, oi)
    if not forming:
        return columns, {}
    return tuple(column[:-forming] for column in columns), {NOT_OVER_YET: forming}


def _starts_at_once(stamps: Sequence[Any]) -> Ints | None:
    """Minute numbers, if all *stamps* are of whole minutes in Indian time."""
    if set(map(type, stamps)) != {str} or set(map(len, stamps)) != {len(STAMP_FORM)}:
        return None
    text = "".join(stamps).encode("utf-8", "replace")
    if text.translate(DIGITS_AS_0) != STAMP_FORM * len(stamps):
        return None
    signs = np.frombuffer(text, np.uint8).reshape(-1, len(STAMP_FORM))
    if signs[:, MINUTE_LENGTH:].tobytes() != WHOLE_MINUTE * len(stamps):
        return None
    minutes = signs[:, :MINUTE_LENGTH].copy().view(f"S{MINUTE_LENGTH}").ravel()
    try:
        local = minutes.astype("datetime64[m]")
    except ValueError:
        return None
    return local.astype(np.int64) - IST_AHEAD


def _prices_at_once(bars: Sequence[Sequence[Any]]) -> Sequence[Sequence[float]] | None:
    """Columns of open, high, low and close, if each of them can be."""
    types = set(map(type, chain(*bars)))
    if not types <= {float, int}:
        return None
    try:
        prices = np.array(bars, dtype=np.float64)
    except OverflowError:
        return None
    opened, high, low, close = prices
    good = (low <= opened) & (low <= close) & (opened <= high) & (close <= high)
    if not (good & (low >= SMALLEST_PRICE) & (high <= LARGEST_PRICE)).all():
        return None
    columns: Sequence[Sequence[float]] = bars if types == {float} else prices.tolist()
    return columns


def _are_quantities(column: Sequence[Any]) -> bool:
    return set(map(type, column)) == {int} and min(column) >= 0 and max(column) <= LARGEST_QUANTITY


def _fit(starts: Ints, requested: _Requested) -> bool:
    """Whether *starts* go on in time, each once, within the requested days."""
    return bool(
        (np.diff(starts) > 0).all()
        and requested.first <= starts[0]
        and starts[-1] < requested.end
        and not (requested.daily and ((starts + IST_AHEAD) % MINUTES_OF_DAY).any())
    )


def _one_by_one(rows: list[Any], requested: _Requested) -> Read:
    """The same for rows of any form and order."""
    counts: Counter[str] = Counter()
    found: dict[int, list[Candle]] = {}
    for row in rows:
        try:
            candle = _candle(row, requested)
        except BadRecord as bad:
            counts[bad.message] += 1
        else:
            found.setdefault(candle[0], []).append(candle)
    good: list[Candle] = []
    for _, same in sorted(found.items()):
        if same.count(same[0]) == len(same):
            good.append(same[0])
        else:
            counts[CONTRADICTED] += len(same)
    lacking = sum(candle[-1] is None for candle in good)
    if lacking:
        counts[NO_OPEN_INTEREST] = lacking
    columns = tuple(map(list, zip(*good, strict=True))) or tuple([] for _ in range(COLUMNS))
    return columns, counts


def _candle(row: Any, requested: _Requested) -> Candle:
    """One row. Raises BadRecord, whose text is one of the reasons above."""
    if not isinstance(row, list) or len(row) not in (COLUMNS, COLUMNS - 1):
        raise BadRecord(NO_ROW)
    # The provider leaves out the open interest, or sends null, where it has none.
    stamp, *prices, volume, oi = row if len(row) == COLUMNS else [*row, None]
    start = _start(stamp)
    if not requested.first <= start < requested.end:
        raise BadRecord(OF_ANOTHER_DAY)
    if requested.daily and (start + IST_AHEAD) % MINUTES_OF_DAY:
        raise BadRecord(NO_MIDNIGHT)
    if start > requested.latest:
        raise BadRecord(NOT_OVER_YET)
    return (start, *read_prices(prices), read_units(volume), _open_interest(oi))


def _open_interest(value: Any) -> int | None:
    """None where it is missing or cannot be: it must not cost the prices."""
    try:
        return read_units(value)
    except BadRecord:
        return None


def read_prices(values: Sequence[Any]) -> tuple[float, float, float, float]:
    """Open, high, low and close in rupees. Raises BadRecord."""
    try:
        opened, high, low, close = (read_number(value, "price") for value in values)
    except BadRecord:
        raise BadRecord(NO_PRICE) from None
    if (
        min(opened, high, low, close) < SMALLEST_PRICE
        or max(opened, high, low, close) > LARGEST_PRICE
    ):
        raise BadRecord(NO_PRICE)
    if not (low <= opened <= high and low <= close <= high):
        raise BadRecord(NO_ORDER)
    return opened, high, low, close


def read_units(value: Any) -> int:
    """A number of shares. Raises BadRecord."""
    try:
        return read_quantity(value, "quantity")
    except BadRecord:
        raise BadRecord(NO_QUANTITY) from None


def _start(stamp: Any) -> int:
    try:
        at = datetime.fromisoformat(stamp)
        start, rest = divmod(at - EPOCH, MINUTE)
    except (TypeError, ValueError):
        # TypeError: no text at all, or a time without its offset.
        raise BadRecord(NO_STAMP) from None
    if rest:
        raise BadRecord(NO_STAMP)
    return start
