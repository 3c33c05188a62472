"""Candle rows become a block; rows that cannot be used are counted by reason."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_fetch.core.candles.candles import CandleBlock, CandleInterval, Kind
from data_fetch.core.clock import IST
from data_fetch.core.errors import BadResponse
from data_fetch.core.market.session import instant_of
from data_fetch.sources.transport.responses import Response
from data_fetch.sources.upstox.candle_rows import (
    CONTRADICTED,
    NO_MIDNIGHT,
    NO_ORDER,
    NO_PRICE,
    NO_QUANTITY,
    NO_ROW,
    NO_STAMP,
    OF_ANOTHER_DAY,
    ParsedCandles,
    read_candles,
)

KEY = "NSE_EQ|INE002A01018"
DAY = date(2026, 9, 16)
EVENING = datetime(2026, 9, 16, 20, 0, tzinfo=IST)


def stamp(at: str, day: str = "2026-09-16") -> str:
    return f"{day}T{at}:00+05:30"


def row(at: str = "10:00", price: Any = 100.5, volume: Any = 10, oi: Any = 0) -> list[Any]:
    return [stamp(at), price, price, price, price, volume, oi]


GOOD = row("10:05")


def read(
    *rows: Any,
    interval: CandleInterval = CandleInterval.MINUTE,
    first_day: date = DAY,
    last_day: date = DAY,
    received_at: datetime = EVENING,
    partial: bool = False,
    requested_at: datetime | None = None,
) -> ParsedCandles:
    return read_candles(
        Response({"candles": list(rows)}, partial, requested_at),
        instrument_key=KEY,
        interval=interval,
        first_day=first_day,
        last_day=last_day,
        received_at=received_at,
    )


def times(block: CandleBlock) -> list[str]:
    return [f"{instant_of(start).astimezone(IST):%H:%M}" for start in block.starts]


def test_documented_rows() -> None:
    """Newest first on the wire, oldest first in the block; every column in its place."""
    read_rows = read(
        ["2026-09-16T15:29:00+05:30", 1309.8, 1310.1, 1309.5, 1309.9, 377584, 12],
        ["2026-09-16T15:14:00+05:30", 1305.0, 1305.1, 1302.9, 1304.1, 68944, 7],
    )
    block = read_rows.block
    assert (block.instrument_key, block.interval) == (KEY, CandleInterval.MINUTE)
    assert [instant_of(start) for start in block.starts] == [
        datetime(2026, 9, 16, 9, 44, tzinfo=UTC),
        datetime(2026, 9, 16, 9, 59, tzinfo=UTC),
    ]
    assert (block.open, block.high) == ([1305.0, 1309.8], [1305.1, 1310.1])
    assert (block.low, block.close) == ([1302.9, 1309.5], [1304.1, 1309.9])
    assert (block.volume, block.oi) == ([68944, 377584], [7, 12])
    assert block.kinds == [Kind.TRADED, Kind.TRADED]
    assert (read_rows.complete, read_rows.rejected_rows) == (True, {})


def test_no_rows_are_a_complete_response() -> None:
    nothing = read()
    assert (len(nothing.block), nothing.complete, nothing.rejected_rows) == (0, True, {})


def test_a_partial_response_is_never_complete() -> None:
    some = read(GOOD, partial=True)
    assert (times(some.block), some.complete) == (["10:05"], False)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(None, id="nothing"),
        pytest.param([], id="list"),
        pytest.param({}, id="no candles"),
        pytest.param({"candles": None}, id="null"),
        pytest.param({"candles": {}}, id="map of candles"),
    ],
)
def test_data_without_rows_is_a_bad_response(data: Any) -> None:
    with pytest.raises(BadResponse, match="without a list of candles"):
        read_candles(
            Response(data),
            instrument_key=KEY,
            interval=CandleInterval.MINUTE,
            first_day=DAY,
            last_day=DAY,
            received_at=EVENING,
        )


class TestOrder:
    def test_of_rows_does_not_matter(self) -> None:
        shuffled = read(row("10:01"), row("10:03"), row("10:02"))
        assert times(shuffled.block) == ["10:01", "10:02", "10:03"]
        assert shuffled.complete

    def test_equal_rows_of_one_minute_are_one(self) -> None:
        twice = read(GOOD, GOOD, row("10:04"), [GOOD[0], *map(str, GOOD[1:])])
        assert times(twice.block) == ["10:04", "10:05"]
        assert twice.complete

    def test_rows_of_one_minute_that_disagree_are_all_left_out(self) -> None:
        torn = read(GOOD, row("10:05", volume=11), GOOD, row("10:04"))
        assert times(torn.block) == ["10:04"]
        assert (torn.complete, torn.rejected_rows) == (False, {CONTRADICTED: 3})


class TestWhatIsOver:
    @pytest.mark.parametrize(
        ("received", "shown"),
        [
            pytest.param("10:01:04", ["09:59"], id="within the grace"),
            pytest.param("10:01:05", ["09:59", "10:00"], id="grace is over"),
            pytest.param("10:00:30", ["09:59"], id="forming"),
            pytest.param("09:59:59", [], id="a clock behind"),
        ],
    )
    def test_a_minute_and_five_seconds(self, received: str, shown: list[str]) -> None:
        now = datetime.fromisoformat(f"2026-09-16T{received}+05:30")
        today = read(row("10:00"), row("09:59"), received_at=now)
        left_out = 2 - len(shown)
        assert times(today.block) == shown
        assert (today.still_forming, today.rejected_rows) == (left_out, {})
        assert today.complete, "a bar that is still forming says nothing against the others"

    def test_what_was_forming_when_it_was_requested_stays_so(self) -> None:
        """A body that is long on its way holds the minute as it was when it was written."""
        requested_at = datetime(2026, 9, 16, 10, 0, 50, tzinfo=IST)
        slow = read(row("10:00"), received_at=EVENING, requested_at=requested_at)
        assert (times(slow.block), slow.still_forming) == ([], 1)

    def test_a_forming_row_is_not_judged_by_its_numbers(self) -> None:
        now = datetime(2026, 9, 16, 10, 0, 30, tzinfo=IST)
        today = read(row("10:00", price=None), row("09:58"), received_at=now)
        assert (times(today.block), today.complete) == (["09:58"], True)

    @pytest.mark.parametrize(
        ("received", "over"),
        [
            pytest.param("2026-09-16T15:44:59+05:30", False, id="its contracts may still trade"),
            pytest.param("2026-09-16T15:45:00+05:30", True, id="all trading is over"),
            pytest.param("2026-09-17T00:00:00+05:30", True, id="the next day"),
        ],
    )
    def test_a_day_is_over_when_its_trading_is(self, received: str, over: bool) -> None:
        day = read(
            row("00:00"),
            interval=CandleInterval.DAY,
            received_at=datetime.fromisoformat(received),
        )
        assert (len(day.block), day.complete) == (int(over), True)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param({0: stamp("10:00", "2026-09-15")}, OF_ANOTHER_DAY, id="yesterday's bar"),
        pytest.param({0: stamp("10:00", "2026-09-17")}, OF_ANOTHER_DAY, id="tomorrow's bar"),
        pytest.param({0: "2026-09-15T18:29:00+00:00"}, OF_ANOTHER_DAY, id="late on the 15th"),
        pytest.param({0: "2026-09-16T10:00:30+05:30"}, NO_STAMP, id="seconds"),
        pytest.param({0: "2026-09-16T10:00:00"}, NO_STAMP, id="no offset"),
        pytest.param({0: "2026-09-31T10:00:00+05:30"}, NO_STAMP, id="no such date"),
        pytest.param({0: "2026-09-16T24:00:00+05:30"}, NO_STAMP, id="no such hour"),
        pytest.param({0: 1789531200000}, NO_STAMP, id="epoch milliseconds"),
        pytest.param({0: None}, NO_STAMP, id="no stamp"),
        pytest.param({0: "\ud800" * 25}, NO_STAMP, id="half a surrogate pair"),
        pytest.param({0: "2026-09-1٦T10:00:00+05:30"}, NO_STAMP, id="other digits"),
        pytest.param({1: None}, NO_PRICE, id="null price"),
        pytest.param({2: float("nan")}, NO_PRICE, id="NaN"),
        pytest.param({2: float("inf")}, NO_PRICE, id="infinity"),
        pytest.param({3: 0.0}, NO_PRICE, id="zero price"),
        pytest.param(dict.fromkeys((1, 2, 3, 4), 5e-324), NO_PRICE, id="denormal prices"),
        pytest.param({3: -100.5}, NO_PRICE, id="negative price"),
        pytest.param({2: 1e10}, NO_PRICE, id="absurd price"),
        pytest.param({2: 10**400}, NO_PRICE, id="beyond any float"),
        pytest.param(dict.fromkeys((1, 2, 3, 4), True), NO_PRICE, id="truth for prices"),
        pytest.param({4: "1,000.5"}, NO_PRICE, id="grouped digits"),
        pytest.param({4: [100.5]}, NO_PRICE, id="list for a price"),
        pytest.param({1: 100.6}, NO_ORDER, id="open above high"),
        pytest.param({1: 100.4}, NO_ORDER, id="open below low"),
        pytest.param({4: 100.6}, NO_ORDER, id="close above high"),
        pytest.param({4: 100.4}, NO_ORDER, id="close below low"),
        pytest.param({2: 100.4}, NO_ORDER, id="high below low"),
        pytest.param({5: -1}, NO_QUANTITY, id="negative volume"),
        pytest.param({5: 1.5}, NO_QUANTITY, id="half a share"),
        pytest.param({5: None}, NO_QUANTITY, id="null volume"),
        pytest.param({5: False}, NO_QUANTITY, id="truth for a volume"),
    ],
)
def test_rows_that_cannot_be_used_make_a_response_incomplete(
    changed: dict[int, Any], reason: str
) -> None:
    bad = [changed.get(place, value) for place, value in enumerate(row("10:00"))]
    result = read(GOOD, bad)
    assert times(result.block) == ["10:05"]
    assert (result.complete, result.rejected_rows) == (False, {reason: 1})


@pytest.mark.parametrize(
    "bad", [None, 7, "seven!!", {}, [], GOOD[:5], [*GOOD, 0], dict.fromkeys("abcdefg", 1)]
)
def test_other_things_than_rows(bad: Any) -> None:
    result = read(GOOD, bad, bad)
    assert times(result.block) == ["10:05"]
    assert (result.complete, result.rejected_rows) == (False, {NO_ROW: 2})


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(row("10:00", oi=None), id="null"),
        pytest.param(row("10:00")[:6], id="missing"),
        pytest.param(row("10:00", oi=2**63), id="beyond the column"),
        pytest.param(row("10:00", oi=-1), id="negative"),
        pytest.param(row("10:00", oi=float("inf")), id="infinity"),
        pytest.param(row("10:00", oi="n/a"), id="words"),
    ],
)
def test_an_open_interest_that_cannot_be_costs_itself_and_not_the_candle(odd: list[Any]) -> None:
    result = read(GOOD, odd)
    assert times(result.block) == ["10:00", "10:05"]
    assert result.block.oi == [None, GOOD[6]]
    assert (result.complete, result.rejected_rows) == (True, {})
    assert result.without_open_interest == 1


@pytest.mark.parametrize(
    ("changed", "column", "expected"),
    [
        pytest.param({4: "100.5"}, "close", 100.5, id="price as text"),
        pytest.param({1: 100, 3: 100}, "open", 100.0, id="whole price"),
        pytest.param({5: 123.0}, "volume", 123, id="volume as a float"),
        pytest.param({5: "123"}, "volume", 123, id="volume as text"),
        pytest.param({6: 9_007_199_254_740_993}, "oi", 2**53 + 1, id="exact open interest"),
        pytest.param({0: "2026-09-16T04:30:00Z"}, "starts", 29825550, id="another offset"),
    ],
)
def test_accepted_forms(changed: dict[int, Any], column: str, expected: object) -> None:
    odd = read([changed.get(place, value) for place, value in enumerate(row("10:00"))])
    assert odd.complete
    (found,) = getattr(odd.block, column)
    assert found == expected
    assert type(found) is type(expected)


def test_a_stamp_does_not_borrow_from_its_neighbour() -> None:
    first, second = row("10:05"), row("10:04")
    first[0], second[0] = first[0] + second[0][:1], second[0][1:]
    assert read(first, second).rejected_rows == {NO_STAMP: 2}


def test_a_day_begins_at_midnight() -> None:
    days = read(
        row("00:00"),
        row("09:15"),
        interval=CandleInterval.DAY,
        first_day=date(2026, 9, 1),
        received_at=EVENING,
    )
    assert times(days.block) == ["00:00"]
    assert days.rejected_rows == {NO_MIDNIGHT: 1}


def test_both_dates_requested_belong_to_the_window() -> None:
    window = read(
        [stamp("23:59", "2026-09-02"), 1.0, 1.0, 1.0, 1.0, 0, 0],
        [stamp("00:00", "2026-09-01"), 1.0, 1.0, 1.0, 1.0, 0, 0],
        [stamp("23:59", "2026-08-31"), 1.0, 1.0, 1.0, 1.0, 0, 0],
        first_day=date(2026, 9, 1),
        last_day=date(2026, 9, 2),
    )
    assert times(window.block) == ["00:00", "23:59"]
    assert window.rejected_rows == {OF_ANOTHER_DAY: 1}


def test_a_day_of_another_window_makes_all_days_of_the_response_doubtful() -> None:
    days = read(
        [stamp("00:00", "2026-09-03"), 1.0, 1.0, 1.0, 1.0, 0, 0],
        [stamp("00:00", "2026-09-02"), 1.0, 1.0, 1.0, 1.0, 0, 0],
        interval=CandleInterval.DAY,
        first_day=date(2026, 9, 1),
        last_day=date(2026, 9, 2),
    )
    assert (len(days.block), days.complete) == (0, False)
    assert days.rejected_rows == {OF_ANOTHER_DAY: 1}


NUMBERS = st.sampled_from([100.5, 100.5, 100.5, 100, 101.5, "100.5", 0, -1.0, None, True, 1e10])
UNITS = st.sampled_from([0, 7, 7, 7.0, "7", 7.5, -1, None, 2**63])
STAMPS = st.builds(
    lambda day, minute, tail: f"2026-09-{day:02}T10:{minute:02}{tail}",
    st.sampled_from([16, 16, 16, 15, 31]),
    st.integers(0, 59),
    st.sampled_from([":00+05:30", ":00+05:30", ":00+05:30", ":30+05:30", ":00+04:30", ""]),
)
GOOD_ROWS = st.builds(
    lambda minute, volume: row(f"10:{minute:02}", 100.5, volume), *[st.integers(0, 59)] * 2
)
ODD_ROWS = st.tuples(STAMPS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, UNITS, UNITS).map(list)
NOW = st.integers(0, 3700).map(
    lambda s: datetime(2026, 9, 16, 10, 0, tzinfo=IST) + timedelta(seconds=s)
)


def newest_first(rows: Sequence[list[Any]]) -> list[list[Any]]:
    unique = {candle[0]: candle for candle in rows}
    return [unique[at] for at in sorted(unique, reverse=True)]


@settings(max_examples=200)
@given(st.lists(GOOD_ROWS, min_size=2), st.lists(ODD_ROWS, max_size=2), NOW)
def test_a_body_read_as_a_whole_has_what_its_rows_have(
    good: list[list[Any]], odd: list[list[Any]], now: datetime
) -> None:
    """Only a body in the usual order is read column by column."""
    rows = newest_first([*good, *odd])
    assert read(*rows, received_at=now) == read(*rows[::-1], received_at=now)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@settings(max_examples=100)
@given(st.lists(JSON | ODD_ROWS, max_size=5))
def test_whatever_comes_the_block_can_be_trusted(rows: list[Any]) -> None:
    result = read(GOOD, *rows)
    block = result.block
    assert len(block) + sum(result.rejected_rows.values()) <= len(rows) + 1
    assert list(block.starts) == sorted(set(block.starts))
    for opened, high, low, close in zip(
        block.open, block.high, block.low, block.close, strict=True
    ):
        assert 0 < low <= min(opened, close) <= max(opened, close) <= high
    assert all(type(units) is int and units >= 0 for units in block.volume)
    assert all(units is None or (type(units) is int and units >= 0) for units in block.oi)
