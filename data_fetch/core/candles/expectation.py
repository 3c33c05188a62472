"""What is expected of an instrument, and what the ledger knows of it, day by day.

The calendar says which minutes are expected; the instrument, how it is traded and, for a
contract, from when until when. Days that the ledger has no row for were never asked about.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from data_fetch.core.candles.candles import CandleInterval, expected_spans
from data_fetch.core.candles.coverage import DayCoverage, refitted, unasked
from data_fetch.core.clock import IST
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar, Session, group_of
from data_fetch.core.market.session import instant_of, minute_number

DAY = timedelta(days=1)
# A bar is published some seconds after its minute, a day's last ones some minutes after it.
PUBLISHED_AFTER = timedelta(seconds=30)
FINISHED_AFTER = timedelta(minutes=5)
# From its midnight until the row of a whole day may be taken for the last word on it: no venue
# trades after 15:40 on an ordinary day, and auction prices are out before.
DAY_IS_OVER = timedelta(hours=15, minutes=45)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is expected as of the instant *now*.

    *listed* holds the first day of contracts, by instrument key: nothing is expected of a
    contract before it was listed. Other instruments are expected as far back as asked.
    """

    calendar: MarketCalendar
    now: datetime
    listed: Mapping[str, date] = field(default_factory=dict)

    @property
    def today(self) -> date:
        return self.now.astimezone(IST).date()

    def sessions(self, instrument: Instrument, first: date, last: date) -> Iterator[Session]:
        """The days on which *instrument* trades, oldest first.

        Raises CalendarUnknown for a date outside the calendar.
        """
        group = group_of(instrument)
        day = max(first, self.listed.get(instrument.instrument_key, first))
        last = min(last, self.today, instrument.expiry or last)
        while day <= last:
            session = self.calendar.session(day, group)
            if session.open:
                yield session
            day += DAY

    def days(
        self,
        instrument: Instrument,
        interval: CandleInterval,
        first: date,
        last: date,
        ledger: Mapping[tuple[str, date], DayCoverage],
    ) -> Iterator[DayCoverage]:
        """Every trading day of *instrument* up to today, as the ledger and the time have it."""
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
        """One day, as the ledger's row (if there is one) and the time have it."""
        expected, due = expected_spans(session, interval), self.due(session, interval)
        if known is None:
            return unasked(instrument_key, interval, session.day, expected, due)
        return refitted(known, expected, due)

    def due(self, session: Session, interval: CandleInterval) -> int:
        """The minute number before which every candle of *session* should be out."""
        if interval is CandleInterval.MINUTE:
            return minute_number(self.now - PUBLISHED_AFTER)
        ((midnight, after),) = expected_spans(session, interval) or ((0, 0),)
        is_over = self.now >= instant_of(midnight) + DAY_IS_OVER
        return after if is_over and self.finished(session) else midnight

    def finished(self, session: Session) -> bool:
        """Whether all of *session*, its closing auction included, is over and published."""
        over = max(end for _, end in (*session.spans, *session.auction_spans))
        return self.now >= instant_of(over) + FINISHED_AFTER
