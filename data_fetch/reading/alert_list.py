"""The alerts of a store: open ones, recent ones, and the messages about them."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from data_fetch.core.alerts import AlertMessage, AlertState, MessageState
from data_fetch.core.settings import Settings
from data_fetch.reading.instants import ist_text
from data_fetch.runtime.stores import store_for
from data_fetch.storage.alerts import alert_states, open_states, recent_messages
from data_fetch.storage.database.store import Store

MOST_RECENT, MOST_MESSAGES = 20, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertList:
    """The *open* alerts, the gravest first; the *recent* ones that are over, the newest first; and
    the newest *messages*."""

    open: Sequence[AlertState]
    recent: Sequence[AlertState]
    messages: Sequence[AlertMessage]

    @property
    def unsent(self) -> list[AlertMessage]:
        """The messages that no attempt could deliver so far."""
        return [
            one for one in self.messages if one.state is MessageState.WAITING and one.attempts > 0
        ]

    def summary(self) -> dict[str, Any]:
        """What is open, and what could not be sent, for the status of a store."""
        return {
            "open": [_state_document(each) for each in self.open],
            "unsent": [_message_document(each) for each in self.unsent],
        }

    def document(self) -> dict[str, Any]:
        return {
            "open": [_state_document(each) for each in self.open],
            "recent": [_state_document(each) for each in self.recent],
            "messages": [_message_document(each) for each in self.messages],
        }


def alert_list(settings: Settings) -> AlertList:
    """The alerts of the configured store. Raises StoreUnreachable."""
    with closing(store_for(settings)) as store:
        return alerts_of(store)


def alerts_of(store: Store) -> AlertList:
    """The alerts of an open store."""
    with store.reading() as connection:
        states = alert_states(connection).values()
        messages = recent_messages(connection, MOST_MESSAGES)
    over = [each for each in states if each.recovered_at is not None]
    recent = sorted(over, key=lambda each: each.last_seen, reverse=True)
    return AlertList(open=open_states(states), recent=recent[:MOST_RECENT], messages=messages)


def _state_document(state: AlertState) -> dict[str, Any]:
    return {
        "rule": state.rule,
        "subject": state.subject,
        "severity": str(state.severity),
        "title": state.title,
        "action": state.action,
        "since": ist_text(state.since),
        "last_seen": ist_text(state.last_seen),
        "recovered_at": ist_text(state.recovered_at),
        "reports": state.reports,
    }


def _message_document(message: AlertMessage) -> dict[str, Any]:
    return {
        "channel": message.channel,
        "made_at": ist_text(message.made_at),
        "kind": message.kind,
        "title": message.title,
        "state": message.state.value,
        "attempts": message.attempts,
        "error": message.error,
    }
