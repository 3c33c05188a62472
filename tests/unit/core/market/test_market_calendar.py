"""Trading sessions, slots and expiries of the reviewed calendar."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_fetch.core.clock import IST, MINUTE
from data_fetch.core.errors import BadRecord, CalendarUnknown
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import (
    F_AND_O_STOCK,
    FUTURES_AND_OPTIONS,
    INDEX,
    INDIA_VIX,
    OTHER_STOCK,
    MarketCalendar,
    ProviderCalendar,
    TradingGroup,
    group_of,
    unlisted_warning,
)

CALENDAR = MarketCalendar.reviewed()
STOCK, OTHER, VIX, FO = F_AND_O_STOCK, OTHER_STOCK, INDIA_VIX, FUTURES_AND_OPTIONS
TRADING_GROUPS = [F_AND_O_STOCK, OTHER_STOCK, INDEX, INDIA_VIX, FUTURES_AND_OPTIONS]


def ist(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


@pytest.mark.parametrize(
    ("day", "group", "windows", "auction", "minutes", "slots"),
    [
        pytest.param("2021-01-01", STOCK, ["09:15-15:30"], None, 375, 375, id="first day"),
        pytest.param(
            "2021-02-24",
            STOCK,
            ["09:15-11:40", "15:45-17:00"],
            None,
            220,
            220,
            id="outage, cash",
        ),
        pytest.param(
            "2021-02-24",
            INDEX,
            ["09:15-11:40", "15:45-17:00"],
            None,
            220,
            220,
            id="outage, index",
        ),
        pytest.param(
            "2021-02-24", FO, ["09:15-11:43", "15:45-17:00"], None, 223, 223, id="outage, F&O"
        ),
        pytest.param("2021-11-04", FO, ["18:15-19:15"], None, 60, 60, id="Muhurat 2021"),
        pytest.param("2022-10-24", STOCK, ["18:15-19:15"], None, 60, 60, id="Muhurat 2022"),
        pytest.param("2023-11-12", INDEX, ["18:15-19:15"], None, 60, 60, id="Muhurat on a Sunday"),
        pytest.param("2024-01-20", STOCK, ["09:15-15:30"], None, 375, 375, id="whole Saturday"),
        pytest.param("2024-01-22", STOCK, [], None, 0, 0, id="the Monday it replaced"),
        pytest.param(
            "2024-03-02", STOCK, ["09:15-10:00", "11:30-12:30"], None, 105, 105, id="drill, March"
        ),
        pytest.param(
            "2024-05-18", FO, ["09:15-10:00", "11:45-12:40"], None, 100, 100, id="drill, May"
        ),
        pytest.param("2024-05-20", STOCK, [], None, 0, 0, id="holiday added late: election"),
        pytest.param("2024-11-01", STOCK, ["18:00-19:00"], None, 60, 60, id="Muhurat 2024"),
        pytest.param("2024-11-20", FO, [], None, 0, 0, id="holiday added late: state election"),
        pytest.param("2025-02-01", FO, ["09:15-15:30"], None, 375, 375, id="Budget Saturday"),
        pytest.param("2025-10-21", INDEX, ["13:45-14:45"], None, 60, 60, id="Muhurat afternoon"),
        pytest.param("2026-01-15", STOCK, [], None, 0, 0, id="holiday added late: municipal"),
        pytest.param("2026-02-01", STOCK, ["09:15-15:30"], None, 375, 375, id="Budget Sunday"),
        pytest.param("2026-07-31", STOCK, ["09:15-15:30"], None, 375, 375, id="last old Friday"),
        pytest.param("2026-07-31", FO, ["09:15-15:30"], None, 375, 375, id="its F&O"),
        pytest.param(
            "2026-08-03", STOCK, ["09:15-15:15"], "15:15-15:35", 360, 361, id="first auction"
        ),
        pytest.param("2026-08-03", OTHER, ["09:15-15:30"], None, 375, 375, id="without auction"),
        pytest.param(
            "2026-08-03", INDEX, ["09:15-15:15"], "15:15-15:35", 360, 361, id="index frozen"
        ),
        pytest.param("2026-08-03", VIX, ["09:15-15:30"], None, 375, 375, id="VIX has no auction"),
        pytest.param("2026-08-03", FO, ["09:15-15:40"], None, 385, 385, id="F&O to 15:40"),
        pytest.param("2026-11-08", STOCK, [], None, 0, 0, id="Muhurat without hours"),
        pytest.param("2026-09-19", FO, [], None, 0, 0, id="a Saturday"),
        pytest.param(
            "2026-12-31", STOCK, ["09:15-15:15"], "15:15-15:35", 360, 361, id="the table's last day"
        ),
    ],
)
def test_sessions(
    day: str,
    group: TradingGroup,
    windows: list[str],
    auction: str | None,
    minutes: int,
    slots: int,
) -> None:
    session = CALENDAR.session(date.fromisoformat(day), group)

    assert [str(window) for window in session.windows] == windows
    assert (session.auction and str(session.auction)) == auction
    assert session.expected_minutes == minutes
    assert len(session.minutes()) == minutes
    assert len(session.slots()) == slots
    assert session.open is bool(windows)


@pytest.mark.parametrize(
    ("at", "group", "trades"),
    [
        pytest.param("2025-01-06 09:14:59", STOCK, False, id="one second before the open"),
        pytest.param("2025-01-06 09:15:00", STOCK, True, id="the opening instant"),
        pytest.param("2025-01-06 15:29:59", STOCK, True, id="the last second"),
        pytest.param("2025-01-06 15:30:00", STOCK, False, id="the close itself does not trade"),
        pytest.param("2025-01-06 00:00:00", STOCK, False, id="midnight"),
        pytest.param("2025-01-05 11:00:00", STOCK, False, id="a Sunday"),
        pytest.param("2025-02-26 11:00:00", STOCK, False, id="a holiday on a Wednesday"),
        pytest.param("2024-03-02 09:59:00", STOCK, True, id="first window of a drill"),
        pytest.param("2024-03-02 10:30:00", STOCK, False, id="between the windows of a drill"),
        pytest.param("2024-03-02 11:30:00", STOCK, True, id="second window of a drill"),
        pytest.param("2021-02-24 11:41:00", STOCK, False, id="outage, stocks halted"),
        pytest.param("2021-02-24 11:41:00", FO, True, id="outage, F&O still trading"),
        pytest.param("2021-02-24 11:43:00", FO, False, id="outage, F&O halted"),
        pytest.param("2021-02-24 16:59:00", INDEX, True, id="outage, late trading"),
        pytest.param("2021-11-04 12:00:00", STOCK, False, id="Muhurat day at noon"),
        pytest.param("2021-11-04 18:15:00", STOCK, True, id="Muhurat evening"),
        pytest.param("2026-07-31 15:15:00", STOCK, True, id="before there was an auction"),
        pytest.param("2026-08-03 15:14:59", STOCK, True, id="the last continuous second"),
        pytest.param("2026-08-03 15:15:00", STOCK, False, id="the auction is not continuous"),
        pytest.param("2026-08-03 15:29:00", OTHER, True, id="a stock without auction trades on"),
        pytest.param("2026-08-03 15:15:00", INDEX, False, id="the index is frozen"),
        pytest.param("2026-08-03 15:29:00", VIX, True, id="INDIA VIX trades"),
        pytest.param("2026-08-03 15:39:59", FO, True, id="the last second of F&O"),
        pytest.param("2026-08-03 15:40:00", FO, False, id="F&O is over"),
    ],
)
def test_is_open(at: str, group: TradingGroup, trades: bool) -> None:
    assert CALENDAR.is_open(ist(at), group) is trades
    assert CALENDAR.is_open(ist(at).astimezone(UTC), group) is trades


@pytest.mark.parametrize(
    ("slot", "group", "due"),
    [
        pytest.param("2026-07-31 15:29", STOCK, True, id="the last slot of an old day"),
        pytest.param("2026-07-31 15:30", STOCK, False, id="no slot at the close"),
        pytest.param("2026-09-16 09:14", STOCK, False, id="before the open"),
        pytest.param("2026-09-16 09:15", STOCK, True, id="the first slot"),
        pytest.param("2026-09-16 15:14", STOCK, True, id="the last continuous slot"),
        pytest.param("2026-09-16 15:15", STOCK, False, id="the auction gap"),
        pytest.param("2026-09-16 15:34", STOCK, False, id="the gap's last minute"),
        pytest.param("2026-09-16 15:35", STOCK, True, id="the auction's slot"),
        pytest.param("2026-09-16 15:36", STOCK, False, id="nothing after it"),
        pytest.param("2026-09-16 15:35", INDEX, True, id="the closing print of an index"),
        pytest.param("2026-09-16 15:35", VIX, False, id="INDIA VIX has none"),
        pytest.param("2026-09-16 15:35", OTHER, False, id="other stocks have none"),
        pytest.param("2026-09-16 15:39", FO, True, id="the last slot of F&O"),
    ],
)
def test_is_slot_due(slot: str, group: TradingGroup, due: bool) -> None:
    assert CALENDAR.is_slot_due(ist(slot), group) is due


def test_a_day_is_named_in_ist_and_its_slots_are_utc() -> None:
    slots = CALENDAR.session(date(2026, 9, 16), STOCK).slots()

    assert slots[0] == datetime(2026, 9, 16, 3, 45, tzinfo=UTC)
    assert slots[-2:] == [ist("2026-09-16 15:14"), ist("2026-09-16 15:35")]
    assert {slot.tzinfo for slot in slots} == {UTC}


def test_midnight_in_utc_belongs_to_the_morning_in_india() -> None:
    """18:30 UTC on Sunday is Monday in Kolkata."""
    assert CALENDAR.next_open(datetime(2026, 9, 20, 18, 30, tzinfo=UTC), STOCK) == ist(
        "2026-09-21 09:15"
    )


@pytest.mark.parametrize(
    ("at", "group", "opens"),
    [
        pytest.param("2025-01-06 09:14", STOCK, "2025-01-06 09:15", id="a minute before"),
        pytest.param("2025-01-06 09:15", STOCK, "2025-01-07 09:15", id="open now: the day after"),
        pytest.param("2025-01-03 16:00", STOCK, "2025-01-06 09:15", id="over a weekend"),
        pytest.param("2024-03-02 09:20", STOCK, "2024-03-02 11:30", id="the drill's second window"),
        pytest.param("2021-11-03 16:00", STOCK, "2021-11-04 18:15", id="a Muhurat evening"),
        pytest.param("2026-01-30 16:00", FO, "2026-02-01 09:15", id="a Budget Sunday"),
        pytest.param("2026-09-16 15:20", STOCK, "2026-09-17 09:15", id="during the auction"),
    ],
)
def test_next_open(at: str, group: TradingGroup, opens: str) -> None:
    assert CALENDAR.next_open(ist(at), group) == ist(opens)


@pytest.mark.parametrize(
    ("start", "end", "group", "minutes"),
    [
        pytest.param("2025-01-06 09:15", "2025-01-06 09:20", STOCK, 5, id="five minutes"),
        pytest.param("2025-01-06 09:15:01", "2025-01-06 09:20", STOCK, 4, id="one of them begun"),
        pytest.param("2025-01-06 09:15", "2025-01-06 09:20:59", STOCK, 5, id="the sixth not over"),
        pytest.param("2025-01-03 15:29", "2025-01-06 09:16", STOCK, 2, id="over a weekend"),
        pytest.param("2025-01-03 15:30", "2025-01-06 09:15", STOCK, 0, id="the weekend itself"),
        pytest.param("2026-09-16 15:14", "2026-09-16 15:36", STOCK, 1, id="the auction gap"),
        pytest.param("2026-09-16 15:14", "2026-09-16 15:36", FO, 22, id="F&O in the auction gap"),
        pytest.param("2024-03-02 09:58", "2024-03-02 11:32", STOCK, 4, id="between two windows"),
        pytest.param("2025-01-06 09:20", "2025-01-06 09:15", STOCK, 0, id="backwards"),
        pytest.param("2024-12-31 15:30", "2025-12-31 15:30", STOCK, 93060, id="all of 2025"),
    ],
)
def test_trading_minutes_between(start: str, end: str, group: TradingGroup, minutes: int) -> None:
    assert CALENDAR.trading_minutes_between(ist(start), ist(end), group) == minutes


def test_slots_between_begins_after_and_ends_with() -> None:
    slots = CALENDAR.slots_between(ist("2026-09-16 15:13"), ist("2026-09-17 09:15"), STOCK)

    assert slots == [ist("2026-09-16 15:14"), ist("2026-09-16 15:35"), ist("2026-09-17 09:15")]


def test_a_date_before_the_table_is_an_error_with_a_hint() -> None:
    with pytest.raises(CalendarUnknown) as unknown:
        CALENDAR.session(date(2020, 12, 31), STOCK)

    assert "2020-12-31" in str(unknown.value)
    assert "override" in str(unknown.value)


@pytest.mark.parametrize(
    ("day", "group", "hours", "note"),
    [
        pytest.param("2027-01-01", STOCK, "09:15-15:15", "", id="New Year's Day"),
        pytest.param("2027-01-01", FO, "09:15-15:40", "", id="the rule in force for F&O"),
        pytest.param("2027-01-02", STOCK, None, "Saturday", id="a weekend"),
        pytest.param("2027-01-26", FO, None, "Republic Day", id="26 January"),
        pytest.param("2028-05-01", STOCK, None, "Maharashtra Day", id="1 May"),
        pytest.param("2028-08-15", INDEX, None, "Independence Day", id="15 August"),
        pytest.param("2029-10-02", FO, None, "Mahatma Gandhi Jayanti", id="2 October"),
        pytest.param("2029-12-25", STOCK, None, "Christmas", id="25 December"),
        pytest.param("9999-12-31", STOCK, "09:15-15:15", "", id="the last day there is"),
    ],
)
def test_after_the_table_the_rule_in_force_holds_provisionally(
    day: str, group: TradingGroup, hours: str | None, note: str
) -> None:
    session = CALENDAR.session(date.fromisoformat(day), group)

    assert [str(window) for window in session.windows] == ([hours] if hours else [])
    assert (session.note, session.provisional) == (note, True)


def test_the_auction_goes_on_after_the_table() -> None:
    assert str(CALENDAR.session(date(2031, 1, 6), STOCK).auction) == "15:15-15:35"


def test_the_next_open_after_the_table_is_the_next_weekday() -> None:
    assert CALENDAR.next_open(ist("2026-12-31 16:00"), STOCK) == ist("2027-01-01 09:15")
    assert CALENDAR.next_open(ist("2027-01-25 16:00"), STOCK) == ist("2027-01-27 09:15")


def test_the_close_of_an_expiry_years_ahead_is_provisional() -> None:
    close = CALENDAR.expiry_close(date(2031, 12, 30))

    assert (close.at, close.provisional) == (ist("2031-12-30 15:40"), True)


def test_a_session_without_announced_hours_is_closed_with_a_note() -> None:
    muhurat = CALENDAR.session(date(2026, 11, 8), STOCK)

    assert (muhurat.open, muhurat.provisional) == (False, True)
    assert "data-fetch calendar refresh" in muhurat.note
    assert CALENDAR.dates_without_hours() == [date(2026, 11, 8)]


def test_reviewed_days_are_not_provisional_and_closed_ones_have_a_note() -> None:
    day = CALENDAR.reviewed_from
    while day <= CALENDAR.reviewed_until:
        for group in TRADING_GROUPS:
            session = CALENDAR.session(day, group)
            assert session.provisional is (day == date(2026, 11, 8))
            assert session.open or session.note
        day += timedelta(days=1)


def test_a_year_whose_holidays_are_not_known_is_named() -> None:
    assert unlisted_warning(CALENDAR, date(2026, 12, 31)) is None
    assert "the holidays of 2027 are not known" in str(unlisted_warning(CALENDAR, date(2027, 1, 1)))

    listed = CALENDAR.with_provider(ProviderCalendar(years=frozenset({2027})))
    assert unlisted_warning(listed, date(2027, 1, 1)) is None


@pytest.mark.parametrize(
    ("key", "segment", "cas_eligible", "group"),
    [
        pytest.param("NSE_EQ|INE002A01018", "NSE_EQ", True, F_AND_O_STOCK, id="F&O stock"),
        pytest.param("NSE_EQ|INE000000000", "NSE_EQ", False, OTHER_STOCK, id="other stock"),
        pytest.param("NSE_INDEX|Nifty 50", "NSE_INDEX", False, INDEX, id="index"),
        pytest.param("NSE_INDEX|India VIX", "NSE_INDEX", False, INDIA_VIX, id="INDIA VIX"),
        pytest.param("NSE_FO|98918|27-03-2025", "NSE_FO", False, FUTURES_AND_OPTIONS, id="F&O"),
    ],
)
def test_the_trading_group_of_an_instrument(
    key: str, segment: str, cas_eligible: bool, group: TradingGroup
) -> None:
    assert group_of(instrument(key, segment, cas_eligible=cas_eligible), date(2026, 8, 3)) == group


def test_a_segment_without_hours_is_an_error() -> None:
    with pytest.raises(BadRecord, match="BSE_EQ"):
        group_of(instrument("BSE_EQ|INE002A01018", "BSE_EQ"), date(2026, 8, 3))


def instrument(key: str, segment: str, *, cas_eligible: bool = False) -> Instrument:
    return Instrument(
        instrument_key=key,
        symbol="X",
        segment=segment,
        instrument_type="EQ",
        cas_eligible=cas_eligible,
        live_key=key,
    )


# Laws ------------------------------------------------------------------------------------

# A busy machine is not a broken law.
law = settings(max_examples=50)

days = st.dates(date(2021, 1, 1), date(2026, 12, 31))
groups = st.sampled_from(TRADING_GROUPS)
# Three periods: the auction begins, a drill on a Saturday, an afternoon Muhurat.
periods = st.sampled_from([ist("2026-07-30"), ist("2024-02-29"), ist("2025-10-19")])
offsets = st.timedeltas(timedelta(0), timedelta(days=6))


@st.composite
def ordered_instants(draw: st.DrawFn, *, count: int) -> list[datetime]:
    start = draw(periods)
    return sorted(start + draw(offsets) for _ in range(count))


@law
@given(day=days, group=groups)
def test_expected_minutes_are_the_minutes(day: date, group: TradingGroup) -> None:
    session = CALENDAR.session(day, group)
    minutes, slots = session.minutes(), session.slots()

    assert len(minutes) == len(set(minutes)) == session.expected_minutes
    assert slots == sorted(slots)
    assert slots[: len(minutes)] == minutes
    assert all(minute.astimezone(IST).date() == day for minute in slots)
    assert all(CALENDAR.is_open(minute, group) for minute in minutes)


@law
@given(ordered_instants(count=3), groups)
def test_slots_between_composes(instants: list[datetime], group: TradingGroup) -> None:
    first, middle, last = instants

    assert CALENDAR.slots_between(first, last, group) == CALENDAR.slots_between(
        first, middle, group
    ) + CALENDAR.slots_between(middle, last, group)


@law
@given(ordered_instants(count=2), groups)
def test_trading_minutes_are_the_whole_minutes_between(
    instants: list[datetime], group: TradingGroup
) -> None:
    start, end = instants
    day, last = start.astimezone(IST).date(), end.astimezone(IST).date()
    inside = 0
    while day <= last:
        minutes = CALENDAR.session(day, group).minutes()
        inside += sum(1 for minute in minutes if start <= minute and minute + MINUTE <= end)
        day += timedelta(days=1)

    assert CALENDAR.trading_minutes_between(start, end, group) == inside


@law
@given(ordered_instants(count=1), groups)
def test_trading_begins_at_the_next_open(instants: list[datetime], group: TradingGroup) -> None:
    (at,) = instants
    opens = CALENDAR.next_open(at, group)

    assert opens > at
    assert CALENDAR.is_open(opens, group)
    assert not CALENDAR.is_open(opens - timedelta(microseconds=1), group)


@law
@given(day=days)
def test_an_f_and_o_stock_never_trades_longer_than_its_contracts(day: date) -> None:
    stock, contracts = CALENDAR.session(day, STOCK), CALENDAR.session(day, FO)

    assert stock.open is contracts.open
    assert stock.expected_minutes <= contracts.expected_minutes
    assert all(window.end <= time(19, 15) for window in contracts.windows)
