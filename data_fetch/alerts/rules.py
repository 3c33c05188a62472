"""The rules of alerts: each one finds what is wrong in the facts of an instant. Pure.

A rule returns None when it cannot be judged: its figures are unknown, or they mean nothing now,
because the market is closed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from data_fetch.alerts.changes import Damping, Findings
from data_fetch.alerts.facts import (
    AlertFacts,
    BackfillFacts,
    ChainSourceFacts,
    DataClassFacts,
    DiskFacts,
    FeedFacts,
    MarketFacts,
    TokenFacts,
)
from data_fetch.core.alerts import Alert, Severity
from data_fetch.core.chains.drift import is_drift
from data_fetch.core.clock import IST, MINUTE

STALE_DATA, MISSED_SLOTS, COLLECTOR_DEAD = "stale_data", "missed_slots", "collector_dead"
TOKEN_EXPIRING, SOURCE_DRIFT = "token_expiring", "source_drift"
BACKFILL_INCOMPLETE, DISK_LOW = "backfill_incomplete", "disk_low"
CALENDAR_PROVISIONAL, DEGRADED_STORE = "calendar_provisional", "degraded_store"
STORE_UNREACHABLE, ARCHIVE_FAILING = "store_unreachable", "archive_failing"
FIGURES_UNKNOWN, DEAD_LETTERS, NOT_READY = "figures_unknown", "dead_letters", "not_ready"
FEED_AWAY = "feed_away"

DAY = timedelta(days=1)
# A collector stores a slot some seconds after it is over; the next ones show that it does not.
MOST_UNRECORDED = 2
# Time to start a collector before the session.
BEFORE_OPENING = timedelta(minutes=15)
# Time to log in before the session, or to exchange a token that lasts for a year.
LOGIN_TIME, RENEWAL_TIME = timedelta(hours=2), timedelta(days=14)
# How grave the end of a token that lasts for a year is, by the time left.
LONG_LIVED_ENDS = (
    (LOGIN_TIME, Severity.CRITICAL),
    (DAY, Severity.WARNING),
    (RENEWAL_TIME, Severity.INFO),
)
# So far back the polls of chains are looked at.
DRIFT_WINDOW = timedelta(minutes=15)
# One rejected leg is a typing error of the exchange; more in some minutes are another format.
MOST_REJECTED = 20
LOW_BYTES, LOW_SHARE, LOW_DAYS = 2_000_000_000, 0.05, 7.0
FULL_BYTES, FULL_DAYS = 500_000_000, 1.0
MOST_NAMED = 5

Found = Sequence[Alert] | None


@dataclass(frozen=True, slots=True)
class Rule:
    """A named condition: *judge* returns its alerts, None when it cannot be judged."""

    name: str
    judge: Callable[[AlertFacts], Found]
    damping: Damping


def findings(facts: AlertFacts) -> Findings:
    """What every rule that can be judged finds in *facts*."""
    judged = {rule: found for rule in RULES if (found := rule.judge(facts)) is not None}
    return Findings(
        at=facts.at,
        alerts=[alert for found in judged.values() for alert in found],
        judged={rule.name: rule.damping for rule in judged},
    )


def stale_data(facts: AlertFacts) -> Found:
    """Classes of data with symbols that are late, while the market trades."""
    if facts.freshness is None or facts.market is None or not facts.market.is_open:
        return None
    return [_late(each) for each in facts.freshness if each.late]


def _late(data: DataClassFacts) -> Alert:
    newest = "none is stored" if data.newest is None else f"the newest is of {_clock(data.newest)}"
    most = 2 * len(data.late) > data.symbols
    return Alert(
        rule=STALE_DATA,
        subject=data.name,
        severity=Severity.CRITICAL if most else Severity.WARNING,
        title=f"{len(data.late)} of {data.symbols} {data.name} are late ({_named(data.late)}); "
        f"{newest}",
        action="See which and since when: data-fetch freshness",
    )


def missed_slots(facts: AlertFacts) -> Found:
    """Slots of the last minutes that a collector could not fill, while the market trades."""
    market = facts.market
    if market is None or not market.is_open:
        return None
    if not market.missed:
        return []
    last = market.missed[-1]
    why = f": {last.reason}" if last.reason else ""
    alert = Alert(
        rule=MISSED_SLOTS,
        subject="quotes",
        severity=Severity.WARNING,
        title=f"{_counted(len(market.missed), 'slot')} of quotes missed, the last one "
        f"{_clock(last.slot)}{why}",
        action="See the last runs: data-fetch status",
    )
    return [alert]


def collector_dead(facts: AlertFacts) -> Found:
    """Slots are over and have no record, or the session is near and nothing collects."""
    market = facts.market
    if market is None:
        return None
    found = _not_recorded(market) or _not_started(market, facts.at)
    return [] if found is None else [found]


def _not_recorded(market: MarketFacts) -> Alert | None:
    if len(market.unrecorded) <= MOST_UNRECORDED:
        return None
    count = _counted(len(market.unrecorded), "slot")
    return _dead(
        f"{count} since {_clock(market.unrecorded[0])} are over and have no record: "
        "the collector does not run"
        if not market.collects
        else f"{count} since {_clock(market.unrecorded[0])} are over and have no record, although "
        "a collector has the lead: it hangs"
    )


def _not_started(market: MarketFacts, at: datetime) -> Alert | None:
    if market.collects or market.is_open or market.next_open - at > BEFORE_OPENING:
        return None
    return _dead(f"no collector runs, and the market opens at {_clock(market.next_open)}")


def _dead(title: str) -> Alert:
    return Alert(
        rule=COLLECTOR_DEAD,
        subject="collector",
        severity=Severity.CRITICAL,
        title=title,
        action="Start it: data-fetch run",
    )


def token_expiring(facts: AlertFacts) -> Found:
    """A token that ends soon and matters.

    A daily token ends every night: it matters from two hours before the session on that it will
    not be valid for. A token that lasts longer is announced days before.
    """
    token, market = facts.token, facts.market
    if token is None or market is None:
        return None
    if token.expires_at is None:
        return []
    left = token.expires_at - facts.at
    severity = _token_severity(token, left, market, facts.at)
    if severity is None:
        return []
    ends = "ended" if left <= timedelta(0) else "ends"
    trades = (
        "the market trades"
        if market.is_open
        else f"the market opens at {_day_and_clock(market.next_open)}"
    )
    alert = Alert(
        rule=TOKEN_EXPIRING,
        subject="upstox",
        severity=severity,
        title=f"the access token {ends} at {_day_and_clock(token.expires_at)}; {trades}",
        action="Get a new one: data-fetch login",
    )
    return [alert]


def _token_severity(
    token: TokenFacts, left: timedelta, market: MarketFacts, at: datetime
) -> Severity | None:
    assert token.expires_at is not None
    if left <= timedelta(0) and market.is_open:
        return Severity.CRITICAL
    if token.lasts_long:
        return next((each for within, each in LONG_LIVED_ENDS if left <= within), None)
    if market.is_open:
        return Severity.WARNING if left <= LOGIN_TIME else None
    soon = market.next_open - at <= LOGIN_TIME
    return Severity.WARNING if soon and token.expires_at <= market.next_open else None


def source_drift(facts: AlertFacts) -> Found:
    """Chains in another form than before, legs that are rejected, a source that fails."""
    source, market = facts.chain_source, facts.market
    if source is None or market is None or not market.is_open:
        return None
    return list(_drifts(source))


def _drifts(source: ChainSourceFacts) -> Iterator[Alert]:
    changed = [remark for remark in (*source.remarks, *source.failures) if is_drift(remark)]
    if changed:
        yield Alert(
            rule=SOURCE_DRIFT,
            subject="fields",
            severity=Severity.WARNING,
            title=f"responses with option chains have changed: {'; '.join(changed[:MOST_NAMED])}",
            action="Compare a stored response with docs/reference/option-chains.md",
        )
    if source.rejected > MOST_REJECTED:
        yield Alert(
            rule=SOURCE_DRIFT,
            subject="rejected legs",
            severity=Severity.WARNING,
            title=f"{source.rejected} legs of option chains were rejected within "
            f"{DRIFT_WINDOW // MINUTE} min",
            action="See the reasons: data-fetch status",
        )
    if source.first is not None and source.answering not in {None, source.first}:
        why = ", ".join(source.failures) or "it fails"
        yield Alert(
            rule=SOURCE_DRIFT,
            subject=source.first,
            severity=Severity.WARNING,
            title=f"option chains come from {source.answering} instead of {source.first} ({why})",
            action="See the failures: data-fetch status",
        )


def backfill_incomplete(facts: AlertFacts) -> Found:
    """Minutes of the last day without an explanation, although its final check is over."""
    if facts.backfill is None:
        return None
    return [_incomplete(facts.backfill)] if facts.backfill.unexplained else []


def _incomplete(day: BackfillFacts) -> Alert:
    parts = {"missed": day.missed, "of unknown instruments": day.unknown, "pending": day.pending}
    listed = ", ".join(f"{count:,} {name}" for name, count in parts.items() if count)
    return Alert(
        rule=BACKFILL_INCOMPLETE,
        subject=day.day.isoformat(),
        severity=Severity.WARNING,
        title=f"{day.unexplained:,} of {day.expected:,} minutes of {day.day} are not explained "
        f"after the final check ({listed})",
        action=f"Fetch them: data-fetch backfill --from {day.day} --to {day.day} --retry-failed",
    )


def disk_low(facts: AlertFacts) -> Found:
    """Disks that are nearly full, or will be at the growth of the last days."""
    if facts.disks is None:
        return None
    return [alert for disk in facts.disks if (alert := _low(disk)) is not None]


def _low(disk: DiskFacts) -> Alert | None:
    days = disk.days_left
    low = disk.free < LOW_BYTES or disk.free < LOW_SHARE * disk.total
    if not low and (days is None or days >= LOW_DAYS):
        return None
    full = disk.free < FULL_BYTES or (days is not None and days < FULL_DAYS)
    left = "" if days is None else f", enough for {days:.1f} days at the present growth"
    return Alert(
        rule=DISK_LOW,
        subject=disk.folder,
        severity=Severity.CRITICAL if full else Severity.WARNING,
        title=f"{disk.free / 1e9:.1f} GB ({disk.free / disk.total:.0%}) are free in {disk.folder}"
        f"{left}",
        action="Make room, or keep fewer days in the database: docs/howto/keep-years.md",
    )


def calendar_provisional(facts: AlertFacts) -> Found:
    """A calendar that may be wrong about the sessions to come."""
    calendar = facts.calendar
    if calendar is None:
        return None
    found = []
    if calendar.warning is not None:
        found.append(
            Alert(
                rule=CALENDAR_PROVISIONAL,
                subject="calendar",
                severity=Severity.WARNING,
                title=f"the market calendar is provisional: {calendar.warning}",
                action="Refresh it: data-fetch calendar refresh",
            )
        )
    for day in calendar.without_hours:
        found.append(
            Alert(
                rule=CALENDAR_PROVISIONAL,
                subject=day.isoformat(),
                severity=Severity.WARNING,
                title=f"a session is announced for {day}, and its hours are not known",
                action="Refresh it, or name the hours in the calendar override: "
                "data-fetch calendar refresh",
            )
        )
    return found


def degraded_store(facts: AlertFacts) -> Found:
    """The configured store was away, and rows wait in the embedded one."""
    stand_in = facts.stand_in
    if stand_in is None:
        return None
    if not stand_in.why:
        return []
    alert = Alert(
        rule=DEGRADED_STORE,
        subject="store",
        severity=Severity.WARNING,
        title=f"{stand_in.rows:,} rows wait in the store that stands in: {stand_in.why}",
        action="Bring the database back; a running collector brings the rows over",
    )
    return [alert]


def store_unreachable(facts: AlertFacts) -> Found:
    """The configured store cannot be used, and no other one stands in for it."""
    stands_in = facts.stand_in is not None and facts.stand_in.why
    if facts.store_problem is None or stands_in:
        return []
    alert = Alert(
        rule=STORE_UNREACHABLE,
        subject="store",
        severity=Severity.CRITICAL,
        title=f"the store cannot be used: {facts.store_problem}",
        action="Check the database, then: data-fetch doctor",
    )
    return [alert]


def figures_unknown(facts: AlertFacts) -> Found:
    """Figures that cannot be read, for another reason than the store: their rules are blind."""
    return [
        Alert(
            rule=FIGURES_UNKNOWN,
            subject=part,
            severity=Severity.WARNING,
            title=f"the figures of {part} cannot be read: {why}",
            action="Find out why: data-fetch doctor",
        )
        for part, why in facts.unknown.items()
    ]


def archive_failing(facts: AlertFacts) -> Found:
    """Jobs of the archive whose newest run has failed."""
    if facts.archive is None:
        return None
    return [
        Alert(
            rule=ARCHIVE_FAILING,
            subject=each.job,
            severity=Severity.WARNING,
            title=f"{each.job} failed at {_clock(each.at)}: {each.error}",
            action="See its state: data-fetch archive status",
        )
        for each in facts.archive
    ]


def dead_letters(facts: AlertFacts) -> Found:
    """Units of work that failed for good: what they were for is not done."""
    if facts.dead_units is None:
        return None
    return [
        Alert(
            rule=DEAD_LETTERS,
            subject=each.kind,
            severity=Severity.WARNING,
            title=f"{_counted(each.units, 'unit')} of {each.kind} failed for good "
            f"({', '.join(each.reasons)})",
            action="See them, then put them back or drop them: data-fetch dlq list",
        )
        for each in facts.dead_units
    ]


def not_ready(facts: AlertFacts) -> Found:
    """The check before the open was a no-go, until slots of the session are collected."""
    readiness, market = facts.readiness, facts.market
    if readiness is None or market is None:
        return None
    collected = market.is_open and not (market.missed or market.unrecorded)
    if not readiness.no_go or collected:
        return []
    alert = Alert(
        rule=NOT_READY,
        subject="session",
        severity=Severity.CRITICAL,
        title=f"the session cannot begin: {readiness.no_go}",
        action="Correct it, then check again: data-fetch ready",
    )
    return [alert]


def feed_away(facts: AlertFacts) -> Found:
    """The market data feed delivers nothing, while the market trades and prices have to come."""
    feed, market = facts.feed, facts.market
    if feed is None or market is None or not market.is_open:
        return None
    return [_away(feed)] if _is_away(feed, market) else []


def _is_away(feed: FeedFacts, market: MarketFacts) -> bool:
    if not feed.runs:
        # Without a collector there is no feed either, and `collector_dead` has that.
        return market.collects
    return feed.expected and feed.away_since is not None


def _away(feed: FeedFacts) -> Alert:
    since = "" if feed.away_since is None else f" since {_clock(feed.away_since)}"
    return Alert(
        rule=FEED_AWAY,
        subject="feed",
        severity=Severity.WARNING,
        title=f"the market data feed delivers nothing{since}: {feed.cause}",
        action="See its state and keys: data-fetch status",
    )


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _clock(at: datetime) -> str:
    return f"{at.astimezone(IST):%H:%M} IST"


def _day_and_clock(at: datetime) -> str:
    return f"{at.astimezone(IST):%a %d %b %H:%M} IST"


# Data that is late, or a source that changes back, for a minute or two is no message.
SHORTLY = Damping(2 * MINUTE, 5 * MINUTE)
# A feed connects again by itself, the last times a minute apart.
FEED_TIME = 5 * MINUTE
RULES = (
    Rule(STORE_UNREACHABLE, store_unreachable, Damping(MINUTE, 2 * MINUTE)),
    Rule(DEGRADED_STORE, degraded_store, Damping(MINUTE, MINUTE)),
    Rule(NOT_READY, not_ready, Damping(timedelta(0), 2 * MINUTE)),
    Rule(COLLECTOR_DEAD, collector_dead, Damping(MINUTE, 2 * MINUTE)),
    Rule(MISSED_SLOTS, missed_slots, Damping(timedelta(0), 2 * MINUTE)),
    Rule(STALE_DATA, stale_data, SHORTLY),
    Rule(SOURCE_DRIFT, source_drift, SHORTLY),
    Rule(FEED_AWAY, feed_away, Damping(FEED_TIME, 2 * MINUTE)),
    Rule(TOKEN_EXPIRING, token_expiring, Damping(timedelta(0), MINUTE)),
    Rule(BACKFILL_INCOMPLETE, backfill_incomplete, Damping(5 * MINUTE, 5 * MINUTE)),
    Rule(DISK_LOW, disk_low, Damping(5 * MINUTE, 30 * MINUTE)),
    Rule(CALENDAR_PROVISIONAL, calendar_provisional, Damping(5 * MINUTE, 5 * MINUTE)),
    Rule(FIGURES_UNKNOWN, figures_unknown, Damping(5 * MINUTE, 2 * MINUTE)),
    Rule(DEAD_LETTERS, dead_letters, Damping(5 * MINUTE, 2 * MINUTE)),
    Rule(ARCHIVE_FAILING, archive_failing, Damping(15 * MINUTE, 5 * MINUTE)),
)
RULE_NAMES = tuple(rule.name for rule in RULES)
