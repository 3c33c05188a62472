"""Results of chain polls, and the audit row that sums up those of one minute. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

from data_fetch.core.chains.chains import Chain, ChainReply, ChainSource
from data_fetch.core.clock import minute_of
from data_fetch.core.errors import DataFetchError
from data_fetch.core.failures import FailureKind
from data_fetch.core.runs import MOST_NAMED, Outcome, SyncAttempt, SyncRun, SyncState
from data_fetch.core.timetable import CHAINS

MOST_REMARKS = 20
NOTHING_LISTED = "no expiry is listed"


@dataclass(slots=True)
class Poll:
    """The result of polling the chains of one underlying.

    *requested* counts the expiries that were due, *replies* are those with a chain; *failures* are
    by source, *problem* is the first of them. *stored* counts the chains with new content,
    *confirmed* those with the content that is stored already. *notes* are problems on this
    side that did not affect what is stored.
    """

    symbol: str
    begun_at: datetime
    requested: int = 0
    requests: int = 0
    replies: list[ChainReply] = field(default_factory=list)
    failures: dict[ChainSource, FailureKind] = field(default_factory=dict)
    problem: DataFetchError | None = None
    stored: int = 0
    confirmed: int = 0
    notes: list[str] = field(default_factory=list)

    def failed(self, source: ChainSource, problem: DataFetchError) -> None:
        """Add a failure of *source*."""
        self.failures[source] = problem.kind
        self.problem = self.problem or problem

    @property
    def chains(self) -> list[Chain]:
        return [chain for reply in self.replies if reply.parsed for chain in reply.parsed.chains]

    @property
    def complete(self) -> bool:
        """Whether a chain of every due expiry was received, from any source."""
        return 0 < self.requested <= len(self.replies)

    @property
    def absent(self) -> int:
        return max(0, self.requested - len(self.replies))

    @property
    def error(self) -> str | None:
        return None if self.complete else str(self.problem or NOTHING_LISTED)

    @property
    def rejected(self) -> int:
        return sum(len(reply.parsed.rejected) for reply in self.replies if reply.parsed)

    @property
    def remarks(self) -> list[str]:
        of_chains = [
            remark for reply in self.replies if reply.parsed for remark in reply.parsed.remarks
        ]
        return [*of_chains, *dict.fromkeys(self.notes)]

    def attempt(self, run_id: str) -> SyncAttempt:
        return SyncAttempt(
            symbol=self.symbol,
            data_type=CHAINS,
            state=SyncState.OK if self.complete else SyncState.FAILED,
            attempted_at=self.begun_at,
            records=sum(len(chain.legs) for chain in self.chains),
            error=self.error,
            run_id=run_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PolledMinute:
    """The sum of the polls that began in one minute: one audit row that grows with them."""

    begun: SyncRun
    slot: datetime
    finished_at: datetime
    answering: ChainSource | None = None
    requested: int = 0
    stored: int = 0
    confirmed: int = 0
    absent: int = 0
    rejected: int = 0
    requests: int = 0
    error: str | None = None
    polls: Mapping[str, int] = field(default_factory=dict)
    sources: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @classmethod
    def of(cls, at: datetime) -> "PolledMinute":
        slot = minute_of(at)
        return cls(begun=SyncRun.begin(CHAINS, at, slot), slot=slot, finished_at=at)

    @property
    def run_id(self) -> str:
        return self.begun.run_id

    def with_poll(
        self, poll: Poll, finished_at: datetime, answering: ChainSource
    ) -> "PolledMinute":
        """The same minute with *poll*, which began in it, added.

        *answering* is the source whose limits the polling plan follows after it.
        """
        sources = dict(self.sources)
        for reply in poll.replies:
            sources[reply.source.value] = sources.get(reply.source.value, 0) + 1
        failures = {source.value: failure.value for source, failure in poll.failures.items()}
        return replace(
            self,
            begun=replace(self.begun, started_at=min(self.begun.started_at, poll.begun_at)),
            finished_at=finished_at,
            answering=answering,
            requested=self.requested + poll.requested,
            stored=self.stored + poll.stored,
            confirmed=self.confirmed + poll.confirmed,
            absent=self.absent + poll.absent,
            rejected=self.rejected + poll.rejected,
            requests=self.requests + poll.requests,
            error=poll.error or self.error,
            polls={**self.polls, poll.symbol: self.polls.get(poll.symbol, 0) + 1},
            sources=sources,
            failures={**self.failures, poll.symbol: failures} if failures else self.failures,
            remarks=tuple(dict.fromkeys((*self.remarks, *poll.remarks)))[:MOST_REMARKS],
        )

    @property
    def run(self) -> SyncRun:
        """The audit row: *stored* counts new snapshots, `repeated` chains without new content."""
        received = self.requested - self.absent
        outcome = Outcome.INCOMPLETE if self.absent or self.error else Outcome.COMPLETED
        return self.begun.finish(
            self.finished_at,
            outcome if received > 0 else Outcome.FAILED,
            requested=self.requested,
            stored=self.stored,
            absent=self.absent,
            rejected=self.rejected,
            requests=self.requests,
            error=self.error,
            details={
                "repeated": self.confirmed,
                "answering": self.answering,
                "symbols": len(self.polls),
                "polls": dict(islice(self.polls.items(), MOST_NAMED)),
                "sources": dict(self.sources),
                "fault_counts": Counter(
                    f"{source} {failure}"
                    for failures in self.failures.values()
                    for source, failure in failures.items()
                ),
                "faults": {
                    symbol: dict(failures)
                    for symbol, failures in islice(self.failures.items(), MOST_NAMED)
                },
                "remarks": list(self.remarks),
            },
        )
