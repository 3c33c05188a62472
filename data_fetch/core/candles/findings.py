"""What an audit finds on a stored day. Pure: the stored rows and the ledger row are arguments."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from data_fetch.core.candles.candles import (
    ROWS_AFTER_TRADING,
    CandleBlock,
    Kind,
    auction_tail,
    placed,
)
from data_fetch.core.candles.coverage import DayCoverage, State, needs_request
from data_fetch.core.candles.day_counts import DayCounts
from data_fetch.core.clock import IST
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.session import Session, instant_of
from data_fetch.core.market.table import Segment
from data_fetch.core.spans import Spans, common, count, joined, without

SAMPLES = 3
HALF_A_PAISA = 0.005


class FindingKind(StrEnum):
    """What is wrong with a stored day."""

    MINUTES = "minutes"
    COUNTS = "counts"
    FINALITY = "finality"
    KINDS = "kinds"
    AUCTION = "auction"
    OUTSIDE = "outside_sessions"
    CONTRADICTION = "contradiction"
    DAY_CANDLE = "day_candle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One kind of fault on one day of one instrument: how many times, with the first few."""

    kind: FindingKind
    instrument: Instrument
    day: date
    count: int
    samples: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A day for which the ledger differs from the candles. Minutes as spans."""

    instrument: Instrument
    day: date
    ledger_present: int
    candles_present: int
    only_in_ledger: Spans
    only_in_candles: Spans


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerClaims:
    """A ledger row as it is stored: its count columns, the counts of its intervals (None if they
    cannot be read), and what contradicts itself."""

    counts: DayCounts
    of_intervals: DayCounts | None
    contradictions: Sequence[str]

    @property
    def sound(self) -> bool:
        return self.counts == self.of_intervals and not self.contradictions


@dataclass(frozen=True, slots=True)
class DayValues:
    """Volume and extreme prices (rupees) of one instrument on one day."""

    volume: int
    high: float
    low: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDay:
    """One day of an instrument: what its ledger row claims, and its candles.

    *known* is the row brought up to date, without what contradicts itself; *claims* is None
    without a row. *stored* are the minutes of the session that have a candle, *final* those of
    them that are confirmed. *rows* has all candles of the day if their kinds are in doubt. *over*:
    the day, its auction included, is over and published.
    """

    instrument: Instrument
    session: Session
    trading: Spans
    claims: LedgerClaims | None
    known: DayCoverage
    stored: Spans
    final: Spans
    rows: CandleBlock | None
    over: bool
    today: date

    @property
    def difference(self) -> Difference | None:
        """The minutes that only one of ledger and candles has."""
        present = self.known.spans(State.PRESENT)
        if present == self.stored:
            return None
        return Difference(
            instrument=self.instrument,
            day=self.session.day,
            ledger_present=count(present),
            candles_present=count(self.stored),
            only_in_ledger=without(present, self.stored),
            only_in_candles=without(self.stored, present),
        )

    @property
    def wrong_kinds(self) -> Mapping[int, Kind]:
        """The rows of another kind than their session gives them, with that one."""
        stored = self._stored_kinds
        return {
            start: kind
            for start, kind in self._kinds_of_session.items()
            if stored[start] != kind and self._is_certain(start)
        }

    @property
    def lacks_its_auction(self) -> bool:
        """Whether the auction of the day can only be had from the provider again."""
        return self._auction_fault({**self._stored_kinds, **self.wrong_kinds}) is not None

    def findings(self) -> Iterator[Finding]:
        for kind, samples in self._faults():
            yield _finding(kind, self.instrument, self.session.day, len(samples), samples)
        for kind, spans in self._faulty_minutes():
            if spans:
                texts = map(_span_text, spans)
                yield _finding(kind, self.instrument, self.session.day, count(spans), texts)

    def _faulty_minutes(self) -> Iterator[tuple[FindingKind, Spans]]:
        difference = self.difference
        if difference is not None:
            only = (*difference.only_in_ledger, *difference.only_in_candles)
            yield FindingKind.MINUTES, joined(only)
        both = common(self.known.spans(State.PRESENT), self.stored)
        provisional, unconfirmed = common(self.known.provisional, both), without(both, self.final)
        yield (
            FindingKind.FINALITY,
            joined((*without(provisional, unconfirmed), *without(unconfirmed, provisional))),
        )

    def _faults(self) -> Iterator[tuple[FindingKind, Sequence[str]]]:
        if self.claims is not None:
            miscounted = _miscounted(self.claims)
            if miscounted:
                yield FindingKind.COUNTS, miscounted
            if self.claims.contradictions:
                yield FindingKind.CONTRADICTION, self.claims.contradictions
        kinds = [
            f"{_time_text(start)} {self._stored_kinds[start]} instead of {kind}"
            for start, kind in self.wrong_kinds.items()
        ]
        if kinds:
            yield FindingKind.KINDS, kinds
        fault = self._auction_fault(self._stored_kinds)
        if fault is not None:
            yield FindingKind.AUCTION, [fault]

    @property
    def _confirmed(self) -> bool:
        return self.over and not self.known.provisional

    @property
    def _stored_kinds(self) -> Mapping[int, Kind]:
        return {} if self.rows is None else _kinds(self.rows)

    @property
    def _kinds_of_session(self) -> Mapping[int, Kind]:
        if self.rows is None:
            return {}
        unplaced = replace(self.rows, kinds=[Kind.TRADED] * len(self.rows))
        return _kinds(placed(unplaced, lambda _: self.session).block)

    def _is_certain(self, start: int) -> bool:
        """Whether the kind of a row is known: after trading, when the day is confirmed.

        The kind of an index row after trading follows from the row before it.
        """
        if _is_in(start, self.trading):
            return True
        of_index = self.session.group.segment is Segment.INDEX
        return self._confirmed and (not of_index or start - 1 in self._stored_kinds)

    def _auction_fault(self, kinds: Mapping[int, Kind]) -> str | None:
        """What is wrong with the auction of a day that no request would change any more.

        A name without an auction price has all the rows that the provider fills in.
        """
        tail = auction_tail(self.session, self.known.interval)
        settled = self._confirmed and not needs_request(self.known, self.today)
        if self.rows is None or not (tail and settled and self.known.minutes(State.PRESENT)):
            return None
        after = [kind for start, kind in kinds.items() if _is_in(start, tail)]
        if after.count(Kind.AUCTION) > 1:
            return "more than one auction row"
        if Kind.AUCTION not in after and len(after) < ROWS_AFTER_TRADING:
            return "no auction row"
        return None


def outside_finding(instrument: Instrument, day: date, starts: Sequence[int]) -> Finding:
    """Candles of *day* that lie in no session of the instrument."""
    texts = [_time_text(start) for start in starts]
    return _finding(FindingKind.OUTSIDE, instrument, day, len(starts), texts)


def closed_finding(instrument: Instrument, day: date, present: int) -> Finding:
    """A ledger row that counts candles of a day without a session."""
    text = f"{present} present on a day without a session"
    return _finding(FindingKind.CONTRADICTION, instrument, day, 1, [text])


def day_candle_finding(
    instrument: Instrument, day: date, candle: DayValues, of_minutes: DayValues
) -> Finding | None:
    """A candle of a whole day that cannot be that of its confirmed minutes; None if it can be.

    The candle has the trades outside of its minutes as well, so it may exceed them. One of another
    day, as a provider once sent them, falls short of them sooner or later.
    """
    faults = []
    if candle.volume < of_minutes.volume:
        faults.append(f"volume {candle.volume} is below {of_minutes.volume} in its minutes")
    if candle.high < of_minutes.high - HALF_A_PAISA:
        faults.append(f"high {candle.high:g} is below {of_minutes.high:g} in its minutes")
    if candle.low > of_minutes.low + HALF_A_PAISA:
        faults.append(f"low {candle.low:g} is above {of_minutes.low:g} in its minutes")
    if not faults:
        return None
    return _finding(FindingKind.DAY_CANDLE, instrument, day, len(faults), faults)


def _finding(
    kind: FindingKind, instrument: Instrument, day: date, times: int, samples: Iterable[str]
) -> Finding:
    few = tuple(samples)[:SAMPLES]
    return Finding(kind=kind, instrument=instrument, day=day, count=times, samples=few)


def _miscounted(claims: LedgerClaims) -> Sequence[str]:
    if claims.of_intervals is None:
        return ()
    columns = zip(DayCounts._fields, claims.counts, claims.of_intervals, strict=True)
    return [f"{name} {stored} for {true}" for name, stored, true in columns if stored != true]


def _kinds(rows: CandleBlock) -> Mapping[int, Kind]:
    return dict(zip(rows.starts, rows.kinds, strict=True))


def _is_in(minute: int, spans: Spans) -> bool:
    return any(first <= minute < end for first, end in spans)


def _time_text(minute: int) -> str:
    return f"{instant_of(minute).astimezone(IST):%H:%M}"


def _span_text(span: tuple[int, int]) -> str:
    return f"{_time_text(span[0])}-{_time_text(span[1])}"
