"""Gaps of a day, counts of days, and runs of neighbouring whole days."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.candles.candles import CandleInterval, expected_spans
from data_fetch.core.candles.coverage import GAPS, CoverageInterval, DayCoverage, Proof, State
from data_fetch.core.candles.day_counts import DayCounts, counts_of, summed
from data_fetch.core.candles.gaps import Gap, gaps_of, runs
from data_fetch.core.market.calendar import F_AND_O_STOCK, MarketCalendar
from data_fetch.core.spans import Spans

DAY = date(2025, 6, 10)
CALENDAR = MarketCalendar.reviewed()
SESSION = CALENDAR.session(DAY, F_AND_O_STOCK)
((FIRST, END),) = SESSION.spans
AT = datetime(2025, 6, 11, 4, tzinfo=UTC)
OLD, NEW = Proof("answer", "run-1", AT), Proof("answer", "run-2", AT + timedelta(days=1))
LETTERS = {
    "P": State.PRESENT,
    "N": State.NO_TRADE,
    "E": State.SOURCE_EMPTY,
    "U": State.UNKNOWN_INSTRUMENT,
    "M": State.MISSED,
    "w": State.PENDING,
    "-": State.NOT_EXPECTED,
}
BACK = {state: letter for letter, state in LETTERS.items()}
written_days = st.text(alphabet=sorted(LETTERS), min_size=1, max_size=30)


def day(text: str, **facts: object) -> DayCoverage:
    """A day of one letter per minute."""
    known = DayCoverage(
        instrument_key="NSE_EQ|INE002A01018",
        interval=CandleInterval.MINUTE,
        day=DAY,
        intervals=tuple(_intervals(text)),
        attempts=3,
        next_attempt=AT,
    )
    return replace(known, **facts)  # type: ignore[arg-type]


def _intervals(text: str) -> Iterator[CoverageInterval]:
    for letter, run in groupby(enumerate(text), key=lambda pair: pair[1]):
        positions = [FIRST + position for position, _ in run]
        yield CoverageInterval(positions[0], positions[-1] + 1, LETTERS[letter])


def shown(gaps: list[Gap]) -> list[tuple[int, int, str]]:
    return [(gap.first - FIRST, gap.end - FIRST, BACK[gap.cause]) for gap in gaps]


@pytest.mark.parametrize(
    ("text", "gaps", "whole"),
    [
        pytest.param("PPPP", [], [], id="nothing is missing"),
        pytest.param("----", [], [], id="nothing is expected"),
        pytest.param("PMMP", [(1, 3, "M")], [False], id="in the middle"),
        pytest.param("MPPE", [(0, 1, "M"), (3, 4, "E")], [False, False], id="at both ends"),
        pytest.param(
            "NEMw", [(0, 1, "N"), (1, 2, "E"), (2, 3, "M"), (3, 4, "w")], [0] * 4, id="all"
        ),
        pytest.param("MMMM", [(0, 4, "M")], [True], id="a whole day"),
        pytest.param("MM--", [(0, 2, "M")], [False], id="the rest is not expected"),
    ],
)
def test_gaps_of_a_day(text: str, gaps: list[tuple[int, int, str]], whole: list[bool]) -> None:
    found = gaps_of(day(text), SESSION)
    assert shown(found) == gaps
    assert [gap.whole_day for gap in found] == whole


@given(written_days)
def test_gaps_are_the_expected_minutes_without_a_candle(text: str) -> None:
    letters = ["."] * len(text)
    for first, end, letter in shown(gaps_of(day(text), SESSION)):
        assert letters[first:end] == ["."] * (end - first)
        letters[first:end] = letter * (end - first)
    assert "".join(letters) == text.replace("P", ".").replace("-", ".")


@given(written_days)
def test_neighbouring_gaps_have_different_causes(text: str) -> None:
    found = shown(gaps_of(day(text), SESSION))
    assert all(one[1] < other[0] or one[2] != other[2] for one, other in pairwise(found))


@pytest.mark.parametrize(
    ("proofs", "kept"),
    [
        pytest.param([OLD, NEW], NEW, id="the newer follows"),
        pytest.param([NEW, OLD], NEW, id="the newer precedes"),
        pytest.param([None, OLD], OLD, id="one has none"),
        pytest.param([OLD, None], OLD, id="the other has none"),
        pytest.param([None, None], None, id="neither has one"),
    ],
)
def test_one_cause_proved_twice_is_one_gap(proofs: list[Proof | None], kept: Proof | None) -> None:
    pieces = tuple(
        CoverageInterval(FIRST + number, FIRST + number + 1, State.SOURCE_EMPTY, proof)
        for number, proof in enumerate(proofs)
    )
    (gap,) = gaps_of(day("E", intervals=pieces), SESSION)
    assert (gap.first, gap.end, gap.proof) == (FIRST, FIRST + 2, kept)


def test_only_minutes_that_can_be_requested_have_a_next_attempt() -> None:
    found = gaps_of(day("NEMw"), SESSION)
    assert [gap.next_attempt for gap in found] == [None, AT, AT, None]
    assert {gap.attempts for gap in found} == {3}


def test_only_missed_minutes_have_the_last_error() -> None:
    found = gaps_of(day("EMN", last_error="Upstox answered 500"), SESSION)
    assert [gap.last_error for gap in found] == [None, "Upstox answered 500", None]


def test_the_gap_of_a_day_candle_is_from_open_to_close() -> None:
    ((midnight, after),) = expected_spans(SESSION, CandleInterval.DAY)
    missing = (CoverageInterval(midnight, after, State.MISSED),)
    (gap,) = gaps_of(day("M", interval=CandleInterval.DAY, intervals=missing), SESSION)
    assert (gap.first, gap.end, gap.whole_day) == (FIRST, END, True)


def test_a_whole_day_of_two_windows_is_one_gap() -> None:
    """On 2021-02-24 the exchange was closed from 11:40 to 15:45."""
    halted = CALENDAR.session(date(2021, 2, 24), F_AND_O_STOCK)
    (opens, stops), (resumes, closes) = halted.spans
    missing = tuple(
        CoverageInterval(first, end, State.SOURCE_EMPTY, proof)
        for (first, end), proof in zip(halted.spans, (NEW, OLD), strict=True)
    )

    (gap,) = gaps_of(day("E", intervals=missing), halted)

    assert (gap.first, gap.end, gap.whole_day) == (opens, closes, True)
    assert (gap.candles, gap.proof) == (stops - opens + closes - resumes, NEW)

    partly = (replace(missing[0], state=State.PRESENT, proof=None), missing[1])
    assert [gap.whole_day for gap in gaps_of(day("E", intervals=partly), halted)] == [False]
    assert [gap.first for gap in gaps_of(day("E", intervals=partly), halted)] == [resumes]


# -- runs of days ----------------------------------------------------------------------------


def a_gap(number: int, cause: str, *, whole: bool = True, attempts: int = 3) -> Gap:
    (gap,) = gaps_of(day(cause * 4, attempts=attempts), SESSION)
    return replace(gap, day=DAY + timedelta(days=number), whole_day=whole)


@pytest.mark.parametrize(
    ("gaps", "lengths"),
    [
        pytest.param([], [], id="none"),
        pytest.param([a_gap(0, "M"), a_gap(1, "M"), a_gap(2, "M")], [3], id="neighbours"),
        pytest.param([a_gap(0, "M"), a_gap(2, "M")], [1, 1], id="a day between"),
        pytest.param([a_gap(2, "M"), a_gap(5, "M")], [2], id="a weekend between"),
        pytest.param([a_gap(0, "M"), a_gap(1, "E")], [1, 1], id="two causes"),
        pytest.param([a_gap(0, "M", attempts=0), a_gap(1, "M")], [1, 1], id="requested since"),
        pytest.param([a_gap(0, "M", attempts=1), a_gap(1, "M")], [2], id="requested more often"),
        pytest.param([a_gap(0, "M", whole=False), a_gap(1, "M")], [1, 1], id="part of a day"),
        pytest.param([a_gap(0, "M"), a_gap(1, "M", whole=False)], [1, 1], id="then part of one"),
    ],
)
def test_neighbouring_whole_days_are_one_run(gaps: list[Gap], lengths: list[int]) -> None:
    trading_days = [DAY + timedelta(days=number) for number in (0, 1, 2, 5)]
    found = list(runs(gaps, trading_days))
    assert [len(run) for run in found] == lengths
    assert [gap for run in found for gap in run] == gaps


# -- counts ---------------------------------------------------------------------------------


@given(written_days)
def test_counts_are_the_sums_of_the_minutes(text: str) -> None:
    provisional: Spans = ((FIRST, FIRST + 1),) if text[0] == "P" else ()
    counts = counts_of(day(text, provisional=provisional))
    by_state = {state: getattr(counts, state.value) for state in State}
    assert by_state == {state: text.count(letter) for letter, state in LETTERS.items()}
    assert counts.expected == sum(by_state[state] for state in (State.PRESENT, *GAPS))
    assert counts.provisional == len(provisional)


@given(st.lists(written_days, min_size=1, max_size=5))
def test_the_sum_of_days_is_that_of_one_long_day(texts: list[str]) -> None:
    assert summed(counts_of(day(text)) for text in texts) == counts_of(day("".join(texts)))


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("PPPP", State.PRESENT),
        ("PNNP", State.PRESENT),
        ("NNNN", State.PRESENT),
        ("PP--", State.PRESENT),
        ("----", State.NOT_EXPECTED),
        ("PNEP", State.SOURCE_EMPTY),
        ("PEww", State.PENDING),
        ("PEMw", State.MISSED),
    ],
)
def test_the_worst_state_is_that_of_the_day(text: str, state: State) -> None:
    assert counts_of(day(text)).state is state


def test_a_day_without_minutes_is_not_expected() -> None:
    assert DayCounts().state is State.NOT_EXPECTED
