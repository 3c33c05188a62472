"""An alarm for each change of state, and none for a state that lasts."""

import logging

import pytest

from data_fetch.core.freshness import Freshness
from data_fetch.services.freshness import StateAlarm

FRESH, STOPPED, CLOSED = Freshness.FRESH, Freshness.STOPPED, Freshness.CLOSED
FROZEN, NEVER_SEEN = Freshness.FROZEN, Freshness.NEVER_SEEN


@pytest.mark.parametrize(
    ("states", "logged"),
    [
        pytest.param([FRESH, FRESH], [], id="what is fresh is expected"),
        pytest.param([NEVER_SEEN, NEVER_SEEN], ["never_seen"], id="late from the beginning"),
        pytest.param([STOPPED, FROZEN, FRESH], ["stopped", "frozen", "fresh"], id="each change"),
        pytest.param([FRESH, CLOSED, FRESH], [], id="a night"),
        pytest.param([CLOSED, STOPPED], ["stopped"], id="late since the opening"),
        pytest.param([STOPPED, CLOSED, STOPPED], ["stopped"], id="late before and after a night"),
        pytest.param([STOPPED, CLOSED, FRESH], ["stopped", "fresh"], id="fresh after a night"),
    ],
)
def test_each_change_of_state_is_logged_once(
    states: list[Freshness], logged: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="data_fetch.ltp_service")
    alarm = StateAlarm("changed")

    for state in states:
        alarm.follow({"NIFTY": state})

    assert [(each.message, each.state) for each in caplog.records] == [
        ("changed", state) for state in logged
    ]


def test_symbols_that_change_to_the_same_state_share_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="data_fetch.ltp_service")

    StateAlarm("changed").follow({"NIFTY": STOPPED, "TCS": FRESH, "INFY": STOPPED})

    [record] = caplog.records
    assert (record.levelname, record.count, record.symbols) == ("WARNING", 2, ["NIFTY", "INFY"])
