"""Judges what is wrong, and reports it: one round a minute.

A round stores what has changed together with the messages about it, in one transaction that claims
them; then it sends them, and stores the results. So a watcher that ends in between neither repeats
nor forgets, but for a message that was sent and whose result was not stored: that one is sent
again when its claim has expired. Of several watchers one claims a message.

While the store is away a round goes on with what it knows, and stores it afterwards.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Protocol
from uuid import uuid4

from sqlalchemy import Connection

from data_fetch.alerts.changes import Changes, Findings, News, changes
from data_fetch.alerts.facts import AlertFacts
from data_fetch.alerts.rules import findings
from data_fetch.alerts.texts import text_of
from data_fetch.core.alerts import AlertKey, AlertMessage, AlertState, MessageState, Severity
from data_fetch.core.errors import SetupError, StoreFailure
from data_fetch.core.ports import Clock
from data_fetch.core.runs import MOST_NAMED, Outcome, SyncRun
from data_fetch.core.timetable import ALERTS
from data_fetch.core.world import World
from data_fetch.storage.alerts import (
    FREE_BYTES,
    alert_states_alone,
    claim_messages,
    forget_old,
    open_states,
    remove_states,
    write_messages,
    write_states,
)
from data_fetch.storage.database.store import Store
from data_fetch.storage.runs import write_runs

log = logging.getLogger("data_fetch.alerts")

# The growth of a disk is seen over days; a row an hour is enough for it.
SAMPLES_EVERY = timedelta(hours=1)


# The store is away, refuses, or is not the one that this version or world needs.
STORE_PROBLEMS = (StoreFailure, SetupError)


class AlertChannel(Protocol):
    """Where messages of at least a *minimum* severity are sent to."""

    @property
    def name(self) -> str: ...

    @property
    def minimum(self) -> Severity: ...

    def send(self, kind: str, title: str, text: str) -> str | None:
        """Send a message. Returns why it was not accepted; None when it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRound:
    """What a round found and did: the alerts that are *open*, the messages *sent* and those that
    *failed*, which are sent again later. *store_problem* is why nothing could be stored."""

    at: datetime
    open: Sequence[AlertState]
    news: Sequence[News]
    sent: Sequence[AlertMessage]
    failed: Sequence[AlertMessage]
    store_problem: str | None


class AlertService:
    """Reports the alerts of *facts* to *channels*; *opened* opens the store, which has the state.

    *clock* is the system's: that of a paper market stands still while nothing collects.
    """

    def __init__(
        self,
        *,
        facts: Callable[[], AlertFacts],
        opened: Callable[[], Store],
        channels: Sequence[AlertChannel],
        world: World,
        clock: Clock,
    ) -> None:
        self._facts = facts
        self._opened = opened
        self._channels = {channel.name: channel for channel in channels}
        self._world = world
        self._clock = clock
        self._states: Mapping[AlertKey, AlertState] = {}
        self._unstored = _Unstored()
        self._sampled_at: datetime | None = None

    def round(self) -> AlertRound:
        """Judge once, send what is to be sent, and store both."""
        facts = self._facts()
        try:
            changed, messages = self._stored_changes(facts)
            problem = None
        except STORE_PROBLEMS as away:
            log.warning("alerts_not_stored", extra={"problem": away.message})
            changed, messages = self._kept_changes(facts)
            problem = away.message
        self._states = changed.states
        results = self._send(messages)
        self._account(facts, results)
        if problem is None:
            problem = self._store_results()
        return AlertRound(
            at=facts.at,
            open=open_states(changed.states.values()),
            news=changed.news,
            sent=[each for each in results if each.state is MessageState.SENT],
            failed=[each for each in results if each.state is not MessageState.SENT],
            store_problem=problem,
        )

    def _stored_changes(self, facts: AlertFacts) -> tuple[Changes, list[AlertMessage]]:
        """What has changed, and the claimed messages. Raises one of STORE_PROBLEMS when it
        cannot be stored."""
        now, unstored = self._clock.now(), self._unstored
        with closing(self._opened()) as store, store.writing() as connection:
            known = alert_states_alone(connection) | unstored.states
            changed = changes(known, _judged(facts, now))
            write_states(connection, changed.states.values())
            remove_states(connection, changed.removed)
            unstored.write(connection)
            write_messages(connection, self._messages_about(changed.news, now))
            forget_old(connection, now)
            claimed = claim_messages(connection, self._channels, now)
        self._unstored = _Unstored()
        return changed, claimed

    def _kept_changes(self, facts: AlertFacts) -> tuple[Changes, list[AlertMessage]]:
        """The same without a store: kept until it is back."""
        now, unstored = self._clock.now(), self._unstored
        changed = changes(self._states, _judged(facts, now))
        unstored.states = dict(changed.states)
        unstored.add(self._messages_about(changed.news, now))
        waiting = [one for one in unstored.messages.values() if one.state is MessageState.WAITING]
        return changed, [one for one in waiting if one.next_attempt <= now]

    def _messages_about(self, news: Sequence[News], now: datetime) -> list[AlertMessage]:
        """A message with all of *news* to each channel that is to get any of it."""
        messages = []
        for channel in self._channels.values():
            own = [each for each in news if each.state.severity >= channel.minimum]
            if own:
                said = text_of(own, self._world)
                messages.append(
                    AlertMessage(
                        message_id=uuid4().hex,
                        channel=channel.name,
                        made_at=now,
                        kind=said.kind,
                        title=said.title,
                        text=said.text,
                        next_attempt=now,
                    )
                )
        return messages

    def _send(self, messages: Sequence[AlertMessage]) -> list[AlertMessage]:
        """The messages with the results of sending them, all channels at the same time."""
        by_channel: dict[str, list[AlertMessage]] = defaultdict(list)
        for each in messages:
            by_channel[each.channel].append(each)
        if not by_channel:
            return []
        with ThreadPoolExecutor(len(by_channel), "alerts") as pool:
            return list(chain.from_iterable(pool.map(self._send_to_one, by_channel.values())))

    def _send_to_one(self, messages: Sequence[AlertMessage]) -> list[AlertMessage]:
        """The results of one channel: after a failure the rest waits for its next attempt."""
        channel, problem = self._channels[messages[0].channel], None
        results = []
        for each in messages:
            if problem is None:
                problem = channel.send(each.kind, each.title, each.text)
            results.append(each.after_attempt(self._clock.now(), problem))
        return results

    def _account(self, facts: AlertFacts, results: Sequence[AlertMessage]) -> None:
        """Keep the results, and an audit row of them or of the hour, until they are stored."""
        self._unstored.add(results)
        sample = self._sampled_at is None or facts.at - self._sampled_at >= SAMPLES_EVERY
        if facts.disks is not None and sample:
            self._sampled_at = facts.at
        elif not results:
            return
        self._unstored.runs.append(_run(facts, results, sample))

    def _store_results(self) -> str | None:
        """Store what is kept; returns why that was not possible. The next round tries again."""
        if self._unstored.nothing:
            return None
        try:
            with closing(self._opened()) as store, store.writing() as connection:
                self._unstored.write(connection)
        except STORE_PROBLEMS as away:
            log.warning("alerts_not_stored", extra={"problem": away.message})
            return away.message
        self._unstored = _Unstored()
        return None


@dataclass(slots=True)
class _Unstored:
    """What a watcher has found and done since the store was written last."""

    states: dict[AlertKey, AlertState] = field(default_factory=dict)
    messages: dict[str, AlertMessage] = field(default_factory=dict)
    runs: list[SyncRun] = field(default_factory=list)

    @property
    def nothing(self) -> bool:
        return not (self.messages or self.runs)

    def add(self, messages: Iterable[AlertMessage]) -> None:
        self.messages.update((each.message_id, each) for each in messages)

    def write(self, connection: Connection) -> None:
        write_messages(connection, self.messages.values())
        write_runs(connection, self.runs)


def _judged(facts: AlertFacts, now: datetime) -> Findings:
    """What is wrong by *facts*, at the system's time."""
    return replace(findings(facts), at=now)


def _run(facts: AlertFacts, results: Sequence[AlertMessage], sample: bool) -> SyncRun:
    """The audit row of a round: messages to send, and those that were accepted."""
    sent = sum(each.state is MessageState.SENT for each in results)
    problems = {each.channel: each.error for each in results if each.error}
    free = {disk.folder: disk.free for disk in facts.disks or ()} if sample else {}
    return SyncRun.begin(ALERTS, facts.at).finish(
        facts.at,
        _outcome(sent, len(results)),
        requested=len(results),
        stored=sent,
        error="; ".join(f"{channel}: {why}" for channel, why in problems.items()) or None,
        details={FREE_BYTES: free, "messages": [each.title for each in results][:MOST_NAMED]},
    )


def _outcome(sent: int, messages: int) -> Outcome:
    if sent == messages:
        return Outcome.COMPLETED
    return Outcome.INCOMPLETE if sent else Outcome.FAILED
