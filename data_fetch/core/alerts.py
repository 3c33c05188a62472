"""Alerts: what is wrong now, what was reported of it, and the messages about it. Records only."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

from data_fetch.core.clock import MINUTE


class Severity(IntEnum):
    """How much an alert matters, comparable. *critical*: data is lost until a person acts."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def named(cls, name: str) -> "Severity":
        return cls[name.upper()]


class AlertKey(NamedTuple):
    """What identifies an alert: its rule, and what it is about."""

    rule: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that is wrong now. *title* is a sentence with its figures, *action* what to do."""

    rule: str
    subject: str
    severity: Severity
    title: str
    action: str

    @property
    def key(self) -> AlertKey:
        return AlertKey(self.rule, self.subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertState:
    """An alert over time, on the system's clock.

    *severity* is the highest so far, *since* when it was seen first and *last_seen* when last.
    *reported_at* is of its newest message, None before the first; *reports* counts them.
    *recovered_at* is None while it lasts. *flaps*: how often it came back soon after a recovery.
    """

    rule: str
    subject: str
    severity: Severity
    title: str
    action: str
    since: datetime
    last_seen: datetime
    reported_at: datetime | None = None
    reports: int = 0
    recovered_at: datetime | None = None
    flaps: int = 0

    @property
    def key(self) -> AlertKey:
        return AlertKey(self.rule, self.subject)

    @property
    def is_open(self) -> bool:
        """Whether it was reported and lasts."""
        return self.reported_at is not None and self.recovered_at is None

    @property
    def lasted(self) -> timedelta:
        return self.last_seen - self.since


class MessageState(StrEnum):
    """``waiting`` for its first or next attempt, ``sent``: the channel has accepted it,
    ``expired``: no attempt succeeded in time."""

    WAITING = "waiting"
    SENT = "sent"
    EXPIRED = "expired"


# Of messages without anything that is still wrong.
RECOVERED = "recovered"
# A channel that is away gets the next attempt after a minute, then two, and so on.
FIRST_WAIT, LONGEST_WAIT = MINUTE, timedelta(minutes=30)
# Later the message would report what has long changed; what still lasts is reminded of.
MESSAGE_LIFE = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertMessage:
    """One message to one channel, on the system's clock.

    *kind* is the highest severity in it, or RECOVERED. A watcher that sends it has *claimed* it
    until an instant, after which another one may. *error* is why the last attempt failed.
    """

    message_id: str
    channel: str
    made_at: datetime
    kind: str
    title: str
    text: str
    state: MessageState = MessageState.WAITING
    attempts: int = 0
    next_attempt: datetime
    claimed_until: datetime | None = None
    ended_at: datetime | None = None
    error: str | None = None

    def after_attempt(self, at: datetime, problem: str | None) -> Self:
        """The same message after an attempt that ended *at*, with the *problem* if it failed."""
        tried = replace(self, attempts=self.attempts + 1, claimed_until=None, error=problem)
        if problem is None:
            return replace(tried, state=MessageState.SENT, ended_at=at)
        if at >= self.made_at + MESSAGE_LIFE:
            return replace(tried, state=MessageState.EXPIRED, ended_at=at)
        wait = min(FIRST_WAIT * 2 ** min(self.attempts, 10), LONGEST_WAIT)
        return replace(tried, next_attempt=at + wait)


@dataclass(frozen=True, slots=True)
class AlertAddress:
    """An address of apprise, which is secret as a whole, and the lowest severity sent to it."""

    url: str
    minimum: Severity = Severity.INFO

    def __repr__(self) -> str:
        return f"AlertAddress({urlsplit(self.url).scheme}://***, {self.minimum})"

    def secrets(self) -> Iterator[str]:
        """The address, and its parts that may be secret alone: tokens are hosts, folders and
        parameters of such addresses, and all of them are long."""
        yield self.url
        for part in re.split(r"[/?&=@#]", self.url.partition("://")[2]):
            for written in (part, *part.split(":")):
                if len(written) >= SHORTEST_TOKEN:
                    yield from (written, unquote(written))


SHORTEST_TOKEN = 16
SEVERITIES = "|".join(str(each) for each in Severity)
# A comma belongs to an address unless another one follows it.
BETWEEN_ADDRESSES = re.compile(rf"[\s,]+(?=(?:(?:{SEVERITIES})=)?[A-Za-z0-9]+://)")
ADDRESS = re.compile(rf"(?:({SEVERITIES})=)?([A-Za-z0-9]+://\S+)")


def alert_addresses(text: str) -> tuple[AlertAddress, ...]:
    """The addresses in *text*, separated by blanks or commas; ``critical=`` before one is the
    lowest severity that it gets. Raises ValueError, without the address, for anything else."""
    parts = [part for part in BETWEEN_ADDRESSES.split(text.strip(" \t\r\n,")) if part]
    return tuple(_address(number, part) for number, part in enumerate(parts, 1))


def _address(number: int, part: str) -> AlertAddress:
    found = ADDRESS.fullmatch(part)
    if found is None:
        raise ValueError(
            f"address {number} is not like json://host/path or critical=tgram://token/chat"
        )
    return AlertAddress(found[2], Severity.named(found[1] or "info"))
