"""Gaps: intervals of the trading day that are expected and have no candles, with the cause."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import reduce

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.coverage import (
    GAPS,
    REQUESTED_AGAIN,
    CoverageInterval,
    DayCoverage,
    Proof,
    State,
)
from data_fetch.core.market.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """The minutes from *first* to *end* (not included) of one day, missing for one *cause*.

    *candles* is how many it lacks: on a day of two windows fewer than the minutes from *first* to
    *end*. *whole_day*: the gap is the whole session. *proof* is the newest of the interval,
    *attempts* counts the requests that covered the day; *next_attempt* is None for at once, and
    where none will be made. *last_error* is the reason why the last request for missed minutes
    failed.
    """

    instrument_key: str
    interval: CandleInterval
    day: date
    first: int
    end: int
    candles: int
    whole_day: bool
    cause: State
    proof: Proof | None
    attempts: int
    next_attempt: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeFirstCandle:
    """The *days* of an instrument, from *first* to *last*, that seem to be before its first candle.

    *last_attempt* is the last request that covered any of them, *next_attempt* the earliest that
    is planned.
    """

    instrument_key: str
    first: date
    last: date
    days: int
    last_attempt: datetime | None
    next_attempt: datetime | None


def gaps_of(known: DayCoverage, session: Session) -> list[Gap]:
    """The gaps of one day, earliest first; that of a whole day is from open to close."""
    gaps: list[Gap] = []
    for one in known.intervals:
        if one.state not in GAPS:
            continue
        last = gaps[-1] if gaps else None
        if last is not None and (last.end, last.cause) == (one.first, one.state):
            gaps[-1] = _continued(last, one)
            continue
        gaps.append(
            Gap(
                instrument_key=known.instrument_key,
                interval=known.interval,
                day=known.day,
                first=one.first,
                end=one.end,
                candles=one.end - one.first,
                whole_day=False,
                cause=one.state,
                proof=one.proof,
                attempts=known.attempts,
                next_attempt=known.next_attempt if one.state in REQUESTED_AGAIN else None,
                last_error=known.last_error if one.state is State.MISSED else None,
            )
        )
    if not gaps or {one.state for one in known.intervals} != {gaps[0].cause}:
        return gaps
    # All of the day is missing for one cause, in whichever windows it was traded.
    first, end = gaps[0].first, gaps[-1].end
    if known.interval is CandleInterval.DAY:
        first, end = session.spans[0][0], session.spans[-1][1]
    candles, proof = sum(gap.candles for gap in gaps), reduce(_newer, [gap.proof for gap in gaps])
    return [replace(gaps[0], first=first, end=end, candles=candles, proof=proof, whole_day=True)]


def runs(gaps: Sequence[Gap], trading_days: Sequence[date]) -> Iterator[list[Gap]]:
    """Group *gaps* of one instrument, oldest first: neighbouring whole days of one cause together.

    Days that a request covered and days that none covered are kept apart. *trading_days* are
    those of the instrument, oldest first.
    """
    place = {day: number for number, day in enumerate(trading_days)}
    run: list[Gap] = []
    for gap in gaps:
        if run and not (
            run[-1].whole_day
            and gap.whole_day
            and run[-1].cause is gap.cause
            and bool(run[-1].attempts) is bool(gap.attempts)
            and place[gap.day] == place[run[-1].day] + 1
        ):
            yield run
            run = []
        run.append(gap)
    if run:
        yield run


def _continued(gap: Gap, one: CoverageInterval) -> Gap:
    return replace(
        gap,
        end=one.end,
        candles=gap.candles + one.end - one.first,
        proof=_newer(gap.proof, one.proof),
    )


def _newer(one: Proof | None, other: Proof | None) -> Proof | None:
    if one is None or other is None:
        return one or other
    return max(one, other, key=lambda proof: proof.at)
