"""The days of an order that a request could improve, by the coverage ledger."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from data_fetch.core.candles.candles import CandleInterval, expected_spans
from data_fetch.core.candles.coverage import (
    REQUESTED_AGAIN,
    DayCoverage,
    State,
    needs_request,
)
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.candles.request_planner import Need
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar, Session
from data_fetch.core.ports import Clock
from data_fetch.core.spans import Spans, common, count
from data_fetch.storage.candles.coverage import UnsettledDays
from data_fetch.storage.candles.histories import History
from data_fetch.storage.candles.repository import CandleRepository

# Clock corrections are smaller; a paper market is set back by more.
CLOCKS_DIFFER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillOrder:
    """The days to complete: those of *instruments* from *first* to *last*, both included.

    *listed* has the first day of contracts. With *retry_failed* days are requested again before
    the time of their next attempt.
    """

    instruments: Sequence[Instrument]
    interval: CandleInterval
    first: date
    last: date
    retry_failed: bool = False
    listed: Mapping[str, date] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MissingDay:
    """A day that a request could improve; its *missed_spans* are to be fetched.

    Nothing is *expected* of a day before the first candle.
    """

    need: Need
    missed_spans: Spans
    expected: bool
    next_attempt: datetime | None

    @property
    def missed(self) -> int:
        return count(self.missed_spans)

    def missed_before(self, due: int) -> int:
        """How many of the missed minutes begin before the minute *due*."""
        return (
            count(common(self.missed_spans, ((self.missed_spans[0][0], due),)))
            if self.missed_spans
            else 0
        )


class MissingDays:
    """Compares orders with the ledger of *repository*, as of the time of *clock*."""

    def __init__(
        self, repository: CandleRepository, calendar: MarketCalendar, clock: Clock
    ) -> None:
        self._repository = repository
        self._calendar = calendar
        self._clock = clock

    def expectation(self, order: BackfillOrder) -> Expectation:
        """What is expected of *order* now."""
        return Expectation(self._calendar, self._clock.now(), order.listed)

    def needs(
        self, order: BackfillOrder, expectation: Expectation
    ) -> tuple[list[Need], list[datetime]]:
        """The days of *order* to request now, and when the others are to be requested again."""
        needs: list[Need] = []
        waiting: list[datetime] = []
        for day in self.days(order, expectation):
            if day.next_attempt and day.next_attempt > expectation.now and not order.retry_failed:
                if day.expected:
                    waiting.append(day.next_attempt)
            else:
                needs.append(day.need)
        return needs, waiting

    def days(self, order: BackfillOrder, expectation: Expectation) -> Iterator[MissingDay]:
        """The days that a request could improve, by the ledger and the time of day."""
        found = self._repository.histories(
            order.instruments, order.interval, order.first, order.last
        )
        expectation = replace(expectation, periods=found.periods)
        ledger = self._repository.unsettled(found.keys, order.interval, order.first, order.last)
        for one in self._repository.with_auction_history(found.instruments):
            for session in expectation.sessions(one, order.first, order.last):
                yield from _missing_day(ledger, expectation, order.interval, one, session)
        for history in found.of:
            yield from self._doubtful_days(order, ledger, history)

    def _doubtful_days(
        self, order: BackfillOrder, ledger: UnsettledDays, history: History
    ) -> Iterator[MissingDay]:
        """Days of a former key without candles: the next key's history may reach back to them."""
        expectation = self.expectation(order)
        for period, successor in history.former_periods:
            for session in expectation.sessions(successor, period.first, period.last):
                if ledger.has_candles(period.instrument_key, session.day):
                    continue
                for day in _missing_day(ledger, expectation, order.interval, successor, session):
                    yield replace(day, missed_spans=(), expected=False)

    def missed_minutes(self, order: BackfillOrder) -> int:
        """How many minutes (days, for the interval `day`) of *order* are still to be fetched."""
        return sum(day.missed for day in self.days(order, self.expectation(order)))

    def unexplained_minutes(self, order: BackfillOrder) -> int:
        """How many minutes of *order* are due, have no candle and were never requested."""
        first, last = order.first, order.last
        found = self._repository.histories(order.instruments, order.interval, first, last)
        expectation = replace(self.expectation(order), periods=found.periods)
        ledger = self._repository.unsettled(found.keys, order.interval, first, last)
        return sum(
            day.minutes(State.MISSED)
            for instrument in self._repository.with_auction_history(found.instruments)
            for day in expectation.days(instrument, order.interval, first, last, ledger.days)
            if day.last_attempt is None and (day.instrument_key, day.day) not in ledger.settled
        )


def _missing_day(
    ledger: UnsettledDays,
    expectation: Expectation,
    interval: CandleInterval,
    instrument: Instrument,
    session: Session,
) -> Iterator[MissingDay]:
    """The day of *session*, if a request could improve it."""
    length = _length(session, interval)
    place = (instrument.instrument_key, session.day)
    known = ledger.days.get(place)
    if ledger.settled.get(place) == length:
        return
    if known is None and session.day < expectation.today:
        # Never requested, as years of days are: the ledger has no row to look at.
        need = Need(instrument, session.day, length)
        spans = expected_spans(session, interval)
        yield MissingDay(need, spans, expected=True, next_attempt=None)
        return
    day = expectation.day(instrument.instrument_key, interval, session, known)
    if needs_request(day, expectation.today):
        yield MissingDay(
            Need(instrument, session.day, _missing_minutes(day)),
            day.spans(State.MISSED),
            expected=bool(day.expected),
            next_attempt=_waiting(day, expectation.now),
        )


def _missing_minutes(known: DayCoverage) -> int:
    """How many minutes of a day a request is for."""
    return known.minutes(*REQUESTED_AGAIN) or count(known.provisional)


def _waiting(known: DayCoverage, now: datetime) -> datetime | None:
    """The next attempt; None when the last one is later than now: the clock was set back."""
    set_back = known.last_attempt is not None and known.last_attempt > now + CLOCKS_DIFFER
    return None if set_back else known.next_attempt


def _length(session: Session, interval: CandleInterval) -> int:
    return session.expected_minutes if interval is CandleInterval.MINUTE else 1
