"""The completeness of a day as of an earlier instant, independent of later events."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.completeness import as_it_was
from data_fetch.core.candles.coverage import CoverageInterval, DayCoverage, Proof, State
from data_fetch.core.market.session import midnight_number
from data_fetch.core.spans import Spans, common, spans_of, without

DAY = date(2025, 6, 10)
OPENS = midnight_number(DAY) + 9 * 60 + 15
MINUTES = range(OPENS, OPENS + 12)
NOON = datetime(2025, 6, 10, 6, 30, tzinfo=UTC)
PROVABLE = (State.NO_TRADE, State.SOURCE_EMPTY, State.NOT_EXPECTED)

minute_sets = st.sets(st.sampled_from(MINUTES)).map(lambda found: spans_of(sorted(found)))


@st.composite
def days(draw: st.DrawFn) -> DayCoverage:
    """A day of twelve minutes, each in any state; proofs are within two hours of noon."""
    intervals = []
    for minute in MINUTES:
        state = draw(st.sampled_from(State))
        proof = None
        if state in PROVABLE:
            hours = draw(st.integers(-2, 2))
            proof = Proof("an answer", "run 1", NOON + timedelta(hours=hours))
        intervals.append(CoverageInterval(minute, minute + 1, state, proof))
    return DayCoverage(
        instrument_key="NSE_EQ|INE002A01018",
        interval=CandleInterval.MINUTE,
        day=DAY,
        intervals=tuple(intervals),
    )


def proved_by_noon(day: DayCoverage) -> Spans:
    return spans_of(
        [one.first for one in day.intervals if one.proof is not None and one.proof.at <= NOON]
    )


@given(days(), minute_sets, minute_sets, st.sampled_from(MINUTES))
def test_a_minute_was_present_or_proved_or_missed_or_pending(
    day: DayCoverage, stored: Spans, confirmed: Spans, due: int
) -> None:
    final = common(stored, confirmed)

    earlier = as_it_was(day, NOON, due, stored, final)

    unproved = without(without(day.spans(*State), stored), proved_by_noon(day))
    past, ahead = ((OPENS, due),) if due > OPENS else (), ((due, MINUTES[-1] + 1),)
    assert earlier.spans(*State) == day.spans(*State)
    assert earlier.spans(State.PRESENT) == stored
    assert earlier.provisional == without(stored, final)
    assert earlier.spans(State.MISSED) == common(unproved, past)
    assert earlier.spans(State.PENDING) == common(unproved, ahead)
    assert earlier.spans(*PROVABLE) == without(proved_by_noon(day), stored)
