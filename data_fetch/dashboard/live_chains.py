"""Chains that pages request from the provider: `data-fetch chain collect` in a process of its own.

It stores the chain with an audit row and keeps within the limits that it shares with a collector.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from threading import Lock

from data_fetch.core.errors import SetupError
from data_fetch.core.failures import FailureGroup, FailureKind
from data_fetch.dashboard.child import Child, Report
from data_fetch.reading.chain_records import ChainHead

# Each is a process.
MOST_AT_ONCE = 4
# Requests that have ended, whose result pages still show.
KEPT = 100


@dataclass(frozen=True, slots=True)
class WantedChain:
    """The chain of one *expiry* of *symbol*."""

    symbol: str
    expiry: date

    @property
    def arguments(self) -> tuple[str, ...]:
        """It as arguments of `data-fetch`."""
        return ("chain", "collect", "--symbols", self.symbol, "--expiry", f"{self.expiry}")

    @property
    def command(self) -> str:
        """What to type to request it."""
        return shlex.join(("data-fetch", *self.arguments))

    @property
    def text(self) -> str:
        return f"{self.symbol} {self.expiry:%d %b %Y}"


# What to do after failures whose errors do not say it.
REMEDIES: Mapping[FailureGroup, str] = {
    FailureGroup.EMPTY: "Choose another expiry.",
    FailureGroup.NETWORK: "Request it again in a minute.",
    FailureGroup.QUOTA: "Request it again in a minute.",
}


@dataclass(frozen=True, slots=True)
class LiveAnswer:
    """The end of a request: the instants at which chains were *received*; when none was, the
    *problem* and its fix. *begun_at* is None when it ended before it could begin."""

    begun_at: datetime | None
    received: Sequence[datetime]
    problem: str | None

    @classmethod
    def of(cls, report: Report) -> "LiveAnswer":
        """The answer in the report of the command."""
        [poll] = report["polls"]
        received = [datetime.fromisoformat(chain["received_at"]) for chain in poll["chains"]]
        problem = None if poll["error"] is None else _problem(poll["error"], poll["faults"])
        return cls(datetime.fromisoformat(poll["begun_at"]), received, problem)


def _problem(error: str, faults: Mapping[str, str]) -> str:
    """The *error* of a poll with its fix; *faults* are failure kinds by source."""
    kinds = [FailureKind(kind) for kind in faults.values()]
    fixes = dict.fromkeys(REMEDIES[each.group] for each in kinds if each.group in REMEDIES)
    return " ".join((f"{error.rstrip('.')}.", *fixes))


@dataclass
class LiveRequest:
    """A request that was started, its process, and the answer *before* it that brought a chain."""

    child: Child
    before: LiveAnswer | None = None

    @property
    def running(self) -> bool:
        return self.child.running

    @cached_property
    def answer(self) -> LiveAnswer:
        """The answer; only of a request that has ended."""
        try:
            return LiveAnswer.of(self.child.report)
        except SetupError as refused:
            return LiveAnswer(None, (), str(refused))

    @property
    def brought(self) -> LiveAnswer | None:
        """The newest answer that brought a chain."""
        return self.before if self.running or not self.answer.received else self.answer


@dataclass(slots=True)
class LiveChains:
    """The last request for each chain, for all sessions of the dashboard."""

    _last: dict[WantedChain, LiveRequest] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def last(self, wanted: WantedChain) -> LiveRequest | None:
        """The request for *wanted* that was started last."""
        return self._last.get(wanted)

    def brought(self, head: ChainHead) -> LiveAnswer | None:
        """The answer by which the chain of *head* was received last; None when a collector
        received it."""
        shown = head.shown
        last = self.last(WantedChain(shown.underlying, shown.expiry))
        answer = None if last is None else last.brought
        return answer if answer is not None and shown.last_confirmed in answer.received else None

    @property
    def busy(self) -> bool:
        """Whether no other request can be started now."""
        running = sum(each.running for each in list(self._last.values()))
        return running >= MOST_AT_ONCE

    def start(self, wanted: WantedChain, folder: Path, seen: LiveRequest | None) -> None:
        """Request *wanted*; nothing when *seen* is its last request no more: another session was
        faster. Nothing while this is busy."""
        with self._lock:
            if self.last(wanted) is not seen or self.busy:
                return
            child = Child.start(wanted.arguments, folder)
            # The newest at the end.
            self._last.pop(wanted, None)
            self._last[wanted] = LiveRequest(child, seen.brought if seen else None)
            for ended in [key for key, each in self._last.items() if not each.running][:-KEPT]:
                del self._last[ended]
