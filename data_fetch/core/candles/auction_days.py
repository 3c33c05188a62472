"""Whether a stock took part in the closing auction of a day, by its candles. Pure.

The provider fills the auction in with flat rows without volume, and has all of it in one flat row
at 15:28 or 15:29. A stock in continuous trading has trades in several of these minutes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date

from data_fetch.core.candles.candles import (
    CandleBlock,
    CandleInterval,
    SessionCandles,
    auction_rows,
    placed,
    rows_by_day,
)
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import F_AND_O_STOCK, OTHER_STOCK, MarketCalendar, group_of
from data_fetch.core.market.session import Session

# The auction ends at random in the last two minutes of the ordinary hours.
RANDOM_CLOSE = 2


def placed_for(
    instrument: Instrument, block: CandleBlock, calendar: MarketCalendar
) -> SessionCandles:
    """The candles of *block* in the sessions that *instrument* had by what its rows show.

    Raises CalendarUnknown for a date outside the calendar.
    """
    shown = auction_days_shown(block, instrument, calendar)
    dated = instrument.with_auction_days(shown)
    candles = placed(block, lambda day: calendar.session(day, group_of(dated, day)))
    return replace(candles, auction_days=shown)


def auction_days_shown(
    block: CandleBlock, instrument: Instrument, calendar: MarketCalendar
) -> dict[date, bool]:
    """The days on which the rows of *block* show other eligibility than *instrument* has.

    Several rows with trades are continuous trading, whatever a master has: an auction has one.
    That a day had the auction is believed only where no master shows that day.
    """
    if instrument.segment != "NSE_EQ" or block.interval is not CandleInterval.MINUTE:
        return {}
    shown = _shown(block, instrument, calendar)
    return {day: found for day, found in shown if found is not instrument.in_auction_on(day)}


def _shown(
    block: CandleBlock, instrument: Instrument, calendar: MarketCalendar
) -> Iterator[tuple[date, bool]]:
    for day, row, end in rows_by_day(block.starts):
        session = calendar.session(day, F_AND_O_STOCK)
        tail = auction_rows(block, session, row, end)
        traded = [place for place in tail if block.volume[place]]
        if len(traded) > 1:
            yield day, False
        elif traded and not instrument.auction.seen(day):
            closes = calendar.session(day, OTHER_STOCK).spans[-1][1]
            found = _by_single_trade(block, tail, traded[0], session, closes)
            if found is not None:
                yield day, found


def _by_single_trade(
    block: CandleBlock, tail: Sequence[int], traded: int, session: Session, closes: int
) -> bool | None:
    """Whether the only row with trades is that of an auction; None when it could be either."""
    start = block.starts[traded]
    if start < closes - RANDOM_CLOSE or block.high[traded] != block.low[traded]:
        return False
    filled_in = tail.index(traded)
    return True if filled_in == start - session.spans[-1][1] else None
