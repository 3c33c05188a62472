"""Asking one endpoint about many instruments, whatever single keys or requests do.

One key that Upstox does not know refuses the whole request, so such keys are searched for,
reported as unknown and kept apart for a while; the other keys of the request get their rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import Enum
from threading import Lock
from typing import Any, Generic, Protocol, TypeVar

from data_fetch.core.batches import BatchResult, RejectedRow
from data_fetch.core.errors import (
    DataFetchError,
    RequestRefused,
    TransientError,
    UnknownInstrument,
)
from data_fetch.core.ports import Clock
from data_fetch.sources.transport.retrying import RequestContext

# How long an unknown key is not asked for again. A provider that refuses good keys for a
# moment must not cost them the day.
QUARANTINE = timedelta(minutes=30)

# Searching may not eat the budget of the next slots: 500 requests a minute, 2000 in 30.
MOST_SEARCH_REQUESTS = 200


class Read(Protocol):
    """What one answer says about the keys of its request, apart from its records."""

    @property
    def absent(self) -> tuple[str, ...]: ...

    @property
    def rejected(self) -> tuple[RejectedRow, ...]: ...

    @property
    def unrequested(self) -> tuple[RejectedRow, ...]: ...


R = TypeVar("R", bound=Read)


@dataclass(frozen=True, slots=True)
class BatchResponse(Generic[R]):
    """One answer. A *partial* one proves nothing about what it lacks."""

    read: R
    partial: bool


# Sends one request about some keys.
Send = Callable[[Sequence[str], RequestContext], BatchResponse[R]]


class Batches(Generic[R]):
    """Any number of keys, *size* of them a request at most. Safe to share between threads."""

    def __init__(self, send: Send[R], size: int, clock: Clock) -> None:
        self._send = send
        self._size = size
        self._clock = clock
        self._apart_until: dict[str, datetime] = {}
        self._lock = Lock()

    def ask(
        self, instrument_keys: Sequence[str], context: RequestContext
    ) -> tuple[list[R], BatchResult]:
        """What the answers hold, and what became of keys without a record; each key is asked
        for once.

        What could not be had after all retries is in `failed`, with the reason in `error`.
        Raises TokenRejected and AccessDenied; and the last TransientError when nothing at all
        was answered.
        """
        keys = list(dict.fromkeys(instrument_keys))
        asked_at = self._clock.now()
        with self._lock:
            apart = {key: self._apart_until[key] for key in keys if key in self._apart_until}
        known_bad = [key for key, until in apart.items() if until > asked_at]
        # Asked again, but not together with keys that they would spoil.
        suspects = [key for key, until in apart.items() if until <= asked_at]

        asking = _Asking(self._send, context, self._clock)
        for batch in self._cut([key for key in keys if key not in apart]) + self._cut(suspects):
            asking.ask(batch)
        self._remember(asking.unknown, suspects, asking.failed)
        return asking.reads, asking.answer(keys, known_bad)

    def _cut(self, keys: Sequence[str]) -> list[Sequence[str]]:
        return [keys[start : start + self._size] for start in range(0, len(keys), self._size)]

    def _remember(
        self, unknown: Sequence[str], suspects: Sequence[str], failed: Sequence[str]
    ) -> None:
        """Keep *unknown* apart from now on; suspects that were answered are cleared."""
        until = self._clock.now() + QUARANTINE
        with self._lock:
            for key in set(suspects) - set(failed):
                self._apart_until.pop(key, None)
            self._apart_until.update(dict.fromkeys(unknown, until))


def facts_of(answer: BatchResult) -> dict[str, Any]:
    """Its fields, to make of it an answer that has records too."""
    return {field.name: getattr(answer, field.name) for field in fields(answer)}


class _Reply(Enum):
    GOOD = "good"
    POISONED = "spoilt"  # it holds at least one key that Upstox does not know
    FAILED = "failed"


class _Asking(Generic[R]):
    """One call of `ask`: what was asked and what has come back so far."""

    def __init__(self, send: Send[R], context: RequestContext, clock: Clock) -> None:
        self._send = send
        self._context = context
        self._clock = clock
        self._received_at = clock.now()
        self._answered = False
        self._searches = 0
        self._absent: set[str] = set()
        self._error: DataFetchError | None = None
        self.reads: list[R] = []
        self.unknown: list[str] = []
        self.failed: list[str] = []

    def ask(self, batch: Sequence[str]) -> None:
        """Get the records of *batch*, searching for the keys that spoil it.

        A spoilt group is halved. When its first half is good the second must hold the bad
        key, and is halved in turn without being asked for. The smallest group comes first, so
        that a search that is broken off has found some keys, and the next finds others.
        """
        poisoned = [batch] if self._request(batch) is _Reply.POISONED else []
        while poisoned:
            group = poisoned.pop()
            if len(group) == 1:
                self.unknown.extend(group)
                continue
            first, second = group[: len(group) // 2], group[len(group) // 2 :]
            reply = self._search(first)
            if reply is _Reply.POISONED:
                poisoned.append(first)
            if reply is _Reply.GOOD or self._search(second) is _Reply.POISONED:
                poisoned.append(second)

    def answer(self, keys: Sequence[str], known_bad: Sequence[str]) -> BatchResult:
        """What became of the keys without a record, in the order of *keys*."""
        if self._error is not None and not self._answered:
            raise self._error
        unknown, failed = {*self.unknown, *known_bad}, set(self.failed)
        rejected = {row.instrument_key: row for read in self.reads for row in read.rejected}
        return BatchResult(
            absent=tuple(key for key in keys if key in self._absent),
            unknown=tuple(key for key in keys if key in unknown),
            rejected=tuple(rejected[key] for key in keys if key in rejected),
            failed=tuple(key for key in keys if key in failed),
            unrequested=tuple(row for read in self.reads for row in read.unrequested),
            error=None if self._error is None else str(self._error),
            requests=self._context.requests,
            received_at=self._received_at,
        )

    def _search(self, group: Sequence[str]) -> _Reply:
        if self._searches >= MOST_SEARCH_REQUESTS:
            return self._fail(group, _too_many_unknown())
        self._searches += 1
        return self._request(group)

    def _request(self, group: Sequence[str]) -> _Reply:
        try:
            response = self._send(group, self._context)
        except UnknownInstrument:
            self._note_answer()
            return _Reply.POISONED
        except RequestRefused as problem:
            self._note_answer()
            return self._fail(group, problem)
        except TransientError as problem:
            return self._fail(group, problem)
        self._note_answer()
        self.reads.append(response.read)
        if response.partial and response.read.absent:
            # What half an answer lacks may well exist.
            self._fail(response.read.absent, TransientError("Upstox answered in part only"))
        else:
            self._absent.update(response.read.absent)
        return _Reply.GOOD

    def _fail(self, group: Sequence[str], problem: DataFetchError) -> _Reply:
        self.failed.extend(group)
        self._error = problem
        return _Reply.FAILED

    def _note_answer(self) -> None:
        self._answered = True
        self._received_at = self._clock.now()


def _too_many_unknown() -> RequestRefused:
    return RequestRefused(
        "Too many unknown instrument keys to find them all at once",
        hint="The search goes on with the next request.",
    )
