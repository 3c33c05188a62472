"""The fewest requests, in the right order, and how long they take."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import combinations, count
from time import thread_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paced import file_pacer

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.request_planner import (
    Budget,
    CandleEndpoint,
    Estimate,
    Need,
    Window,
    estimate,
    plan_windows,
    send_times,
)
from data_fetch.core.clock import VirtualClock
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.ports import Lane
from data_fetch.sources.upstox.candle_endpoints import (
    EXPIRED,
    HISTORICAL,
    INTRADAY,
    LONGEST_WINDOW,
    UpstoxCandleEndpoints,
)
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS

TODAY = date(2026, 9, 16)
NOW = datetime(2026, 9, 16, 4, 0, tzinfo=UTC)
DAY, SECOND, INSTANT = timedelta(days=1), timedelta(seconds=1), timedelta(microseconds=1)
MINUTE, HALF_HOUR = timedelta(minutes=1), timedelta(minutes=30)


def stock(symbol: str) -> Instrument:
    key = f"NSE_EQ|{symbol}"
    return Instrument(
        instrument_key=key, live_key=key, symbol=symbol, segment="NSE_EQ", instrument_type="EQ"
    )


def future(symbol: str, expiry: str) -> Instrument:
    """The future of *symbol* that expires on *expiry*."""
    return Instrument(
        instrument_key=f"NSE_FO|{symbol}|{expiry}",
        live_key=f"NSE_FO|{symbol}",
        symbol=f"{symbol}FUT",
        segment="NSE_FO",
        instrument_type="FUT",
        expiry=date.fromisoformat(expiry),
    )


INFY, TCS = stock("INFY"), stock("TCS")


def needs(instrument: Instrument, *days: str | date) -> list[Need]:
    return [Need(instrument, date.fromisoformat(str(day)), 375) for day in days]


def written(window: Window) -> str:
    return f"{window.first:%d %b %y} to {window.last:%d %b %y} {window.endpoint}"


def plan(wanted: Sequence[Need], interval: CandleInterval = CandleInterval.MINUTE) -> list[Window]:
    return plan_windows(wanted, interval, TODAY, UpstoxCandleEndpoints().endpoint_for)


# -- the fewest requests ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        pytest.param([], [], id="nothing is needed"),
        pytest.param(["2026-09-15"], ["15 Sep 26 to 15 Sep 26 historical"], id="one day"),
        pytest.param(["2026-09-16"], ["16 Sep 26 to 16 Sep 26 intraday"], id="today"),
        pytest.param(
            ["2026-09-15", "2026-09-16"],
            ["16 Sep 26 to 16 Sep 26 intraday", "15 Sep 26 to 15 Sep 26 historical"],
            id="history never includes today",
        ),
        pytest.param(
            ["2026-08-16", "2026-09-15"],
            ["16 Aug 26 to 15 Sep 26 historical"],
            id="31 days, both ends counted",
        ),
        pytest.param(
            ["2026-08-15", "2026-09-15"],
            ["15 Sep 26 to 15 Sep 26 historical", "15 Aug 26 to 15 Aug 26 historical"],
            id="32 days",
        ),
        pytest.param(
            ["2026-09-01", "2026-09-02", "2026-09-09", "2026-09-04"],
            ["01 Sep 26 to 09 Sep 26 historical"],
            id="days between that need nothing, in any order",
        ),
        pytest.param(
            ["2026-06-20", "2026-07-20", "2026-07-21", "2026-08-19", "2026-08-20"],
            ["21 Jul 26 to 20 Aug 26 historical", "20 Jun 26 to 20 Jul 26 historical"],
            id="filled from the newest day, no wider than needed",
        ),
        pytest.param(
            ["2024-02-15", "2024-03-16"],
            ["15 Feb 24 to 16 Mar 24 historical"],
            id="31 days over a leap day",
        ),
    ],
)
def test_missing_minutes_make_the_fewest_windows(days: list[str], expected: list[str]) -> None:
    assert [written(window) for window in plan(needs(INFY, *days))] == expected


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        pytest.param(
            ["2016-09-15", "2020-02-29", "2026-09-15"],
            ["15 Sep 16 to 15 Sep 26 historical"],
            id="a decade",
        ),
        pytest.param(
            ["2016-09-14", "2026-09-15"],
            ["15 Sep 26 to 15 Sep 26 historical", "14 Sep 16 to 14 Sep 16 historical"],
            id="a day more",
        ),
        pytest.param(
            ["2026-09-15", "2026-09-16"],
            ["16 Sep 26 to 16 Sep 26 intraday", "15 Sep 26 to 15 Sep 26 historical"],
            id="today is a request of its own here too",
        ),
    ],
)
def test_day_candles_come_by_the_decade(days: list[str], expected: list[str]) -> None:
    planned = plan(needs(INFY, *days), CandleInterval.DAY)
    assert [written(window) for window in planned] == expected


def test_a_window_counts_the_minutes_that_are_wanted() -> None:
    wanted = [
        Need(INFY, date(2026, 9, 1), 375),
        Need(INFY, date(2026, 9, 9), 7),
        Need(INFY, date(2026, 9, 9), 5),
    ]
    assert [window.minutes for window in plan(wanted)] == [387]


@pytest.mark.parametrize(
    ("expiry", "day", "expected"),
    [
        pytest.param("2026-09-15", "2026-09-15", EXPIRED, id="expired yesterday"),
        pytest.param("2026-06-30", "2026-06-01", EXPIRED, id="expired long ago"),
        pytest.param("2026-09-16", "2026-09-15", HISTORICAL, id="expires today: yesterday"),
        pytest.param("2026-09-16", "2026-09-16", INTRADAY, id="expires today: today"),
        pytest.param("2026-09-24", "2026-09-15", HISTORICAL, id="expires later"),
    ],
)
def test_expired_contracts_have_an_endpoint_of_their_own(
    expiry: str, day: str, expected: CandleEndpoint
) -> None:
    assert [window.endpoint for window in plan(needs(future("INFY", expiry), day))] == [expected]


def test_a_future_day_cannot_be_requested() -> None:
    with pytest.raises(ValueError, match="2026-09-17 is in the future"):
        plan(needs(INFY, "2026-09-17"))


PAST_DAYS = st.sets(st.integers(0, 110).map(lambda ago: TODAY - ago * DAY), min_size=1, max_size=8)


@given(PAST_DAYS)
def test_no_other_set_of_windows_is_smaller(days: set[date]) -> None:
    """Tries every set of windows that begin with the oldest day in them."""
    past = days - {TODAY}
    fewest = next(
        number
        for number in count()
        for begins in combinations(sorted(past), number)
        if all(any(0 <= (day - begin).days < 31 for begin in begins) for day in past)
    )
    assert len(plan(needs(INFY, *days))) == fewest + (TODAY in days)


INSTRUMENTS = [INFY, TCS, future("INFY", "2026-08-25"), future("TCS", "2026-09-22")]
NEEDS = st.lists(
    st.builds(
        Need,
        st.sampled_from(INSTRUMENTS),
        st.integers(0, 200).map(lambda ago: TODAY - ago * DAY),
        st.integers(1, 375),
    ),
    max_size=40,
)


@given(NEEDS)
def test_every_need_lies_in_exactly_one_window(wanted: list[Need]) -> None:
    planned = plan(wanted)
    for window in planned:
        served = [
            need
            for need in wanted
            if need.instrument == window.instrument and window.first <= need.day <= window.last
        ]
        days = [need.day for need in served]
        assert (min(days), max(days)) == (window.first, window.last)
        assert window.minutes == sum(need.minutes for need in served)
        assert window.days <= LONGEST_WINDOW[CandleInterval.MINUTE]
        if window.endpoint != EXPIRED:
            assert (window.endpoint == INTRADAY) is (window.last == TODAY)
            assert window.days == 1 or window.last < TODAY
    assert sum(window.minutes for window in planned) == sum(need.minutes for need in wanted)


@given(NEEDS)
def test_the_same_needs_make_the_same_plan(wanted: list[Need]) -> None:
    """In any order of an instrument's days; the order of the instruments stays."""
    names = list(dict.fromkeys(need.instrument.instrument_key for need in wanted))
    shuffled = sorted(
        wanted, key=lambda need: (names.index(need.instrument.instrument_key), need.day)
    )
    assert plan(shuffled) == plan(wanted)


# -- the order of the requests ---------------------------------------------------------------


def test_expiring_contracts_are_first_then_newer_days() -> None:
    tomorrow, in_a_week = future("GAIL", "2026-09-17"), future("SAIL", "2026-09-23")
    in_eight_days, over = future("BHEL", "2026-09-24"), future("NTPC", "2026-09-15")
    wanted = [
        *needs(TCS, "2026-07-01", "2026-09-15"),
        *needs(in_eight_days, "2026-09-15"),
        *needs(in_a_week, "2026-09-15", "2026-09-16"),
        *needs(INFY, "2026-07-02", "2026-09-15", "2026-09-16"),
        *needs(over, "2026-09-15"),
        *needs(tomorrow, "2026-07-01", "2026-09-01"),
    ]
    order = [
        f"{window.instrument.symbol} {window.last:%d %b} {window.endpoint}"
        for window in plan(wanted)
    ]
    assert order == [
        "GAILFUT 01 Sep historical",
        "GAILFUT 01 Jul historical",
        "SAILFUT 16 Sep intraday",
        "SAILFUT 15 Sep historical",
        "INFY 16 Sep intraday",
        "TCS 15 Sep historical",
        "BHELFUT 15 Sep historical",
        "INFY 15 Sep historical",
        "NTPCFUT 15 Sep expired",
        "INFY 02 Jul historical",
        "TCS 01 Jul historical",
    ]


def test_all_instruments_of_one_period_come_before_an_older_period() -> None:
    stocks = [stock(name) for name in ("C", "A", "B")]
    year = [TODAY - ago * DAY for ago in range(1, 366)]
    planned = plan([need for instrument in stocks for need in needs(instrument, *year)])
    assert [window.instrument.symbol for window in planned] == ["C", "A", "B"] * 12
    newest = [window.last for window in planned]
    assert newest == sorted(newest, reverse=True)


# -- a window that the provider refuses as too long -----------------------------------------------


@pytest.mark.parametrize(
    ("first", "last", "newer", "older"),
    [
        pytest.param(
            "2026-08-16",
            "2026-09-15",
            ("01 Sep 26 to 15 Sep 26", 150),
            ("16 Aug 26 to 31 Aug 26", 160),
            id="31 days",
        ),
        pytest.param(
            "2026-09-14",
            "2026-09-15",
            ("15 Sep 26 to 15 Sep 26", 155),
            ("14 Sep 26 to 14 Sep 26", 155),
            id="2 days",
        ),
    ],
)
def test_the_newer_half_is_first(
    first: str, last: str, newer: tuple[str, int], older: tuple[str, int]
) -> None:
    (whole,) = plan(needs(INFY, first, last))
    halves = replace(whole, minutes=310).halves()
    assert [(written(half), half.minutes) for half in halves] == [
        (f"{days} historical", minutes) for days, minutes in (newer, older)
    ]


@given(days=st.integers(2, 3653), minutes=st.integers(1, 10_000))
def test_halves_have_each_day_and_each_minute_once(days: int, minutes: int) -> None:
    (day,) = plan(needs(INFY, TODAY - DAY))
    whole = replace(day, first=day.last - (days - 1) * DAY, minutes=minutes)
    newer, older = whole.halves()
    assert newer.first - older.last == DAY
    assert abs(newer.days - older.days) <= 1
    assert newer.minutes + older.minutes == minutes
    assert replace(newer, first=older.first, minutes=minutes) == whole


def test_a_single_day_has_no_halves() -> None:
    (day,) = plan(needs(INFY, "2026-09-15"))
    with pytest.raises(ValueError, match="2026-09-15 is a single day"):
        day.halves()


# -- the estimate -----------------------------------------------------------------------


def requests(number: int, endpoint: CandleEndpoint = HISTORICAL, minutes: int = 0) -> list[Window]:
    window = Window(
        instrument=INFY,
        interval=CandleInterval.MINUTE,
        endpoint=endpoint,
        first=TODAY - DAY,
        last=TODAY - DAY,
        minutes=minutes,
    )
    return [window] * number


def sent_before_now(seconds: float, number: int) -> list[datetime]:
    return [NOW - timedelta(seconds=seconds)] * number


@pytest.mark.parametrize(
    ("number", "budget", "starts", "takes"),
    [
        pytest.param(0, Budget(UPSTOX_LIMITS), 0, 0, id="nothing to send"),
        pytest.param(50, Budget(UPSTOX_LIMITS), 0, 0, id="50 at once"),
        pytest.param(51, Budget(UPSTOX_LIMITS), 0, 1, id="the 51st a second later"),
        pytest.param(500, Budget(UPSTOX_LIMITS), 0, 9, id="two months of 250 names"),
        pytest.param(501, Budget(UPSTOX_LIMITS), 0, 60, id="the 501st a minute later"),
        pytest.param(2000, Budget(UPSTOX_LIMITS), 0, 189, id="half an hour's worth"),
        pytest.param(2001, Budget(UPSTOX_LIMITS), 0, 1800, id="the 2001st half an hour later"),
        pytest.param(
            12_400, Budget(UPSTOX_LIMITS), 0, 3 * 3600 + 7, id="210 names since 2022: three hours"
        ),
        pytest.param(
            1, Budget(UPSTOX_LIMITS, sent_before_now(0.25, 50)), 0.75, 0, id="this second is full"
        ),
        pytest.param(
            1, Budget(UPSTOX_LIMITS, sent_before_now(600, 2000)), 1200, 0, id="half an hour is full"
        ),
        pytest.param(
            501,
            Budget(UPSTOX_LIMITS, sent_before_now(600, 1500)),
            0,
            1200,
            id="a quarter is left until the old requests leave the window",
        ),
        pytest.param(
            2000, Budget(UPSTOX_LIMITS, sent_before_now(1801, 2000)), 0, 189, id="long ago"
        ),
        pytest.param(
            41,
            Budget(UPSTOX_LIMITS, reserved={SECOND: 10}),
            0,
            1,
            id="ten per second are reserved for the live lane",
        ),
        pytest.param(
            1940,
            Budget(UPSTOX_LIMITS, reserved={MINUTE: 2, HALF_HOUR: 60}),
            0,
            188,
            id="two per minute are reserved for the live lane",
        ),
        pytest.param(
            1941,
            Budget(UPSTOX_LIMITS, reserved={MINUTE: 2, HALF_HOUR: 60}),
            0,
            1800,
            id="no more than the rest is sent",
        ),
        pytest.param(
            1,
            Budget({SECOND: 3}, sent_before_now(0.5, 3), {SECOND: 2}),
            0.5,
            0,
            id="more is used already than the reservation leaves",
        ),
    ],
)
def test_the_estimate_is_that_of_sending_as_early_as_allowed(
    number: int, budget: Budget, starts: float, takes: float
) -> None:
    estimated = estimate(requests(number), {"candles": budget}, NOW)
    assert estimated.requests == number
    # Each wait for a window adds one microsecond.
    slack = 20 * INSTANT
    assert timedelta(0) <= estimated.starts_at - NOW - timedelta(seconds=starts) <= slack
    assert timedelta(0) <= estimated.duration - timedelta(seconds=takes) <= slack


def test_apis_run_side_by_side() -> None:
    planned = requests(51, HISTORICAL, 375) + requests(101, EXPIRED, 100)
    budgets = {"candles": Budget({SECOND: 50}), "expired-candles": Budget({SECOND: 50})}
    assert estimate(planned, budgets, NOW) == Estimate(
        requests=152,
        minutes=51 * 375 + 101 * 100,
        starts_at=NOW,
        finishes_at=NOW + 2 * (SECOND + INSTANT),
    )


def test_historical_and_intraday_use_one_budget() -> None:
    assert [(str(each), each.api) for each in UpstoxCandleEndpoints.endpoints] == [
        ("historical", "candles"),
        ("intraday", "candles"),
        ("expired", "expired-candles"),
    ]
    planned = requests(30, HISTORICAL) + requests(30, INTRADAY)
    assert estimate(planned, {"candles": Budget({SECOND: 50})}, NOW).duration > SECOND


def test_a_reservation_must_leave_something() -> None:
    with pytest.raises(ValueError, match="nothing is left"):
        Budget({SECOND: 3}, reserved={SECOND: 3})


MILLISECONDS = st.integers(0, 12_000).map(lambda ms: NOW - timedelta(milliseconds=ms))
BUDGETS = st.builds(
    Budget,
    st.fixed_dictionaries({SECOND: st.integers(2, 4), 10 * SECOND: st.integers(3, 9)}),
    st.lists(MILLISECONDS, max_size=15).map(sorted),
    st.fixed_dictionaries({}, optional={SECOND: st.integers(0, 1), 10 * SECOND: st.just(2)}),
)


def held(counted: Sequence[datetime], width: timedelta, at: datetime) -> int:
    """The number of *counted* in a window of this width that ends at *at*."""
    return sum(at - width <= instant <= at for instant in counted)


@given(BUDGETS, st.integers(0, 30))
def test_no_window_is_exceeded_and_no_request_could_be_sent_earlier(
    budget: Budget, number: int
) -> None:
    sent = send_times(budget, number, NOW)
    assert len(sent) == number
    for n, at in enumerate(sent):
        before = [*budget.ends, *sent[:n]]
        assert at >= max([NOW, *before])
        assert all(held(before, width, at) < allowed for width, allowed in budget.allowed.items())
        earlier = at - INSTANT
        assert at == NOW or any(
            held(before, width, earlier) >= allowed and earlier - width in before
            for width, allowed in budget.allowed.items()
        )


@settings(max_examples=30)
@given(st.lists(st.integers(0, 2_000), max_size=15), st.integers(1, 20))
def test_the_pacer_sends_at_the_estimated_times(
    tmp_path_factory: pytest.TempPathFactory, pauses: list[int], number: int
) -> None:
    """To the microsecond, when the responses arrive at once."""
    limits = {SECOND: 3, 10 * SECOND: 8}
    clock = VirtualClock(NOW)
    hold = clock.hold()
    pacer = file_pacer(tmp_path_factory.mktemp("pacing"), clock, limits)

    def sent_after(pause: int) -> datetime:
        clock.sleep(timedelta(milliseconds=pause))
        with pacer.request("candles", Lane.BACKFILL):
            return clock.now()

    for pause in pauses:
        sent_after(pause)
    promised = send_times(Budget(limits, pacer.spending("candles")), number, clock.now())
    assert [sent_after(0) for _ in range(number)] == promised
    hold.release()
    pacer.close()


def test_the_cost_of_an_estimate_grows_as_the_requests_do() -> None:
    def cost(number: int) -> float:
        planned, costs = requests(number), []
        for _ in range(5):
            began = thread_time()
            estimate(planned, {"candles": Budget(UPSTOX_LIMITS)}, NOW)
            costs.append(thread_time() - began)
        return min(costs)

    # Ten times as many requests: with their square it would be a hundred times the cost.
    assert cost(12_500) < 40 * cost(1_250)
