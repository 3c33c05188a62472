"""A year of the market without a fault gives no alert; each fault gives its alert, once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from data_fetch.alerts.changes import Change, changes
from data_fetch.alerts.facts import (
    AlertFacts,
    BackfillFacts,
    CalendarFacts,
    ChainSourceFacts,
    DataClassFacts,
    DeadUnits,
    DiskFacts,
    FailingJob,
    FeedFacts,
    MarketFacts,
    MissedSlot,
    ReadinessFacts,
    StandInFacts,
    TokenFacts,
)
from data_fetch.alerts.rules import RULE_NAMES, findings
from data_fetch.core.alerts import AlertKey, AlertState
from data_fetch.core.clock import IST
from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS, MarketCalendar

CALENDAR = MarketCalendar.reviewed()
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
GB = 1_000_000_000
CLASSES = ("index quotes", "stock quotes", "option chains")
Change_ = Callable[[AlertFacts], AlertFacts]


def healthy(at: datetime) -> AlertFacts:
    """The facts beside a collector that works, with a daily token that is renewed at 07:00."""
    local = at.astimezone(IST)
    morning = local.replace(hour=7, minute=0, second=0, microsecond=0)
    issued = morning if local >= morning else morning - DAY
    expires = (issued + DAY).replace(hour=3, minute=30)
    return AlertFacts(
        at=at,
        market=MarketFacts(
            is_open=CALENDAR.is_open(at, FUTURES_AND_OPTIONS),
            next_open=CALENDAR.next_open(at, FUTURES_AND_OPTIONS),
            missed=(),
            unrecorded=(),
            collects=True,
        ),
        freshness=[DataClassFacts(name=name, symbols=6, late=(), newest=at) for name in CLASSES],
        token=TokenFacts(expires_at=expires, lasts_long=False),
        chain_source=ChainSourceFacts(answering="upstox", first="upstox"),
        backfill=BackfillFacts(day=local.date(), expected=375, missed=0, unknown=0, pending=0),
        disks=[DiskFacts(folder="data", free=40 * GB, total=100 * GB, days_left=None)],
        calendar=CalendarFacts(warning=None, without_hours=()),
        stand_in=StandInFacts(),
        archive=(),
        dead_units=(),
        readiness=ReadinessFacts(),
        feed=FeedFacts(expected=CALENDAR.is_open(at, FUTURES_AND_OPTIONS)),
    )


def reported(
    instants: Iterator[datetime], fault: Change_, begins: datetime, ends: datetime
) -> list[tuple[str, Change]]:
    """What a watcher reports at *instants*, with *fault* in the facts from *begins* to *ends*."""
    states: Mapping[AlertKey, AlertState] = {}
    found = []
    for at in instants:
        facts = healthy(at)
        after = changes(states, findings(fault(facts) if begins <= at < ends else facts))
        states = after.states
        found += [(each.state.rule, each.change) for each in after.news]
    return found


def minutes(first: datetime, last: datetime) -> Iterator[datetime]:
    while first <= last:
        yield first
        first += MINUTE


def ist(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=IST).astimezone(UTC)


def test_a_year_without_a_fault_is_quiet() -> None:
    # With its weekends, holidays, special sessions and Muhurat: each hour, and the minutes around
    # the openings and closes of ordinary and special sessions.
    first = date(2025, 4, 1)
    turns = [(h, m) for h in (9, 13, 14, 15) for m in (14, 16, 31, 46)]
    times = sorted([*turns, *((hour, 0) for hour in range(24))])
    instants = (
        ist(first, hour, minute) + day * DAY for day in range(365) for hour, minute in times
    )
    found = reported(instants, lambda facts: facts, ist(first, 0), ist(first, 0))

    assert found == []


WEDNESDAY = date(2026, 9, 16)
ENDED = TokenFacts(expires_at=ist(WEDNESDAY, 10), lasts_long=False)
CHAIN_FACTS = ChainSourceFacts(answering="upstox", first="upstox")
FAULTS: dict[str, tuple[str, Change_, tuple[int, int]]] = {
    "quotes stop": (
        "stale_data",
        lambda facts: replace(
            facts,
            freshness=[
                DataClassFacts(name="stock quotes", symbols=6, late=["TCS"], newest=facts.at)
            ],
        ),
        (11, 12),
    ),
    "a slot is missed": (
        "missed_slots",
        lambda facts: replace(
            facts, market=replace(_market(facts), missed=[MissedSlot(facts.at, "HTML")])
        ),
        (11, 12),
    ),
    "the collector is killed": (
        "collector_dead",
        lambda facts: replace(
            facts,
            market=replace(
                _market(facts), unrecorded=[facts.at - n * MINUTE for n in (4, 3, 2, 1)]
            ),
        ),
        (11, 12),
    ),
    "the token is revoked and not renewed": (
        "token_expiring",
        lambda facts: replace(facts, token=ENDED),
        (11, 12),
    ),
    "a field is renamed": (
        "source_drift",
        lambda facts: replace(
            facts, chain_source=replace(CHAIN_FACTS, remarks=["unknown fields: lastPx"])
        ),
        (11, 12),
    ),
    "history is away in the evening": (
        "backfill_incomplete",
        lambda facts: replace(
            facts,
            backfill=BackfillFacts(day=WEDNESDAY, expected=375, missed=375, unknown=0, pending=0),
        ),
        (21, 22),
    ),
    "the disk fills": (
        "disk_low",
        lambda facts: replace(
            facts, disks=[DiskFacts(folder="data", free=GB, total=100 * GB, days_left=None)]
        ),
        (1, 2),
    ),
    "the calendar is old": (
        "calendar_provisional",
        lambda facts: replace(facts, calendar=CalendarFacts(warning="it is old", without_hours=())),
        (1, 2),
    ),
    "the database is away, another store stands in": (
        "degraded_store",
        lambda facts: replace(facts, stand_in=StandInFacts(rows=5, why="it was away")),
        (11, 12),
    ),
    "the store is away": (
        "store_unreachable",
        lambda facts: AlertFacts(at=facts.at, store_problem="it does not answer"),
        (11, 12),
    ),
    "the archive cannot be written": (
        "archive_failing",
        lambda facts: replace(
            facts, archive=[FailingJob(job="archive-days", at=facts.at, error="no room")]
        ),
        (11, 12),
    ),
    "a worker is killed by its work": (
        "dead_letters",
        lambda facts: replace(
            facts, dead_units=[DeadUnits(kind="backfill", units=1, reasons=["poison"])]
        ),
        (11, 12),
    ),
    "the check before the open is a no-go": (
        "not_ready",
        lambda facts: replace(facts, readiness=ReadinessFacts(no_go="clock: 40 s off")),
        (8, 9),
    ),
    "the feed is cut and refused": (
        "feed_away",
        lambda facts: replace(
            facts,
            feed=FeedFacts(expected=True, away_since=ist(WEDNESDAY, 11), cause="it was cut"),
        ),
        (11, 12),
    ),
    "the symbols file is broken": (
        "figures_unknown",
        lambda facts: replace(facts, unknown={"market": "cannot be read"}, market=None),
        (11, 12),
    ),
}


def _market(facts: AlertFacts) -> MarketFacts:
    assert facts.market is not None
    return facts.market


@pytest.mark.parametrize(("rule", "fault", "hours"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_an_hour_gives_its_alert_once_and_its_end_once(
    rule: str, fault: Change_, hours: tuple[int, int]
) -> None:
    begins, ends = (ist(WEDNESDAY, hour) for hour in hours)
    day = minutes(ist(WEDNESDAY, 0), ist(WEDNESDAY, 23, 59))
    found = reported(day, fault, begins, ends)

    assert [each for each in found if each[1] is not Change.LASTS] == [
        (rule, Change.BEGAN),
        (rule, Change.RECOVERED),
    ]


def test_every_rule_has_a_fault_that_it_finds() -> None:
    assert {rule for rule, _, _ in FAULTS.values()} == set(RULE_NAMES)


def test_late_data_at_the_close_is_neither_over_nor_reminded_of_by_night() -> None:
    rule, fault, _ = FAULTS["quotes stop"]
    thursday = WEDNESDAY + DAY
    instants = minutes(ist(WEDNESDAY, 15), ist(thursday, 9, 30))
    found = reported(instants, fault, ist(WEDNESDAY, 15), ist(thursday, 0))

    assert [change for name, change in found if name == rule] == [Change.BEGAN, Change.RECOVERED]
