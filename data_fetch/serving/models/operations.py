"""What is collected and known, in columns: lists of equal length, a place in each is a row."""

from datetime import date, datetime
from typing import Annotated

from pydantic import Field

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.serving.models.shared import Answer, DataAnswer


class DaysAnswer(DataAnswer):
    """A range of trading dates, both included."""

    interval: str
    first: Annotated[date, Field(alias="from")]
    last: Annotated[date, Field(alias="to")]
    count: int


class CoverageColumns(Answer):
    """The minutes (days for the interval `day`) of a symbol and date by state."""

    symbol: list[str]
    instrument_key: list[str]
    date: list[date]
    state: list[str]
    expected: list[int]
    present: list[int]
    no_trade: list[int]
    source_empty: list[int]
    unknown_instrument: list[int]
    missed: list[int]
    pending: list[int]
    not_expected: list[int]
    provisional: list[int]


class CoverageAnswer(DaysAnswer):
    """Which days are complete, by symbol and date."""

    columns: CoverageColumns


class GapColumns(Answer):
    """Intervals without candles: from `first` to `end`, which is not included."""

    symbol: list[str]
    instrument_key: list[str]
    interval: list[str]
    trading_date: list[date]
    first: list[datetime]
    end: list[datetime]
    minutes: list[int]
    cause: list[str]
    proof: list[str | None]
    attempts: list[int]
    next_attempt: list[datetime | None]
    last_error: list[str | None]


class GapsAnswer(DaysAnswer):
    """Every gap, by symbol and time."""

    columns: GapColumns


class FreshnessColumns(Answer):
    """`data` is `quotes` or `chains`; `state` is `fresh`, `never_seen`, `stopped`, `frozen` or
    `market_closed`; `trading_minutes` are those since the last receipt.

    `last_tick` is when the streaming feed last brought the symbol today (of chains: any of its
    options), `tick_age_seconds` the time since then, while the market is open. Null without a
    running feed.
    """

    data: list[str]
    symbol: list[str]
    state: list[str]
    last_receipt: list[datetime | None]
    trading_minutes: list[int | None]
    last_tick: list[datetime | None]
    tick_age_seconds: list[float | None]


class UnhonouredKey(Answer):
    """A live key that was requested of the feed in vain; `symbol` is the listed symbol, or the name
    of the option contract."""

    key: str
    symbol: str | None
    reason: str


class FeedNow(Answer):
    """The streaming feed as its collector reported it last; `state` is `not running` when that is
    some minutes ago.

    `unhonoured` counts the keys that it does not deliver, `unhonoured_keys` are the first of them,
    and `then` is what to do.
    """

    reported_at: datetime
    state: str
    cause: str
    unhonoured: int
    unhonoured_keys: list[UnhonouredKey]
    then: str | None


class FreshnessAnswer(DataAnswer):
    """How fresh the newest data of each symbol is. `feed` is null where no collector ever had
    one."""

    count: int
    feed: FeedNow | None
    columns: FreshnessColumns


class RunColumns(Answer):
    """Runs of jobs; `details` is JSON."""

    run_id: list[str]
    job: list[str]
    due_slot: list[datetime | None]
    started_at: list[datetime]
    finished_at: list[datetime]
    outcome: list[str]
    requested: list[int]
    stored: list[int]
    absent: list[int]
    quarantined: list[int]
    rejected: list[int]
    requests: list[int]
    error: list[str | None]
    details: list[str]


class RunsAnswer(DataAnswer):
    """The runs that started in a range, oldest first."""

    first: Annotated[datetime, Field(alias="from")]
    last: Annotated[datetime, Field(alias="to")]
    job: str | None
    count: int
    columns: RunColumns


class InstrumentColumns(Answer):
    """Instruments; strike and tick in rupees, `first_seen` and `last_seen` dates of masters."""

    instrument_key: list[str]
    symbol: list[str]
    segment: list[str]
    instrument_type: list[str]
    name: list[str | None]
    isin: list[str | None]
    underlying_key: list[str | None]
    underlying_symbol: list[str | None]
    expiry: list[date | None]
    strike: list[float | None]
    lot_size: list[int | None]
    tick_size: list[float | None]
    cas_eligible: list[bool]
    live_key: list[str | None]
    first_seen: list[date]
    last_seen: list[date]


class InstrumentsAnswer(DataAnswer):
    """Instruments by symbol; `master_date` is the date of the newest instrument master."""

    master_date: date | None
    count: int
    columns: InstrumentColumns


class CalendarColumns(Answer):
    """Sessions; `windows` and `auction` are IST, as "09:15-15:30", several separated by a space.

    `segment`: `cash` (an F&O stock), `fo` (its futures and options) or `index`.
    """

    date: list[date]
    segment: list[str]
    open: list[bool]
    windows: list[str]
    auction: list[str | None]
    expected_minutes: list[int]
    note: list[str]
    provisional: list[bool]


class CalendarAnswer(DataAnswer):
    """The sessions of each date by segment."""

    first: Annotated[date, Field(alias="from")]
    last: Annotated[date, Field(alias="to")]
    reviewed_until: date
    count: int
    columns: CalendarColumns


class PolledSymbol(Answer):
    """A symbol whose chains are polled; `feasible_seconds` null: it is paused."""

    symbol: str
    instrument_key: str
    active: bool
    refresh_seconds: int
    feasible_seconds: float | None
    expiries: int
    strikes: int | None
    pinned: bool


class RequestsPerMinute(Answer):
    """What the plan requests, and what the limits allow."""

    requested: float
    budget: float


class PollingPlanAnswer(DataAnswer):
    """Which chains are polled; `feasible`: as often as configured."""

    symbols: list[PolledSymbol]
    requests_per_minute: RequestsPerMinute
    feasible: bool


class CandleVersion(Answer):
    """A version of a candle, valid from `fetched_at` on. Prices are rupees."""

    open: float
    high: float
    low: float
    close: float
    volume: int
    oi: int | None
    kind: str
    source: str
    is_final: bool
    fetched_at: datetime
    run_id: str


class Correction(Answer):
    """A candle that was corrected at `superseded_at`; `revision` is the number of the `old`
    version, 1 for the first one."""

    symbol: str
    instrument_key: str
    timestamp: datetime
    revision: int
    superseded_at: datetime
    old: CandleVersion
    new: CandleVersion


class CorrectionsAnswer(DataAnswer):
    day: Annotated[date, Field(alias="date")]
    interval: CandleInterval
    revisions: list[Correction]
