"""Which ticks of a feed are sent on, and when."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from queue import Queue
from threading import Event

import pytest
from effort import PATIENCE_SECONDS

from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.ticks import Tick
from data_fetch.services.ticks import NAME_SECONDS, TickRelay
from data_fetch.sources.transport.tick_board import TickBoard

AT = datetime(2026, 9, 16, 5, 0, tzinfo=UTC)
SYMBOLS = {"NSE_INDEX|Nifty 50": "NIFTY", "NSE_EQ|INE467B01029": "TCS"}


def tick(key: str, price: float) -> Tick:
    return Tick(key, Mode.LTPC, price, 0, None, None, AT, None, None)


@dataclass
class Desk:
    """A board and a relay of it. Time passes when the test says so."""

    board: TickBoard = field(default_factory=TickBoard)
    published: Queue[dict[str, float]] = field(default_factory=Queue)
    may_publish: Event = field(default_factory=Event)
    second: float = 0.0

    def __post_init__(self) -> None:
        self.may_publish.set()
        self.relay = TickRelay(self.board, SYMBOLS, self._publish, seconds=lambda: self.second)
        self.relay.start()

    def put(self, **prices: float) -> None:
        self.board.put({key: tick(key, prices[name]) for key, name in KEYS if name in prices})

    def next(self) -> dict[str, float]:
        return self.published.get(timeout=PATIENCE_SECONDS)

    def _publish(self, ticks: Mapping[str, Tick]) -> None:
        self.published.put({symbol: each.last_price for symbol, each in ticks.items()})
        assert self.may_publish.wait(PATIENCE_SECONDS)


KEYS = [*SYMBOLS.items(), ("NSE_FO|1", "option")]


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.may_publish.set()
    desk.relay.stop()


def test_the_first_tick_of_each_symbol_is_sent_at_once(desk: Desk) -> None:
    desk.put(NIFTY=1.0)
    assert desk.next() == {"NIFTY": 1.0}
    desk.put(TCS=2.0)
    assert desk.next() == {"TCS": 2.0}


def test_of_the_ticks_that_follow_it_closely_the_newest_is_sent_when_it_is_due(
    desk: Desk,
) -> None:
    desk.put(NIFTY=1.0)
    assert desk.next() == {"NIFTY": 1.0}
    desk.put(NIFTY=2.0)
    desk.put(NIFTY=3.0, TCS=9.0)
    assert desk.next() == {"TCS": 9.0}
    desk.second = 1.01 * NAME_SECONDS
    assert desk.next() == {"NIFTY": 3.0}


def test_keys_without_a_symbol_are_left_out(desk: Desk) -> None:
    desk.put(option=5.0)
    desk.put(option=6.0, TCS=7.0)
    assert desk.next() == {"TCS": 7.0}


def test_a_slow_publisher_gets_the_newest_of_what_it_missed(desk: Desk) -> None:
    desk.may_publish.clear()
    desk.put(NIFTY=0.0)
    desk.next()
    for number in range(1, 1_000):
        desk.put(NIFTY=float(number), TCS=float(-number))
    desk.second = 1.0
    desk.may_publish.set()
    assert desk.next() == {"NIFTY": 999.0, "TCS": -999.0}
    assert desk.published.empty()


def test_nothing_is_sent_after_it_was_stopped_and_it_can_begin_anew(desk: Desk) -> None:
    desk.relay.stop()
    desk.relay.stop()
    desk.put(NIFTY=1.0)
    desk.relay.start()
    desk.relay.start()
    desk.put(TCS=2.0)
    assert desk.next() == {"TCS": 2.0}
