"""What packets become: the rules for absent, zero, late and repeated ones."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.ticks import (
    BestPrices,
    Detail,
    Greeks,
    MinuteBar,
    Tick,
    TickBook,
    instant_of_ms,
    ms_of_instant,
)

# A Wednesday, 10:30 IST.
START = datetime(2026, 9, 16, 5, 0, tzinfo=UTC)
START_MS = ms_of_instant(START)
NOTHING = Detail(None, None, None, None, None, None)
KEY, OTHER = "NSE_EQ|A", "NSE_EQ|B"


class Feed:
    """A book that gets messages of one packet, a second after each other."""

    def __init__(self) -> None:
        self.book = TickBook()
        self.book.request({KEY, OTHER})
        self.at = START

    def packet(
        self,
        price: float | None = 100.0,
        traded: int = START_MS,
        *,
        key: str = KEY,
        mode: Mode = Mode.LTPC,
        ltq: int = 5,
        prev_close: float = 99.0,
        detail: Detail | None = None,
        repeats: bool = False,
    ) -> Tick | None:
        """The tick that the packet becomes; None when it is dropped."""
        self.at += timedelta(seconds=1)
        self.book.begin(self.at, self.at, repeats)
        self.book.take(key, mode, price, traded, ltq, prev_close, detail)
        return self.book.end().get(key)

    def counted(self) -> dict[str, int]:
        return {name: count for name, count in asdict(self.book.counts).items() if count}


def test_a_packet_becomes_a_tick() -> None:
    assert Feed().packet() == Tick(
        key=KEY,
        mode=Mode.LTPC,
        last_price=100.0,
        traded_ms=START_MS,
        ltq=5,
        prev_close=99.0,
        received_at=START + timedelta(seconds=1),
        server_time=START + timedelta(seconds=1),
        detail=None,
    )


def test_the_time_of_a_trade_is_an_instant() -> None:
    tick = Feed().packet(traded=START_MS + 1)

    assert tick is not None
    assert tick.traded_at == START + timedelta(milliseconds=1)
    assert tick._replace(traded_ms=0).traded_at is None


DROPPED: dict[str, tuple[dict[str, Any], str]] = {
    "an earlier trade": ({"traded": START_MS - 1, "price": 101.0}, "backwards"),
    "the same again": ({}, "duplicates"),
    "a key that is not wanted": ({"key": "NSE_EQ|X"}, "unrequested"),
    "a negative price": ({"price": -1.0}, "impossible"),
    "no number": ({"price": float("nan")}, "impossible"),
    "an infinite price": ({"price": float("inf")}, "impossible"),
    "a trade of tomorrow": ({"traded": START_MS + 86_400_000}, "impossible"),
    "a trade before 1970": ({"traded": -1}, "impossible"),
    "a price of 0 for the first packet": ({"key": OTHER, "price": 0.0}, "zero_prices"),
    "no trade in the first packet": ({"key": OTHER, "price": None}, "priceless"),
}


@pytest.mark.parametrize(("packet", "counted"), DROPPED.values(), ids=DROPPED)
def test_what_is_dropped_is_counted(packet: dict[str, Any], counted: str) -> None:
    feed = Feed()
    first = feed.packet()

    assert feed.packet(**packet) is None
    assert feed.counted()[counted] == 1
    assert feed.counted()["ticks"] == 1
    assert feed.packet(101.0) == first._replace(  # type: ignore[union-attr]
        last_price=101.0, received_at=feed.at, server_time=feed.at
    )


CARRIED: dict[str, dict[str, Any]] = {
    "no trade": {"price": None, "traded": 0, "ltq": 0, "prev_close": 0.0},
    "a price of 0": {"price": 0.0, "traded": 0, "ltq": 0, "prev_close": 0.0},
}


@pytest.mark.parametrize("packet", CARRIED.values(), ids=CARRIED)
def test_a_packet_without_a_trade_carries_the_last_one_on(packet: dict[str, Any]) -> None:
    feed = Feed()
    feed.packet(mode=Mode.FULL, detail=NOTHING._replace(volume=10))

    tick = feed.packet(mode=Mode.FULL, detail=NOTHING._replace(open_interest=7), **packet)

    assert tick is not None
    assert (tick.last_price, tick.traded_ms, tick.ltq, tick.prev_close) == (100.0, START_MS, 5, 99)
    assert tick.detail == NOTHING._replace(volume=10, open_interest=7)


def test_a_packet_without_the_time_of_its_trade_has_that_of_the_last_one() -> None:
    feed = Feed()
    feed.packet()

    tick = feed.packet(101.0, traded=0)

    assert tick is not None
    assert (tick.last_price, tick.traded_ms) == (101.0, START_MS)


def test_a_snapshot_confirms_the_known_tick_at_a_later_time() -> None:
    feed = Feed()
    first = feed.packet()

    again = feed.packet(repeats=True)

    assert first is not None
    assert again == first._replace(received_at=feed.at, server_time=feed.at)
    assert "duplicates" not in feed.counted()


NEWS: dict[str, dict[str, Any]] = {
    "another price": {"price": 100.5},
    "another trade": {"traded": START_MS + 1},
    "another quantity": {"ltq": 6},
    "another previous close": {"prev_close": 98.0},
    "another detail": {"detail": NOTHING._replace(volume=11)},
    "another mode": {"mode": Mode.FULL_D30},
}


@pytest.mark.parametrize("packet", NEWS.values(), ids=NEWS)
def test_what_differs_in_anything_is_no_duplicate(packet: dict[str, Any]) -> None:
    feed = Feed()
    same: dict[str, Any] = {"mode": Mode.FULL, "detail": NOTHING._replace(volume=10)}
    feed.packet(**same)

    assert feed.packet(**{**same, **packet}) is not None


def test_nothing_is_carried_from_one_date_to_the_next() -> None:
    feed = Feed()
    feed.packet()
    feed.at += timedelta(days=1)

    assert feed.packet(price=None) is None
    # A snapshot of the morning has the last trade of the day before.
    assert feed.packet(99.5, traded=START_MS - 1) is not None


def test_a_first_trading_day_has_no_previous_close() -> None:
    tick = Feed().packet(prev_close=0.0)

    assert tick is not None
    assert tick.prev_close is None


def test_a_cheaper_mode_has_no_detail() -> None:
    feed = Feed()
    feed.packet(mode=Mode.FULL, detail=NOTHING._replace(volume=10))

    tick = feed.packet(101.0)

    assert tick is not None
    assert tick.detail is None


def test_a_key_that_is_requested_again_begins_anew() -> None:
    feed = Feed()
    feed.packet(traded=START_MS + 1000)
    feed.book.request({OTHER})
    feed.book.request({KEY})

    assert feed.packet(traded=START_MS) is not None


def test_a_bar_begins_at_an_instant() -> None:
    assert MinuteBar(START_MS, 1.0, 1.0, 1.0, 1.0, 0).start == START


DETAILS = st.builds(
    Detail,
    volume=st.none() | st.integers(1, 10),
    open_interest=st.none() | st.integers(1, 10),
    iv=st.none() | st.floats(0.1, 1),
    greeks=st.none() | st.just(Greeks(0.5, -1, 0.1, 2, 0.1)),
    best=st.none() | st.just(BestPrices(1.0, 2, None, None)),
    bars=st.none() | st.just((MinuteBar(START_MS, 1.0, 2.0, 1.0, 2.0, 9),)),
)
PACKETS = st.fixed_dictionaries(
    {
        "price": st.none() | st.sampled_from([0.0, -1.0, float("nan"), 100.0, 101.0]),
        "traded": st.sampled_from([0, START_MS - 1, START_MS, START_MS + 1, START_MS + 10**9]),
        "ltq": st.integers(0, 2),
        "prev_close": st.sampled_from([0.0, float("nan"), 99.0]),
        "detail": st.none() | DETAILS,
        "key": st.sampled_from([KEY, OTHER, "NSE_EQ|X"]),
        "repeats": st.booleans(),
    }
)


@given(st.lists(PACKETS, max_size=20))
def test_whatever_comes_no_tick_is_impossible_and_each_packet_is_counted(
    packets: list[dict[str, Any]],
) -> None:
    feed, last = Feed(), dict[str, Tick]()
    for packet in packets:
        tick = feed.packet(mode=Mode.FULL if packet["detail"] else Mode.LTPC, **packet)
        if tick is None:
            continue
        before = last.get(tick.key)
        assert tick.last_price in (100.0, 101.0)
        assert tick.prev_close in (None, 99.0)
        assert before is None or tick.traded_ms >= before.traded_ms
        last[tick.key] = tick
    counts = feed.counted()
    dropped = sum(counts.get(name, 0) for name in ("duplicates", "backwards", "unrequested"))
    certain = counts.get("ticks", 0) + dropped
    maybe = sum(counts.get(name, 0) for name in ("priceless", "impossible"))
    assert certain + maybe == len(packets)


@given(st.integers(0, 253_402_300_799_999))
def test_milliseconds_and_instants_are_the_same(milliseconds: int) -> None:
    assert ms_of_instant(instant_of_ms(milliseconds)) == milliseconds
