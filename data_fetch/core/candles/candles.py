"""Candles, and how they fit the trading day. In columns, because there are millions of them.

A candle is stamped at its start. Starts are whole minutes since 1970 UTC; a `day` candle
starts at midnight in India. Prices are rupees, volume and open interest units (shares).
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum

from data_fetch.core.batches import BatchResult
from data_fetch.core.errors import DataFetchError
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.session import (
    EPOCH_DAY,
    IST_AHEAD,
    MINUTES_OF_DAY,
    Session,
    midnight_number,
)
from data_fetch.core.market.table import Segment
from data_fetch.core.spans import Spans, joined, spans_of

# On auction days the provider's rows go on after continuous trading, to the hour at which shares
# used to close: one of them, at 15:28 or 15:29, is the auction.
ROWS_AFTER_TRADING = 15


class CandleInterval(StrEnum):
    """The time that one candle covers, as users write it."""

    MINUTE = "1minute"
    DAY = "day"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentDays:
    """Whole days of one instrument, from *first* to *last*, both included."""

    instrument: Instrument
    interval: CandleInterval
    first: date
    last: date

    @property
    def days(self) -> int:
        """The number of calendar days."""
        return (self.last - self.first).days + 1


class Kind(StrEnum):
    """What a candle stands for.

    Between the end of continuous trading and the price of the closing auction the provider
    fills in flat rows: those are *carried*. The *auction* row is the whole closing auction.
    """

    TRADED = "traded"
    CARRIED = "carried"
    AUCTION = "auction"


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleBlock:
    """Candles of one instrument as columns of equal length, oldest first, one per start.

    Every row was checked when it was parsed. An open interest is None when it is not known.
    """

    instrument_key: str
    interval: CandleInterval
    starts: Sequence[int]
    open: Sequence[float]
    high: Sequence[float]
    low: Sequence[float]
    close: Sequence[float]
    volume: Sequence[int]
    oi: Sequence[int | None]
    kinds: Sequence[Kind]

    def __len__(self) -> int:
        return len(self.starts)

    def chosen(self, rows: Sequence[int]) -> "CandleBlock":
        """The rows at these positions, in that order."""
        return replace(
            self,
            starts=[self.starts[row] for row in rows],
            open=[self.open[row] for row in rows],
            high=[self.high[row] for row in rows],
            low=[self.low[row] for row in rows],
            close=[self.close[row] for row in rows],
            volume=[self.volume[row] for row in rows],
            oi=[self.oi[row] for row in rows],
            kinds=[self.kinds[row] for row in rows],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """The origin of candles. *is_final*: they are from the provider's history.

    *fetched_at* is when these values were first received: finalising unchanged values keeps it.
    """

    source: str
    is_final: bool
    fetched_at: datetime
    run_id: str


def no_candles(instrument_key: str, interval: CandleInterval) -> CandleBlock:
    """A block without rows."""
    return CandleBlock(
        instrument_key=instrument_key,
        interval=interval,
        starts=(),
        open=(),
        high=(),
        low=(),
        close=(),
        volume=(),
        oi=(),
        kinds=(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleReply:
    """The result of requesting one window of candles.

    It is *complete* when it proves that the provider has no candles but these. *rejected_rows*
    counts the rows that were not used, by reason; *without_open_interest* counts candles that lack
    only that, *still_forming* those still in progress.
    *problem* is why there is no response at all; *too_long* if the window was the reason.
    """

    block: CandleBlock
    complete: bool
    rejected_rows: Mapping[str, int] = field(default_factory=dict)
    without_open_interest: int = 0
    still_forming: int = 0
    problem: DataFetchError | None = None
    too_long: bool = False
    requests: int
    received_at: datetime


# One block of one candle for each key; a key without a candle of today is absent.
OhlcResponse = BatchResult[CandleBlock]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCandles:
    """The candles that lie inside their sessions, with their kinds.

    *days* holds the spans of expected minutes that have a candle, for each date with any;
    carried and auction rows are in *block* and in no span. *outside* counts, by date, the
    rows outside of every session; they are not in *block*. *auction_days*: whether a stock took
    part in the closing auction, for the days on which its rows show what was not known.
    """

    block: CandleBlock
    days: Mapping[date, Spans]
    outside: Mapping[date, int] = field(default_factory=dict)
    auction_days: Mapping[date, bool] = field(default_factory=dict)


def placed(block: CandleBlock, session_on: Callable[[date], Session]) -> SessionCandles:
    """Assign the candles of *block* to the sessions of its instrument.

    *session_on* returns the session of a date and may raise CalendarUnknown.
    """
    starts, kinds = block.starts, list(block.kinds)
    kept: list[int] = []
    days: dict[date, Spans] = {}
    outside: Counter[date] = Counter()
    for day, row, end in rows_by_day(starts):
        session = session_on(day)
        expected = expected_spans(session, block.interval)
        inside = _rows_in(starts, expected, row, end)
        tail = auction_rows(block, session, row, end)
        for position in tail:
            kinds[position] = auction_kind(block, position, session)
        if inside:
            days[day] = spans_of([starts[position] for position in inside])
        belonging = [*inside, *tail]
        kept += belonging
        if len(belonging) < end - row:
            outside[day] = end - row - len(belonging)
    fitted = replace(block, kinds=kinds)
    return SessionCandles(
        block=fitted if len(kept) == len(starts) else fitted.chosen(kept),
        days=days,
        outside=outside,
    )


def rows_by_day(starts: Sequence[int]) -> Iterator[tuple[date, int, int]]:
    """Each Indian day that has any of *starts*, with its first position and the one after its
    last."""
    row = 0
    while row < len(starts):
        number = (starts[row] + IST_AHEAD) // MINUTES_OF_DAY
        end = bisect_left(starts, (number + 1) * MINUTES_OF_DAY - IST_AHEAD, row)
        yield date.fromordinal(number + EPOCH_DAY), row, end
        row = end


def expected_spans(session: Session, interval: CandleInterval) -> Spans:
    """The starts at which a candle is expected: minutes of continuous trading, or midnight."""
    if interval is CandleInterval.MINUTE:
        return joined(session.spans)
    midnight = midnight_number(session.day)
    return ((midnight, midnight + 1),) if session.open else ()


def _rows_in(starts: Sequence[int], spans: Spans, row: int, end: int) -> Sequence[int]:
    """The positions from *row* to *end* whose start lies in *spans*."""
    if len(spans) == 1:
        # Nearly every day has one trading window, so its rows are one range.
        first = bisect_left(starts, spans[0][0], row, end)
        return range(first, bisect_left(starts, spans[0][1], first, end))
    return [
        position
        for first, last in spans
        for position in range(
            bisect_left(starts, first, row, end), bisect_left(starts, last, row, end)
        )
    ]


def auction_rows(block: CandleBlock, session: Session, row: int, end: int) -> Sequence[int]:
    """The positions from *row* to *end* between continuous trading and the auction's price."""
    return _rows_in(block.starts, auction_tail(session, block.interval), row, end)


def auction_tail(session: Session, interval: CandleInterval) -> Spans:
    """The minutes from the end of continuous trading to the price of the closing auction."""
    if session.auction is None or not session.spans or interval is CandleInterval.DAY:
        return ()
    return ((session.spans[-1][1], session.auction_spans[0][0]),)


def auction_kind(block: CandleBlock, row: int, session: Session) -> Kind:
    """CARRIED for a flat row without volume. An index has no volume: its price must move."""
    price = block.close[row]
    flat = block.open[row] == block.high[row] == block.low[row] == price
    if not flat or block.volume[row]:
        return Kind.AUCTION
    same_day = row > 0 and block.starts[row - 1] >= session.spans[0][0]
    moved = same_day and price != block.close[row - 1]
    return Kind.AUCTION if session.group.segment is Segment.INDEX and moved else Kind.CARRIED
