"""The audit of accounts: what is recorded, and how much of a flood.

A change is always recorded. A refusal is recorded by itself until its kind and address, or all
together, have had their share of the minute; from then on they are only counted, and the minute
ends with one row for each such kind and address.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from data_fetch.core.clock import minute_of

EACH_IN_A_MINUTE = 20
ALL_IN_A_MINUTE = 200
MOST_KINDS_AND_ADDRESSES = 100
# The address in the row that counts those for which there was no place.
OTHERS = "others"


class EventKind(StrEnum):
    """What happened: changes first, then refusals."""

    REGISTERED = "registered"
    SIGNED_IN = "signed_in"
    ROLE_CHANGED = "role_changed"
    DISABLED = "disabled"
    ENABLED = "enabled"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - an event
    KEY_ADDED = "key_added"
    KEY_REVOKED = "key_revoked"
    TOKEN_REUSED = "token_reused"  # noqa: S105 - an event
    SIGN_IN_FAILED = "sign_in_failed"
    LOCKED_OUT = "locked_out"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rate_limited"
    BUSY = "busy"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountEvent:
    """Something that happened *count* times: to which account, where known, and from where."""

    at: datetime
    kind: EventKind
    email: str | None = None
    address: str | None = None
    request_id: str | None = None
    detail: str | None = None
    count: int = 1


class RefusalBudget:
    """Decides which refusals get a row of their own."""

    def __init__(self) -> None:
        self._minute: datetime | None = None
        self._all = 0
        self._each: Counter[tuple[EventKind, str | None]] = Counter()
        self._counted: Counter[tuple[EventKind, str | None]] = Counter()

    def rows_for(self, refusal: AccountEvent) -> Iterator[AccountEvent]:
        """What to record now that *refusal* happened."""
        yield from self.rows_of_ended_minute(refusal.at)
        key = refusal.kind, refusal.address
        if self._each[key] < EACH_IN_A_MINUTE and self._all < ALL_IN_A_MINUTE:
            self._each[key] += 1
            self._all += 1
            yield refusal
            return
        known = key in self._counted or len(self._counted) < MOST_KINDS_AND_ADDRESSES
        self._counted[key if known else (refusal.kind, OTHERS)] += 1

    def rows_of_ended_minute(self, now: datetime) -> Iterator[AccountEvent]:
        """The rows that count, when their minute is over at *now*."""
        minute = minute_of(now)
        if minute == self._minute:
            return
        yield from self.rows_left()
        self._minute, self._all = minute, 0
        self._each.clear()

    def rows_left(self) -> Iterator[AccountEvent]:
        """The rows that count, whether or not their minute is over."""
        for (kind, address), count in self._counted.items():
            assert self._minute is not None
            yield AccountEvent(
                at=self._minute, kind=kind, address=address, detail="counted", count=count
            )
        self._counted.clear()
