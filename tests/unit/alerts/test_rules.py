"""Each rule over facts: what it finds, and when it cannot be judged."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

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
from data_fetch.core.alerts import Severity

# 10:00 IST of a Wednesday.
NOW = datetime(2026, 9, 16, 4, 30, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
GB = 1_000_000_000
TRADES = MarketFacts(is_open=True, next_open=NOW + DAY, missed=(), unrecorded=(), collects=True)
CLOSED = replace(TRADES, is_open=False, next_open=NOW + 12 * HOUR)
FINE = AlertFacts(
    at=NOW,
    market=TRADES,
    freshness=[DataClassFacts(name="stock quotes", symbols=208, late=(), newest=NOW)],
    token=TokenFacts(expires_at=NOW + 17 * HOUR, lasts_long=False),
    chain_source=ChainSourceFacts(answering="upstox", first="upstox"),
    backfill=BackfillFacts(day=date(2026, 9, 15), expected=77_000, missed=0, unknown=0, pending=0),
    disks=[DiskFacts(folder="/data", free=40 * GB, total=100 * GB, days_left=200.0)],
    calendar=CalendarFacts(warning=None, without_hours=()),
    stand_in=StandInFacts(),
    archive=(),
    dead_units=(),
    readiness=ReadinessFacts(),
    feed=FeedFacts(expected=True, cause="prices come"),
)


def late(number: int, of: int = 208) -> list[DataClassFacts]:
    names = [f"S{each}" for each in range(number)]
    return [DataClassFacts(name="stock quotes", symbols=of, late=names, newest=NOW - 6 * MINUTE)]


def unrecorded(minutes: int, market: MarketFacts = TRADES) -> MarketFacts:
    return replace(market, unrecorded=[NOW - each * MINUTE for each in range(minutes, 0, -1)])


def token(left: timedelta, market: MarketFacts = TRADES, *, lasts_long: bool = False) -> AlertFacts:
    found = TokenFacts(expires_at=NOW + left, lasts_long=lasts_long)
    return replace(FINE, market=market, token=found)


def disk(free: float, days_left: float | None = None, total: float = 100 * GB) -> AlertFacts:
    found = DiskFacts(folder="/data", free=int(free), total=int(total), days_left=days_left)
    return replace(FINE, disks=[found])


NO_GO = ReadinessFacts(no_go="token: it has ended")
AWAY = FeedFacts(expected=True, away_since=NOW - 6 * MINUTE, cause="the connection was cut")
ENDED = FeedFacts(runs=False, cause="the feed ended by an error of its own: see the log")
BEFORE_SESSION = replace(CLOSED, next_open=NOW + HOUR)
INFO, WARNING, CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        pytest.param(FINE, {}, id="nothing"),
        pytest.param(
            replace(FINE, freshness=late(3)),
            {("stale_data", "stock quotes"): WARNING},
            id="three symbols are late",
        ),
        pytest.param(
            replace(FINE, freshness=late(120)),
            {("stale_data", "stock quotes"): CRITICAL},
            id="most symbols are late",
        ),
        pytest.param(replace(FINE, freshness=late(120), market=CLOSED), {}, id="late at night"),
        pytest.param(
            replace(FINE, market=replace(TRADES, missed=[MissedSlot(NOW, "HTML")])),
            {("missed_slots", "quotes"): WARNING},
            id="a missed slot",
        ),
        pytest.param(
            replace(FINE, market=replace(CLOSED, missed=[MissedSlot(NOW)])),
            {},
            id="a missed slot, seen at night",
        ),
        pytest.param(replace(FINE, market=unrecorded(2)), {}, id="two slots not recorded yet"),
        pytest.param(
            replace(FINE, market=unrecorded(3)),
            {("collector_dead", "collector"): CRITICAL},
            id="three slots without a record",
        ),
        pytest.param(
            replace(FINE, market=unrecorded(40, CLOSED)),
            {("collector_dead", "collector"): CRITICAL},
            id="the last slots of the day without a record",
        ),
        pytest.param(
            replace(FINE, market=replace(CLOSED, next_open=NOW + 15 * MINUTE, collects=False)),
            {("collector_dead", "collector"): CRITICAL},
            id="nothing collects before the session",
        ),
        pytest.param(
            replace(FINE, market=replace(CLOSED, collects=False)),
            {},
            id="nothing collects at night",
        ),
        pytest.param(token(3 * HOUR), {}, id="a daily token that lasts for hours"),
        pytest.param(
            token(HOUR),
            {("token_expiring", "upstox"): WARNING},
            id="a token that ends in the session",
        ),
        pytest.param(
            token(-MINUTE),
            {("token_expiring", "upstox"): CRITICAL},
            id="ended while the market trades",
        ),
        pytest.param(token(-HOUR, CLOSED), {}, id="a daily token that ended at night"),
        pytest.param(
            token(-HOUR, BEFORE_SESSION),
            {("token_expiring", "upstox"): WARNING},
            id="no token for the session that begins soon",
        ),
        pytest.param(
            token(HOUR / 2, BEFORE_SESSION),
            {("token_expiring", "upstox"): WARNING},
            id="a token that ends before the session",
        ),
        pytest.param(token(12 * HOUR, BEFORE_SESSION), {}, id="a token for the session"),
        pytest.param(token(15 * DAY, CLOSED, lasts_long=True), {}, id="15 days left of a year"),
        pytest.param(
            token(14 * DAY, CLOSED, lasts_long=True),
            {("token_expiring", "upstox"): INFO},
            id="14 days left of a year",
        ),
        pytest.param(
            token(DAY, CLOSED, lasts_long=True),
            {("token_expiring", "upstox"): WARNING},
            id="with a day left",
        ),
        pytest.param(
            token(2 * HOUR, CLOSED, lasts_long=True),
            {("token_expiring", "upstox"): CRITICAL},
            id="with two hours left",
        ),
        pytest.param(
            token(-DAY, CLOSED, lasts_long=True),
            {("token_expiring", "upstox"): CRITICAL},
            id="ended for a day",
        ),
        pytest.param(
            replace(FINE, token=TokenFacts(expires_at=None, lasts_long=False)),
            {},
            id="a token without an end",
        ),
        pytest.param(
            replace(FINE, chain_source=ChainSourceFacts(remarks=["unknown fields: iv2"])),
            {("source_drift", "fields"): WARNING},
            id="a new field",
        ),
        pytest.param(
            replace(FINE, chain_source=ChainSourceFacts(remarks=["CE is missing in all rows"])),
            {("source_drift", "fields"): WARNING},
            id="a field that is gone",
        ),
        pytest.param(
            replace(FINE, chain_source=ChainSourceFacts(failures={"nse renamed_field": 3})),
            {("source_drift", "fields"): WARNING},
            id="a renamed field",
        ),
        pytest.param(
            replace(FINE, chain_source=ChainSourceFacts(remarks=["iv is missing in 7 legs"])),
            {},
            id="values that are missing in some legs",
        ),
        pytest.param(
            replace(FINE, chain_source=ChainSourceFacts(rejected=21)),
            {("source_drift", "rejected legs"): WARNING},
            id="many rejected legs",
        ),
        pytest.param(
            replace(
                FINE,
                chain_source=ChainSourceFacts(
                    answering="nse", first="upstox", failures={"upstox unreachable": 4}
                ),
            ),
            {("source_drift", "upstox"): WARNING},
            id="the second source answers",
        ),
        pytest.param(
            replace(FINE, chain_source=ChainSourceFacts(rejected=21), market=CLOSED),
            {},
            id="rejected legs, seen at night",
        ),
        pytest.param(
            replace(
                FINE,
                market=CLOSED,
                backfill=BackfillFacts(
                    day=date(2026, 9, 15), expected=77_000, missed=5, unknown=0, pending=1
                ),
            ),
            {("backfill_incomplete", "2026-09-15"): WARNING},
            id="minutes without an explanation",
        ),
        pytest.param(disk(1.9 * GB), {("disk_low", "/data"): WARNING}, id="1.9 GB free"),
        pytest.param(disk(4.9 * GB), {("disk_low", "/data"): WARNING}, id="4.9 % free"),
        pytest.param(disk(0.4 * GB), {("disk_low", "/data"): CRITICAL}, id="0.4 GB free"),
        pytest.param(disk(40 * GB, 6.9), {("disk_low", "/data"): WARNING}, id="6.9 days left"),
        pytest.param(disk(40 * GB, 0.9), {("disk_low", "/data"): CRITICAL}, id="0.9 days left"),
        pytest.param(disk(40 * GB, 7.1), {}, id="7.1 days left"),
        pytest.param(
            replace(
                FINE,
                calendar=CalendarFacts(
                    warning="holidays are not known", without_hours=[date(2026, 11, 8)]
                ),
            ),
            {
                ("calendar_provisional", "calendar"): WARNING,
                ("calendar_provisional", "2026-11-08"): WARNING,
            },
            id="an old calendar, and a Muhurat without hours",
        ),
        pytest.param(
            replace(FINE, stand_in=StandInFacts(rows=7, why="the database was away")),
            {("degraded_store", "store"): WARNING},
            id="rows wait in the embedded store",
        ),
        pytest.param(
            replace(
                FINE,
                store_problem="it does not answer",
                stand_in=StandInFacts(rows=7, why="the database is away"),
            ),
            {("degraded_store", "store"): WARNING},
            id="the store is away, another one stands in",
        ),
        pytest.param(
            AlertFacts(at=NOW, store_problem="it does not answer", stand_in=StandInFacts()),
            {("store_unreachable", "store"): CRITICAL},
            id="the store is away",
        ),
        pytest.param(
            replace(FINE, archive=[FailingJob(job="archive-days", at=NOW, error="no room")]),
            {("archive_failing", "archive-days"): WARNING},
            id="the archive fails",
        ),
        pytest.param(
            replace(FINE, dead_units=[DeadUnits(kind="backfill", units=2, reasons=["poison"])]),
            {("dead_letters", "backfill"): WARNING},
            id="units that failed for good",
        ),
        pytest.param(
            replace(FINE, market=CLOSED, readiness=NO_GO),
            {("not_ready", "session"): CRITICAL},
            id="a no-go before the open",
        ),
        pytest.param(
            replace(FINE, readiness=NO_GO), {}, id="a no-go, and the session is collected"
        ),
        pytest.param(
            replace(FINE, feed=AWAY), {("feed_away", "feed"): WARNING}, id="the feed is away"
        ),
        pytest.param(replace(FINE, feed=AWAY, market=CLOSED), {}, id="the feed is away at night"),
        pytest.param(
            replace(FINE, feed=replace(AWAY, expected=False)),
            {},
            id="the feed is away, and its own market is closed",
        ),
        pytest.param(
            replace(FINE, feed=ENDED), {("feed_away", "feed"): WARNING}, id="the feed does not run"
        ),
        pytest.param(
            replace(FINE, feed=ENDED, market=replace(TRADES, collects=False)),
            {},
            id="neither the feed nor a collector runs",
        ),
        pytest.param(replace(FINE, feed=FeedFacts()), {}, id="without a feed"),
        pytest.param(
            AlertFacts(at=NOW, unknown={"market": "the symbols file cannot be read"}),
            {("figures_unknown", "market"): WARNING},
            id="figures that cannot be read",
        ),
    ],
)
def test_what_is_found_in_facts(facts: AlertFacts, found: dict[tuple[str, str], Severity]) -> None:
    alerts = findings(facts).alerts

    assert {(each.rule, each.subject): each.severity for each in alerts} == found


def test_without_facts_only_what_needs_none_is_judged() -> None:
    judged = findings(AlertFacts(at=NOW)).judged

    assert judged.keys() == {"store_unreachable", "figures_unknown"}
    assert findings(FINE).judged.keys() == set(RULE_NAMES)


def test_rules_that_mean_nothing_at_night_are_not_judged_then() -> None:
    judged = findings(replace(FINE, market=CLOSED)).judged

    assert set(RULE_NAMES) - judged.keys() == {
        "stale_data", "missed_slots", "source_drift", "feed_away"
    }  # fmt: skip


def test_an_alert_is_a_sentence_with_its_figures_and_names_some_symbols() -> None:
    [found] = findings(replace(FINE, freshness=late(7))).alerts

    assert found.title == (
        "7 of 208 stock quotes are late (S0, S1, S2, S3, S4 and 2 more); the newest is of 09:54 IST"
    )


@pytest.mark.parametrize(
    ("feed", "title"),
    [
        (AWAY, "the market data feed delivers nothing since 09:54 IST: the connection was cut"),
        (
            ENDED,
            "the market data feed delivers nothing: the feed ended by an error of its own: "
            "see the log",
        ),
    ],
    ids=["away", "ended"],
)
def test_the_alert_of_a_feed_has_its_cause(feed: FeedFacts, title: str) -> None:
    [found] = findings(replace(FINE, feed=feed)).alerts

    assert found.title == title
