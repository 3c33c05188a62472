"""The arithmetic of the coverage ledger: every minute of an instrument's day has a state.

A day is divided into intervals, each in one state. Every event (candles arrive, a response is
complete, a request fails, the volume stood still, time passes) changes the state of some of
them. Nothing here reads a clock or a store.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.clock import IST
from data_fetch.core.spans import Spans, common, joined, without

# A provider that repairs its history does so overnight, if at all.
RETRY_AFTER, LONGEST_WAIT = timedelta(hours=24), timedelta(days=30)
# Of the days that seem to be before the listing, a cut response is most likely to lack the last.
LONGEST_WAIT_BESIDE_FIRST_CANDLE = timedelta(days=7)
# On the day itself a candle may be published late.
SAME_DAY_WAIT, LONGEST_SAME_DAY_WAIT = timedelta(minutes=5), timedelta(minutes=15)


class State(StrEnum):
    """What is known of one minute."""

    PRESENT = "present"
    NO_TRADE = "no_trade"
    SOURCE_EMPTY = "source_empty"
    UNKNOWN_INSTRUMENT = "unknown_instrument"
    MISSED = "missed"
    PENDING = "pending"
    NOT_EXPECTED = "not_expected"

    # Minutes are counted by it in every row of the ledger: the hash of Enum is slow.
    __hash__ = str.__hash__


# The states of a minute that is expected and has no candle.
GAPS = (
    State.NO_TRADE,
    State.SOURCE_EMPTY,
    State.UNKNOWN_INSTRUMENT,
    State.MISSED,
    State.PENDING,
)
# Begins the proof of minutes that are not expected because the calendar has their day closed.
CLOSED_DAY = "calendar"
# A request could bring a candle for these.
REQUESTED_AGAIN = (
    State.MISSED,
    State.SOURCE_EMPTY,
    State.UNKNOWN_INSTRUMENT,
    State.NOT_EXPECTED,
)
# A complete response settles these.
UNANSWERED = (State.MISSED, State.PENDING, State.UNKNOWN_INSTRUMENT)
# Where two stores disagree about a minute, the state that stands first here is kept.
STRONGEST_FIRST = (
    State.PRESENT,
    State.NO_TRADE,
    State.SOURCE_EMPTY,
    State.NOT_EXPECTED,
    State.UNKNOWN_INSTRUMENT,
    State.MISSED,
    State.PENDING,
)


@dataclass(frozen=True, slots=True)
class Proof:
    """What proved a state (*by*, for people), in which run, and when."""

    by: str
    run_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class CoverageInterval:
    """The minutes from *first* to *end* (not included), all in one state."""

    first: int
    end: int
    state: State
    proof: Proof | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCoverage:
    """One instrument, interval and trading date: a row of the ledger.

    *intervals* divide the expected minutes, ascending and without a hole; a day of the
    interval `day` is the single minute at midnight in India. *provisional* are present minutes
    that the provider's history has not confirmed yet. *attempts* counts the requests that
    covered the day (an instrument that is refused is refused for all its days),
    *confirmations* the complete responses about it after it was over; *next_attempt* is the
    earliest instant at which another request makes sense, None for at once.
    """

    instrument_key: str
    interval: CandleInterval
    day: date
    intervals: tuple[CoverageInterval, ...]
    provisional: Spans = ()
    attempts: int = 0
    confirmations: int = 0
    last_error: str | None = None
    last_attempt: datetime | None = None
    next_attempt: datetime | None = None

    def spans(self, *states: State) -> Spans:
        """The minutes in any of *states*."""
        return joined((one.first, one.end) for one in self.intervals if one.state in states)

    def minutes(self, *states: State) -> int:
        """How many minutes are in any of *states*."""
        return sum(one.end - one.first for one in self.intervals if one.state in states)

    @property
    def expected(self) -> int:
        return self.minutes(State.PRESENT, *GAPS)

    @property
    def settled(self) -> bool:
        """Whether nothing is missed and nothing is pending."""
        return not self.minutes(State.MISSED, State.PENDING)


def never_requested(
    instrument_key: str, interval: CandleInterval, day: date, expected: Spans, due: int
) -> DayCoverage:
    """A day that no request covered: missed up to *due* (a minute number), then pending."""
    intervals = tuple(CoverageInterval(first, end, State.PENDING) for first, end in expected)
    fresh = DayCoverage(
        instrument_key=instrument_key, interval=interval, day=day, intervals=intervals
    )
    return aged(fresh, due)


def wholly_final(
    instrument_key: str, interval: CandleInterval, day: date, expected: Spans, at: datetime
) -> DayCoverage:
    """A day that no request covered, after the response *at* that had all of it, confirmed.

    The same as `with_response` of `with_candles` of `never_requested`, in one step: `day` candles
    are one to a row, so that most of their time would be spent on steps.
    """
    return DayCoverage(
        instrument_key=instrument_key,
        interval=interval,
        day=day,
        intervals=tuple(CoverageInterval(first, end, State.PRESENT) for first, end in expected),
        attempts=1,
        confirmations=1,
        last_attempt=at,
    )


def aged(known: DayCoverage, due: int) -> DayCoverage:
    """The same day with pending minutes before the minute *due* as missed."""
    over = tuple((first, min(end, due)) for first, end in known.spans(State.PENDING))
    return _set_state(known, joined(over), State.MISSED, over=(State.PENDING,))


def refitted(known: DayCoverage, expected: Spans, due: int) -> DayCoverage:
    """The same day cut and extended to *expected*, after its trading hours were amended.

    Minutes of a day that was closed for a time are expected again.
    """
    if any(map(_of_closed_day, known.intervals)):
        opened = tuple(one for one in known.intervals if not _of_closed_day(one))
        known = replace(known, intervals=opened)
    held = known.spans(*State)
    if held == expected:
        return aged(known, due)
    added = tuple(
        CoverageInterval(first, end, State.PENDING) for first, end in without(expected, held)
    )
    cut = tuple(
        CoverageInterval(first, end, one.state, one.proof)
        for one in known.intervals
        for first, end in common(((one.first, one.end),), expected)
    )
    intervals = _merged(sorted((*cut, *added), key=lambda one: one.first))
    provisional = common(known.provisional, expected)
    # No request covered the new minutes yet, so no earlier response delays theirs.
    waiting = None if added else known.next_attempt
    amended = replace(known, intervals=intervals, provisional=provisional, next_attempt=waiting)
    return aged(amended, due)


def on_closed_day(known: DayCoverage, proof: Proof) -> DayCoverage:
    """The day after the calendar has closed it: nothing that it lacks is expected."""
    gaps = known.spans(*GAPS)
    return replace(_set_state(known, gaps, State.NOT_EXPECTED, proof, over=GAPS), next_attempt=None)


def with_candles(known: DayCoverage, arrived: Spans, final: Spans) -> DayCoverage:
    """The day with candles for the minutes *arrived*, of which *final* are confirmed."""
    held = known.spans(State.PRESENT)
    provisional = joined((*known.provisional, *without(arrived, held)))
    expected_again = after_first_candle(known) if arrived else known
    changed = _set_state(expected_again, arrived, State.PRESENT, over=tuple(State))
    return replace(changed, provisional=without(provisional, final))


def with_no_trade(known: DayCoverage, still: Spans, proof: Proof) -> DayCoverage:
    """The day after volume proved that nothing was traded in the minutes *still*."""
    lacking = (State.MISSED, State.SOURCE_EMPTY, State.UNKNOWN_INSTRUMENT)
    return _set_state(known, still, State.NO_TRADE, proof, over=lacking)


def with_early_response(known: DayCoverage, at: datetime) -> DayCoverage:
    """The day after a complete response that covered it before it was over.

    Its candles were stored before. It settles nothing: a candle may be published late.
    """
    wait = min(SAME_DAY_WAIT * 2 ** min(known.attempts, 8), LONGEST_SAME_DAY_WAIT)
    lacking = bool(known.minutes(State.MISSED))
    return _attempted(known, at, None, at + wait if lacking else None)


def with_response(known: DayCoverage, proof: Proof) -> DayCoverage:
    """The day after a complete response that covered all of it once it was over.

    Its candles were stored before; minutes without one are settled as empty at the source.
    Candles that are still provisional were not in the response, unless it is of the day
    itself: the provider's history begins on the next day.
    """
    unanswered = known.spans(*UNANSWERED)
    settled = _set_state(known, unanswered, State.SOURCE_EMPTY, proof, over=UNANSWERED)
    confirmations = known.confirmations + 1
    wait = min(RETRY_AFTER * 2 ** min(confirmations - 1, 8), LONGEST_WAIT)
    unconfirmed = settled.provisional and proof.at.astimezone(IST).date() > known.day
    # A day before the first candle may turn out to be one that the provider lacks.
    empty = settled.minutes(State.SOURCE_EMPTY, State.NOT_EXPECTED)
    retry = bool(empty or unconfirmed)
    confirmed = replace(settled, confirmations=confirmations)
    return _attempted(confirmed, proof.at, None, proof.at + wait if retry else None)


def with_failure(
    known: DayCoverage, error: str, at: datetime, first_wait: timedelta
) -> DayCoverage:
    """The day after a request for it failed. The wait doubles with each failure in a row; without
    a *first_wait* the next request may be sent at once.

    For a day that a response has settled, a failed request changes the next attempt only
    where that would be sooner than *first_wait*.
    """
    if known.confirmations:
        return _attempted(known, at, error, max(at + first_wait, known.next_attempt or at))
    wait = min(_doubled_wait(known, first_wait), LONGEST_WAIT)
    return _attempted(known, at, error, at + wait)


def with_contradicted_response(known: DayCoverage, error: str, at: datetime) -> DayCoverage:
    """The day after a response without any candle of it, contradicted by what is stored.

    It settles nothing, and nothing stays settled that such a response settled before.
    """
    of_the_day = at.astimezone(IST).date() == known.day
    longest = LONGEST_SAME_DAY_WAIT if of_the_day else RETRY_AFTER
    wait = min(_doubled_wait(known, SAME_DAY_WAIT), longest)
    return _attempted(reopened(known), at, error, at + wait)


def reopened(known: DayCoverage) -> DayCoverage:
    """The day with what responses settled as empty to be fetched, at once."""
    settled = (State.SOURCE_EMPTY, State.NOT_EXPECTED)
    if not known.minutes(*settled):
        return known
    missed = _set_state(known, known.spans(*settled), State.MISSED, over=settled)
    return replace(missed, confirmations=0, next_attempt=None)


def with_unknown_instrument(
    known: DayCoverage, error: str, proof: Proof, first_wait: timedelta
) -> DayCoverage:
    """The day after the provider no longer knew the key that it belongs to.

    Nothing of it can be fetched; it is requested again at growing intervals all the same.
    """
    refused = with_failure(known, error, proof.at, first_wait)
    missed = refused.spans(State.MISSED)
    return _set_state(refused, missed, State.UNKNOWN_INSTRUMENT, proof, over=(State.MISSED,))


def is_empty(known: DayCoverage) -> bool:
    """Whether a complete response had no candle of the day, and none is stored."""
    return known.confirmations > 0 and not known.spans(State.PRESENT)


def before_first_candle(known: DayCoverage) -> DayCoverage:
    """The day as one before the provider's first candle: nothing is expected of it."""
    return _replace_state(known, State.SOURCE_EMPTY, State.NOT_EXPECTED)


def beside_first_candle(known: DayCoverage) -> DayCoverage:
    """The same of the trading day before the first candle, which is requested more often."""
    return _requested_within(before_first_candle(known), LONGEST_WAIT_BESIDE_FIRST_CANDLE)


def after_first_candle(known: DayCoverage) -> DayCoverage:
    """The day as one after the provider's first candle: it is expected, and the source lacks it.

    Where it seemed to be before the first candle, the responses that lacked it were cut short.
    """
    if not known.minutes(State.NOT_EXPECTED):
        return known
    expected = _replace_state(known, State.NOT_EXPECTED, State.SOURCE_EMPTY)
    return _requested_within(expected, RETRY_AFTER)


def combined(ours: DayCoverage, theirs: DayCoverage) -> DayCoverage:
    """The coverage of one day from two stores, after their candles were merged.

    A candle of either store is present, and confirmed if it is confirmed in either; a proof of
    either settles what both lack. Error and next attempt are those of the later attempt.
    """
    held, found = ours.spans(State.PRESENT), theirs.spans(State.PRESENT)
    mine = with_candles(ours, without(found, held), ())
    other = with_candles(theirs, without(held, found), ())
    edges = sorted(
        {edge for one in (*mine.intervals, *other.intervals) for edge in (one.first, one.end)}
    )
    pieces = []
    for first, end in pairwise(edges):
        both = [_interval_at(known, first) for known in (mine, other)]
        if statements := [one for one in both if one is not None]:
            pieces.append(replace(min(statements, key=_strength), first=first, end=end))
    confirmed = (*without(held, ours.provisional), *without(found, theirs.provisional))
    later = max(ours, theirs, key=_attempt_order)
    return replace(
        later,
        intervals=_merged(pieces),
        provisional=without(joined((*held, *found)), joined(confirmed)),
        attempts=max(ours.attempts, theirs.attempts),
        confirmations=max(ours.confirmations, theirs.confirmations),
    )


def withdraws(after: DayCoverage, before: DayCoverage) -> bool:
    """Whether *after* takes back what *before* had settled, or ends that a candle is provisional.

    Everything else of *before* follows from the candles and their times.
    """
    settled = (State.NO_TRADE, State.SOURCE_EMPTY, State.NOT_EXPECTED)
    return bool(without(before.provisional, after.provisional)) or any(
        without(before.spans(state), after.spans(state)) for state in settled
    )


def needs_request(known: DayCoverage, today: date) -> bool:
    """Whether a request could improve what is stored of the day, whenever it may be sent.

    Candles of a day that is over need to be confirmed by the provider's history, which does
    not have those of *today* yet. A day before the first candle may be one that a response lacked.
    """
    unconfirmed = bool(known.provisional) and known.day < today
    return unconfirmed or bool(known.minutes(*REQUESTED_AGAIN))


def _interval_at(known: DayCoverage, minute: int) -> CoverageInterval | None:
    place = bisect_right(known.intervals, minute, key=lambda one: one.first) - 1
    return known.intervals[place] if place >= 0 and minute < known.intervals[place].end else None


def _strength(one: CoverageInterval) -> tuple[Any, ...]:
    """Sort key: strongest state first, then earliest proof."""
    proof = one.proof
    proved = (proof.at, proof.by, proof.run_id) if proof is not None else ()
    return (STRONGEST_FIRST.index(one.state), *proved)


def _attempt_order(known: DayCoverage) -> tuple[Any, ...]:
    never = datetime.min.replace(tzinfo=UTC)
    return (
        known.last_attempt or never,
        known.next_attempt or never,
        known.last_error or "",
    )


def _replace_state(known: DayCoverage, state: State, other: State) -> DayCoverage:
    """*known* with every minute in *state* changed to *other*; proofs are kept."""
    intervals = tuple(
        replace(one, state=other) if one.state is state and not _of_closed_day(one) else one
        for one in known.intervals
    )
    return replace(known, intervals=intervals)


def _doubled_wait(known: DayCoverage, first_wait: timedelta) -> timedelta:
    """The wait after another failure in a row; none if the first one needs none."""
    if first_wait and known.last_error and known.last_attempt and known.next_attempt:
        return max(first_wait, 2 * (known.next_attempt - known.last_attempt))
    return first_wait


def _of_closed_day(one: CoverageInterval) -> bool:
    proof = one.proof
    return one.state is State.NOT_EXPECTED and proof is not None and proof.by.startswith(CLOSED_DAY)


def _requested_within(known: DayCoverage, longest: timedelta) -> DayCoverage:
    """*known* with its next attempt at most *longest* after its last one."""
    if known.last_attempt is None or known.next_attempt is None:
        return known
    return replace(known, next_attempt=min(known.next_attempt, known.last_attempt + longest))


def _attempted(
    known: DayCoverage, at: datetime, error: str | None, next_attempt: datetime | None
) -> DayCoverage:
    return replace(
        known,
        attempts=known.attempts + 1,
        last_error=error,
        last_attempt=at,
        next_attempt=next_attempt,
    )


def _set_state(
    known: DayCoverage,
    spans: Spans,
    state: State,
    proof: Proof | None = None,
    *,
    over: Sequence[State],
) -> DayCoverage:
    """*known* with the minutes *spans* in *state*, as far as they were in one of *over*."""
    if not spans:
        return known
    first_hit, end_hit = spans[0][0], spans[-1][1]
    pieces: list[CoverageInterval] = []
    for one in known.intervals:
        if one.end <= first_hit or end_hit <= one.first or one.state not in over:
            pieces.append(one)
            continue
        whole = ((one.first, one.end),)
        hit = common(whole, spans)
        pieces += [CoverageInterval(first, end, state, proof) for first, end in hit]
        pieces += [
            CoverageInterval(first, end, one.state, one.proof) for first, end in without(whole, hit)
        ]
    return replace(known, intervals=_merged(sorted(pieces, key=lambda piece: piece.first)))


def _merged(pieces: Sequence[CoverageInterval]) -> tuple[CoverageInterval, ...]:
    """*pieces* with neighbours of the same state and proof joined."""
    merged: list[CoverageInterval] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        same = last is not None and (last.end, last.state, last.proof) == (
            piece.first,
            piece.state,
            piece.proof,
        )
        if last is not None and same:
            merged[-1] = replace(last, end=piece.end)
        else:
            merged.append(piece)
    return tuple(merged)
