"""An alert is reported once, again when it is worse or lasts, and when it is over."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.alerts.changes import LONGEST_CLEAR, Change, Damping, Findings, changes
from data_fetch.core.alerts import Alert, AlertKey, AlertState, Severity

RULE, OTHER = "missed_slots", "stale_data"
BEGIN = datetime(2026, 9, 16, 4, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAMPING = Damping(2 * MINUTE, 3 * MINUTE)
# Each minute: what is wrong then, or that it cannot be judged.
WRONG, WORSE, RIGHT, UNKNOWN = "wrong", "worse", "right", "unknown"


class Watch:
    """Minutes of one rule, and what was reported in them."""

    def __init__(self, damping: Damping = DAMPING) -> None:
        self.damping = damping
        self.states: dict[AlertKey, AlertState] = {}
        self.at = BEGIN
        self.reported: list[tuple[int, Change]] = []

    def minutes(self, observed: Sequence[str]) -> "Watch":
        for each in observed:
            self.minute(each)
        return self

    def minute(self, observed: str) -> None:
        found = {
            WRONG: [alert(Severity.WARNING)],
            WORSE: [alert(Severity.CRITICAL)],
        }.get(observed, [])
        judged = {} if observed == UNKNOWN else {RULE: self.damping}
        after = changes(self.states, Findings(at=self.at, alerts=found, judged=judged))
        minute = (self.at - BEGIN) // MINUTE
        self.reported += [(minute, each.change) for each in after.news]
        self.states = dict(after.states)
        self.at += MINUTE


def alert(severity: Severity) -> Alert:
    return Alert(
        rule=RULE, subject="quotes", severity=severity, title="it is wrong", action="Do something"
    )


@pytest.mark.parametrize(
    ("observed", "reported"),
    [
        pytest.param([RIGHT] * 10, [], id="nothing wrong"),
        pytest.param([WRONG] * 2 + [RIGHT] * 10, [], id="too short for a message"),
        pytest.param(
            [WRONG] * 5 + [RIGHT] * 10,
            [(2, Change.BEGAN), (7, Change.RECOVERED)],
            id="once, and its end once",
        ),
        pytest.param(
            [WRONG] * 4 + [RIGHT] * 2 + [WRONG] * 4 + [RIGHT] * 5,
            [(2, Change.BEGAN), (12, Change.RECOVERED)],
            id="away for less than the damping",
        ),
        pytest.param(
            [WRONG] * 4 + [WORSE] * 3 + [WRONG] * 3,
            [(2, Change.BEGAN), (4, Change.WORSE)],
            id="worse once",
        ),
        pytest.param(
            [WRONG] * 4 + [UNKNOWN] * 600 + [WRONG] * 2,
            [(2, Change.BEGAN), (604, Change.LASTS)],
            id="a night changes nothing",
        ),
        pytest.param(
            [WRONG] * 4 + [UNKNOWN] * 600 + [RIGHT] * 2,
            [(2, Change.BEGAN), (604, Change.RECOVERED)],
            id="over after a night",
        ),
        pytest.param(
            [WRONG] * 400,
            [(2, Change.BEGAN), (62, Change.LASTS), (302, Change.LASTS)],
            id="reminded of after growing waits",
        ),
    ],
)
def test_minutes_and_what_is_reported(
    observed: list[str], reported: list[tuple[int, Change]]
) -> None:
    assert Watch().minutes(observed).reported == reported


def test_an_alert_that_comes_back_has_to_stay_away_for_longer_each_time() -> None:
    watch = Watch(Damping(timedelta(0), 2 * MINUTE))
    lengths = []
    for _ in range(4):
        watch.minute(WRONG)
        began = watch.at
        while watch.reported[-1][1] is not Change.RECOVERED:
            watch.minute(RIGHT)
        lengths.append((watch.at - began) // MINUTE)

    assert lengths == [2, 4, 8, 16]


def test_what_is_over_is_forgotten_after_a_month() -> None:
    watch = Watch().minutes([WRONG] * 4 + [RIGHT] * 10)
    watch.at += timedelta(days=31)
    watch.minute(RIGHT)

    assert watch.states == {}


@given(
    st.lists(st.sampled_from([WRONG, WORSE, RIGHT, UNKNOWN]), max_size=300),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_laws_of_any_history(observed: list[str], begins: int, ends: int) -> None:
    watch = Watch(Damping(begins * MINUTE, ends * MINUTE)).minutes(observed)
    first = {Change.BEGAN, Change.RECOVERED}
    alternating = [change for _, change in watch.reported if change in first]

    # It begins and ends in turn, beginning with a beginning.
    assert alternating == [Change.BEGAN, Change.RECOVERED] * (len(alternating) // 2) + (
        [Change.BEGAN] * (len(alternating) % 2)
    )
    # Of a minute there is one message at most, and none without a reason in it.
    assert len({minute for minute, _ in watch.reported}) == len(watch.reported)
    assert all(
        observed[minute] == (RIGHT if change is Change.RECOVERED else observed[minute])
        and observed[minute] != UNKNOWN
        for minute, change in watch.reported
    )
    # What is right for long enough is over.
    settled = watch.minutes([RIGHT] * (LONGEST_CLEAR // MINUTE + 1))
    assert not any(state.is_open for state in settled.states.values())
