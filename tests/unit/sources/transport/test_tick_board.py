"""The board of ticks: the newest of each key, for any number of readers."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from threading import Thread

from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.ticks import Tick
from data_fetch.sources.transport.tick_board import TickBoard

START = datetime(2026, 9, 16, 5, 0, tzinfo=UTC)


def ticks(price: float, keys: Iterable[str]) -> dict[str, Tick]:
    return {key: Tick(key, Mode.LTPC, price, 0, None, None, START, None, None) for key in keys}


def test_a_reader_gets_the_newest_tick_of_each_key_once() -> None:
    board = TickBoard()
    reader = board.reader()
    board.put(ticks(1.0, "AB"))
    board.put(ticks(2.0, "B"))

    assert reader.take() == ticks(1.0, "A") | ticks(2.0, "B")
    assert reader.take() == {}
    assert reader.conflated == 1


def sent(price: float, key: str, second: float) -> dict[str, Tick]:
    """A message that was sent so many seconds after START."""
    at = START + timedelta(seconds=second)
    return {key: Tick(key, Mode.LTPC, price, 0, None, None, at, at, None)}


def test_the_first_message_of_a_minute_replaces_no_tick_of_the_one_before() -> None:
    board = TickBoard()
    for price, key, second in [
        (1.0, "A", 59.0),
        (2.0, "B", 59.9),
        (3.0, "A", 60.0),
        (4.0, "B", 60.1),
        # A clock that is set back ends no minute.
        (5.0, "B", 30.0),
        (6.0, "B", 61.0),
    ]:
        board.put(sent(price, key, second))

    assert board.at_the_turn_of_the_minute() == sent(1.0, "A", 59.0) | sent(2.0, "B", 59.9)
    assert {each.last_price for each in board.latest().values()} == {3.0, 6.0}


def test_a_time_of_the_server_that_cannot_be_ends_no_minute() -> None:
    board = TickBoard()
    for second in (10.0, 59.0):
        board.put(sent(second, "A", second))
    [ahead] = sent(59.5, "A", 59.5).values()
    board.put({"A": ahead._replace(server_time=START + timedelta(days=365))})
    board.put(sent(61.0, "A", 61.0))

    [last] = board.at_the_turn_of_the_minute().values()
    assert last.last_price == 59.5


def test_before_a_second_minute_no_tick_is_of_the_one_before() -> None:
    board = TickBoard()
    board.put(sent(1.0, "A", 10.0))

    assert board.at_the_turn_of_the_minute() == {}


def test_readers_do_not_take_from_each_other() -> None:
    board = TickBoard()
    one, other = board.reader(), board.reader()
    board.put(ticks(1.0, "A"))

    assert one.take() == other.take() == ticks(1.0, "A")


def test_a_reader_gets_what_comes_after_it_and_the_board_has_all() -> None:
    board = TickBoard()
    board.put(ticks(1.0, "A"))

    assert board.reader().take() == {}
    assert board.latest() == ticks(1.0, "A")
    assert board.get("A") == ticks(1.0, "A")["A"]
    assert board.get("B") is None


def test_forgotten_keys_are_with_no_reader() -> None:
    board = TickBoard()
    reader = board.reader()
    board.put(ticks(1.0, "AB"))

    board.keep({"B"})

    assert reader.take() == board.latest() == ticks(1.0, "B")


def test_a_reader_that_has_left_gets_nothing() -> None:
    board = TickBoard()
    reader = board.reader()
    reader.close()
    reader.close()
    board.put(ticks(1.0, "A"))

    assert reader.take() == {}


def test_waiting_ends_with_the_first_tick() -> None:
    board = TickBoard()
    reader = board.reader()
    thread = Thread(target=lambda: board.put(ticks(1.0, "A")))
    thread.start()

    assert reader.take(seconds=30) == ticks(1.0, "A")
    thread.join()


def test_waiting_ends_without_one() -> None:
    assert TickBoard().reader().take(seconds=0.01) == {}


@given(
    st.lists(st.tuples(st.floats(1, 2), st.sets(st.sampled_from("ABC"), min_size=1)), max_size=30)
)
def test_a_slow_reader_grows_with_the_keys_only(
    messages: list[tuple[float, set[str]]],
) -> None:
    board = TickBoard()
    slow = board.reader()
    for price, keys in messages:
        board.put(ticks(price, keys))

    taken = slow.take()

    assert taken == board.latest()
    assert len(taken) + slow.conflated == sum(len(keys) for _, keys in messages)
