"""What the facts of a feed mean: by table, and over a simulated year."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.clock import IST
from data_fetch.core.errors import AccessDenied, RateLimited, TokenRejected, Unreachable
from data_fetch.core.feed.liveness import (
    Condition,
    FeedState,
    Liveness,
    LivenessRules,
    Sentinel,
    open_since,
)
from data_fetch.core.feed.market_status import MarketStatus
from data_fetch.core.market.calendar import (
    FUTURES_AND_OPTIONS,
    INDEX,
    LocalOverride,
    MarketCalendar,
    parse_override,
)

CALENDAR = MarketCalendar.reviewed()
NIFTY, BANK, FUTURE = "NSE_INDEX|Nifty 50", "NSE_INDEX|Nifty Bank", "NSE_FO|1"
SENTINELS = {NIFTY: Sentinel("Nifty 50", INDEX), BANK: Sentinel("Nifty Bank", INDEX)}
RULES = LivenessRules()
SECOND = timedelta(seconds=1)
OPEN, CLOSE = MarketStatus.NORMAL_OPEN, MarketStatus.NORMAL_CLOSE


def ist(text: str) -> datetime:
    """An instant of the session of Wednesday 2026-09-16, or of a named date."""
    date_part, _, time_part = text.rpartition(" ")
    return datetime.fromisoformat(f"{date_part or '2026-09-16'} {time_part}").replace(tzinfo=IST)


def opened(at: datetime) -> Liveness:
    """A connection that opened at *at* and requested all sentinels."""
    liveness = Liveness(SENTINELS, RULES)
    liveness.opened(at)
    liveness.requested(SENTINELS, at)
    return liveness


def state(liveness: Liveness, at: datetime) -> FeedState:
    """The state at *at*."""
    return liveness.condition(at, CALENDAR).state


SILENCES = [
    # Seconds since the last tick of a sentinel, in a session.
    (0, FeedState.LIVE),
    (5, FeedState.LIVE),
    (5.1, FeedState.MUTE),
    (10, FeedState.MUTE),
    (10.1, FeedState.DEAD),
]


@pytest.mark.parametrize(("seconds", "expected"), SILENCES)
def test_silence_in_a_session(seconds: float, expected: FeedState) -> None:
    liveness = opened(ist("10:00:00"))
    liveness.ticked([NIFTY, "NSE_EQ|X"], ist("10:00:01"))

    assert state(liveness, ist("10:00:01") + timedelta(seconds=seconds)) is expected


LOOKS = [
    # The time of a look in a session, the last tick before it, and the next look.
    ("10:00:01", "10:00:01", "10:00:06.001"),
    ("10:00:06.001", "10:00:01", "10:00:11.001"),
    ("10:00:20", "10:00:19", "10:00:24.001"),
    ("10:00:29", "10:00:28", "10:00:30"),
    ("15:29:58", "15:29:57", "15:30:00"),
]


@pytest.mark.parametrize(("now", "ticked", "expected"), LOOKS)
def test_the_next_look_is_when_silence_would_be_too_long(
    now: str, ticked: str, expected: str
) -> None:
    liveness = opened(ist("10:00:00"))
    liveness.ticked([NIFTY], ist(ticked))
    liveness.condition(ist(now), CALENDAR)

    assert liveness.next_look(ist(now)) == ist(expected)


@pytest.mark.parametrize("now", ["03:00:00", "08:59:59.5", "15:45:10"])
def test_without_silence_that_counts_the_next_look_is_half_a_minute_away(now: str) -> None:
    liveness = opened(ist("03:00:00"))
    liveness.condition(ist(now), CALENDAR)

    following = liveness.next_look(ist(now))

    assert timedelta() < following - ist(now) <= timedelta(seconds=30)
    assert (following.second % 30, following.microsecond) == (0, 0)


def test_one_sentinel_is_enough_and_another_key_is_not() -> None:
    liveness = opened(ist("10:00:00"))
    liveness.ticked([BANK], ist("10:00:08"))
    assert state(liveness, ist("10:00:12")) is FeedState.LIVE

    liveness.ticked(["NSE_EQ|X"], ist("10:00:18"))
    assert state(liveness, ist("10:00:19")) is FeedState.DEAD


def test_a_feed_that_never_ticked_is_connecting_and_then_mute() -> None:
    liveness = opened(ist("10:00:00"))

    assert state(liveness, ist("10:00:04")) is FeedState.CONNECTING
    assert state(liveness, ist("10:00:06")) is FeedState.MUTE
    assert state(liveness, ist("10:00:11")) is FeedState.DEAD


def test_a_cause_names_the_keys_and_the_time_and_its_instant_is_the_last_tick() -> None:
    liveness = opened(ist("10:00:00"))
    liveness.ticked([NIFTY], ist("10:00:01"))

    condition = liveness.condition(ist("10:00:09"), CALENDAR)

    assert condition == Condition(
        state=FeedState.MUTE,
        cause="no price of Nifty 50, Nifty Bank since 10:00:01 IST, though the market is open",
        since=ist("10:00:01"),
        expected=True,
    )


CLOSED_AT = ["09:14:59", "15:15:00", "20:00:00", "2026-09-19 11:00:00"]


@pytest.mark.parametrize("at", CLOSED_AT)
def test_no_price_is_expected_while_the_calendar_is_closed(at: str) -> None:
    liveness = opened(ist(at) - 300 * SECOND)

    condition = liveness.condition(ist(at), CALENDAR)

    assert condition.state is FeedState.MARKET_CLOSED
    assert not condition.expected


def test_silence_counts_from_the_opening() -> None:
    liveness = opened(ist("03:00:00"))

    assert state(liveness, ist("09:15:04")) is FeedState.CONNECTING
    assert state(liveness, ist("09:15:06")) is FeedState.MUTE


def test_a_status_of_closed_excuses_silence_until_the_market_goes_on() -> None:
    liveness = opened(ist("10:00:00"))
    liveness.ticked([NIFTY], ist("10:00:01"))
    liveness.reported({"NSE_INDEX": CLOSE}, ist("10:00:02"))
    assert state(liveness, ist("10:20:00")) is FeedState.MARKET_CLOSED

    liveness.reported({"NSE_INDEX": OPEN}, ist("10:45:00"))
    assert state(liveness, ist("10:45:04")) is FeedState.CONNECTING
    assert state(liveness, ist("10:45:06")) is FeedState.MUTE


def test_a_status_from_before_the_opening_excuses_nothing() -> None:
    """A connection that went mute in the night has yesterday's status."""
    liveness = opened(ist("2026-09-15 15:00:00"))
    liveness.reported({"NSE_INDEX": CLOSE}, ist("2026-09-15 15:30:00"))

    assert state(liveness, ist("09:15:11")) is FeedState.DEAD


def test_a_status_of_open_that_is_repeated_excuses_nothing() -> None:
    liveness = opened(ist("10:00:00"))
    for second in range(12):
        liveness.reported({"NSE_INDEX": OPEN}, ist("10:00:00") + second * SECOND)

    assert state(liveness, ist("10:00:12")) is FeedState.DEAD


def test_a_status_that_ticks_contradict_is_not_believed() -> None:
    liveness = opened(ist("10:00:00"))
    liveness.reported({"NSE_INDEX": CLOSE}, ist("10:00:00"))
    liveness.ticked([NIFTY], ist("10:00:59"))
    assert state(liveness, ist("10:00:59")) is FeedState.MARKET_CLOSED

    liveness.ticked([NIFTY], ist("10:01:00"))
    assert state(liveness, ist("10:01:00")) is FeedState.LIVE
    assert state(liveness, ist("10:01:06")) is FeedState.MUTE


def test_a_status_of_other_segments_says_nothing() -> None:
    liveness = opened(ist("10:00:00"))
    liveness.reported({"NSE_COM": CLOSE}, ist("10:00:01"))

    assert state(liveness, ist("10:00:11")) is FeedState.DEAD


def test_a_sentinel_with_longer_hours_is_expected_alone() -> None:
    liveness = Liveness({**SENTINELS, FUTURE: Sentinel("Future", FUTURES_AND_OPTIONS)}, RULES)
    liveness.opened(ist("15:00:00"))
    liveness.requested({*SENTINELS, FUTURE}, ist("15:00:00"))

    liveness.ticked([FUTURE], ist("15:30:00"))
    assert state(liveness, ist("15:30:03")) is FeedState.LIVE
    assert state(liveness, ist("15:30:11")) is FeedState.DEAD
    assert state(liveness, ist("15:40:00")) is FeedState.MARKET_CLOSED


def auction_day(*delivered: str) -> Liveness:
    """A connection since 10:00 with the indices and a future, of which *delivered* ticked last at
    15:14:59."""
    liveness = Liveness({**SENTINELS, FUTURE: Sentinel("Future", FUTURES_AND_OPTIONS)}, RULES)
    liveness.opened(ist("10:00:00"))
    liveness.requested({*SENTINELS, FUTURE}, ist("10:00:00"))
    liveness.ticked(delivered, ist("15:14:59"))
    return liveness


def test_indices_are_a_sign_of_life_until_they_end() -> None:
    liveness = auction_day(NIFTY)
    liveness.ticked([FUTURE], ist("15:14:48"))

    assert state(liveness, ist("15:15:03")) is FeedState.LIVE
    assert state(liveness, ist("15:15:05")) is FeedState.MUTE
    dead = liveness.condition(ist("15:15:10"), CALENDAR)
    assert (dead.state, dead.since) == (FeedState.DEAD, ist("15:14:59"))


def test_a_sentinel_that_is_not_delivered_ends_no_connection_that_delivers_others() -> None:
    liveness = auction_day(NIFTY)

    assert state(liveness, ist("15:15:03")) is FeedState.LIVE
    for second in range(10, 60):
        liveness.ticked([], ist(f"15:20:{second}"))
        assert state(liveness, ist(f"15:20:{second}")) is FeedState.LIVE
    assert state(liveness, ist("15:21:05")) is FeedState.MUTE
    assert liveness.next_look(ist("15:21:05")) == ist("15:21:09.001")
    assert state(liveness, ist("15:21:10")) is FeedState.DEAD


def test_a_price_from_before_the_session_excuses_no_silence_in_it() -> None:
    liveness = opened(ist("09:10:00"))
    liveness.ticked([], ist("09:10:02"))

    assert state(liveness, ist("09:15:11")) is FeedState.DEAD


def test_a_new_connection_that_delivers_nothing_is_given_up_after_the_indices_ended() -> None:
    liveness = auction_day()
    liveness.opened(ist("15:20:00"))
    liveness.requested({*SENTINELS, FUTURE}, ist("15:20:00"))

    assert state(liveness, ist("15:20:11")) is FeedState.DEAD


REFUSALS = [
    (TokenRejected("no token", hint="Log in"), FeedState.REFUSED, "no token. Log in"),
    (AccessDenied("no plan"), FeedState.REFUSED, "no plan"),
    (RateLimited("too many"), FeedState.REFUSED, "too many"),
    (Unreachable("no network"), FeedState.DEAD, "no network"),
]


@pytest.mark.parametrize(("problem", "expected", "cause"), REFUSALS)
def test_a_failed_attempt(problem: Unreachable, expected: FeedState, cause: str) -> None:
    liveness = Liveness(SENTINELS, RULES)
    liveness.trying(ist("10:00:00"))
    assert state(liveness, ist("10:00:00")) is FeedState.CONNECTING

    liveness.failed(problem, ist("10:00:01"))
    # The next attempt is no news until it succeeds.
    liveness.trying(ist("10:00:02"))

    condition = liveness.condition(ist("10:00:03"), CALENDAR)
    assert (condition.state, condition.cause) == (expected, cause)
    assert condition.since == ist("10:00:01")


def test_a_clock_that_is_set_back_hides_no_silence() -> None:
    liveness = opened(ist("11:00:00"))
    liveness.ticked([NIFTY], ist("11:00:01"))

    assert state(liveness, ist("10:00:00")) is FeedState.LIVE
    assert state(liveness, ist("10:00:11")) is FeedState.DEAD


def test_what_came_before_a_new_connection_does_not_count_for_it() -> None:
    liveness = opened(ist("10:00:00"))
    liveness.ticked([NIFTY], ist("10:00:01"))
    liveness.lost("cut", ist("10:00:02"))
    liveness.opened(ist("10:00:03"))
    liveness.requested(SENTINELS, ist("10:00:03"))

    assert state(liveness, ist("10:00:04")) is FeedState.CONNECTING
    assert state(liveness, ist("10:00:09")) is FeedState.MUTE


def test_only_requested_keys_have_to_tick() -> None:
    liveness = Liveness(SENTINELS, RULES)
    liveness.opened(ist("10:00:00"))
    assert state(liveness, ist("10:01:00")) is FeedState.CONNECTING

    liveness.requested([NIFTY, "NSE_EQ|X"], ist("10:01:00"))
    assert state(liveness, ist("10:01:04")) is FeedState.CONNECTING
    assert state(liveness, ist("10:01:06")) is FeedState.MUTE


def test_prices_are_expected_though_there_is_no_connection() -> None:
    liveness = Liveness(SENTINELS, RULES)
    liveness.failed(TokenRejected("no token"), ist("10:00:00"))

    assert liveness.condition(ist("10:00:01"), CALENDAR).expected
    assert not liveness.condition(ist("20:00:01"), CALENDAR).expected


# A year. 2024 had a session on a Saturday in two windows, a Muhurat in the evening and a holiday
# announced late; the override has a halt of a whole market.

HALT = parse_override(
    '[[day]]\ndate = 2024-07-10\nhours = ["09:15-11:05", "12:00-15:30"]\n', "halt.toml"
)
YEAR = CALENDAR.with_amendments(LocalOverride(HALT))
FIRST = date(2024, 1, 1)
ALARMS = {FeedState.MUTE, FeedState.DEAD}


def looks(day: date, offset: int) -> Iterator[datetime]:
    """Instants of *day* in India, two minutes apart."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=IST)
    for minute in range(0, 24 * 60, 2):
        yield midnight + timedelta(minutes=minute, seconds=offset)


def states_of(day: date, offset: int, mute_from: datetime | None = None) -> Sequence[FeedState]:
    """The states over *day* of one connection that reports the status of its segment, and whose
    sentinels tick in sessions, until *mute_from*."""
    liveness = opened(datetime(day.year, day.month, day.day, tzinfo=IST) - SECOND)
    found, before = [], None
    for at in looks(day, offset):
        opening = open_since(YEAR, INDEX, at)
        if mute_from is None or at < mute_from:
            if opening != before:
                status = CLOSE if opening is None else OPEN
                liveness.reported({"NSE_INDEX": status}, opening or at)
            if opening is not None:
                # The first tick of a session comes with its first seconds.
                liveness.ticked([NIFTY], max(opening, at - SECOND))
        before = opening
        found.append(liveness.condition(at, YEAR).state)
    return found


def test_a_healthy_feed_has_no_alarm_in_a_year() -> None:
    for number in range(366):
        states = states_of(FIRST + timedelta(days=number), offset=number % 120)
        assert not ALARMS & set(states)


SPECIAL = [
    date(2024, 1, 20),
    date(2024, 3, 2),
    date(2024, 5, 18),
    date(2024, 5, 20),
    date(2024, 7, 10),
    date(2024, 11, 1),
]


@pytest.mark.parametrize("day", SPECIAL, ids=str)
def test_a_mute_feed_alarms_in_sessions_only(day: date) -> None:
    mute_from = datetime(day.year, day.month, day.day, tzinfo=IST)
    states = states_of(day, 30, mute_from)

    alarmed = [at for at, each in zip(looks(day, 30), states, strict=True) if each in ALARMS]
    in_session = [at for at in looks(day, 30) if open_since(YEAR, INDEX, at) is not None]
    assert alarmed == in_session


@given(st.integers(0, 365), st.integers(0, 86_399))
def test_a_feed_that_goes_mute_in_a_session_is_found_within_ten_seconds(
    number: int, second: int
) -> None:
    day = FIRST + timedelta(days=number)
    mute_from = datetime(day.year, day.month, day.day, tzinfo=UTC) + second * SECOND
    opening = open_since(YEAR, INDEX, mute_from)
    liveness = opened(mute_from - 60 * SECOND)
    if opening is not None:
        liveness.ticked([NIFTY], max(opening, mute_from))
    later = [mute_from + n * SECOND for n in range(12)]
    for at in later:
        found = liveness.condition(at, YEAR).state
        expected = open_since(YEAR, INDEX, at) is not None
        assert expected or found is FeedState.MARKET_CLOSED

    if opening is not None and all(open_since(YEAR, INDEX, at) == opening for at in later):
        assert found is FeedState.DEAD
