"""Whatever a listener of the slots does, the next slot is not late."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from threading import Event

import pytest
from effort import PATIENCE_SECONDS

from data_fetch.core.clock import MINUTE, SystemClock
from data_fetch.core.quotes.quotes import StoredQuote
from data_fetch.core.runs import SyncRun
from data_fetch.services.slot_listeners import QueuedListener

FIRST = datetime(2026, 9, 16, 4, 30, tzinfo=UTC)
SLOTS = [FIRST + n * MINUTE for n in range(9)]


class Slow:
    """A listener that takes its first slot and keeps it until it is released."""

    def __init__(self) -> None:
        self.began, self.release = Event(), Event()
        self.slots: list[datetime | None] = []

    def __call__(self, run: SyncRun, quotes: Sequence[StoredQuote]) -> None:
        self.slots.append(run.due_slot)
        self.began.set()
        assert self.release.wait(PATIENCE_SECONDS)


def deliver(listener: QueuedListener, slots: Sequence[datetime]) -> None:
    for slot in slots:
        listener(SyncRun.begin("quotes", slot, slot), ())


def test_slots_arrive_in_their_order_and_all_before_the_end() -> None:
    seen: list[datetime | None] = []
    listener = QueuedListener("test", lambda run, _: seen.append(run.due_slot), SystemClock())

    deliver(listener, SLOTS)
    listener.close()

    assert seen == SLOTS


def test_a_listener_that_hangs_delays_no_slot_and_misses_the_oldest_slots(
    caplog: pytest.LogCaptureFixture,
) -> None:
    slow = Slow()
    listener = QueuedListener("redis", slow, SystemClock(), capacity=3)
    deliver(listener, SLOTS[:1])
    assert slow.began.wait(PATIENCE_SECONDS)

    with caplog.at_level(logging.INFO):
        # Returns, although the listener does not.
        deliver(listener, SLOTS[1:])
        assert [record.message for record in caplog.records] == ["listener_behind"]
        slow.release.set()
        listener.close()

    assert slow.slots == [SLOTS[0], *SLOTS[-3:]]
    [dropped] = [record for record in caplog.records if record.message == "listener_dropped"]
    assert (dropped.levelno, vars(dropped)["listener"], vars(dropped)["slots"]) == (
        logging.WARNING,
        "redis",
        len(SLOTS) - 4,
    )


def test_a_listener_that_fails_gets_the_next_slot(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[datetime | None] = []

    def fail_once(run: SyncRun, quotes: Sequence[StoredQuote]) -> None:
        seen.append(run.due_slot)
        if len(seen) == 1:
            raise ValueError("no room on the screen")

    listener = QueuedListener("screen", fail_once, SystemClock())
    deliver(listener, SLOTS[:2])
    listener.close()

    assert seen == SLOTS[:2]
    assert caplog.messages == ["listener_failed"]
