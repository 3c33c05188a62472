"""Candles in their sessions: expected minutes, rows of the closing auction, and rows outside."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, time
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.candles.candles import (
    CandleBlock,
    CandleInterval,
    Kind,
    SessionCandles,
    expected_spans,
    placed,
)
from data_fetch.core.clock import IST
from data_fetch.core.errors import CalendarUnknown
from data_fetch.core.market.calendar import (
    F_AND_O_STOCK,
    FUTURES_AND_OPTIONS,
    INDEX,
    INDIA_VIX,
    OTHER_STOCK,
    MarketCalendar,
    TradingGroup,
)
from data_fetch.core.market.session import instant_of, midnight_number
from data_fetch.core.spans import Spans

CALENDAR = MarketCalendar.reviewed()
AUCTION_DAY, LAST_DAY_WITHOUT = date(2026, 8, 24), date(2026, 7, 31)
# Start, price, volume: the candle is flat, as those of the auction are.
Row = tuple[int, float, int]


def number(day: date, at: str) -> int:
    moment = time.fromisoformat(at)
    return midnight_number(day) + moment.hour * 60 + moment.minute


def rows(day: date, first: str, last: str, price: float = 100.0, volume: int = 7) -> list[Row]:
    """One row a minute from *first* to *last*, both included."""
    return [(start, price, volume) for start in range(number(day, first), number(day, last) + 1)]


def block(wanted: Sequence[Row], interval: CandleInterval = CandleInterval.MINUTE) -> CandleBlock:
    prices = [price for _, price, _ in wanted]
    return CandleBlock(
        instrument_key="NSE_EQ|INE002A01018",
        interval=interval,
        starts=[start for start, _, _ in wanted],
        open=prices,
        high=prices,
        low=prices,
        close=prices,
        volume=[volume for _, _, volume in wanted],
        oi=[0] * len(wanted),
        kinds=[Kind.TRADED] * len(wanted),
    )


def fitted(candles: CandleBlock, group: TradingGroup = F_AND_O_STOCK) -> SessionCandles:
    return placed(candles, partial(CALENDAR.session, group=group))


def written(spans: Spans) -> str:
    ends = [(instant_of(first), instant_of(end)) for first, end in spans]
    return " ".join(f"{a.astimezone(IST):%H:%M}-{b.astimezone(IST):%H:%M}" for a, b in ends)


# -- the minutes of a day -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "group", "first", "last", "present", "outside"),
    [
        pytest.param(
            "2025-06-10", F_AND_O_STOCK, "09:15", "15:29", "09:15-15:30", 0, id="a full day of 375"
        ),
        pytest.param(
            "2025-06-10", F_AND_O_STOCK, "10:00", "10:00", "10:00-10:01", 0, id="a single row"
        ),
        pytest.param(
            "2025-06-10",
            F_AND_O_STOCK,
            "09:16",
            "15:30",
            "09:16-15:30",
            1,
            id="a source that labels the end of a candle: 09:15 is missing, 15:30 is outside",
        ),
        pytest.param(
            "2025-06-10", F_AND_O_STOCK, "09:08", "15:32", "09:15-15:30", 10, id="pre-open prints"
        ),
        pytest.param("2025-06-08", F_AND_O_STOCK, "09:15", "09:19", "", 5, id="a Sunday"),
        pytest.param("2025-08-15", F_AND_O_STOCK, "09:15", "09:19", "", 5, id="a holiday"),
        pytest.param(
            "2025-10-21", INDEX, "13:45", "14:44", "13:45-14:45", 0, id="Muhurat in the afternoon"
        ),
        pytest.param(
            "2025-10-21", INDEX, "13:30", "14:59", "13:45-14:45", 30, id="rows around Muhurat"
        ),
        pytest.param(
            "2024-03-02",
            F_AND_O_STOCK,
            "09:15",
            "12:29",
            "09:15-10:00 11:30-12:30",
            90,
            id="a drill on a Saturday: nothing trades between its windows",
        ),
        pytest.param(
            "2024-03-02",
            F_AND_O_STOCK,
            "09:58",
            "11:31",
            "09:58-10:00 11:30-11:32",
            90,
            id="parts of both windows",
        ),
        pytest.param(
            "2026-07-31", F_AND_O_STOCK, "09:15", "15:29", "09:15-15:30", 0, id="the last old day"
        ),
        pytest.param(
            "2026-08-24", OTHER_STOCK, "09:15", "15:29", "09:15-15:30", 0, id="without auction"
        ),
        pytest.param(
            "2026-08-24", INDIA_VIX, "09:15", "15:29", "09:15-15:30", 0, id="VIX has no auction"
        ),
        pytest.param(
            "2026-08-24", FUTURES_AND_OPTIONS, "09:15", "15:39", "09:15-15:40", 0, id="F&O: 385"
        ),
    ],
)
def test_rows_are_assigned_to_their_session(
    day: str, group: TradingGroup, first: str, last: str, present: str, outside: int
) -> None:
    trading_date = date.fromisoformat(day)
    wanted = rows(trading_date, first, last)
    found = fitted(block(wanted), group)

    assert {day: written(spans) for day, spans in found.days.items()} == (
        {trading_date: present} if present else {}
    )
    assert found.outside == ({trading_date: outside} if outside else {})
    assert len(found.block) == len(wanted) - outside
    assert set(found.block.kinds) <= {Kind.TRADED}


def test_a_gap_divides_the_day() -> None:
    day = date(2025, 6, 10)
    wanted = [*rows(day, "09:15", "09:59"), *rows(day, "10:07", "15:29")]
    assert written(fitted(block(wanted)).days[day]) == "09:15-10:00 10:07-15:30"


def test_one_block_may_have_several_days() -> None:
    friday, saturday, monday = date(2025, 6, 6), date(2025, 6, 7), date(2025, 6, 9)
    found = fitted(
        block([row for day in (friday, saturday, monday) for row in rows(day, "10:00", "10:01")])
    )
    assert {day: written(spans) for day, spans in found.days.items()} == {
        friday: "10:00-10:02",
        monday: "10:00-10:02",
    }
    assert found.outside == {saturday: 2}


def test_a_block_without_rows_has_no_days() -> None:
    found = fitted(block([]))
    assert (len(found.block), found.days, found.outside) == (0, {}, {})


def test_all_columns_drop_the_same_rows() -> None:
    day = date(2025, 6, 10)
    candles = block([(number(day, "09:14"), 90.0, 1), (number(day, "09:15"), 91.0, 2)])
    assert fitted(candles).block == block([(number(day, "09:15"), 91.0, 2)])


def test_a_day_outside_the_calendar_is_an_error() -> None:
    with pytest.raises(CalendarUnknown, match="2016-09-30"):
        fitted(block(rows(date(2016, 9, 30), "09:15", "09:15")))


# -- the closing auction ---------------------------------------------------------------------


def auction_day(tail: Sequence[tuple[str, float, int]], day: date = AUCTION_DAY) -> CandleBlock:
    """A day that trades at 100.0 until 15:14 and ends with *tail*."""
    return block(
        [
            *rows(day, "09:15", "15:14"),
            *[(number(day, at), price, volume) for at, price, volume in tail],
        ]
    )


def carried(first: int, last: int, price: float = 100.0) -> list[tuple[str, float, int]]:
    return [(f"15:{minute:02}", price, 0) for minute in range(first, last + 1)]


@pytest.mark.parametrize(
    ("group", "tail", "auction"),
    [
        pytest.param(
            F_AND_O_STOCK,
            [*carried(15, 27), ("15:29", 101.5, 377_584)],
            ["15:29"],
            id="the auction at 15:29",
        ),
        pytest.param(
            F_AND_O_STOCK,
            [*carried(15, 27), ("15:28", 101.5, 9_000), ("15:29", 101.5, 0)],
            ["15:28"],
            id="the auction at 15:28, its price carried to 15:29",
        ),
        pytest.param(
            F_AND_O_STOCK,
            [*carried(15, 28), ("15:29", 100.0, 12)],
            ["15:29"],
            id="the auction at the last price",
        ),
        pytest.param(F_AND_O_STOCK, carried(15, 29), [], id="no trade in the auction"),
        pytest.param(
            F_AND_O_STOCK,
            [*carried(15, 27), *carried(28, 29, 101.5)],
            [],
            id="of a stock a price without volume proves no auction",
        ),
        pytest.param(F_AND_O_STOCK, [("15:34", 101.5, 12)], ["15:34"], id="the latest minute"),
        pytest.param(F_AND_O_STOCK, [], [], id="no rows after continuous trading"),
        pytest.param(
            INDEX,
            [*carried(15, 28), ("15:29", 101.5, 0)],
            ["15:29"],
            id="an index has no volume: its price moves",
        ),
        pytest.param(
            INDEX,
            [*carried(15, 27), *carried(28, 29, 101.5)],
            ["15:28"],
            id="an index moves once",
        ),
        pytest.param(INDEX, carried(15, 29), [], id="an index that closes unchanged"),
    ],
)
def test_rows_of_the_closing_auction_count_as_neither_expected_nor_present(
    group: TradingGroup, tail: list[tuple[str, float, int]], auction: list[str]
) -> None:
    found = fitted(auction_day(tail), group)
    kinds = dict(zip(found.block.starts, found.block.kinds, strict=True))
    expected = {
        number(AUCTION_DAY, at): Kind.AUCTION if at in auction else Kind.CARRIED
        for at, _, _ in tail
    }
    assert {start: kinds[start] for start in expected} == expected
    assert Counter(kinds.values())[Kind.TRADED] == 360
    assert written(found.days[AUCTION_DAY]) == "09:15-15:15"
    assert found.outside == {}


def test_a_row_after_the_auction_is_outside() -> None:
    found = fitted(auction_day([("15:34", 101.5, 12), ("15:35", 101.5, 12)]))
    assert found.outside == {AUCTION_DAY: 1}
    assert found.block.starts[-1] == number(AUCTION_DAY, "15:34")


def test_last_minutes_without_trades_were_trading_before_the_auction_existed() -> None:
    found = fitted(auction_day(carried(15, 29), LAST_DAY_WITHOUT))
    assert written(found.days[LAST_DAY_WITHOUT]) == "09:15-15:30"
    assert set(found.block.kinds) == {Kind.TRADED}


def test_a_minute_of_continuous_trading_without_volume_is_traded() -> None:
    found = fitted(block(rows(AUCTION_DAY, "15:10", "15:14", volume=0)))
    assert set(found.block.kinds) == {Kind.TRADED}


def test_a_candle_that_is_not_flat_is_not_carried() -> None:
    flat = auction_day([("15:28", 101.5, 0)])
    moving = replace(flat, high=[*flat.high[:-1], 102.0])
    assert fitted(moving).block.kinds[-1] is Kind.AUCTION


def test_an_index_is_not_compared_with_another_day() -> None:
    yesterday = rows(date(2026, 8, 21), "15:14", "15:14", 100.0, volume=0)
    candles = block([*yesterday, *rows(AUCTION_DAY, "15:15", "15:16", 105.0, volume=0)])
    assert list(fitted(candles, INDEX).block.kinds) == [Kind.TRADED, Kind.CARRIED, Kind.CARRIED]


# -- candles of whole days -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "at", "inside"),
    [
        pytest.param("2025-06-10", "00:00", True, id="midnight in India"),
        pytest.param("2025-06-10", "05:30", False, id="midnight in UTC"),
        pytest.param("2025-06-10", "09:15", False, id="the opening"),
        pytest.param("2025-06-08", "00:00", False, id="a Sunday"),
        pytest.param("2025-10-21", "00:00", True, id="Muhurat"),
        pytest.param("2026-08-24", "00:00", True, id="a day with an auction"),
        pytest.param("2026-08-24", "15:29", False, id="the auction has no day candle"),
    ],
)
def test_day_candles_start_at_midnight(day: str, at: str, inside: bool) -> None:
    trading_date = date.fromisoformat(day)
    midnight = midnight_number(trading_date)
    found = fitted(block(rows(trading_date, at, at), CandleInterval.DAY))
    assert found.days == ({trading_date: ((midnight, midnight + 1),)} if inside else {})
    assert found.outside == ({} if inside else {trading_date: 1})
    assert len(found.block) == inside


# -- laws ------------------------------------------------------------------------------------

DAYS = [
    date(2024, 3, 2),
    date(2025, 6, 8),
    date(2025, 6, 9),
    date(2025, 6, 10),
    date(2025, 10, 21),
    LAST_DAY_WITHOUT,
    AUCTION_DAY,
]
STARTS = st.builds(
    lambda day, minute: midnight_number(day) + minute,
    st.sampled_from(DAYS),
    # Around the edges of sessions, where it matters.
    st.one_of(st.integers(0, 1439), st.integers(550, 560), st.integers(905, 945)),
)


@given(
    starts=st.sets(STARTS, max_size=60),
    group=st.sampled_from([F_AND_O_STOCK, OTHER_STOCK, INDEX, INDIA_VIX, FUTURES_AND_OPTIONS]),
    interval=st.sampled_from(list(CandleInterval)),
)
def test_every_row_is_present_of_the_auction_or_outside(
    starts: set[int], group: TradingGroup, interval: CandleInterval
) -> None:
    found = fitted(block([(start, 100.0, 7) for start in sorted(starts)], interval), group)

    expected = {
        minute
        for day in DAYS
        for first, end in expected_spans(CALENDAR.session(day, group), interval)
        for minute in range(first, end)
    }
    present = {
        minute
        for spans in found.days.values()
        for first, end in spans
        for minute in range(first, end)
    }
    assert present == starts & expected
    kinds = dict(zip(found.block.starts, found.block.kinds, strict=True))
    assert list(kinds) == sorted(kinds)
    assert {start for start, kind in kinds.items() if kind is Kind.TRADED} == present
    dates = (instant_of(start).astimezone(IST).date() for start in starts - set(kinds))
    assert found.outside == Counter(dates)
