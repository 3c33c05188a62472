"""What is or was wrong, and the messages about it.

Each function works inside the transaction of its caller, so that a change and its messages are
stored together.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, or_, select

from data_fetch.core.alerts import (
    AlertKey,
    AlertMessage,
    AlertState,
    MessageState,
    Severity,
)
from data_fetch.storage.database.dialects import wait_for_turn
from data_fetch.storage.database.tables import AlertMessageRow, AlertRow, table
from data_fetch.storage.database.upsert import upsert

alerts = table(AlertRow)
alert_messages = table(AlertMessageRow)

STATE_COLUMNS = tuple(field.name for field in fields(AlertState))
MESSAGE_COLUMNS = tuple(field.name for field in fields(AlertMessage))
# An arbitrary number, unique among the advisory locks of a database.
WATCHERS_LOCK = 4_630_914_017
# Longer than the sending of all messages of a round.
CLAIM = timedelta(minutes=2)
KEPT = timedelta(days=30)
# In the details of an audit row: the free bytes of each folder's disk.
FREE_BYTES = "free_bytes"


def alert_states(connection: Connection) -> dict[AlertKey, AlertState]:
    """Every alert of the last days, those first that were seen first."""
    query = select(alerts).order_by(alerts.c.since, alerts.c.rule, alerts.c.subject)
    return {found.key: found for found in map(_state, connection.execute(query))}


def alert_states_alone(connection: Connection) -> dict[AlertKey, AlertState]:
    """The same for a transaction that changes them: other watchers wait until its end."""
    wait_for_turn(connection, WATCHERS_LOCK)
    return alert_states(connection)


def write_states(connection: Connection, states: Iterable[AlertState]) -> None:
    rows = [tuple(getattr(each, name) for name in STATE_COLUMNS) for each in states]
    upsert(connection, alerts, STATE_COLUMNS, rows)


def remove_states(connection: Connection, keys: Collection[AlertKey]) -> None:
    for rule, subject in keys:
        connection.execute(delete(alerts).where(alerts.c.rule == rule, alerts.c.subject == subject))


def write_messages(connection: Connection, messages: Iterable[AlertMessage]) -> None:
    rows = [tuple(getattr(each, name) for name in MESSAGE_COLUMNS) for each in messages]
    upsert(connection, alert_messages, MESSAGE_COLUMNS, rows)


def claim_messages(
    connection: Connection, channels: Collection[str], now: datetime
) -> list[AlertMessage]:
    """The messages to send to *channels* now, oldest first: from now on no other watcher sends
    them, until CLAIM has passed without a result."""
    column = alert_messages.c
    query = (
        select(alert_messages)
        .where(
            column.state == MessageState.WAITING.value,
            column.channel.in_(channels),
            column.next_attempt <= now,
            or_(column.claimed_until.is_(None), column.claimed_until <= now),
        )
        .order_by(column.made_at, column.message_id)
    )
    found = [replace(_message(row), claimed_until=now + CLAIM) for row in connection.execute(query)]
    write_messages(connection, found)
    return found


def recent_messages(connection: Connection, limit: int) -> list[AlertMessage]:
    """The messages that were made last, newest first."""
    query = select(alert_messages).order_by(alert_messages.c.made_at.desc()).limit(limit)
    return [_message(row) for row in connection.execute(query)]


def forget_old(connection: Connection, now: datetime) -> None:
    """Remove messages that are older than a month; `sync_runs` has counted them."""
    connection.execute(delete(alert_messages).where(alert_messages.c.made_at < now - KEPT))


def open_states(states: Iterable[AlertState]) -> Sequence[AlertState]:
    """Those that were reported and last, the gravest first."""
    return sorted((each for each in states if each.is_open), key=lambda each: -each.severity)


def _state(row: Row[Any]) -> AlertState:
    values = {name: getattr(row, name) for name in STATE_COLUMNS}
    return AlertState(**{**values, "severity": Severity(row.severity)})


def _message(row: Row[Any]) -> AlertMessage:
    values = {name: getattr(row, name) for name in MESSAGE_COLUMNS}
    return AlertMessage(**{**values, "state": MessageState(row.state)})
