"""Proofs from stored volumes, and the ledger row of a day after a request. Pure.

Two facts prove that a minute had no trade: the cumulative volume did not change between two
quotes, or the stored minutes of a finished day have the whole volume of that day. An index has no
volume, so nothing can be proved of it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.coverage import (
    DayCoverage,
    Proof,
    State,
    after_first_candle,
    before_first_candle,
    beside_first_candle,
    needs_request,
    with_candles,
    with_early_response,
    with_no_trade,
    with_response,
)
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.candles.volume_proofs import VolumeSeen, holds_all_volume, still_spans
from data_fetch.core.market.calendar import Segment, Session
from data_fetch.core.market.session import instant_of
from data_fetch.core.spans import Spans

BY_QUOTES, BY_DAY_VOLUME = "volume stood still between quotes", "the day's volume is all stored"

Judge = Callable[[DayCoverage, Session], DayCoverage]


class StoredVolumes(Protocol):
    """The stored volumes of one instrument."""

    def of_quotes(self, day: date) -> Sequence[VolumeSeen]:
        """The cumulative volumes in the quotes of that Indian day, in the order received."""

    def of_day_candle(self, day: date) -> int | None:
        """The volume of the candle of the whole day; None when there is none."""

    def of_minutes(self, session: Session) -> int:
        """The volume of all stored minutes of *session*."""


@dataclass(frozen=True, slots=True)
class VolumeEvidence:
    """Applies the proofs in *volumes* to days of *interval*."""

    volumes: StoredVolumes
    interval: CandleInterval
    run_id: str
    expectation: Expectation

    def applied(self, known: DayCoverage, session: Session) -> DayCoverage:
        """*known* with the minutes that are proved to have no trade."""
        minutes = self.interval is CandleInterval.MINUTE
        if not minutes or not _lacking(known) or session.group.segment is Segment.INDEX:
            return known
        opened = instant_of(session.spans[0][0])
        seen = [one for one in self.volumes.of_quotes(session.day) if one.at >= opened]
        still = with_no_trade(known, still_spans(seen), self._proof(BY_QUOTES))
        if _lacking(still) and self._all_stored(session, seen):
            return with_no_trade(still, known.spans(*State), self._proof(BY_DAY_VOLUME))
        return still

    def _proof(self, by: str) -> Proof:
        return Proof(by, self.run_id, self.expectation.now)

    def _all_stored(self, session: Session, seen: Sequence[VolumeSeen]) -> bool:
        """Whether *session* is over and its stored minutes have the whole volume of the day."""
        if not self.expectation.finished(session):
            return False
        over = instant_of(max(end for _, end in (*session.spans, *session.auction_spans)))
        totals = [one.volume for one in seen if one.at >= over]
        of_day = self.volumes.of_day_candle(session.day)
        if of_day is not None:
            totals.append(of_day)
        if not totals:
            return False
        stored = self.volumes.of_minutes(session)
        return any(holds_all_volume(total, stored) for total in totals)


def _lacking(known: DayCoverage) -> Spans:
    return known.spans(State.MISSED, State.SOURCE_EMPTY, State.UNKNOWN_INSTRUMENT)


def answered(proof: Proof, expectation: Expectation) -> Judge:
    """The judgement of a complete response: it settles a finished day, and no day in progress."""

    def judge(known: DayCoverage, session: Session) -> DayCoverage:
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
    if needs_request(before, evidence.expectation.today):
        return judge(evidence.applied(after, session), session)
    return after


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
