"""The coverage ledger: every minute of a day has a state after every event.

Days are written with one letter per minute; a space is a minute without trading.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial, reduce
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.coverage import (
    GAPS,
    CoverageInterval,
    DayCoverage,
    Proof,
    State,
    after_first_candle,
    aged,
    before_first_candle,
    beside_first_candle,
    combined,
    needs_request,
    never_requested,
    refitted,
    wholly_final,
    with_candles,
    with_early_response,
    with_failure,
    with_no_trade,
    with_response,
    withdraws,
)
from data_fetch.core.clock import IST
from data_fetch.core.spans import Spans, common, joined, spans_of

TODAY = date(2026, 9, 16)
YESTERDAY = TODAY - timedelta(days=1)
NOW = datetime(2026, 9, 16, 12, 0, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
STILL = Proof("volume", "run-1", NOW)
ANSWER = Proof("historical response", "run-2", NOW)

FIRST = 29_000_000
LETTERS = {
    "P": State.PRESENT,
    "p": State.PRESENT,  # not confirmed yet
    "N": State.NO_TRADE,
    "E": State.SOURCE_EMPTY,
    "M": State.MISSED,
    "w": State.PENDING,
    "-": State.NOT_EXPECTED,
}


def at(*positions: int) -> Spans:
    """The minutes at these positions of a written day."""
    return spans_of([FIRST + position for position in positions])


def day(text: str) -> DayCoverage:
    return DayCoverage(
        instrument_key="NSE_EQ|INE002A01018",
        interval=CandleInterval.MINUTE,
        day=YESTERDAY,
        intervals=tuple(
            CoverageInterval(FIRST + run[0], FIRST + run[-1] + 1, LETTERS[letter])
            for letter, run in _runs(text)
            if letter != " "
        ),
        provisional=joined(
            (FIRST + run[0], FIRST + run[-1] + 1) for letter, run in _runs(text) if letter == "p"
        ),
    )


def _runs(text: str) -> Iterator[tuple[str, list[int]]]:
    for letter, run in groupby(enumerate(text), key=lambda pair: pair[1]):
        yield letter, [position for position, _ in run]


def states(known: DayCoverage) -> dict[int, tuple[State, Proof | None]]:
    """State and proof of each minute."""
    return {
        minute: (one.state, one.proof)
        for one in known.intervals
        for minute in range(one.first, one.end)
    }


def written(known: DayCoverage) -> str:
    letters = {state: letter for letter, state in LETTERS.items() if letter != "p"}
    by_minute = {minute: letters[state] for minute, (state, _) in states(known).items()}
    by_minute |= dict.fromkeys(minutes(known.provisional), "p")
    return "".join(
        by_minute.get(minute, " ") for minute in range(FIRST, max(by_minute, default=FIRST - 1) + 1)
    )


def minutes(spans: Spans) -> set[int]:
    return {minute for first, end in spans for minute in range(first, end)}


# -- events of a day -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "arrived", "final", "after"),
    [
        pytest.param("MMMM", at(1, 2), at(), "MppM", id="a provisional candle"),
        pytest.param("MMMM", at(1, 2), at(1, 2), "MPPM", id="a confirmed candle"),
        pytest.param("MMMM", at(1, 2), at(1), "MPpM", id="one of each"),
        pytest.param("EEEE", at(0), at(0), "PEEE", id="a candle that the source lacked before"),
        pytest.param("NNNN", at(3), at(), "NNNp", id="a candle where volume stood still"),
        pytest.param("wwww", at(0), at(), "pwww", id="a candle before it is due"),
        pytest.param("----", at(2), at(2), "EEPE", id="a candle where none was expected"),
        pytest.param("----", at(), at(), "----", id="no candle"),
        pytest.param("pppp", at(0, 1), at(0, 1), "PPpp", id="the history confirms"),
        pytest.param("PPPP", at(0, 1), at(), "PPPP", id="confirmed candles stay confirmed"),
        pytest.param("pppp", at(0, 1), at(), "pppp", id="nothing new"),
        pytest.param("MM MM", at(1, 3), at(1, 3), "MP PM", id="around a break"),
    ],
)
def test_candles_become_present(before: str, arrived: Spans, final: Spans, after: str) -> None:
    assert written(with_candles(day(before), arrived, final)) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("MMMM", "NNNN", id="no request is needed"),
        pytest.param("EEEE", "NNNN", id="the reason why the source is empty"),
        pytest.param("PpPp", "PpPp", id="candles stay"),
        pytest.param("wwww", "wwww", id="a pending candle may still be published"),
        pytest.param("----", "----", id="nothing was expected"),
        pytest.param("MP EN", "NP NN", id="each minute separately"),
    ],
)
def test_volume_that_stood_still_proves_no_trade(before: str, after: str) -> None:
    assert written(with_no_trade(day(before), at(0, 1, 2, 3, 4), STILL)) == after


def test_volume_proves_only_its_own_minutes() -> None:
    known = with_no_trade(day("MMEE"), at(1, 2), STILL)
    assert written(known) == "MNNE"
    assert {proof for state, proof in states(known).values() if state is State.NO_TRADE} == {STILL}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("PMMP", "PEEP", id="missing minutes are the source's gap"),
        pytest.param("MMMM", "EEEE", id="an empty response counts"),
        pytest.param("Pwww", "PEEE", id="nothing is pending on a finished day"),
        pytest.param("NEpP", "NEpP", id="the rest was settled"),
        pytest.param("----", "----", id="nothing was expected"),
    ],
)
def test_a_complete_response_settles_missing_minutes(before: str, after: str) -> None:
    known = with_response(day(before), ANSWER)
    assert written(known) == after
    assert known.attempts == 1
    assert known.confirmations == 1
    assert known.last_attempt == ANSWER.at


def test_a_response_during_the_day_settles_nothing() -> None:
    known = with_early_response(day("PMMw"), NOW)
    assert written(known) == "PMMw"
    assert known.attempts == 1
    assert known.confirmations == 0
    assert known.last_attempt == NOW


def test_a_response_of_the_day_itself_does_not_delay_the_confirmation() -> None:
    provisional = with_candles(day("MMMM"), day("MMMM").spans(State.MISSED), ())
    evening = datetime.combine(provisional.day, time(20, 0), IST)
    assert with_response(provisional, replace(ANSWER, at=evening)).next_attempt is None
    next_evening = evening + 24 * HOUR
    later = with_response(provisional, replace(ANSWER, at=next_evening))
    assert later.next_attempt == next_evening + 24 * HOUR


def test_a_response_is_the_proof_of_what_it_settles_and_nothing_else() -> None:
    proved_still = with_no_trade(day("PMMM"), at(1), STILL)
    known = with_response(proved_still, ANSWER)
    again = with_response(known, replace(ANSWER, run_id="run-9"))
    assert [proof for _, proof in states(again).values()] == [None, STILL, ANSWER, ANSWER]


@pytest.mark.parametrize(
    ("before", "due", "after"),
    [
        pytest.param("wwww", 0, "wwww", id="nothing is due yet"),
        pytest.param("wwww", 3, "MMMw", id="three minutes are over"),
        pytest.param("wwww", 9, "MMMM", id="the day is over"),
        pytest.param("wPwN", 4, "MPMN", id="only what was pending"),
        pytest.param("ww ww", 4, "MM Mw", id="around a break"),
    ],
)
def test_pending_minutes_become_missed(before: str, due: int, after: str) -> None:
    assert written(aged(day(before), FIRST + due)) == after


@pytest.mark.parametrize(
    ("due", "expected"),
    [
        pytest.param(-1000, "www ww", id="a future day"),
        pytest.param(4, "MMM ww", id="a day in progress"),
        pytest.param(1000, "MMM MM", id="a day that is over"),
    ],
)
def test_a_day_without_requests(due: int, expected: str) -> None:
    known = never_requested(
        "NSE_EQ|A", CandleInterval.MINUTE, YESTERDAY, at(0, 1, 2, 4, 5), due=FIRST + due
    )
    assert written(known) == expected
    assert (known.attempts, known.next_attempt) == (0, None)


def test_a_closed_day_expects_nothing() -> None:
    known = never_requested("NSE_EQ|A", CandleInterval.MINUTE, YESTERDAY, (), due=FIRST)
    assert (known.intervals, known.expected, known.settled) == ((), 0, True)


@pytest.mark.parametrize(
    ("before", "expected", "due", "after"),
    [
        pytest.param("PPEE", at(0, 1, 2, 3), 4, "PPEE", id="the same hours"),
        pytest.param("PPww", at(0, 1, 2, 3), 3, "PPMw", id="the same hours, later"),
        pytest.param("PPEE", at(0, 1, 2), 4, "PPE", id="the day ended earlier"),
        pytest.param("PPEE", at(0, 1, 2, 3, 4, 5), 5, "PPEEMw", id="the day ended later"),
        pytest.param("PNEp", at(0, 3), 4, "P  p", id="a halt in between"),
        pytest.param("pp", at(), 4, "", id="a holiday instead"),
        pytest.param("", at(0, 1), 1, "Mw", id="a trading day instead"),
        pytest.param("PP NN", at(0, 1, 2, 3, 4), 9, "PPMNN", id="the break was traded"),
    ],
)
def test_amended_hours(before: str, expected: Spans, due: int, after: str) -> None:
    assert written(refitted(day(before), expected, FIRST + due)) == after


def test_added_hours_continue_what_was_pending() -> None:
    known = refitted(day("ww"), at(0, 1, 2, 3), due=FIRST)
    assert known.intervals == (CoverageInterval(FIRST, FIRST + 4, State.PENDING),)


# -- the next attempt -----------------------------------------------------------------------


Attempt = Callable[[DayCoverage, datetime], DayCoverage]


def waits(attempt: Attempt, known: DayCoverage) -> list[timedelta | None]:
    """The wait after each of nine attempts in a row."""
    found = []
    now = NOW
    for _ in range(9):
        known = attempt(known, now)
        found.append(known.next_attempt and known.next_attempt - now)
        now = known.next_attempt or now + HOUR
    return found


def answered(known: DayCoverage, now: datetime) -> DayCoverage:
    return with_response(known, replace(ANSWER, at=now))


def answered_early(known: DayCoverage, now: datetime) -> DayCoverage:
    return with_early_response(known, now)


def failed(known: DayCoverage, now: datetime) -> DayCoverage:
    return with_failure(known, "HTTP 503", now, 5 * MINUTE)


@pytest.mark.parametrize("text", ["PPEE", "MMMM", "Pppp", "----"])
def test_requests_for_a_settled_day_become_rarer(text: str) -> None:
    days = [1, 2, 4, 8, 16, 30, 30, 30, 30]
    assert waits(answered, day(text)) == [timedelta(days=number) for number in days]


def test_a_day_in_progress_is_requested_again_soon() -> None:
    after = [5, 10, 15, 15, 15, 15, 15, 15, 15]
    assert waits(answered_early, day("PMMw")) == [number * MINUTE for number in after]


@pytest.mark.parametrize(
    ("text", "attempt"),
    [
        pytest.param("PPNN", answered, id="the day is complete"),
        pytest.param("PPww", answered_early, id="no missing minute is due"),
    ],
)
def test_complete_days_have_no_next_attempt(text: str, attempt: Attempt) -> None:
    assert waits(attempt, day(text)) == [None] * 9


def test_failures_in_a_row_double_the_wait() -> None:
    after = [5, 10, 20, 40, 80, 160, 320, 640, 1280]
    assert waits(failed, day("MMMM")) == [number * MINUTE for number in after]


def test_failures_wait_a_month_at_most() -> None:
    refused = partial(with_failure, error="unknown instrument", first_wait=24 * HOUR)
    last = waits(lambda known, now: refused(known, at=now), day("MMMM"))[-1]
    assert last == timedelta(days=30)


def test_a_failure_of_another_group_waits_at_least_its_first_wait() -> None:
    known = with_failure(failed(day("MMMM"), NOW), "unknown instrument", NOW + HOUR, 24 * HOUR)
    assert known.next_attempt == NOW + 25 * HOUR


def test_the_first_failure_after_responses_waits_no_longer_than_any_first() -> None:
    """A day in progress has many requests; its last gap must not wait until tomorrow."""
    requested = reduce(answered_early, [NOW] * 20, day("PMMw"))
    known = failed(requested, NOW)
    assert known.next_attempt == NOW + 5 * MINUTE
    assert known.attempts == 21


def test_a_failure_is_stored_until_the_next_response() -> None:
    known = failed(day("MMMM"), NOW)
    assert (known.last_error, known.last_attempt, known.attempts) == ("HTTP 503", NOW, 1)
    assert written(known) == "MMMM"
    assert answered(known, NOW + HOUR).last_error is None


def test_added_hours_are_requested_at_once() -> None:
    known = answered(day("PPEE"), NOW)
    assert refitted(known, at(0, 1, 2, 3, 4), FIRST + 9).next_attempt is None
    assert refitted(known, at(0, 1, 2), FIRST + 9).next_attempt == known.next_attempt


@pytest.mark.parametrize(
    ("text", "on", "wanted"),
    [
        pytest.param("MMMM", YESTERDAY, True, id="missed"),
        pytest.param("PPPM", TODAY, True, id="a gap of today"),
        pytest.param("PPEP", YESTERDAY, True, id="the source may have repaired it"),
        pytest.param("PPpP", YESTERDAY, True, id="yesterday's provisional candle can be confirmed"),
        pytest.param("PPpP", TODAY, False, id="today's cannot"),
        pytest.param("PPNP", YESTERDAY, False, id="no trade"),
        pytest.param("PPPP", YESTERDAY, False, id="complete"),
        pytest.param("PPww", TODAY, False, id="not due yet"),
        pytest.param("----", YESTERDAY, True, id="a response may have lacked the first candles"),
        pytest.param("", YESTERDAY, False, id="a closed day"),
    ],
)
def test_which_days_need_a_request(text: str, on: date, wanted: bool) -> None:
    assert needs_request(replace(day(text), day=on), TODAY) is wanted


@pytest.mark.parametrize(
    ("text", "settled"),
    [
        pytest.param("PPNE", True, id="every cause is known"),
        pytest.param("PPNM", False, id="something is missed"),
        pytest.param("PPww", False, id="something is pending"),
        pytest.param("EEEE", True, id="an empty response"),
        pytest.param("----", True, id="before the first candle"),
        pytest.param("MMMM", False, id="no request yet"),
    ],
)
def test_a_day_is_settled_when_nothing_is_missed_or_pending(text: str, settled: bool) -> None:
    assert day(text).settled is settled


def test_counts() -> None:
    known = day("PPpNNE M--")
    assert known.expected == 7
    assert known.minutes(State.NO_TRADE) == 2
    assert known.minutes(*GAPS) == 4
    assert known.spans(State.PRESENT, State.MISSED) == at(0, 1, 2, 7)


def test_a_response_soon_after_midnight_is_of_the_next_day() -> None:
    """At 02:00 in India it is still the trading date in UTC; history has that date by then."""
    known = day("PpPP")
    night = Proof("an answer", "run-1", datetime.combine(known.day, time(20, 30), UTC))

    unconfirmed = with_response(known, night)

    assert unconfirmed.next_attempt == night.at + timedelta(hours=24)


def test_a_failure_keeps_the_wait_of_the_response_before() -> None:
    settled = with_response(day("PPMM"), ANSWER)
    at = ANSWER.at + timedelta(minutes=1)

    failed = with_failure(settled, "server_error", at, timedelta(minutes=5))

    assert failed.next_attempt == settled.next_attempt == ANSWER.at + timedelta(hours=24)


def test_a_row_withdraws_what_it_settled_and_what_was_provisional() -> None:
    before = day("PpNE-M")
    for after, withdrawn in (
        ("PpNE-P", False),
        ("PPNE-M", True),
        ("PpPE-M", True),
        ("PpNP-M", True),
        ("PpNEPM", True),
        ("pPNE-M", True),
    ):
        assert withdraws(day(after), before) is withdrawn, after


# -- before the first candle --------------------------------------------------------------------


def test_an_empty_day_before_the_first_candle_expects_nothing() -> None:
    empty = with_response(day("MM MM"), ANSWER)
    unlisted = before_first_candle(empty)
    assert written(unlisted) == "-- --"
    assert unlisted.expected == 0
    assert unlisted.next_attempt == empty.next_attempt


def test_candles_and_proofs_stay_before_the_first_candle() -> None:
    assert written(before_first_candle(day("PpNE"))) == "PpN-"


def test_an_older_candle_restores_the_day_and_its_next_attempt() -> None:
    empty = with_response(day("MM MM"), ANSWER)
    assert after_first_candle(before_first_candle(empty)) == empty


# -- laws ------------------------------------------------------------------------------------

SESSION = at(*range(8), *range(10, 16))
IN_SESSION = st.sets(st.sampled_from(sorted(minutes(SESSION)))).map(
    lambda chosen: spans_of(sorted(chosen))
)
ANYWHERE = st.sets(st.integers(FIRST - 3, FIRST + 20)).map(lambda chosen: spans_of(sorted(chosen)))
PROOFS = st.builds(
    Proof,
    st.sampled_from(["volume", "historical response"]),
    st.sampled_from(["run-1", "run-2"]),
    st.integers(0, 100).map(lambda hours: NOW + hours * HOUR),
)
Operation = Callable[[DayCoverage], DayCoverage]


def arrival(arrived: Spans, final: Spans) -> Operation:
    return partial(with_candles, arrived=arrived, final=common(arrived, final))


arrivals = st.builds(arrival, IN_SESSION, ANYWHERE)
agings = st.builds(partial, st.just(aged), due=st.integers(FIRST - 3, FIRST + 20))
stills = st.builds(partial, st.just(with_no_trade), still=ANYWHERE, proof=PROOFS)
early_responses = st.builds(
    partial,
    st.just(with_early_response),
    at=st.integers(0, 100).map(lambda hours: NOW + hours * HOUR),
)
answers = st.builds(partial, st.just(with_response), proof=PROOFS)
failures = st.builds(
    partial,
    st.just(with_failure),
    error=st.just("HTTP 503"),
    at=st.integers(0, 100).map(lambda hours: NOW + hours * HOUR),
    first_wait=st.just(5 * MINUTE),
)
first_candles = st.sampled_from([before_first_candle, after_first_candle])
HISTORIES = st.lists(
    st.one_of(arrivals, agings, stills, early_responses, answers, failures, first_candles),
    max_size=12,
)
FRESH = never_requested("NSE_EQ|A", CandleInterval.MINUTE, YESTERDAY, SESSION, due=FIRST)


def after(history: list[Operation]) -> DayCoverage:
    return reduce(lambda known, happens: happens(known), history, FRESH)


DAYS = HISTORIES.map(after)


@given(DAYS)
def test_intervals_divide_the_expected_minutes_exactly(known: DayCoverage) -> None:
    assert all(one.first < one.end for one in known.intervals)
    assert all(one.end <= other.first for one, other in pairwise(known.intervals))
    assert known.spans(*State) == SESSION
    assert known.expected + known.minutes(State.NOT_EXPECTED) == len(minutes(SESSION))


@given(DAYS, ANYWHERE)
def test_neighbouring_intervals_differ(known: DayCoverage, expected: Spans) -> None:
    for each in (known, refitted(known, expected, due=FIRST)):
        assert all(
            (one.end, one.state, one.proof) != (other.first, other.state, other.proof)
            for one, other in pairwise(each.intervals)
        )


@given(DAYS)
def test_only_present_candles_are_provisional(known: DayCoverage) -> None:
    assert minutes(known.provisional) <= minutes(known.spans(State.PRESENT))


@given(DAYS, st.one_of(arrivals, agings, stills, early_responses, answers, failures, first_candles))
def test_a_present_candle_is_never_lost(known: DayCoverage, happens: Operation) -> None:
    there = minutes(known.spans(State.PRESENT))
    assert there <= minutes(happens(known).spans(State.PRESENT))


@given(DAYS, st.one_of(agings, stills, early_responses, failures))
def test_only_a_complete_response_about_a_finished_day_finds_the_source_empty(
    known: DayCoverage, happens: Operation
) -> None:
    found = minutes(happens(known).spans(State.SOURCE_EMPTY))
    assert found <= minutes(known.spans(State.SOURCE_EMPTY))


@given(DAYS, answers)
def test_a_complete_response_settles_a_finished_day(known: DayCoverage, happens: Operation) -> None:
    answered = happens(known)
    assert answered.settled
    assert answered.confirmations == known.confirmations + 1


@given(DAYS, ANYWHERE, PROOFS)
def test_proof_of_no_trade_replaces_an_empty_source_and_no_candle(
    known: DayCoverage, still: Spans, proof: Proof
) -> None:
    before, proved = states(known), states(with_no_trade(known, still, proof))
    for minute, (state, _) in before.items():
        lacking = state in (State.MISSED, State.SOURCE_EMPTY)
        concerned = lacking and minute in minutes(still)
        assert proved[minute] == ((State.NO_TRADE, proof) if concerned else before[minute])


@given(DAYS, st.integers(FIRST - 3, FIRST + 20))
def test_time_only_turns_what_is_pending_and_due_into_missed(known: DayCoverage, due: int) -> None:
    before, later = states(known), states(aged(known, due))
    for minute, (state, _) in before.items():
        over = state is State.PENDING and minute < due
        assert later[minute] == ((State.MISSED, None) if over else before[minute])


@given(DAYS, ANYWHERE, st.integers(FIRST - 3, FIRST + 20))
def test_amended_hours_keep_what_is_known(known: DayCoverage, expected: Spans, due: int) -> None:
    amended = refitted(known, expected, due)
    before, kept = states(aged(known, due)), states(amended)
    assert set(kept) == minutes(expected)
    for minute, stated in kept.items():
        unknown = (State.MISSED if minute < due else State.PENDING, None)
        assert stated == before.get(minute, unknown)
    assert minutes(amended.provisional) == minutes(known.provisional) & minutes(expected)


@given(DAYS)
def test_moving_the_first_candle_there_and_back_changes_nothing(known: DayCoverage) -> None:
    listed = after_first_candle(known)
    moved = after_first_candle(before_first_candle(listed))
    assert moved.intervals == listed.intervals
    assert replace(moved, next_attempt=None) == replace(listed, next_attempt=None)


@given(DAYS)
def test_a_day_beside_or_after_the_first_candle_is_due_no_later(known: DayCoverage) -> None:
    for moved in (beside_first_candle(known), after_first_candle(known)):
        if known.next_attempt is None:
            assert moved.next_attempt is None
        else:
            assert moved.next_attempt is not None
            assert moved.next_attempt <= known.next_attempt


@given(DAYS, PROOFS)
def test_a_settled_day_waits_a_day_at_least_and_a_month_at_most(
    known: DayCoverage, proof: Proof
) -> None:
    next_attempt = with_response(known, proof).next_attempt
    assert next_attempt is None or 24 * HOUR <= next_attempt - proof.at <= timedelta(days=30)


# -- the ledgers of two stores -----------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "together"),
    [
        pytest.param("PMMM", "MMMP", "PMMP", id="each has candles that the other lacks"),
        pytest.param("ppPP", "pPpP", "pPPP", id="confirmed in either"),
        pytest.param("pM", "MP", "pP", id="one candle confirmed, one not"),
        pytest.param("MEN-", "EMMM", "EEN-", id="a proof of either settles it"),
        pytest.param("EN", "NE", "NN", id="volume is the reason why the source is empty"),
        pytest.param("PPp", "NE-", "PPp", id="a candle refutes any proof"),
        pytest.param("----", "MPMM", "EPEE", id="a candle where none was expected"),
        pytest.param("----", "EEEE", "EEEE", id="one has an older candle"),
        pytest.param("ww", "Mw", "Mw", id="due in one of them"),
        pytest.param("PP", "PPMM", "PPMM", id="one has amended hours"),
        pytest.param("PP  ", "  MM", "PPMM", id="nothing in common"),
    ],
)
def test_two_stores_together(ours: str, theirs: str, together: str) -> None:
    assert written(combined(day(ours), day(theirs))) == together
    assert written(combined(day(theirs), day(ours))) == together


def test_together_the_later_attempt_and_the_larger_counts_are_used() -> None:
    early = answered(answered(day("ME"), NOW), NOW + HOUR)
    late = failed(day("MM"), NOW + 2 * HOUR)

    both = combined(early, late)

    assert (both.attempts, both.confirmations) == (2, 2)
    assert (both.last_error, both.last_attempt) == (late.last_error, late.last_attempt)
    assert both.next_attempt == late.next_attempt


def test_together_the_first_proof_of_a_state_is_kept() -> None:
    first, again = (replace(ANSWER, at=NOW + hours * HOUR) for hours in (0, 5))
    ours, theirs = with_response(day("MM"), again), with_response(day("MM"), first)

    assert {proof for _, proof in states(combined(ours, theirs)).values()} == {first}


@given(DAYS, DAYS)
def test_together_the_order_of_the_stores_does_not_matter(
    ours: DayCoverage, theirs: DayCoverage
) -> None:
    assert combined(ours, theirs) == combined(theirs, ours)


@given(DAYS, DAYS)
def test_together_nothing_is_lost_and_a_second_time_adds_nothing(
    ours: DayCoverage, theirs: DayCoverage
) -> None:
    both = combined(ours, theirs)

    there = minutes(ours.spans(State.PRESENT)) | minutes(theirs.spans(State.PRESENT))
    assert minutes(both.spans(State.PRESENT)) == there
    unproved = minutes(ours.spans(State.MISSED, State.PENDING))
    assert minutes(both.spans(State.MISSED, State.PENDING)) <= unproved
    assert minutes(both.provisional) <= minutes(ours.provisional) | minutes(theirs.provisional)
    assert combined(both, both) == both
    assert combined(both, theirs) == both


@given(DAYS)
def test_a_day_together_with_itself_is_itself(known: DayCoverage) -> None:
    assert combined(known, known) == known


def test_a_whole_final_day_is_the_same_in_one_step() -> None:
    day, expected = date(2026, 9, 15), ((29823705, 29824065),)
    proof = Proof("a response", "run", datetime(2026, 9, 16, tzinfo=UTC))
    fresh = never_requested("A", CandleInterval.MINUTE, day, expected, expected[0][1])
    step_by_step = with_response(with_candles(fresh, expected, expected), proof)

    assert wholly_final("A", CandleInterval.MINUTE, day, expected, proof.at) == step_by_step
