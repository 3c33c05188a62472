"""Requests for many instruments to one endpoint, in spite of keys and requests that fail.

One key that Upstox does not know makes it reject the whole request, so such keys are searched
for, reported as unknown and quarantined; the other keys of the request get their rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from data_fetch.sources.transport.responses import Response
from data_fetch.sources.transport.retrying import RequestContext

# How long an unknown key is not requested again. A provider that rejects good keys for a
# moment must not cost them the day.
QUARANTINE = timedelta(minutes=30)

# Searching may not use up the budget of the next slots: 500 requests a minute, 2000 in 30.
MOST_SEARCH_REQUESTS = 200


class Record(Protocol):
    """A record of one instrument."""

    @property
    def instrument_key(self) -> str: ...


R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedBatch(Generic[R]):
    """One response, by requested key.

    Each key is in exactly one of *records* (one record each), *absent* and *rejected*;
    *unrequested* are rows of keys that were not requested.
    """

    records: tuple[R, ...]
    absent: tuple[str, ...]
    rejected: tuple[RejectedRow, ...]
    unrequested: tuple[RejectedRow, ...]


# Sends one request for some keys.
Fetch = Callable[[Sequence[str], RequestContext], Response]
# Reads the `data` of a response to a request for these keys.
Parse = Callable[[Any, Sequence[str]], ParsedBatch[R]]


class Batches(Generic[R]):
    """Requests for any number of keys, at most *size* of them each. Safe to share between
    threads."""

    def __init__(self, fetch: Fetch, parse: Parse[R], size: int, clock: Clock) -> None:
        self._fetch = fetch
        self._parse = parse
        self._size = size
        self._clock = clock
        self._quarantined_until: dict[str, datetime] = {}
        self._lock = Lock()

    def request(self, instrument_keys: Sequence[str], context: RequestContext) -> BatchResult[R]:
        """The record of each key, in that order, or why there is none; each key is requested
        once.

        Keys whose request failed after all retries are in `failed`, with the reason in `error`.
        Raises TokenRejected and AccessDenied; and the last TransientError when no request got a
        response.
        """
        keys = list(dict.fromkeys(instrument_keys))
        now = self._clock.now()
        with self._lock:
            known = self._quarantined_until
            until = {key: known[key] for key in keys if key in known}
        quarantined = [key for key in until if until[key] > now]
        # Requested again, but apart from keys whose request they would poison.
        suspects = [key for key in until if until[key] <= now]

        call = _Call(self._fetch, self._parse, context, self._clock)
        for batch in self._split([key for key in keys if key not in until]) + self._split(suspects):
            call.request(batch)
        self._quarantine(call.unknown, suspects, call.failed)
        return call.result(keys, quarantined)

    def _split(self, keys: Sequence[str]) -> list[Sequence[str]]:
        return [keys[start : start + self._size] for start in range(0, len(keys), self._size)]

    def _quarantine(
        self, unknown: Sequence[str], suspects: Sequence[str], failed: Sequence[str]
    ) -> None:
        """Quarantine *unknown* keys from now on; clear suspects that got a response."""
        until = self._clock.now() + QUARANTINE
        with self._lock:
            for key in set(suspects) - set(failed):
                self._quarantined_until.pop(key, None)
            self._quarantined_until.update(dict.fromkeys(unknown, until))


class _Outcome(Enum):
    GOOD = "good"
    POISONED = "poisoned"  # it holds at least one key that Upstox does not know
    FAILED = "failed"


class _Call(Generic[R]):
    """One call of `Batches.request`, with the responses so far."""

    def __init__(
        self, fetch: Fetch, parse: Parse[R], context: RequestContext, clock: Clock
    ) -> None:
        self._fetch = fetch
        self._parse = parse
        self._context = context
        self._clock = clock
        self._received_at = clock.now()
        self._responded = False
        self._searches = 0
        self._absent: set[str] = set()
        self._error: DataFetchError | None = None
        self._parsed: list[ParsedBatch[R]] = []
        self.unknown: list[str] = []
        self.failed: list[str] = []

    def request(self, batch: Sequence[str]) -> None:
        """Get the records of *batch*, searching for the keys that poison it.

        A poisoned group is halved. When its first half is good the second must contain the bad
        key, and is halved in turn without a request. The smallest group comes first, so that a
        search that is cut off has found some keys, and the next search finds others.
        """
        poisoned = [batch] if self._send(batch) is _Outcome.POISONED else []
        while poisoned:
            group = poisoned.pop()
            if len(group) == 1:
                self.unknown.extend(group)
                continue
            first, second = group[: len(group) // 2], group[len(group) // 2 :]
            outcome = self._search(first)
            if outcome is _Outcome.POISONED:
                poisoned.append(first)
            if outcome is _Outcome.GOOD or self._search(second) is _Outcome.POISONED:
                poisoned.append(second)

    def result(self, keys: Sequence[str], quarantined: Sequence[str]) -> BatchResult[R]:
        """The records and the keys without one, in the order of *keys*."""
        if self._error is not None and not self._responded:
            raise self._error
        unknown, failed = {*self.unknown, *quarantined}, set(self.failed)
        records = {row.instrument_key: row for batch in self._parsed for row in batch.records}
        rejected = {row.instrument_key: row for batch in self._parsed for row in batch.rejected}
        return BatchResult(
            records=tuple(records[key] for key in keys if key in records),
            absent=tuple(key for key in keys if key in self._absent),
            unknown=tuple(key for key in keys if key in unknown),
            rejected=tuple(rejected[key] for key in keys if key in rejected),
            failed=tuple(key for key in keys if key in failed),
            unrequested=tuple(row for batch in self._parsed for row in batch.unrequested),
            error=None if self._error is None else str(self._error),
            requests=self._context.requests,
            received_at=self._received_at,
        )

    def _search(self, group: Sequence[str]) -> _Outcome:
        if self._searches >= MOST_SEARCH_REQUESTS:
            return self._fail(group, _too_many_unknown())
        self._searches += 1
        return self._send(group)

    def _send(self, group: Sequence[str]) -> _Outcome:
        try:
            response = self._fetch(group, self._context)
        except UnknownInstrument:
            self._note_response()
            return _Outcome.POISONED
        except RequestRefused as problem:
            self._note_response()
            return self._fail(group, problem)
        except TransientError as problem:
            return self._fail(group, problem)
        self._note_response()
        parsed = self._parse(response.data, group)
        self._parsed.append(parsed)
        if response.partial and parsed.absent:
            # What a part of a response lacks may well exist.
            self._fail(parsed.absent, TransientError("Upstox returned only a part of the rows"))
        else:
            self._absent.update(parsed.absent)
        return _Outcome.GOOD

    def _fail(self, group: Sequence[str], problem: DataFetchError) -> _Outcome:
        self.failed.extend(group)
        self._error = problem
        return _Outcome.FAILED

    def _note_response(self) -> None:
        self._responded = True
        self._received_at = self._clock.now()


def _too_many_unknown() -> RequestRefused:
    return RequestRefused(
        "Too many unknown instrument keys to find them all at once",
        hint="The search goes on with the next request.",
    )
