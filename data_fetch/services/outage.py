"""Distinguishes requests that fail on their own from an outage of the provider. Pure.

Requests are sent side by side, so an outage of seconds fails all of them at once. What counts is
not how many failed, but whether anything was answered meanwhile.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Generic, NamedTuple, TypeVar

Request = TypeVar("Request", bound=Hashable)
Reply = TypeVar("Reply")


@dataclass(frozen=True, slots=True)
class Patience:
    """The pauses before the attempts during an outage.

    *long* ones if the provider has answered before; *short* ones if it never has, or if all that
    fails has failed before while something else was answered.
    """

    short: Sequence[timedelta]
    long: Sequence[timedelta]


# Half a minute, and some minutes.
USUAL_PATIENCE = Patience(
    short=[timedelta(seconds=seconds) for seconds in (5, 10, 20)],
    long=[timedelta(seconds=seconds) for seconds in (5, 10, 20, 40, 80, 120, 120, 120)],
)


class Verdict(NamedTuple, Generic[Request, Reply]):
    """Requests to send *again*, and those that failed on their *own*, with their replies."""

    again: Sequence[Request]
    own: Sequence[tuple[Request, Reply]]


@dataclass(slots=True)
class OutageWatch(Generic[Request, Reply]):
    """The failures of one run. *aside* are those since which nothing was answered.

    A request gets a second chance: it has failed on its own when it fails twice, and something
    else was answered each time.
    """

    patience: Patience
    aside: list[tuple[Request, Reply]] = field(default_factory=list)
    _answers: int = 0
    _answers_when_sent: dict[Request, int] = field(default_factory=dict)
    _failed_before: set[Request] = field(default_factory=set)
    _pauses: int = 0

    def sent(self, request: Request) -> None:
        """Take down that *request* is under way."""
        self._answers_when_sent[request] = self._answers

    def answered(self) -> Verdict[Request, Reply]:
        """The verdict on all that failed before this answer."""
        self._answers += 1
        self._pauses = 0
        failed, self.aside = self.aside, []
        return self._judged(failed)

    def failed(self, request: Request, reply: Reply) -> Verdict[Request, Reply]:
        """The verdict on *request*, if something was answered while it was under way."""
        if self._answers > self._answers_when_sent[request]:
            return self._judged([(request, reply)])
        self.aside.append((request, reply))
        return Verdict((), ())

    @property
    def own(self) -> bool:
        """Whether all that failed now has failed before, while something was answered."""
        return all(request in self._failed_before for request, _ in self.aside)

    def next_pause(self) -> timedelta | None:
        """How long to wait before the next attempt; None when that was long enough."""
        own_or_unknown = self.own or not self._answers
        pauses = self.patience.short if own_or_unknown else self.patience.long
        if self._pauses >= len(pauses):
            return None
        self._pauses += 1
        return pauses[self._pauses - 1]

    def given_up(self) -> Sequence[tuple[Request, Reply]]:
        """The failures, which no attempt will follow."""
        failed, self.aside = self.aside, []
        self._pauses = 0
        return failed

    def _judged(self, failed: Sequence[tuple[Request, Reply]]) -> Verdict[Request, Reply]:
        own = [(request, reply) for request, reply in failed if request in self._failed_before]
        again = [request for request, _ in failed if request not in self._failed_before]
        self._failed_before.update(again)
        return Verdict(again, own)
