"""What polls of chains came to, and the audit row of a minute of them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from data_fetch.core.chains.chains import Chain, ChainReply, ChainSource
from data_fetch.core.clock import minute_of
from data_fetch.core.errors import DataFetchError
from data_fetch.core.failures import FailureKind
from data_fetch.core.runs import Outcome, SyncAttempt, SyncRun, SyncState, new_run_id
from data_fetch.core.timetable import CHAINS

MOST_REMARKS = 20
NOTHING_LISTED = "no expiry is listed"


@dataclass(slots=True)
class Poll:
    """What asking for the chains of one underlying came to.

    *asked* is how many expiries were due, *replies* those that hold a chain; *failures* are
    by source, *problem* is the last of them. Of the chains told *stored* were news, *confirmed*
    told what was known. *notes* are on what went wrong here, at no cost to what is stored.
    """

    symbol: str
    begun_at: datetime
    asked: int = 0
    requests: int = 0
    replies: list[ChainReply] = field(default_factory=list)
    failures: dict[ChainSource, FailureKind] = field(default_factory=dict)
    problem: DataFetchError | None = None
    stored: int = 0
    confirmed: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def chains(self) -> list[Chain]:
        return [chain for reply in self.replies if reply.parsed for chain in reply.parsed.chains]

    @property
    def whole(self) -> bool:
        """Whether every expiry that was due came, from whichever source."""
        return 0 < self.asked <= len(self.replies)

    @property
    def absent(self) -> int:
        return max(0, self.asked - len(self.replies))

    @property
    def error(self) -> str | None:
        return None if self.whole else str(self.problem or NOTHING_LISTED)

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
            state=SyncState.OK if self.whole else SyncState.FAILED,
            attempted_at=self.begun_at,
            records=sum(len(chain.legs) for chain in self.chains),
            error=self.error,
            run_id=run_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PolledMinute:
    """The polls that were begun in one minute, added up: one audit row that grows."""

    run_id: str
    slot: datetime
    started_at: datetime
    finished_at: datetime
    asked: int = 0
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
        return cls(run_id=new_run_id(), slot=minute_of(at), started_at=at, finished_at=at)

    def with_poll(self, poll: Poll, finished_at: datetime) -> "PolledMinute":
        """The same minute with *poll*, which was begun in it."""
        sources = dict(self.sources)
        for reply in poll.replies:
            sources[reply.source.value] = sources.get(reply.source.value, 0) + 1
        failures = {source.value: failure.value for source, failure in poll.failures.items()}
        return replace(
            self,
            started_at=min(self.started_at, poll.begun_at),
            finished_at=finished_at,
            asked=self.asked + poll.asked,
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
        """The audit row; *stored* counts new snapshots, `repeated` those that told the same."""
        came = self.asked - self.absent
        outcome = Outcome.INCOMPLETE if self.absent or self.error else Outcome.COMPLETED
        return SyncRun(
            run_id=self.run_id,
            job=CHAINS,
            due_slot=self.slot,
            started_at=self.started_at,
            finished_at=self.finished_at,
            outcome=outcome if came > 0 else Outcome.FAILED,
            requested=self.asked,
            stored=self.stored,
            absent=self.absent,
            rejected=self.rejected,
            requests=self.requests,
            error=self.error,
            details={
                "repeated": self.confirmed,
                "polls": dict(self.polls),
                "sources": dict(self.sources),
                "faults": {symbol: dict(failures) for symbol, failures in self.failures.items()},
                "remarks": list(self.remarks),
            },
        )
