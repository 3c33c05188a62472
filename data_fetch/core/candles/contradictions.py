"""What contradicts itself in a ledger row, and what such a row still proves. Pure."""

from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from data_fetch.core.candles.coverage import CoverageInterval, DayCoverage, State
from data_fetch.core.spans import common

# The states of a minute that are proved by something, and those that are not.
PROVED = (State.NO_TRADE, State.SOURCE_EMPTY)
UNPROVED = (State.PRESENT, State.MISSED, State.PENDING)


class RequestFacts(NamedTuple):
    """The columns of a ledger row about the requests that covered its day."""

    attempts: int
    confirmations: int
    last_error: str | None
    last_attempt: datetime | None
    next_attempt: datetime | None


def interval_contradictions(known: DayCoverage) -> tuple[str, ...]:
    """What contradicts itself in the intervals and the provisional minutes of a row."""
    present = known.spans(State.PRESENT)
    found = []
    if _overlap(known):
        found.append("stretches overlap")
    if any(_with_own_proof(one) != one for one in known.intervals):
        found.append("a state and its proof do not belong together")
    if common(known.provisional, present) != known.provisional:
        found.append("provisional minutes are not present")
    return tuple(found)


def request_contradictions(facts: RequestFacts, source_empty: int) -> tuple[str, ...]:
    """What contradicts itself in the columns of a row about its requests.

    *source_empty* is the number of minutes that a response settled.
    """
    attempts, confirmations, error, last, following = facts
    found = []
    if confirmations > attempts:
        found.append("more responses than requests")
    if source_empty and not confirmations:
        found.append("minutes are settled without a response")
    if error and not attempts:
        found.append("an error without a request")
    if last and following and following < last:
        found.append("the next request is due before the last one")
    return tuple(found)


def without_contradictions(known: DayCoverage) -> DayCoverage:
    """The row with only what its intervals prove; the rest counts as never requested.

    A row whose intervals overlap proves nothing.
    """
    sound = known
    if _overlap(known):
        sound = replace(known, intervals=(), provisional=(), next_attempt=None)
    elif interval_contradictions(known):
        intervals = tuple(map(_with_own_proof, known.intervals))
        sound = replace(known, intervals=intervals, next_attempt=None)
        sound = replace(sound, provisional=common(known.provisional, sound.spans(State.PRESENT)))
    facts = RequestFacts(
        attempts=sound.attempts,
        confirmations=sound.confirmations,
        last_error=sound.last_error,
        last_attempt=sound.last_attempt,
        next_attempt=sound.next_attempt,
    )
    if request_contradictions(facts, sound.minutes(State.SOURCE_EMPTY)):
        return _with_proved_requests(sound)
    return sound


def _overlap(known: DayCoverage) -> bool:
    intervals = known.intervals
    return any(one.first >= one.end for one in intervals) or any(
        one.end > next_.first for one, next_ in pairwise(intervals)
    )


def _with_own_proof(one: CoverageInterval) -> CoverageInterval:
    if one.state in PROVED and one.proof is None:
        return replace(one, state=State.MISSED)
    return replace(one, proof=None) if one.state in UNPROVED else one


def _with_proved_requests(known: DayCoverage) -> DayCoverage:
    """The row with the requests that its responses prove, and due again at once."""
    answers = [
        one.proof.at for one in known.intervals if one.state is State.SOURCE_EMPTY and one.proof
    ]
    return replace(
        known,
        attempts=len(answers[:1]),
        confirmations=len(answers[:1]),
        last_error=None,
        last_attempt=max(answers, default=None),
        next_attempt=None,
    )
