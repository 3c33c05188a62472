"""The coverage ledger's arithmetic: a day of one instrument, every minute accounted for.

A day is divided into stretches, each in one state. What happens to it (bars arrive, an answer
is complete, a request fails, volume stood still, time passes) paints stretches in another
state. Nothing here reads a clock or a store.
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
ASK_AGAIN, LONGEST_SILENCE = timedelta(hours=24), timedelta(days=30)
# While its day runs, a bar may be published late.
SOON, LATEST_SOON = timedelta(minutes=5), timedelta(minutes=15)


class State(StrEnum):
    """What is known of a minute."""

    PRESENT = "present"
    NO_TRADE = "no_trade"
    SOURCE_EMPTY = "source_empty"
    MISSED = "missed"
    PENDING = "pending"
    NOT_EXPECTED = "not_expected"


# Minutes that are expected and not there, for whatever cause.
GAPS = (State.NO_TRADE, State.SOURCE_EMPTY, State.MISSED, State.PENDING)
# Of two statements about a minute the one in the earlier state here is worth more.
WEIGHTIEST = (
    State.PRESENT,
    State.NO_TRADE,
    State.SOURCE_EMPTY,
    State.NOT_EXPECTED,
    State.MISSED,
    State.PENDING,
)
BEFORE_FIRST_BAR = "before_first_bar"


@dataclass(frozen=True, slots=True)
class Proof:
    """Who proved it (*by*, for people), in which run, and when."""

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

    *stretches* divide the expected minutes, ascending and without a hole; a day of the
    interval `day` is the single minute at midnight in India. *provisional* are present minutes
    that the provider's history has not confirmed yet. *attempts* counts the requests that
    covered the day (an instrument that is refused is refused for all its days),
    *confirmations* the complete answers about it once it was over; *next_attempt* is the
    earliest instant at which asking again makes sense, None for at once.
    """

    instrument_key: str
    interval: CandleInterval
    day: date
    stretches: tuple[CoverageInterval, ...]
    provisional: Spans = ()
    attempts: int = 0
    confirmations: int = 0
    last_error: str | None = None
    last_attempt: datetime | None = None
    next_attempt: datetime | None = None

    def spans(self, *states: State) -> Spans:
        """The minutes in any of *states*."""
        return joined((one.first, one.end) for one in self.stretches if one.state in states)

    def minutes(self, *states: State) -> int:
        """How many minutes are in any of *states*."""
        return sum(one.end - one.first for one in self.stretches if one.state in states)

    @property
    def expected(self) -> int:
        return self.minutes(State.PRESENT, *GAPS)

    @property
    def settled(self) -> bool:
        """Nothing is ours to fetch and nothing is still to come."""
        return not self.minutes(State.MISSED, State.PENDING)

    @property
    def found_empty(self) -> bool:
        """A complete answer about the finished day held no bar for it."""
        return bool(self.confirmations) and not self.minutes(State.PRESENT)


def unasked(
    instrument_key: str, interval: CandleInterval, day: date, expected: Spans, due: int
) -> DayCoverage:
    """A day that nobody asked about: missed up to *due* (a minute number), then pending."""
    stretches = tuple(CoverageInterval(first, end, State.PENDING) for first, end in expected)
    fresh = DayCoverage(
        instrument_key=instrument_key, interval=interval, day=day, stretches=stretches
    )
    return aged(fresh, due)


def aged(known: DayCoverage, due: int) -> DayCoverage:
    """What was pending and has become due by the minute *due* is missed."""
    over = tuple((first, min(end, due)) for first, end in known.spans(State.PENDING))
    return _painted(known, joined(over), State.MISSED, over=(State.PENDING,))


def refitted(known: DayCoverage, expected: Spans, due: int) -> DayCoverage:
    """The same day after its session's hours were amended: cut, and extended, to *expected*."""
    held = known.spans(*State)
    if held == expected:
        return aged(known, due)
    added = tuple(
        CoverageInterval(first, end, State.PENDING) for first, end in without(expected, held)
    )
    cut = tuple(
        CoverageInterval(first, end, one.state, one.proof)
        for one in known.stretches
        for first, end in common(((one.first, one.end),), expected)
    )
    stretches = _merged(sorted((*cut, *added), key=lambda one: one.first))
    provisional = common(known.provisional, expected)
    # New minutes were never asked for, so no earlier answer holds their request back.
    waiting = None if added else known.next_attempt
    with_amendments = replace(
        known, stretches=stretches, provisional=provisional, next_attempt=waiting
    )
    return aged(with_amendments, due)


def with_bars(known: DayCoverage, arrived: Spans, final: Spans) -> DayCoverage:
    """Bars for the minutes *arrived* are stored now; *final* of them the history has confirmed."""
    there = known.spans(State.PRESENT)
    provisional = joined((*known.provisional, *without(arrived, there)))
    expected_again = after_first_bar(known) if arrived else known
    painted = _painted(expected_again, arrived, State.PRESENT, over=tuple(State))
    return replace(painted, provisional=without(provisional, final))


def with_no_trade(known: DayCoverage, still: Spans, proof: Proof) -> DayCoverage:
    """Volume proves that nobody traded in the minutes *still*; bars that are there stay."""
    lacking = (State.MISSED, State.SOURCE_EMPTY)
    return _painted(known, still, State.NO_TRADE, proof, over=lacking)


def with_early_answer(known: DayCoverage, at: datetime) -> DayCoverage:
    """A complete answer covered the day while it ran; its bars were painted before.

    It settles nothing: a bar may come late.
    """
    wait = min(SOON * 2 ** min(known.attempts, 8), LATEST_SOON)
    lacking = bool(known.minutes(State.MISSED))
    return _attempted(known, at, None, at + wait if lacking else None)


def with_answer(known: DayCoverage, proof: Proof) -> DayCoverage:
    """A complete answer covered the whole day when it was over; its bars were painted before.

    It settles what it lacks. Bars that are still provisional were not in it, unless it came on
    the day itself: history has its word from the next day on.
    """
    lacking = (State.MISSED, State.PENDING)
    settled = _painted(known, known.spans(*lacking), State.SOURCE_EMPTY, proof, over=lacking)
    confirmations = known.confirmations + 1
    wait = min(ASK_AGAIN * 2 ** min(confirmations - 1, 8), LONGEST_SILENCE)
    unconfirmed = settled.provisional and proof.at.astimezone(IST).date() > known.day
    # A day before the first bar may become one that the provider lacks.
    empty = settled.minutes(State.SOURCE_EMPTY, State.NOT_EXPECTED)
    ask_again = bool(empty or unconfirmed)
    confirmed = replace(settled, confirmations=confirmations)
    return _attempted(confirmed, proof.at, None, proof.at + wait if ask_again else None)


def with_failure(
    known: DayCoverage, error: str, at: datetime, first_wait: timedelta
) -> DayCoverage:
    """A request that covered the day failed. With each failure in a row the wait doubles.

    What an answer has settled is asked for neither sooner nor later because a request failed,
    unless that would be at once.
    """
    if known.confirmations:
        return _attempted(known, at, error, max(at + first_wait, known.next_attempt or at))
    wait = first_wait
    if known.last_error and known.last_attempt and known.next_attempt:
        wait = max(first_wait, 2 * (known.next_attempt - known.last_attempt))
    return _attempted(known, at, error, at + min(wait, LONGEST_SILENCE))


def before_first_bar(known: DayCoverage) -> DayCoverage:
    """The day is older than the first bar that the provider has: nothing is expected of it."""
    return _renamed(known, State.SOURCE_EMPTY, State.NOT_EXPECTED)


def after_first_bar(known: DayCoverage) -> DayCoverage:
    """An older bar has shown up, so the day was expected after all: the provider lacks it."""
    return _renamed(known, State.NOT_EXPECTED, State.SOURCE_EMPTY)


def combined(ours: DayCoverage, theirs: DayCoverage) -> DayCoverage:
    """What two stores know of one day together, once each has the other's candles.

    A bar that either has is there, and confirmed if it is so in either; a proof of either
    settles what both lack. The later attempt says how it went and when to ask again.
    """
    held, found = ours.spans(State.PRESENT), theirs.spans(State.PRESENT)
    mine = with_bars(ours, without(found, held), ())
    other = with_bars(theirs, without(held, found), ())
    edges = sorted(
        {edge for one in (*mine.stretches, *other.stretches) for edge in (one.first, one.end)}
    )
    pieces = []
    for first, end in pairwise(edges):
        told = [_stretch_at(known, first) for known in (mine, other)]
        if said := [one for one in told if one is not None]:
            pieces.append(replace(min(said, key=_weight), first=first, end=end))
    confirmed = (*without(held, ours.provisional), *without(found, theirs.provisional))
    later = max(ours, theirs, key=_last_told)
    return replace(
        later,
        stretches=_merged(pieces),
        provisional=without(joined((*held, *found)), joined(confirmed)),
        attempts=max(ours.attempts, theirs.attempts),
        confirmations=max(ours.confirmations, theirs.confirmations),
    )


def wants_asking(known: DayCoverage, today: date) -> bool:
    """Whether a request could still better what is held of the day, whenever it may be sent.

    Bars of a day that is over want the history's word; those of *today* cannot have it yet.
    """
    unconfirmed = bool(known.provisional) and known.day < today
    return unconfirmed or bool(known.minutes(State.MISSED, State.SOURCE_EMPTY))


def _stretch_at(known: DayCoverage, minute: int) -> CoverageInterval | None:
    place = bisect_right(known.stretches, minute, key=lambda one: one.first) - 1
    return known.stretches[place] if place >= 0 and minute < known.stretches[place].end else None


def _weight(one: CoverageInterval) -> tuple[Any, ...]:
    """The least counts: what is known best, by whoever proved it first."""
    proof = one.proof
    proved = (proof.at, proof.by, proof.run_id) if proof is not None else ()
    return (WEIGHTIEST.index(one.state), *proved)


def _last_told(known: DayCoverage) -> tuple[Any, ...]:
    never = datetime.min.replace(tzinfo=UTC)
    return (
        known.last_attempt or never,
        known.next_attempt or never,
        known.last_error or "",
    )


def _renamed(known: DayCoverage, state: State, other: State) -> DayCoverage:
    """*known* with all that was in *state* in the *other*; who proved it, and when, is kept."""
    stretches = tuple(
        replace(one, state=other) if one.state is state else one for one in known.stretches
    )
    return replace(known, stretches=stretches)


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


def _painted(
    known: DayCoverage,
    spans: Spans,
    state: State,
    proof: Proof | None = None,
    *,
    over: Sequence[State],
) -> DayCoverage:
    """*known* with the minutes *spans* in *state*, where they were in one of *over*."""
    if not spans:
        return known
    first_hit, end_hit = spans[0][0], spans[-1][1]
    pieces: list[CoverageInterval] = []
    for one in known.stretches:
        if one.end <= first_hit or end_hit <= one.first or one.state not in over:
            pieces.append(one)
            continue
        whole = ((one.first, one.end),)
        hit = common(whole, spans)
        pieces += [CoverageInterval(first, end, state, proof) for first, end in hit]
        pieces += [
            CoverageInterval(first, end, one.state, one.proof) for first, end in without(whole, hit)
        ]
    return replace(known, stretches=_merged(sorted(pieces, key=lambda piece: piece.first)))


def _merged(pieces: Sequence[CoverageInterval]) -> tuple[CoverageInterval, ...]:
    """Neighbours that say the same become one."""
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
