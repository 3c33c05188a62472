"""What the rules of alerts look at: plain records, read from the store and the machine.

A part that is None could not be found out; the rules about it are not judged then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class MissedSlot:
    """A slot of quotes that is recorded as missed or failed, and why."""

    slot: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketFacts:
    """Whether the market trades, and when it opens next.

    *missed* are those of the last slots that were not collected; *unrecorded* the last ones of the
    day, oldest first, for which no run is recorded. *collects*: whether a collector has the lead of
    the store.
    """

    is_open: bool
    next_open: datetime
    missed: Sequence[MissedSlot]
    unrecorded: Sequence[datetime]
    collects: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DataClassFacts:
    """One class of data: *late* are the symbols without recent data, of *symbols*; *newest* is the
    last datum of all."""

    name: str
    symbols: int
    late: Sequence[str]
    newest: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFacts:
    """When the access token ends, None where it does not say so, and whether it is one that is
    valid for a year."""

    expires_at: datetime | None
    lasts_long: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSourceFacts:
    """The polls of option chains of the last minutes: *remarks* on fields that are new or gone,
    legs and chains, the source that answers and the one that is asked *first*, and how often each
    failure was met."""

    remarks: Sequence[str] = ()
    rejected: int = 0
    answering: str | None = None
    first: str | None = None
    failures: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillFacts:
    """The minutes of the last *day* whose final check is over: of *expected* ones so many have no
    explanation."""

    day: date
    expected: int
    missed: int
    unknown: int
    pending: int

    @property
    def unexplained(self) -> int:
        return self.missed + self.unknown + self.pending


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFacts:
    """The space of one folder's disk in bytes, and how many days it lasts at the growth of the last
    days; None while that is not known, or where nothing grows."""

    folder: str
    free: int
    total: int
    days_left: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarFacts:
    """Why the sessions of the calendar may differ from those of the exchange, and the dates soon to
    come whose hours are not announced."""

    warning: str | None
    without_hours: Sequence[date]


@dataclass(frozen=True, slots=True, kw_only=True)
class StandInFacts:
    """Whether the embedded store stands in for the configured one: the *rows* that wait in it, and
    *why*; empty when it does not."""

    rows: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingJob:
    """A *job* whose newest run has failed, when it ended and why."""

    job: str
    at: datetime
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadUnits:
    """How many *units* of work of one *kind* failed for good, and for which *reasons*."""

    kind: str
    units: int
    reasons: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadinessFacts:
    """Why today's check before the open was a no-go; empty for go, and before the check."""

    no_go: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedFacts:
    """The market data feed of a collector; empty where there is none.

    *runs*: a collector reports it, and has not stopped it. *expected*: prices have to come at
    present. *away_since*: the last sign of life before the interval without prices that lasts; None
    while they come. *cause* is a sentence with what to do.
    """

    runs: bool = True
    expected: bool = False
    away_since: datetime | None = None
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFacts:
    """Everything at the instant *at* of the market's clock. *store_problem* is why the configured
    store cannot be used; None when it can. *unknown* are reasons why other parts are None."""

    at: datetime
    store_problem: str | None = None
    unknown: Mapping[str, str] = field(default_factory=dict)
    market: MarketFacts | None = None
    freshness: Sequence[DataClassFacts] | None = None
    token: TokenFacts | None = None
    chain_source: ChainSourceFacts | None = None
    backfill: BackfillFacts | None = None
    disks: Sequence[DiskFacts] | None = None
    calendar: CalendarFacts | None = None
    stand_in: StandInFacts | None = None
    archive: Sequence[FailingJob] | None = None
    dead_units: Sequence[DeadUnits] | None = None
    readiness: ReadinessFacts | None = None
    feed: FeedFacts | None = None
