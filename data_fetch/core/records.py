"""What the platform talks about: instruments and their quotes.

Prices are rupees, quantities and volumes units (shares), instants aware UTC.
Whoever holds one of these records may trust it: it was checked when it was made.
"""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from math import isfinite

from data_fetch.core.errors import BadRecord


class World(StrEnum):
    """Where prices come from. A store belongs to one world for good."""

    PAPER = "paper"
    LIVE = "live"


# A country code that ISO 3166 will never assign, so that no real ISIN can begin with it.
PAPER_ISIN_PREFIX = "ZZP"

# PostgreSQL takes no NUL, UTF-8 no half of a surrogate pair, and terminals obey the others.
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
LONGEST_TEXT = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A thing the exchange trades.

    *instrument_key* is the provider's name for it: ``NSE_EQ|<ISIN>``, ``NSE_INDEX|Nifty 50``;
    a derivative contract is known by its dated key (``NSE_FO|98918|27-03-2025``) because the
    exchange reuses tokens, and *live_key* is what the provider calls it today.
    """

    instrument_key: str
    symbol: str
    segment: str
    instrument_type: str
    name: str = ""
    isin: str | None = None
    underlying_key: str | None = None
    underlying_symbol: str | None = None
    expiry: date | None = None
    strike: Decimal | None = None
    lot_size: int | None = None
    tick_size: Decimal | None = None
    cas_eligible: bool = False
    live_key: str

    @property
    def world(self) -> World:
        """Invented equities carry an impossible ISIN; everything else is taken for real."""
        key = self.underlying_key if self.segment == "NSE_FO" else self.instrument_key
        invented = (key or "").startswith(f"NSE_EQ|{PAPER_ISIN_PREFIX}")
        return World.PAPER if invented else World.LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The last trade of one instrument, as one answer told it.

    *volume* is cumulative for the day, *ltq* the size of the last trade, *prev_close* the
    previous day's close (None when the provider leaves it out).
    """

    instrument_key: str
    last_price: float
    volume: int
    ltq: int | None = None
    prev_close: float | None = None

    def __post_init__(self) -> None:
        if not (isfinite(self.last_price) and self.last_price > 0):
            raise BadRecord(f"{self.instrument_key}: last price {self.last_price} cannot be")
        if self.volume < 0:
            raise BadRecord(f"{self.instrument_key}: volume {self.volume} cannot be")
        if self.prev_close is not None and not (isfinite(self.prev_close) and self.prev_close > 0):
            raise BadRecord(f"{self.instrument_key}: previous close {self.prev_close} cannot be")

    @property
    def change(self) -> float | None:
        """Rupees since the previous close."""
        return None if self.prev_close is None else _rounded(self.last_price - self.prev_close)

    @property
    def change_percent(self) -> float | None:
        """Percent since the previous close; None when that is too small to divide by."""
        if self.prev_close is None:
            return None
        return _rounded((self.last_price / self.prev_close - 1) * 100)


def _rounded(difference: float) -> float | None:
    return round(difference, 4) if isfinite(difference) else None


def presentable(text: str) -> str:
    """*text* from outside, fit for rows, logs and screens: short, without control characters."""
    clean = CONTROLS.sub("", text)
    return clean if len(clean) <= LONGEST_TEXT else f"{clean[: LONGEST_TEXT - 1]}…"


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that was received and not stored, and why.

    Both may quote what the provider sent, so both are made presentable.
    """

    instrument_key: str
    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "instrument_key", presentable(self.instrument_key))
        object.__setattr__(self, "reason", presentable(self.reason))


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """What became of keys that were asked for together and brought no record.

    Each of them is in exactly one of *absent* (a good answer lacks it), *unknown* (the provider
    refuses the key), *rejected* (its row could not be true) and *failed* (its request failed
    for good: *error* says why). *unrequested* are rows that answer no key that was asked for.
    """

    absent: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    rejected: tuple[RejectedRow, ...] = ()
    failed: tuple[str, ...] = ()
    unrequested: tuple[RejectedRow, ...] = ()
    error: str | None = None
    requests: int = 0
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteResponse(BatchResult):
    """All that came back when quotes were asked for: *quotes*, and what became of other keys."""

    quotes: tuple[Quote, ...]


class Outcome(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    MISSED = "missed"


def new_run_id() -> str:
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRun:
    """One execution of a job, or the reason why it did not happen (outcome ``missed``).

    Written with its facts: a run that has stored nothing has no row, and one that stores its
    facts bit by bit has a row that grows with them. *due_slot* is the first instant
    of the minute the run was for. *details* is small JSON: keys by reason, for people.
    """

    run_id: str
    job: str
    due_slot: datetime | None
    started_at: datetime
    finished_at: datetime
    outcome: Outcome
    requested: int = 0
    stored: int = 0
    absent: int = 0
    quarantined: int = 0
    rejected: int = 0
    requests: int = 0
    error: str | None = None
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredQuote:
    """A quote as the store keeps it: one row of `ltp_data`, keyed by symbol and slot."""

    symbol: str
    slot: datetime
    quote: Quote
    off_session: bool
    received_at: datetime
    source: str
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """What the quotes of one symbol did over some slots, of which *slots* have a row."""

    slots: int
    lowest_price: float
    highest_price: float
    lowest_volume: int
    highest_volume: int

    @property
    def price_moved(self) -> bool:
        return self.lowest_price != self.highest_price

    @property
    def stood_still(self) -> bool:
        """Neither the price nor the cumulative volume changed."""
        return not self.price_moved and self.lowest_volume == self.highest_volume


class SyncState(StrEnum):
    """What the last attempt on one symbol came to."""

    OK = "ok"
    ABSENT = "absent"
    QUARANTINED = "quarantined"
    REJECTED = "rejected"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncAttempt:
    """One attempt on one symbol; the store folds it into `data_sync_status`."""

    symbol: str
    data_type: str
    state: SyncState
    attempted_at: datetime
    records: int
    error: str | None
    run_id: str
