"""The session of one trading group on one date: its windows, minutes and slots.

A trading group is how an instrument is traded; `group_of` decides which instrument has which.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cached_property, lru_cache
from typing import NamedTuple

from data_fetch.core.clock import MINUTE
from data_fetch.core.errors import BadRecord
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.table import Segment, SegmentHours, TradingWindow

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_DAY = date(1970, 1, 1).toordinal()
MINUTES_OF_DAY = 24 * 60
# India has no daylight saving time, so a trading date begins this many minutes before its UTC day.
IST_AHEAD = 330
# What the instrument keys of a segment begin with.
KEY_PREFIXES = {Segment.CASH: "NSE_EQ|", Segment.FO: "NSE_FO|", Segment.INDEX: "NSE_INDEX|"}


class TradingGroup(NamedTuple):
    """How an instrument is traded: its segment, and whether the closing auction ends trading."""

    segment: Segment
    auction: bool


F_AND_O_STOCK = TradingGroup(Segment.CASH, auction=True)
OTHER_STOCK = TradingGroup(Segment.CASH, auction=False)
INDEX = TradingGroup(Segment.INDEX, auction=True)
INDIA_VIX = TradingGroup(Segment.INDEX, auction=False)
FUTURES_AND_OPTIONS = TradingGroup(Segment.FO, auction=False)

INDIA_VIX_KEY = "NSE_INDEX|India VIX"


def group_of(instrument: Instrument, day: date) -> TradingGroup:
    """The group of *instrument* on *day*: stocks join the closing auction and leave it.

    Raises BadRecord for a segment without trading hours.
    """
    match instrument.segment:
        case "NSE_EQ":
            return F_AND_O_STOCK if instrument.in_auction_on(day) else OTHER_STOCK
        case "NSE_INDEX":
            # Derived from option prices, it changes while the stocks are in their auction.
            return INDIA_VIX if instrument.instrument_key == INDIA_VIX_KEY else INDEX
        case "NSE_FO":
            return FUTURES_AND_OPTIONS
        case other:
            raise BadRecord(f"{instrument.instrument_key}: no trading hours of segment {other}")


@dataclass(frozen=True)
class Session:
    """One date of one trading group. *windows* are continuous trading; none when closed.

    *provisional*: the hours are the provider's or not announced yet, and are not reviewed.
    """

    day: date
    group: TradingGroup
    windows: tuple[TradingWindow, ...]
    auction: TradingWindow | None
    note: str
    provisional: bool

    @property
    def open(self) -> bool:
        return bool(self.windows)

    @property
    def expected_minutes(self) -> int:
        """Minutes of continuous trading; the auction is not counted."""
        return sum(end - start for start, end in self.spans)

    def minutes(self) -> list[datetime]:
        """The minutes of continuous trading, oldest first."""
        return list(_instants(self.spans))

    def slots(self) -> list[datetime]:
        """The slots for which a quote is due: every continuous minute, and one for the auction.

        The auction's slot is the minute in which its price is published (15:35).
        """
        return list(self.slot_instants)

    @property
    def slot_instants(self) -> tuple[datetime, ...]:
        return _instants((*self.spans, *self.auction_spans))

    @cached_property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """The windows in whole minutes since 1970 UTC, as `range` takes them."""
        return tuple(
            (self._number(window.start), self._number(window.end)) for window in self.windows
        )

    @cached_property
    def auction_spans(self) -> tuple[tuple[int, int], ...]:
        if self.auction is None:
            return ()
        published = self._number(self.auction.end)
        return ((published, published + 1),)

    def _number(self, moment: time) -> int:
        return midnight_number(self.day) + moment.hour * 60 + moment.minute


def session_of(day: date, group: TradingGroup, hours: SegmentHours) -> Session:
    """The session of *group* with its segment's *hours*: trading ends where the auction begins."""
    auction = hours.auction if group.auction else None
    windows = hours.windows
    if auction is not None:
        windows = tuple(
            TradingWindow(window.start, min(window.end, auction.start))
            for window in windows
            if window.start < auction.start
        )
    return Session(day, group, windows, auction, hours.note, hours.provisional)


def minute_number(at: datetime) -> int:
    """Whole minutes since 1970 UTC."""
    return (at - EPOCH) // MINUTE


def midnight_number(day: date) -> int:
    """The minute in which *day* begins in India, in whole minutes since 1970 UTC."""
    return (day.toordinal() - EPOCH_DAY) * MINUTES_OF_DAY - IST_AHEAD


def day_of(minute: int) -> date:
    """The date in India of a minute, given in whole minutes since 1970 UTC."""
    return date.fromordinal((minute + IST_AHEAD) // MINUTES_OF_DAY + EPOCH_DAY)


def instant_of(minute: int) -> datetime:
    """The first instant of a minute, given in whole minutes since 1970 UTC."""
    return EPOCH + minute * MINUTE


@lru_cache(maxsize=512)
def _instants(spans: tuple[tuple[int, int], ...]) -> tuple[datetime, ...]:
    return tuple(EPOCH + minute * MINUTE for first, end in spans for minute in range(first, end))
