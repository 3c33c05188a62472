"""What is to be reported when alerts begin, last and end. Pure.

An alert is reported when it has lasted for a while, again after growing waits, and when it is
over. Only a rule that could be judged ends its alerts: at night, and while figures are unknown,
they stay as they were.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from data_fetch.core.alerts import Alert, AlertKey, AlertState

# From one message about a lasting alert to the next; the last one again and again.
REMINDERS = (timedelta(hours=1), timedelta(hours=4), timedelta(hours=24))
# An alert that comes back within this time after its end flaps: each time it has to stay away for
# twice as long before its end is reported.
FLAPPING = timedelta(hours=1)
LONGEST_CLEAR = timedelta(hours=4)


class Change(StrEnum):
    """Why an alert is reported."""

    BEGAN = "began"
    WORSE = "worse"
    LASTS = "lasts"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True)
class News:
    """A *change* that is to be reported, with the alert as it is after it."""

    change: Change
    state: AlertState


@dataclass(frozen=True, slots=True)
class Damping:
    """An alert of a rule is reported when it has lasted for *begins_after*, and its end when it
    has been away for *ends_after*."""

    begins_after: timedelta = timedelta(0)
    ends_after: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The *alerts* at the instant *at*; *judged* has every rule that could be judged, with how
    its alerts are damped."""

    at: datetime
    alerts: Sequence[Alert]
    judged: Mapping[str, Damping]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Every state afterwards, what is to be reported, and which states are no longer kept."""

    states: Mapping[AlertKey, AlertState]
    news: Sequence[News]
    removed: Collection[AlertKey]


# For how long an alert that is over is kept, for display and to notice flapping.
KEPT = timedelta(days=30)


def changes(states: Mapping[AlertKey, AlertState], found: Findings) -> Changes:
    """What *found* changes in *states*."""
    present = {alert.key: alert for alert in found.alerts}
    after: dict[AlertKey, AlertState] = {}
    news: list[News] = []
    for key in dict.fromkeys([*states, *present]):
        state, alert = states.get(key), present.get(key)
        if alert is not None:
            state, change = _seen(state, alert, found.at, found.judged[alert.rule])
        elif state is not None and state.recovered_at is None and key.rule in found.judged:
            state, change = _absent(state, found.at, found.judged[key.rule])
        else:
            change = None
        if state is not None and not _is_old(state, found.at):
            after[key] = state
            if change is not None:
                news.append(News(change, state))
    return Changes(states=after, news=news, removed=states.keys() - after.keys())


def _seen(
    known: AlertState | None, alert: Alert, at: datetime, damping: Damping
) -> tuple[AlertState, Change | None]:
    state = _begun(known, alert, at)
    worse = alert.severity > state.severity
    state = replace(
        state,
        severity=max(alert.severity, state.severity),
        title=alert.title,
        action=alert.action,
        last_seen=at,
    )
    if state.reported_at is None:
        change = Change.BEGAN if at - state.since >= damping.begins_after else None
    elif worse:
        change = Change.WORSE
    else:
        wait = REMINDERS[min(state.reports, len(REMINDERS)) - 1]
        change = Change.LASTS if at - state.reported_at >= wait else None
    if change is None:
        return state, None
    return replace(state, reported_at=at, reports=state.reports + 1), change


def _begun(known: AlertState | None, alert: Alert, at: datetime) -> AlertState:
    """The state of an alert that lasts, or a new one."""
    if known is not None and known.recovered_at is None:
        return known
    soon = (
        known is not None
        and known.recovered_at is not None
        and (at - known.recovered_at < FLAPPING)
    )
    return AlertState(
        rule=alert.rule,
        subject=alert.subject,
        severity=alert.severity,
        title=alert.title,
        action=alert.action,
        since=at,
        last_seen=at,
        flaps=known.flaps + 1 if known is not None and soon else 0,
    )


def _absent(
    state: AlertState, at: datetime, damping: Damping
) -> tuple[AlertState | None, Change | None]:
    if state.reported_at is None:
        # It went by before it was worth a message.
        return None, None
    clear = min(damping.ends_after * 2 ** min(state.flaps, 10), LONGEST_CLEAR)
    if at - state.last_seen < max(clear, damping.ends_after):
        return state, None
    return replace(state, recovered_at=at), Change.RECOVERED


def _is_old(state: AlertState, at: datetime) -> bool:
    return state.recovered_at is not None and at - state.recovered_at > KEPT
