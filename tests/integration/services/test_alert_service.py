"""Alerts are reported once, whatever ends or is away in between."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Lock

import pytest

from data_fetch.alerts.facts import AlertFacts, DiskFacts, MarketFacts, MissedSlot, StandInFacts
from data_fetch.core.alerts import MessageState, Severity
from data_fetch.core.clock import ScaledClock
from data_fetch.core.errors import StoreUnreachable
from data_fetch.core.runs import Outcome
from data_fetch.core.timetable import ALERTS
from data_fetch.core.world import World
from data_fetch.services.alerts import AlertRound, AlertService
from data_fetch.storage.alerts import CLAIM, FREE_BYTES, alert_states, recent_messages
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.runs import recent_runs

NOW = datetime(2026, 9, 16, 4, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TRADES = MarketFacts(
    is_open=True, next_open=NOW + timedelta(days=1), missed=(), unrecorded=(), collects=True
)
FINE = AlertFacts(at=NOW, market=TRADES, stand_in=StandInFacts())
MISSED = replace(FINE, market=replace(TRADES, missed=[MissedSlot(NOW, "HTML")]))
DEAD = replace(TRADES, unrecorded=[NOW] * 5)


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Inbox:
    """A channel that keeps what it gets. *refusal* is its answer, *before* and *after* are run
    before and after it gets a message."""

    name: str = "inbox"
    minimum: Severity = Severity.INFO
    refusal: str | None = None
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    titles: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def send(self, kind: str, title: str, text: str) -> str | None:
        self.before()
        with self.lock:
            self.titles.append(title.removeprefix("data-fetch (paper): "))
            self.texts.append(text)
        self.after()
        return self.refusal


@dataclass
class Desk:
    """A market, a store and channels; *watcher* is a watcher's process, replaced by `restart`."""

    url: str
    inboxes: list[Inbox]
    facts: AlertFacts = FINE
    away: bool = False
    clock: ScaledClock = field(default_factory=lambda: ScaledClock(NOW, speed=0))

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.watcher = self.another()

    def another(self) -> AlertService:
        return AlertService(
            facts=lambda: replace(self.facts, at=self.clock.now()),
            opened=self.opened,
            channels=self.inboxes,
            world=World.PAPER,
            clock=self.clock,
        )

    def opened(self) -> Store:
        if self.away:
            raise StoreUnreachable("the database does not answer")
        return open_store(self.url, World.PAPER)

    def minutes(self, number: int, facts: AlertFacts | None = None) -> list[AlertRound]:
        self.facts = facts or self.facts
        return [self.minute() for _ in range(number)]

    def minute(self) -> AlertRound:
        try:
            return self.watcher.round()
        finally:
            self.pass_time(MINUTE)

    def pass_time(self, time: timedelta) -> None:
        self.clock.set(self.clock.now() + time)


@pytest.fixture
def desk(database_url: str) -> Desk:
    return Desk(database_url, [Inbox()])


def titles(desk: Desk) -> list[str]:
    return [title for inbox in desk.inboxes for title in inbox.titles]


BEGAN, OVER = "warning: missed_slots", "recovered: missed_slots"


def test_an_alert_is_sent_once_and_its_end_once_over_restarts(desk: Desk) -> None:
    desk.minutes(5, MISSED)
    desk.restart()
    desk.minutes(5)
    assert titles(desk) == [BEGAN]

    desk.restart()
    desk.minutes(10, FINE)

    assert titles(desk) == [BEGAN, OVER]
    assert "It lasted 9 min." in desk.inboxes[0].texts[1]


def test_a_message_says_what_is_wrong_what_to_do_and_which_runbook(desk: Desk) -> None:
    desk.minute()
    desk.minutes(1, MISSED)

    assert desk.inboxes[0].texts == [
        "Warning: missed_slots: 1 slot of quotes missed, the last one 10:00 IST: HTML.\n"
        "See the last runs: data-fetch status\n"
        "Runbook: docs/howto/runbooks.md#missed_slots"
    ]


def test_what_begins_together_is_one_message_the_gravest_first(desk: Desk) -> None:
    both = replace(MISSED, market=replace(DEAD, missed=[MissedSlot(NOW)]))
    desk.minutes(1, replace(FINE, market=DEAD))
    desk.minutes(1, both)

    assert titles(desk) == ["critical: collector_dead, missed_slots"]


def test_a_channel_gets_what_is_at_least_as_grave_as_its_minimum(database_url: str) -> None:
    desk = Desk(database_url, [Inbox("all"), Inbox("grave", Severity.CRITICAL)])
    desk.minutes(3, MISSED)
    desk.minutes(5, FINE)
    desk.minutes(3, replace(FINE, market=DEAD))
    desk.minutes(5, FINE)

    assert desk.inboxes[0].titles == [
        BEGAN, OVER, "critical: collector_dead", "recovered: collector_dead",
    ]  # fmt: skip
    assert desk.inboxes[1].titles == ["critical: collector_dead", "recovered: collector_dead"]


def test_a_channel_that_refuses_gets_the_message_again_after_growing_waits(
    database_url: str,
) -> None:
    desk = Desk(database_url, [Inbox("works"), Inbox("refuses", refusal="error=503")])
    rounds = desk.minutes(16, MISSED)

    assert [number for number, each in enumerate(rounds) if each.failed] == [0, 1, 3, 7, 15]
    assert desk.inboxes[0].titles == [BEGAN]

    desk.inboxes[1].refusal = None
    desk.restart()
    desk.minutes(20)

    with desk.opened().reading() as connection:
        sent = recent_messages(connection, 9)
    assert {each.channel: (each.state, each.attempts, each.error) for each in sent} == {
        "works": (MessageState.SENT, 1, None),
        "refuses": (MessageState.SENT, 6, None),
    }


def test_each_sending_has_an_audit_row_with_its_reason(database_url: str) -> None:
    desk = Desk(database_url, [Inbox("works"), Inbox("refuses", refusal="error=503")])
    desk.minute()
    desk.minutes(1, MISSED)
    [run] = recent_runs(desk.opened(), job=ALERTS)

    assert (run.outcome, run.requested, run.stored) == (Outcome.INCOMPLETE, 2, 1)
    assert run.error == "refuses: error=503"


def test_a_message_that_no_attempt_delivers_within_a_day_is_given_up(desk: Desk) -> None:
    desk.inboxes[0].refusal = "error=503"
    desk.minutes(1, MISSED)
    desk.minutes(5, FINE)
    desk.pass_time(timedelta(days=1))
    desk.minutes(2)

    with desk.opened().reading() as connection:
        assert {each.state for each in recent_messages(connection, 9)} == {MessageState.EXPIRED}


def killed() -> None:
    raise Killed


def test_killed_after_sending_and_before_it_is_stored_one_message_is_repeated_once(
    desk: Desk,
) -> None:
    desk.inboxes[0].after = killed
    desk.facts = MISSED
    with pytest.raises(Killed):
        desk.minute()
    desk.inboxes[0].after = lambda: None
    desk.restart()
    desk.minutes(10)

    assert titles(desk) == [BEGAN, BEGAN]


def test_killed_before_sending_nothing_is_forgotten(desk: Desk) -> None:
    desk.inboxes[0].before = killed
    desk.facts = MISSED
    with pytest.raises(Killed):
        desk.minute()
    desk.inboxes[0].before = lambda: None
    desk.restart()
    desk.minutes(CLAIM // MINUTE - 1)
    assert titles(desk) == []

    desk.minutes(2)

    assert titles(desk) == [BEGAN]


def test_two_watchers_send_each_message_once(desk: Desk) -> None:
    watchers = [desk.another(), desk.another()]
    with ThreadPoolExecutor(2) as pool:
        for facts in [MISSED] * 4 + [FINE] * 6:
            desk.facts = facts
            list(pool.map(lambda each: each.round(), watchers))
            desk.pass_time(MINUTE)

    assert titles(desk) == [BEGAN, OVER]


def test_while_the_store_is_away_alerts_are_sent_and_stored_afterwards(desk: Desk) -> None:
    desk.minutes(2, MISSED)
    desk.away = True
    away = AlertFacts(at=NOW, store_problem="it does not answer", stand_in=StandInFacts())
    problems = {each.store_problem for each in desk.minutes(5, away)}
    assert problems == {"the database does not answer"}
    assert titles(desk) == [BEGAN, "critical: store_unreachable"]

    desk.away = False
    desk.minutes(5, MISSED)
    desk.restart()
    desk.minutes(2)

    assert titles(desk)[2:] == ["recovered: store_unreachable"]
    with desk.opened().reading() as connection:
        states = alert_states(connection)
        sent = recent_messages(connection, 9)
    assert {key.rule: state.is_open for key, state in states.items()} == {
        "missed_slots": True,
        "store_unreachable": False,
    }
    assert [each.state for each in sent] == [MessageState.SENT] * 3


def test_results_that_cannot_be_stored_are_stored_with_the_next_round(desk: Desk) -> None:
    def leaves() -> None:
        desk.away = True

    desk.inboxes[0].after = leaves
    [found] = desk.minutes(1, MISSED)
    assert found.store_problem == "the database does not answer"

    desk.away = False
    desk.inboxes[0].after = lambda: None
    desk.minutes(5)

    assert titles(desk) == [BEGAN]


def test_free_space_is_written_into_the_audit_every_hour(desk: Desk) -> None:
    free = DiskFacts(folder="/data", free=70_000_000_000, total=10**11, days_left=None)
    desk.facts = replace(FINE, disks=[free])
    for _ in range(5):
        desk.minute()
        desk.pass_time(timedelta(minutes=29))
    runs = recent_runs(desk.opened(), job=ALERTS)

    assert [run.details[FREE_BYTES] for run in runs] == [{"/data": 70_000_000_000}] * 3


def test_an_alert_lasts_on_the_system_s_clock_while_a_paper_market_stands_still(desk: Desk) -> None:
    dead = replace(FINE, market=DEAD)
    watcher = AlertService(
        facts=lambda: dead,
        opened=desk.opened,
        channels=desk.inboxes,
        world=World.PAPER,
        clock=desk.clock,
    )
    for _ in range(3):
        watcher.round()
        desk.pass_time(MINUTE)

    assert titles(desk) == ["critical: collector_dead"]
