"""Archived days: a dataset and an Indian date, with one sealed file per table.

The state of a day decides where its rows are read: in the store until it is dropped, in the files
from then on. A day is never in both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from data_fetch.core.clock import IST

DAY = timedelta(days=1)


class Dataset(StrEnum):
    """What is archived and dropped together."""

    CHAINS = "chains"
    QUOTES = "quotes"
    CANDLES = "candles"


# The tables of each dataset, and of each table the column that decides the day of a row.
TABLES: Mapping[Dataset, Mapping[str, str]] = {
    Dataset.CHAINS: {
        "chain_receipts": "received_at",
        "chain_snapshots": "timestamp",
        "option_chain_data": "timestamp",
        "chain_summary": "timestamp",
    },
    Dataset.QUOTES: {"ltp_data": "timestamp"},
    Dataset.CANDLES: {"candles": "timestamp", "candle_revisions": "timestamp"},
}


class DayState(StrEnum):
    """How far a day is on its way from the store into files."""

    ARCHIVED = "archived"
    """Its files are written."""
    VERIFIED = "verified"
    """Count and checksum of its files are those of the store."""
    DROPPED = "dropped"
    """It is read from its files; what the store still has of it is void."""
    CLEARED = "cleared"
    """The same, and nothing of it is left in the store."""
    RESTORING = "restoring"
    """Its rows are on their way back into the store; it is read from its files."""
    RESTORED = "restored"
    """Its rows were brought back: it is read from the store."""

    @property
    def in_files(self) -> bool:
        """Whether the day is read from its files."""
        return self in {DayState.DROPPED, DayState.CLEARED, DayState.RESTORING}

    @property
    def compared(self) -> bool:
        """Whether the store has the day, and had the rows of its files when they were compared."""
        return self in {DayState.VERIFIED, DayState.RESTORED}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedDay:
    """A day of a dataset that has files. *generation* counts how often they were written."""

    dataset: Dataset
    trading_date: date
    state: DayState
    generation: int
    changed_at: datetime
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedFile:
    """The file of one table and day.

    *path* is relative to the archive's folder, *sha256* of the whole file; *digest* is of the
    rows, whatever their order and the format they are in.
    """

    table_name: str
    trading_date: date
    path: str
    rows: int
    size_bytes: int
    sha256: str
    digest: str
    schema_version: int
    written_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedSeries:
    """The chains of one underlying, expiry and source on one day: how many, from when to when.

    *first* and *last* are None on a day on which nothing but confirmations was received.
    """

    trading_date: date
    underlying: str
    expiry: date
    source: str
    snapshots: int
    legs: int
    receipts: int
    first: datetime | None
    last: datetime | None
    first_received: datetime | None
    last_received: datetime | None

    @property
    def series(self) -> tuple[str, date, str]:
        return self.underlying, self.expiry, self.source


def day_of(at: datetime) -> date:
    """The Indian date of an instant."""
    return at.astimezone(IST).date()


def bounds_of(day: date) -> tuple[datetime, datetime]:
    """The first instant of an Indian date, and the first one after it, in UTC."""
    begin = datetime.combine(day, time(), IST)
    return begin.astimezone(UTC), (begin + DAY).astimezone(UTC)


def spans_beside(days: Sequence[date]) -> list[tuple[datetime | None, datetime | None]]:
    """The time that is on none of these Indian dates, which are in order: from an instant until
    another one, in UTC; None where it has no end."""
    bounds = [bounds_of(day) for day in days]
    begins = [None, *(end for _, end in bounds)]
    ends = [*(begin for begin, _ in bounds), None]
    spans = zip(begins, ends, strict=True)
    return [(begin, end) for begin, end in spans if begin is None or begin != end]
