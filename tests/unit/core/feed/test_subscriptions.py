"""Which subscriptions were honoured, and what a key without an entry means."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

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

    subscriptions.seen({"A", "X"}, {})

    assert subscriptions.awaited == {"B"}
    assert subscriptions.overdue(after(5), alive_since=START) == []


def test_a_key_without_an_entry_is_requested_once_more_and_then_reported() -> None:
    subscriptions = sent("A", "B")
    subscriptions.seen({"A"}, {})

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

    subscriptions.seen({"A"}, {})

    assert subscriptions.unhonoured == {}


def test_a_key_that_is_no_longer_wanted_is_not_awaited() -> None:
    subscriptions = sent("A")

    subscriptions.sent(Request(Method.UNSUBSCRIBE, None, ("A",)), after(1))

    assert subscriptions.awaited == frozenset()


def change(mode: Mode, *keys: str) -> Request:
    return Request(Method.CHANGE_MODE, mode, keys)


def seen(subscriptions: Subscriptions, key: str, mode: Mode) -> None:
    """*key* ticks in *mode*."""
    tick = Tick(key, mode, 1.0, 0, None, None, START, None, None)
    subscriptions.seen({key}, {key: tick})


def test_a_packet_in_the_new_mode_is_the_proof_of_a_change() -> None:
    subscriptions = sent()
    subscriptions.sent(change(Mode.FULL, "A"), START)

    seen(subscriptions, "A", Mode.LTPC)
    seen(subscriptions, "A", Mode.FULL)

    assert subscriptions.overdue(after(60), alive_since=START) == []
    assert subscriptions.unhonoured == {}


def test_a_key_without_an_entry_is_requested_in_its_new_mode() -> None:
    subscriptions = sent("A")
    subscriptions.sent(change(Mode.FULL, "A"), after(1))

    assert subscriptions.overdue(after(6), alive_since=START) == [
        Request(Method.SUBSCRIBE, Mode.FULL, ("A",))
    ]


def test_a_quiet_key_says_nothing_of_its_mode() -> None:
    subscriptions = sent()
    subscriptions.sent(change(Mode.FULL, "A"), START)

    assert subscriptions.overdue(after(3600), alive_since=START) == []
    assert subscriptions.awaited == frozenset()


def test_a_key_that_goes_on_in_another_mode_is_requested_once_more_and_then_reported() -> None:
    subscriptions = sent()
    subscriptions.sent(change(Mode.FULL, "A", "B"), START)
    seen(subscriptions, "A", Mode.LTPC)
    assert subscriptions.overdue(after(5), alive_since=START) == []

    again = subscriptions.overdue(after(5.1), alive_since=START)
    assert again == [change(Mode.FULL, "A")]
    subscriptions.sent(again[0], after(5.1))
    # What was on its way when it was sent again.
    assert subscriptions.overdue(after(11), alive_since=START) == []
    seen(subscriptions, "A", Mode.LTPC)

    assert subscriptions.overdue(after(11), alive_since=START) == []
    assert subscriptions.unhonoured == {
        "A": "the feed goes on in mode ltpc, after two requests for full"
    }
    assert subscriptions.overdue(after(60), alive_since=START) == []
    seen(subscriptions, "A", Mode.FULL)
    assert subscriptions.unhonoured == {}


@pytest.mark.parametrize(
    "end",
    [
        lambda subscriptions: subscriptions.sent(
            Request(Method.UNSUBSCRIBE, None, ("A",)), after(1)
        ),
        lambda subscriptions: subscriptions.sent(change(Mode.LTPC, "A"), after(1)),
        lambda subscriptions: subscriptions.begin(),
    ],
    ids=["the key is not wanted any more", "the mode is changed again", "a new connection"],
)
def test_a_change_that_is_not_wanted_any_more_is_not_requested_again(
    end: Callable[[Subscriptions], None],
) -> None:
    subscriptions = sent()
    subscriptions.sent(change(Mode.FULL, "A"), START)
    seen(subscriptions, "A", Mode.LTPC)

    end(subscriptions)
    seen(subscriptions, "A", Mode.LTPC)

    assert subscriptions.overdue(after(60), alive_since=START) == []
    assert subscriptions.unhonoured == {}


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
