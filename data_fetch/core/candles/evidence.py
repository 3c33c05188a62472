"""What stored rows prove about a day, and its ledger row after a request. Pure.

Two facts prove that a minute had no trade: the cumulative volume did not change between two
quotes, or the stored minutes of a finished day have the whole volume of that day. An index has no
volume, so nothing can be proved of it.

A response without any candle of a day proves nothing where stored rows show that there was trading.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Protocol

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.coverage import (
    DayCoverage,
    Proof,
    State,
    after_first_candle,
    before_first_candle,
    beside_first_candle,
    is_empty,
    needs_request,
    reopened,
    with_candles,
    with_contradicted_response,
    with_early_response,
    with_no_trade,
    with_response,
)
from data_fetch.core.candles.expectation import FINISHED_AFTER, Expectation
from data_fetch.core.candles.volume_proofs import VolumeSeen, holds_all_volume, still_spans
from data_fetch.core.market.calendar import Segment, Session
from data_fetch.core.market.session import instant_of, minute_number
from data_fetch.core.spans import Spans, without

BY_QUOTES, BY_DAY_VOLUME = "volume stood still between quotes", "the day's volume is all stored"
WITHOUT_THE_DAY = "the response has no candles of the day"
# Quotes and candles of the running day may be newer than what a response can have.
PUBLISHED_BY_THEN = FINISHED_AFTER


class StoredEvidence(Protocol):
    """What is stored beside the minutes of one instrument: volumes, and what others have."""

    def of_quotes(self, day: date) -> Sequence[VolumeSeen]:
        """The cumulative volumes in the quotes of that Indian day, in the order received."""

    def of_day_candle(self, day: date) -> int | None:
        """The volume of the candle of the whole day; None when there is none."""

    def of_minutes(self, session: Session) -> int:
        """The volume of all stored minutes of *session*."""

    def of_standing_feed(self, day: date) -> Spans:
        """The minutes of that Indian day in which no quote of any instrument changed."""

    def has_minutes(self, day: date) -> bool:
        """Whether any minute of that day is stored."""

    def has_older(self, day: date) -> bool:
        """Whether a day before that has a candle."""

    def prices_moved(self, session: Session) -> bool:
        """Whether the quotes of continuous trading in *session* have several prices."""


@dataclass(frozen=True, slots=True)
class VolumeEvidence:
    """Applies the proofs in *stored* to days of *interval*."""

    stored: StoredEvidence
    interval: CandleInterval
    run_id: str
    expectation: Expectation

    def applied(self, known: DayCoverage, session: Session) -> DayCoverage:
        """*known* with the minutes that are proved to have no trade."""
        minutes = self.interval is CandleInterval.MINUTE
        if not minutes or not _lacking(known) or session.group.segment is Segment.INDEX:
            return known
        opened = instant_of(session.spans[0][0])
        seen = [one for one in self.stored.of_quotes(session.day) if one.at >= opened]
        # Where no quote of any instrument changes, the feed stands still and not the trading.
        unchanged = still_spans(seen)
        if unchanged:
            unchanged = without(unchanged, self.stored.of_standing_feed(session.day))
        still = with_no_trade(known, unchanged, self._proof(BY_QUOTES))
        if _lacking(still) and self._all_stored(session, seen):
            return with_no_trade(still, known.spans(*State), self._proof(BY_DAY_VOLUME))
        return still

    def contradiction(self, known: DayCoverage, session: Session) -> str | None:
        """The fault of a response without a candle of the day, where stored rows show trading."""
        shown = self._trading_shown(known, session)
        return None if shown is None else f"{WITHOUT_THE_DAY}, but {shown}"

    def _trading_shown(self, known: DayCoverage, session: Session) -> str | None:
        limit = self.expectation.now - PUBLISHED_BY_THEN
        if any(instant_of(first) < limit for first, _ in known.spans(State.PRESENT)):
            return "candles of it are stored"
        if self._quotes_rose(session, limit):
            return "stored quotes show trades"
        if self.interval is CandleInterval.DAY and self.stored.has_minutes(session.day):
            return "minutes of it are stored"
        if not self.expectation.finished(session):
            return None
        if session.group.segment is Segment.INDEX:
            # It has no volume; it moves whenever others trade.
            return "stored quotes moved" if self.stored.prices_moved(session) else None
        # Before its first candle a stock may have days that the provider never had in full.
        minutes = self.interval is CandleInterval.MINUTE and self.stored.has_older(session.day)
        if minutes and self.stored.of_day_candle(session.day):
            return "the candle of the whole day has a volume"
        return None

    def _quotes_rose(self, session: Session, limit: datetime) -> bool:
        """Whether the volume rose in continuous trading, early enough to be published."""
        volumes = [
            one.volume
            for one in self.stored.of_quotes(session.day)
            if one.at < limit and _in_spans(one.at, session.spans)
        ]
        return len(set(volumes)) > 1

    def _proof(self, by: str) -> Proof:
        return Proof(by, self.run_id, self.expectation.now)

    def _all_stored(self, session: Session, seen: Sequence[VolumeSeen]) -> bool:
        """Whether *session* is over and its stored minutes have the whole volume of the day."""
        if not self.expectation.finished(session):
            return False
        over = instant_of(max(end for _, end in (*session.spans, *session.auction_spans)))
        totals = [one.volume for one in seen if one.at >= over]
        of_day = self.stored.of_day_candle(session.day)
        if of_day is not None:
            totals.append(of_day)
        if not totals:
            return False
        stored = self.stored.of_minutes(session)
        return any(holds_all_volume(total, stored) for total in totals)


def _in_spans(at: datetime, spans: Spans) -> bool:
    minute = minute_number(at)
    return any(first <= minute < end for first, end in spans)


def _lacking(known: DayCoverage) -> Spans:
    return known.spans(State.MISSED, State.SOURCE_EMPTY, State.UNKNOWN_INSTRUMENT)


# A day with its candles, its session, and what contradicts a response that has none of them.
Judge = Callable[[DayCoverage, Session, str | None], DayCoverage]


def answered(proof: Proof, expectation: Expectation) -> Judge:
    """The judgement of a complete response: it settles a finished day, and no day in progress.

    It settles nothing where it is contradicted.
    """

    def judge(known: DayCoverage, session: Session, contradiction: str | None) -> DayCoverage:
        if contradiction is not None:
            return with_contradicted_response(known, contradiction, proof.at)
        if expectation.finished(session):
            return with_response(known, proof)
        return with_early_response(known, proof.at)

    return judge


def after_request(
    before: DayCoverage,
    session: Session,
    arrived: Spans,
    final: Spans,
    evidence: VolumeEvidence,
    judge: Judge,
) -> DayCoverage:
    """The day after a request that covered it: with the candles that arrived, then judged.

    A day that needs no request is not judged.
    """
    after = with_candles(before, arrived, final)
    if not needs_request(before, evidence.expectation.today):
        return after
    contradiction = None if arrived else evidence.contradiction(after, session)
    return judge(evidence.applied(after, session), session, contradiction)


def reconsidered(known: DayCoverage, session: Session, evidence: VolumeEvidence) -> DayCoverage:
    """A day that was requested before, after more evidence was stored."""
    if is_empty(known):
        contradiction = evidence.contradiction(known, session)
        if contradiction is not None:
            return replace(reopened(known), last_error=contradiction)
    return evidence.applied(known, session)


def with_first_candle(empty: Iterable[DayCoverage], oldest: date) -> Iterator[DayCoverage]:
    """The *empty* days that change when *oldest* is the first day with a candle.

    Nothing is expected of empty days before it; later ones are expected.
    """
    days = [known for known in empty if not known.spans(State.NO_TRADE)]
    beside = max((known.day for known in days if known.day < oldest), default=None)
    for known in days:
        changed = _seen_from(oldest, beside, known)
        if changed != known:
            yield changed


def _seen_from(oldest: date, beside: date | None, known: DayCoverage) -> DayCoverage:
    """An empty day, given the first day with a candle and the newest empty one before it."""
    if known.day >= oldest:
        return after_first_candle(known)
    return beside_first_candle(known) if known.day == beside else before_first_candle(known)
