"""The age of polled chains, in minutes in which their options traded."""

from datetime import date, datetime

import pytest

from data_fetch.core.chains.chains import ChainSource
from data_fetch.core.chains.freshness import ChainJudgement, LastReceipt, judge_chains
from data_fetch.core.chains.polling import Cadence
from data_fetch.core.clock import IST
from data_fetch.core.freshness import FreshnessRules
from data_fetch.core.market.calendar import MarketCalendar

# Options trade from 09:15 to 15:30 on this Wednesday, which is no expiry.
DAY = "2026-07-01"
CALENDAR = MarketCalendar.reviewed()
RULES = FreshnessRules(stale_after=5, frozen_after=10)


def ist(text: str) -> datetime:
    """An instant; a time alone is one of DAY."""
    return datetime.fromisoformat(text if "-" in text else f"{DAY} {text}").replace(tzinfo=IST)


def cadence(seconds: float, symbol: str = "NIFTY") -> Cadence:
    return Cadence(symbol, seconds, seconds, priority=True)


def receipt(
    received_at: str, *, stamp: str | None = None, unchanged_since: str | None = None
) -> LastReceipt:
    return LastReceipt(
        expiry=date(2026, 7, 7),
        source=ChainSource.NSE if stamp else ChainSource.UPSTOX,
        received_at=ist(received_at),
        exchange_time=ist(stamp) if stamp else None,
        unchanged_since=ist(unchanged_since or received_at),
    )


def judged(now: str, last: LastReceipt | None, seconds: float = 30) -> ChainJudgement:
    receipts = {} if last is None else {"NIFTY": last}
    [judgement] = judge_chains(
        [cadence(seconds)], receipts, now=ist(now), calendar=CALENDAR, rules=RULES
    )
    return judgement


@pytest.mark.parametrize(
    ("now", "received_at", "seconds", "state", "minutes"),
    [
        pytest.param("11:00:20", "11:00:05", 30, "fresh", 0, id="just received"),
        pytest.param("11:05:00", "11:00:00", 30, "fresh", 5, id="exactly five minutes"),
        pytest.param("11:06:00", "11:00:00", 30, "stopped", 6, id="more than five minutes"),
        pytest.param("11:06:00", "11:00:00", 120, "fresh", 6, id="exactly three intervals"),
        pytest.param("11:07:00", "11:00:00", 120, "stopped", 7, id="more than three intervals"),
        pytest.param("11:06:00", "11:00:00", 110, "stopped", 6, id="between two whole minutes"),
        pytest.param("09:20:00", "2026-06-30 15:30:00", 30, "fresh", 5, id="the night is no time"),
        pytest.param("09:21:00", "2026-06-30 15:30:00", 30, "stopped", 6, id="since the night"),
        pytest.param("2026-01-27 09:20:00", "2026-01-23 15:30:00", 30, "fresh", 5, id="holiday"),
        pytest.param(
            "09:15:59", "2026-06-30 11:00:00", 30, "market_closed", 270, id="not due yet today"
        ),
        pytest.param(
            "09:16:00", "2026-06-30 11:00:00", 30, "stopped", 271, id="due since a minute"
        ),
        pytest.param(
            "09:17:59", "2026-06-30 11:00:00", 180, "market_closed", 272, id="a long interval"
        ),
        pytest.param("09:18:00", "2026-06-30 11:00:00", 180, "stopped", 273, id="that is over"),
        pytest.param("15:29:59", "15:20:00", 30, "stopped", 9, id="before the close"),
        pytest.param("15:30:00", "15:20:00", 30, "market_closed", 10, id="at the close"),
        pytest.param("2026-07-04 11:00:00", "11:00:00", 30, "market_closed", 1020, id="Saturday"),
        pytest.param(
            "2026-07-07 15:31:00", "2026-07-07 15:30:00", 30, "market_closed", 0, id="expiry day"
        ),
        pytest.param("11:00:00", "11:07:00", 30, "fresh", 0, id="received in the future"),
    ],
)
def test_a_chain_is_stopped_after_five_minutes_and_three_intervals(
    now: str, received_at: str, seconds: float, state: str, minutes: int
) -> None:
    judgement = judged(now, receipt(received_at), seconds)

    assert (judgement.state, judgement.minutes) == (state, minutes)


@pytest.mark.parametrize(
    ("now", "seconds", "state"),
    [
        pytest.param("09:14:59", 30, "market_closed", id="before the open"),
        pytest.param("09:15:40", 30, "market_closed", id="in the first minute"),
        pytest.param("09:16:00", 30, "never_seen", id="after the first minute"),
        pytest.param("09:17:59", 180, "market_closed", id="within the first interval"),
        pytest.param("09:18:00", 180, "never_seen", id="after the first interval"),
        pytest.param("15:29:59", 30, "never_seen", id="before the close"),
        pytest.param("20:00:00", 30, "market_closed", id="at night"),
        pytest.param("2026-01-26 11:00:00", 30, "market_closed", id="on a holiday"),
    ],
)
def test_a_chain_without_a_receipt(now: str, seconds: float, state: str) -> None:
    judgement = judged(now, None, seconds)

    assert (judgement.state, judgement.last, judgement.minutes) == (state, None, None)


@pytest.mark.parametrize(
    ("received_at", "stamp", "state", "standing"),
    [
        pytest.param("11:00:00", "11:00:00", "fresh", 0, id="stamped now"),
        pytest.param("11:00:00", "10:50:00", "fresh", 10, id="exactly ten minutes"),
        pytest.param("11:00:00", "10:49:00", "frozen", 11, id="more than ten minutes"),
        pytest.param("11:00:00", "10:00:00", "frozen", 60, id="an hour"),
        pytest.param("11:00:00", "11:07:00", "fresh", 0, id="a stamp in the future"),
        pytest.param("11:00:00", "2026-07-08 11:00:00", "fresh", 0, id="of next week"),
        pytest.param("09:16:00", "2026-06-30 15:30:00", "fresh", 1, id="the night is no time"),
        pytest.param("09:26:00", "2026-06-30 15:30:00", "frozen", 11, id="still that of yesterday"),
    ],
)
def test_a_chain_is_frozen_when_its_stamp_is_old(
    received_at: str, stamp: str, state: str, standing: int
) -> None:
    judgement = judged(received_at, receipt(received_at, stamp=stamp))

    assert (judgement.state, judgement.standing) == (state, standing)


def test_instants_before_the_calendar_are_just_old() -> None:
    assert judged("11:00:00", receipt("2019-06-03 11:00:00")).state == "stopped"
    assert judged("11:00:00", receipt("11:00:00", stamp="1970-01-01 00:00:00")).state == "frozen"


def test_the_time_between_two_polls_does_not_age_a_stamp() -> None:
    last = receipt("11:00:00", stamp="10:59:00")

    assert judged("11:14:00", last, seconds=300).state == "fresh"


def test_a_frozen_chain_that_is_no_longer_received_has_stopped() -> None:
    assert judged("11:06:00", receipt("11:00:00", stamp="10:00:00")).state == "stopped"


def test_a_frozen_chain_is_no_alarm_after_the_close() -> None:
    assert judged("15:31:00", receipt("15:30:00", stamp="14:00:00")).state == "market_closed"


@pytest.mark.parametrize(
    ("unchanged_since", "other_since", "state"),
    [
        pytest.param("10:49:00", "10:50:00", "frozen", id="while another chain changed"),
        pytest.param("10:50:00", "11:00:00", "fresh", id="exactly ten minutes"),
        pytest.param("10:00:00", "10:49:00", "fresh", id="all chains stand still"),
        pytest.param("10:00:00", None, "fresh", id="nothing to compare it with"),
    ],
)
def test_a_chain_without_stamps_is_frozen_when_only_its_content_stands_still(
    unchanged_since: str, other_since: str | None, state: str
) -> None:
    receipts = {"NIFTY": receipt("11:00:00", unchanged_since=unchanged_since)}
    if other_since is not None:
        receipts["BANKNIFTY"] = receipt("11:00:00", unchanged_since=other_since)
    cadences = [cadence(30), cadence(30, "BANKNIFTY")]

    [nifty, _] = judge_chains(
        cadences, receipts, now=ist("11:00:00"), calendar=CALENDAR, rules=RULES
    )

    assert nifty.state == state


def test_with_a_moving_stamp_unchanged_content_is_fresh() -> None:
    last = receipt("11:00:00", stamp="10:59:58", unchanged_since="10:00:00")

    assert judged("11:00:00", last).state == "fresh"


def test_every_polled_symbol_is_judged_and_no_other() -> None:
    receipts = {"TCS": receipt("11:00:00"), "NIFTY": receipt("11:00:00")}
    cadences = [cadence(30, "NIFTY"), cadence(180, "INFY")]

    judgements = judge_chains(
        cadences, receipts, now=ist("11:00:00"), calendar=CALENDAR, rules=RULES
    )

    assert [(each.symbol, each.state) for each in judgements] == [
        ("NIFTY", "fresh"),
        ("INFY", "never_seen"),
    ]
