"""Which subscriptions were honoured, and what a key without an entry means."""

from datetime import UTC, datetime, timedelta

from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.plan import Method, Request
from data_fetch.core.feed.subscriptions import KeyState, Subscriptions, key_states
from data_fetch.core.feed.ticks import Tick

START = datetime(2026, 9, 16, 5, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def subscribe(*keys: str) -> Request:
    return Request(Method.SUBSCRIBE, Mode.LTPC, keys)


def sent(*keys: str) -> Subscriptions:
    subscriptions = Subscriptions(5 * SECOND)
    subscriptions.sent(subscribe(*keys), START)
    return subscriptions


def test_an_entry_is_the_proof() -> None:
    subscriptions = sent("A", "B")

    subscriptions.seen({"A", "X"})

    assert subscriptions.awaited == {"B"}
    assert subscriptions.overdue(after(5), alive_since=START) == []


def test_a_key_without_an_entry_is_requested_once_more_and_then_reported() -> None:
    subscriptions = sent("A", "B")
    subscriptions.seen({"A"})

    again = subscriptions.overdue(after(5.1), alive_since=START)
    assert again == [subscribe("B")]
    subscriptions.sent(again[0], after(5.1))
    assert subscriptions.overdue(after(10), alive_since=START) == []

    assert subscriptions.overdue(after(10.2), alive_since=START) == []
    assert subscriptions.unhonoured == {"B": "the feed has sent nothing for it, after two requests"}
    assert subscriptions.overdue(after(60), alive_since=START) == []


def test_the_last_refusal_of_the_feed_is_the_reason() -> None:
    subscriptions = sent("A")
    subscriptions.refused("too many keys")
    [again] = subscriptions.overdue(after(6), alive_since=START)
    subscriptions.sent(again, after(6))
    subscriptions.overdue(after(12), alive_since=START)

    assert subscriptions.unhonoured == {"A": "the feed refused: too many keys"}


def test_while_nothing_comes_at_all_a_missing_entry_says_nothing() -> None:
    subscriptions = sent("A")

    assert subscriptions.overdue(after(3600), alive_since=None) == []
    assert subscriptions.overdue(after(3604), alive_since=after(3600)) == []
    assert subscriptions.overdue(after(3606), alive_since=after(3600)) == [subscribe("A")]


def test_a_late_entry_ends_it() -> None:
    subscriptions = sent("A")
    [again] = subscriptions.overdue(after(6), alive_since=START)
    subscriptions.sent(again, after(6))
    subscriptions.overdue(after(12), alive_since=START)

    subscriptions.seen({"A"})

    assert subscriptions.unhonoured == {}


def test_a_key_that_is_no_longer_wanted_is_not_awaited() -> None:
    subscriptions = sent("A")

    subscriptions.sent(Request(Method.UNSUBSCRIBE, None, ("A",)), after(1))

    assert subscriptions.awaited == frozenset()


def test_a_new_connection_begins_with_nothing() -> None:
    subscriptions = sent("A")
    subscriptions.begin()

    assert subscriptions.awaited == frozenset()


def test_the_states_of_keys() -> None:
    tick = Tick("", Mode.LTPC, 1.0, 0, None, None, after(-60), None, None)

    states = key_states(
        ["AWAITED", "REFUSED", "QUIET", "SLOW", "UNKNOWN", "NEVER"],
        dict.fromkeys(["AWAITED", "QUIET", "SLOW", "UNKNOWN"], tick),
        awaited={"AWAITED"},
        unhonoured={"REFUSED"},
        now=START,
        usual={"QUIET": 10 * SECOND, "SLOW": 120 * SECOND, "NEVER": 10 * SECOND},
    )

    assert states == {
        "AWAITED": KeyState.AWAITED,
        "REFUSED": KeyState.UNHONOURED,
        "QUIET": KeyState.QUIET,
        "SLOW": KeyState.TICKING,
        "UNKNOWN": KeyState.TICKING,
        "NEVER": KeyState.QUIET,
    }
