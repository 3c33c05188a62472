"""Requests for many instruments to one endpoint, in spite of keys and requests that fail.

One key that Upstox does not know makes it reject the whole request, so such keys are searched
for and reported as unknown; the other keys of the request get their rows. A request that is too
long for a server on the way is divided in the same manner.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

from data_fetch.core.batches import BatchResult, RejectedRow
from data_fetch.core.errors import (
    BatchRefused,
    DataFetchError,
    RequestRefused,
    TransientError,
    UnknownInstrument,
)
from data_fetch.core.ports import Clock
from data_fetch.sources.transport.refused_keys import RefusedKeys
from data_fetch.sources.transport.responses import Response
from data_fetch.sources.transport.retrying import RequestContext

# Searching may not use up the budget of the next slots: 500 requests a minute, 2000 in 30.
MOST_SEARCH_REQUESTS = 200
# After so many refused keys without an accepted one it is doubted that any will be accepted.
REFUSALS_TO_DOUBT = 5


class Record(Protocol):
    """A record of one instrument."""

    @property
    def instrument_key(self) -> str: ...


R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedBatch(Generic[R]):
    """One response, by requested key.

    Each key is in exactly one of *records* (one record each), *absent* and *rejected*.
    *dropped_fields* names fields of records that are None because their value cannot be;
    *unrequested* are rows of keys that were not requested.
    """

    records: tuple[R, ...]
    absent: tuple[str, ...]
    rejected: tuple[RejectedRow, ...]
    unrequested: tuple[RejectedRow, ...]
    dropped_fields: tuple[RejectedRow, ...] = ()


# Sends one request for some keys.
Fetch = Callable[[Sequence[str], RequestContext], Response]
# Reads the `data` of a response to a request for these keys.
Parse = Callable[[Any, Sequence[str]], ParsedBatch[R]]


class Batches(Generic[R]):
    """Requests for any number of keys, at most *size* of them each. Safe to share between
    threads."""

    def __init__(
        self,
        fetch: Fetch,
        parse: Parse[R],
        size: int,
        clock: Clock,
        refused_keys: RefusedKeys | None = None,
    ) -> None:
        self._fetch = fetch
        self._parse = parse
        self._size = size
        self._clock = clock
        self._refused_keys = refused_keys or RefusedKeys(clock)

    def request(self, instrument_keys: Sequence[str], context: RequestContext) -> BatchResult[R]:
        """The record of each key, in that order, or why there is none; each key is requested
        once.

        Keys whose request failed after all retries are in `failed`. Raises TokenRejected and
        AccessDenied; and the last TransientError when no request got a response.
        """
        keys = list(dict.fromkeys(instrument_keys))
        known = self._refused_keys.sort(keys)
        call = _Call(self._fetch, self._parse, context, self._clock)
        for batch in self._split(known.ordinary) + self._split(known.suspects):
            call.request(batch)
        self._refused_keys.record(
            answered=call.answered, unknown=call.unknown, suspects=call.refused
        )
        return call.result(keys, known.quarantined)

    def _split(self, keys: Sequence[str]) -> list[Sequence[str]]:
        return [keys[start : start + self._size] for start in range(0, len(keys), self._size)]


class _Outcome(Enum):
    GOOD = "good"
    UNKNOWN_KEY = "unknown key"  # at least one, which spoils the request
    DIVISIBLE = "divisible"  # refused as a whole; with fewer keys it may be accepted
    FAILED = "failed"


REFUSED = frozenset({_Outcome.UNKNOWN_KEY, _Outcome.DIVISIBLE})


class _Call(Generic[R]):
    """One call of `Batches.request`, with the responses so far.

    *answered* are the keys of good responses, *unknown* and *refused* those that were refused
    alone: as unknown, and for another reason.
    """

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
        self._given_up = False
        self._refusal: RequestRefused | None = None
        self._absent: set[str] = set()
        self._error: DataFetchError | None = None
        self._parsed: list[ParsedBatch[R]] = []
        self._failed: dict[str, DataFetchError] = {}
        self.answered: set[str] = set()
        self.unknown: list[str] = []
        self.refused: list[str] = []

    def request(self, batch: Sequence[str]) -> None:
        """Get the records of *batch*, searching for the keys because of which it is refused.

        A refused group is halved. When its first half is good and a key is unknown, the second
        half must contain it, and is halved in turn without a request. The smallest group comes
        first, so that a search that is cut off has found some keys, and the next search finds
        others.
        """
        if self._given_up:
            self._fail(batch, _nothing_accepted(self._refusal))
            return
        outcome = self._send(batch)
        refused = [(batch, outcome)] if outcome in REFUSED else []
        while refused:
            group, outcome = refused.pop()
            if len(group) == 1:
                self._refuse(group[0], outcome)
                if self._accepts_nothing([other for other, _ in refused]):
                    self._given_up = True
                    for other, _ in refused:
                        self._fail(other, _nothing_accepted(self._refusal))
                    return
                continue
            first, second = group[: len(group) // 2], group[len(group) // 2 :]
            of_first = self._search(first)
            if of_first in REFUSED:
                refused.append((first, of_first))
            must_be_second = of_first is _Outcome.GOOD and outcome is _Outcome.UNKNOWN_KEY
            of_second = outcome if must_be_second else self._search(second)
            if of_second in REFUSED:
                refused.append((second, of_second))

    def result(self, keys: Sequence[str], quarantined: Sequence[str]) -> BatchResult[R]:
        """The records and the keys without one, in the order of *keys*."""
        if self._error is not None and not self._responded:
            self._error.requests = self._context.requests
            raise self._error
        unknown = {*self.unknown, *quarantined}
        records = {row.instrument_key: row for batch in self._parsed for row in batch.records}
        rejected = {row.instrument_key: row for batch in self._parsed for row in batch.rejected}
        return BatchResult(
            records=tuple(records[key] for key in keys if key in records),
            absent=tuple(key for key in keys if key in self._absent),
            unknown=tuple(key for key in keys if key in unknown),
            rejected=tuple(rejected[key] for key in keys if key in rejected),
            failed={key: self._failed[key] for key in keys if key in self._failed},
            unrequested=tuple(row for batch in self._parsed for row in batch.unrequested),
            dropped_fields=tuple(row for batch in self._parsed for row in batch.dropped_fields),
            requests=self._context.requests,
            received_at=self._received_at,
        )

    def _accepts_nothing(self, others: Sequence[Sequence[str]]) -> bool:
        """Whether the provider refuses whatever it is sent.

        After some refused keys and no accepted one, a key of the largest group left decides: it
        stands farthest from them.
        """
        found = len(self.unknown) + len(self.refused)
        if self.answered or found < REFUSALS_TO_DOUBT or not others:
            return False
        return self._search(others[0][:1]) in REFUSED

    def _search(self, group: Sequence[str]) -> _Outcome:
        if self._searches >= MOST_SEARCH_REQUESTS:
            return self._fail(group, _too_many_unknown())
        self._searches += 1
        return self._send(group)

    def _refuse(self, key: str, outcome: _Outcome) -> None:
        """Note a key that is refused alone."""
        if outcome is _Outcome.UNKNOWN_KEY:
            self.unknown.append(key)
        else:
            self.refused.append(key)
            assert self._refusal is not None
            self._fail([key], self._refusal)

    def _send(self, group: Sequence[str]) -> _Outcome:
        try:
            response = self._fetch(group, self._context)
        except (UnknownInstrument, BatchRefused) as refusal:
            self._note_response()
            self._refusal = refusal
            unknown = isinstance(refusal, UnknownInstrument)
            return _Outcome.UNKNOWN_KEY if unknown else _Outcome.DIVISIBLE
        except RequestRefused as problem:
            self._note_response()
            return self._fail(group, problem)
        except TransientError as problem:
            return self._fail(group, problem)
        self._note_response()
        parsed = self._parse(response.data, group)
        self._parsed.append(parsed)
        self.answered.update(group)
        if response.partial and parsed.absent:
            # What a part of a response lacks may well exist.
            self._fail(parsed.absent, TransientError("Upstox returned only a part of the rows"))
        else:
            self._absent.update(parsed.absent)
        return _Outcome.GOOD

    def _fail(self, group: Sequence[str], problem: DataFetchError) -> _Outcome:
        self._failed.update(dict.fromkeys(group, problem))
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


def _nothing_accepted(refusal: RequestRefused | None) -> RequestRefused:
    assert refusal is not None
    return RequestRefused(
        f"The provider accepts no key at present ({refusal.message})",
        code=refusal.code,
        kind=refusal.kind,
        hint="Single keys were tried as well. They are requested again with the next slot.",
    )
