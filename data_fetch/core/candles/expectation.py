"""The expected minutes of an instrument and their coverage, day by day.

The calendar determines which minutes are expected; the instrument determines how it is traded
and, for a contract, its first and last day. No request covered the days that have no row in the
ledger.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from data_fetch.core.candles.candles import CandleBlock, CandleInterval, expected_spans
from data_fetch.core.candles.coverage import DayCoverage, never_requested, refitted
from data_fetch.core.clock import IST
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.lineage import KeyPeriod
from data_fetch.core.market.calendar import (
    MarketCalendar,
    Segment,
    Session,
    TradingGroup,
    group_of,
)
from data_fetch.core.market.session import instant_of, minute_number
from data_fetch.core.spans import Spans

DAY = timedelta(days=1)
# A candle is published some seconds after its minute, the last ones of a day some minutes after.
PUBLISHED_AFTER = timedelta(seconds=30)
FINISHED_AFTER = timedelta(minutes=5)
# From its midnight until the candle of a whole day can be taken as final: nothing trades after
# 15:40 on an ordinary day, and auction prices are published before.
DAY_IS_OVER = timedelta(hours=15, minutes=45)


SEGMENTS_AS_TRADED = [TradingGroup(segment, auction=False) for segment in Segment]


@dataclass(frozen=True, slots=True)
class Expectation:
    """The expected candles as of the instant *now*.

    *listed* holds the first day of contracts, by instrument key: nothing is expected of a
    contract before it was listed. Other instruments are expected as far back as requested.
    *periods* has the days of each key of an instrument that has had several: nothing is
    expected under a key on the days of another.
    """

    calendar: MarketCalendar
    now: datetime
    listed: Mapping[str, date] = field(default_factory=dict)
    periods: Mapping[str, Sequence[KeyPeriod]] = field(default_factory=dict)

    @property
    def today(self) -> date:
        return self.now.astimezone(IST).date()

    def session(self, instrument: Instrument, day: date) -> Session:
        """The session of *instrument* on *day*, open or not.

        Raises CalendarUnknown for a date outside the calendar.
        """
        return self.calendar.session(day, group_of(instrument, day))

    def sessions(self, instrument: Instrument, first: date, last: date) -> Iterator[Session]:
        """The days on which *instrument* trades, oldest first.

        Raises CalendarUnknown for a date outside the calendar.
        """
        day = max(first, self.listed.get(instrument.instrument_key, first))
        last = min(last, self.today, instrument.expiry or last)
        periods = self.periods.get(instrument.instrument_key)
        while day <= last:
            session = self.session(instrument, day)
            held = periods is None or any(one.first <= day <= one.last for one in periods)
            if held and session.open:
                yield session
            day += DAY

    def provisional_sessions(self, first: date, last: date) -> list[date]:
        """The trading days of the range, up to today, whose hours are not reviewed."""
        day, last = max(first, self.calendar.reviewed_from), min(last, self.today)
        found = []
        while day <= last:
            sessions = [self.calendar.session(day, group) for group in SEGMENTS_AS_TRADED]
            if any(session.open and session.provisional for session in sessions):
                found.append(day)
            day += DAY
        return found

    def days(
        self,
        instrument: Instrument,
        interval: CandleInterval,
        first: date,
        last: date,
        ledger: Mapping[tuple[str, date], DayCoverage],
    ) -> Iterator[DayCoverage]:
        """Every trading day of *instrument* up to today, from the ledger and the time."""
        key = instrument.instrument_key
        for session in self.sessions(instrument, first, last):
            yield self.day(key, interval, session, ledger.get((key, session.day)))

    def day(
        self,
        instrument_key: str,
        interval: CandleInterval,
        session: Session,
        known: DayCoverage | None,
    ) -> DayCoverage:
        """The coverage of one day, from its row in the ledger (None without one) and the time."""
        expected, due = expected_spans(session, interval), self.due(session, interval)
        return day_by(instrument_key, interval, session.day, known, expected, due)

    def due(self, session: Session, interval: CandleInterval) -> int:
        """The minute number before which every candle of *session* should be published."""
        if interval is CandleInterval.MINUTE:
            return minute_number(self.now - PUBLISHED_AFTER)
        ((midnight, after),) = expected_spans(session, interval) or ((0, 0),)
        day_is_over = self.now >= instant_of(midnight) + DAY_IS_OVER
        return after if day_is_over and self.finished(session) else midnight

    def published(self, block: CandleBlock, instrument: Instrument) -> CandleBlock:
        """*block* without the candle of a whole day whose session is not over: it still changes."""
        last = block.starts[-1] if len(block.starts) else None
        if block.interval is not CandleInterval.DAY or last is None:
            return block
        # Only the newest row can be of today.
        day = instant_of(last).astimezone(IST).date()
        session = self.calendar.session(day, group_of(instrument, day))
        if not session.open or last < self.due(session, block.interval):
            return block
        return block.chosen(range(len(block.starts) - 1))

    def has_all(self, session: Session, interval: CandleInterval, arrived: Spans) -> bool:
        """Whether *session* is over and *arrived* are all the candles that it expects."""
        return arrived == expected_spans(session, interval) and self.finished(session)

    def finished(self, session: Session) -> bool:
        """Whether all of *session*, its closing auction included, is over and published."""
        end_of_day = max(end for _, end in (*session.spans, *session.auction_spans))
        return self.now >= instant_of(end_of_day) + FINISHED_AFTER


def day_by(
    instrument_key: str,
    interval: CandleInterval,
    day: date,
    known: DayCoverage | None,
    expected: Spans,
    due: int,
) -> DayCoverage:
    """The coverage of a day on which *expected* is expected, from its row in the ledger (None
    without one): what it lacks before the minute *due* is missed."""
    if known is None:
        return never_requested(instrument_key, interval, day, expected, due)
    return refitted(known, expected, due)
