"""The result of a backfill: what was requested, what is missing, and why."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from data_fetch.core.candles.candles import CandleReply
from data_fetch.core.candles.request_planner import Window
from data_fetch.core.errors import DataFetchError
from data_fetch.core.failures import FailureGroup
from data_fetch.core.runs import Outcome

# People read the audit row.
MOST_NAMED = 20
INTERRUPTED = "the run was interrupted; the candles it fetched are stored"


@dataclass(frozen=True, slots=True)
class Outage:
    """The provider does not answer: why, and when the next attempt is."""

    problem: DataFetchError
    next_attempt: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress of a run; *outage* while the provider does not answer."""

    windows: int
    done: int
    candles: int
    outage: Outage | None = None


@dataclass(slots=True)
class BackfillReport:
    """The result of a run. *missed* minutes of the order are still to be fetched.

    The order is judged as of its plan: minutes that *became_due* meanwhile are not part of it. A
    run that was stopped has fewer windows *done* than *windows*; *answered* are those with a
    response from the provider, complete or not, and *elsewhere* those that another run has
    requested. *failures* counts windows without a complete response, and empty responses.
    """

    run_id: str
    windows: int
    done: int = 0
    answered: int = 0
    elsewhere: int = 0
    requests: int = 0
    inserted: int = 0
    revised: int = 0
    finalised: int = 0
    outside: int = 0
    failures: Counter[FailureGroup] = field(default_factory=Counter)
    reasons: dict[str, str] = field(default_factory=dict)
    rejected_rows: Counter[str] = field(default_factory=Counter)
    without_open_interest: int = 0
    missed: int = 0
    became_due: int = 0
    stopped_by: DataFetchError | None = None

    @property
    def candles(self) -> int:
        """Candles that are new or changed."""
        return self.inserted + self.revised

    @property
    def rejected(self) -> int:
        """Rows that were not stored."""
        return self.outside + self.rejected_rows.total()

    @property
    def failed_windows(self) -> int:
        """Windows without a complete response. An empty response is complete."""
        return self.failures.total() - self.failures[FailureGroup.EMPTY]

    @property
    def outcome(self) -> Outcome:
        if self.stopped_by is not None and not self.answered:
            return Outcome.FAILED
        complete = not self.missed and self.stopped_by is None and self.done == self.windows
        return Outcome.COMPLETED if complete else Outcome.INCOMPLETE

    def count(self, reply: CandleReply, outside: Mapping[date, int]) -> None:
        """Add the response of one window."""
        self.done += 1
        self.answered += reply.problem is None
        self.outside += sum(outside.values())
        self.rejected_rows.update(reply.rejected_rows)
        self.without_open_interest += reply.without_open_interest

    def failed(self, failure: FailureGroup, reason: str, window: Window) -> None:
        """Count a failure, with its reason for the first few symbols."""
        self.failures[failure] += 1
        if len(self.reasons) < MOST_NAMED:
            self.reasons.setdefault(window.instrument.symbol, reason)

    def failures_text(self) -> str:
        """The windows that failed, by kind; empty if none did."""
        if not self.failed_windows:
            return ""
        kinds = [
            f"{times} {failure}"
            for failure, times in self.failures.items()
            if times and failure is not FailureGroup.EMPTY
        ]
        return f"{self.failed_windows} of {self.windows} requests failed: {', '.join(kinds)}"

    def why_incomplete(self) -> str | None:
        """The sentence of the audit row; None for a complete run."""
        if self.outcome is Outcome.COMPLETED:
            return None
        if self.stopped_by is not None:
            reason = str(self.stopped_by)
        elif self.done < self.windows:
            reason = INTERRUPTED
        else:
            reason = f"{self.missed} minutes are still missing"
        named = [f"{symbol}: {why}" for symbol, why in self.reasons.items()]
        return "; ".join([reason, *filter(None, [self.failures_text()]), *named[:3]])

    def facts(self) -> dict[str, object]:
        """The details of the audit row."""
        return {
            "windows": self.windows,
            "windows_done": self.done,
            "windows_elsewhere": self.elsewhere,
            "windows_failed": self.failed_windows,
            "requests": self.requests,
            "inserted": self.inserted,
            "revised": self.revised,
            "finalised": self.finalised,
            "outside_sessions": self.outside,
            "rejected_rows": dict(self.rejected_rows),
            "without_open_interest": self.without_open_interest,
            "failures": {str(failure): n for failure, n in self.failures.items() if n},
            "reasons": dict(self.reasons),
        }
