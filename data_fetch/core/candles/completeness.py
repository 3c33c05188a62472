"""The completeness of a range of candles, now or as of an earlier instant."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from data_fetch.core.candles.coverage import (
    CoverageInterval,
    DayCoverage,
    Proof,
    State,
    aged,
    with_candles,
)
from data_fetch.core.candles.gaps import Gap, gaps_of
from data_fetch.core.clock import IST
from data_fetch.core.market.session import Session, instant_of
from data_fetch.core.spans import Spans, count, joined, without


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """The state of every candle of a range, counted in minutes (days for the interval `day`).

    *expected* is the sum of the present ones and of the five kinds of gaps. *provisional*
    counts the present ones that the provider's history has not confirmed yet. Auction and
    carried rows are no part of continuous trading and are not counted. A gap's *first* and
    *end* are minutes since 1970 UTC.
    """

    expected: int
    present: int
    no_trade: int
    source_empty: int
    unknown_instrument: int
    missed: int
    pending: int
    not_expected: int
    provisional: int
    gaps: tuple[Gap, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing is missed and nothing is pending."""
        return not (self.missed or self.pending)

    def document(self) -> dict[str, Any]:
        """The JSON document, with times in IST."""
        return {
            "complete": self.complete,
            "expected": self.expected,
            "present": self.present,
            "no_trade": self.no_trade,
            "source_empty": self.source_empty,
            "unknown_instrument": self.unknown_instrument,
            "missed": self.missed,
            "pending": self.pending,
            "not_expected": self.not_expected,
            "provisional": self.provisional,
            "gaps": [_gap_document(gap) for gap in self.gaps],
        }


def completeness_of(known: Iterable[tuple[Session, DayCoverage]]) -> Completeness:
    """The counts of these days together, with their gaps in the same order."""
    sessions = tuple(known)
    days = [day for _, day in sessions]

    def minutes(*states: State) -> int:
        return sum(day.minutes(*states) for day in days)

    return Completeness(
        expected=sum(day.expected for day in days),
        present=minutes(State.PRESENT),
        no_trade=minutes(State.NO_TRADE),
        source_empty=minutes(State.SOURCE_EMPTY),
        unknown_instrument=minutes(State.UNKNOWN_INSTRUMENT),
        missed=minutes(State.MISSED),
        pending=minutes(State.PENDING),
        not_expected=minutes(State.NOT_EXPECTED),
        provisional=sum(count(day.provisional) for day in days),
        gaps=tuple(gap for session, day in sessions for gap in gaps_of(day, session)),
    )


def as_it_was(
    known: DayCoverage, at: datetime, due: int, stored: Spans, final: Spans
) -> DayCoverage:
    """The day as of the instant *at*, when exactly the candles of *stored* were in the store.

    *known* is the ledger row of that instant, *final* are the minutes that are confirmed by now.
    Absent minutes before *due* (a minute number) are missed unless something was proved of them at
    that instant.
    """
    proved = [one for one in known.intervals if one.proof is not None and one.proof.at <= at]
    settled = joined((one.first, one.end) for one in proved)
    unproved = [
        CoverageInterval(first, end, State.PENDING)
        for first, end in without(known.spans(*State), settled)
    ]
    day = DayCoverage(
        instrument_key=known.instrument_key,
        interval=known.interval,
        day=known.day,
        intervals=tuple(sorted((*proved, *unproved), key=lambda one: one.first)),
    )
    return with_candles(aged(day, due), stored, without(final, known.provisional))


def _gap_document(gap: Gap) -> dict[str, Any]:
    return {
        "instrument_key": gap.instrument_key,
        "trading_date": gap.day.isoformat(),
        "from": _minute_text(gap.first),
        "to": _minute_text(gap.end),
        "cause": gap.cause.value,
        "proof": None if gap.proof is None else _proof_document(gap.proof),
    }


def _minute_text(minute: int) -> str:
    return f"{instant_of(minute).astimezone(IST):%H:%M}"


def _proof_document(proof: Proof) -> dict[str, str]:
    at = proof.at.astimezone(IST).isoformat(timespec="seconds")
    return {"by": proof.by, "run_id": proof.run_id, "at": at}
