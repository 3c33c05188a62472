"""Ranges in columns: lists of equal length, a place in each of them is a row."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field

from data_fetch.serving.models.shared import Answer, CompletenessState, DataAnswer


class CandleDay(Answer):
    """The minutes (days for the interval `day`) of one trading date by state.

    `corrected`: stored candles whose values changed after they were stored; `/api/data/corrections`
    has both versions of each. `last_modified`: when something of it was stored or proved last; null
    where that is not known, as with `as_of`.
    """

    date: date
    instrument_key: str
    state: CompletenessState
    expected: int
    present: int
    no_trade: int
    source_empty: int
    unknown_instrument: int
    missed: int
    pending: int
    not_expected: int
    provisional: int
    corrected: int
    last_modified: datetime | None


class CandleColumns(Answer):
    """Candles: prices in rupees, volume and open interest in shares.

    `timestamp` is the start of a candle; `is_final`: confirmed by the provider's history. Candles
    made of minutes have three columns more: `minutes` with a candle, `minutes_expected`, and
    `minutes_missing` that are missed or still to come.
    """

    timestamp: list[datetime]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[int]
    oi: list[int | None]
    kind: list[str]
    is_final: list[bool]
    instrument_key: list[str]
    source: list[str]
    minutes: list[int] | None = None
    minutes_expected: list[int] | None = None
    minutes_missing: list[int] | None = None


class CandlesAnswer(DataAnswer):
    """Candles of one instrument, oldest first, and the completeness of each of their days.

    `corrected`: stored candles of the range whose values changed after they were stored.
    """

    symbol: str
    instrument_keys: list[str]
    interval: str
    first: Annotated[date, Field(alias="from")]
    last: Annotated[date, Field(alias="to")]
    corrected: int
    days: list[CandleDay]
    count: int
    columns: CandleColumns


class LatestQuote(Answer):
    """The newest quote of what was asked for, in rupees and shares.

    `status`: `ok`, `unknown_symbol` (then `near` names others), or `never_collected`. `slot` is
    the minute of the quote, `staleness_seconds` the age of its receipt at `as_of`.
    """

    asked: str
    status: Literal["ok", "unknown_symbol", "never_collected"]
    near: list[str]
    symbol: str | None
    instrument_key: str | None
    ltp: float | None
    prev_close: float | None
    change: float | None
    change_percent: float | None
    volume: int | None
    ltq: int | None
    slot: datetime | None
    received_at: datetime | None
    source: str | None
    staleness_seconds: float | None


class LatestQuotesAnswer(DataAnswer):
    """What was asked for in that order, with the quotes of it; `count` of them have one."""

    count: int
    quotes: list[LatestQuote]


class QuoteColumns(Answer):
    """Quotes of one symbol in rupees and shares; `off_session`: no quote was due then."""

    symbol: list[str]
    timestamp: list[datetime]
    instrument_key: list[str]
    ltp: list[float]
    volume: list[int | None]
    change: list[float | None]
    change_percent: list[float | None]
    prev_close: list[float | None]
    ltq: list[int | None]
    off_session: list[bool]
    received_at: list[datetime]
    source: list[str]


class QuotesAnswer(DataAnswer):
    """The quotes of one symbol in a range, oldest first."""

    symbol: str
    first: Annotated[datetime, Field(alias="from")]
    last: Annotated[datetime, Field(alias="to")]
    count: int
    columns: QuoteColumns


class ExpiryReceipts(Answer):
    """How often the chain of one expiry was received in a range, and from which source.

    `minutes_due`: minutes in which derivatives traded, up to now and the close of the expiry; in
    `minutes_received` of them the chain was received at least once.
    """

    expiry: date
    source: str | None
    receipts: int
    minutes_due: int
    minutes_received: int


class SnapshotColumns(Answer):
    """`at`: the step of the row, or the first receipt of its snapshot, which is `timestamp`.

    `last_confirmed`: the last receipt of the same content, `unconfirmed_seconds` from then to `at`;
    `confirmations` null: not known for the instant of the answer.
    """

    at: list[datetime]
    timestamp: list[datetime]
    expiry: list[date]
    source: list[str]
    last_confirmed: list[datetime]
    unconfirmed_seconds: list[float]
    confirmations: list[int | None]
    exchange_time: list[datetime | None]
    spot: list[float | None]
    lot_size: list[int | None]
    unit: list[str]
    rejected: list[int]


class FigureColumns(SnapshotColumns):
    """The figures of each snapshot; volume and open interest in `unit`, IV a fraction."""

    call_oi: list[float | None]
    put_oi: list[float | None]
    call_volume: list[float | None]
    put_volume: list[float | None]
    pcr_oi: list[float | None]
    pcr_volume: list[float | None]
    max_pain: list[float | None]
    atm_strike: list[float | None]
    straddle: list[float | None]
    atm_iv: list[float | None]
    support: list[float | None]
    resistance: list[float | None]
    gamma_exposure: list[float | None]
    forward: list[float | None]
    forward_method: list[str | None]
    forward_strikes: list[int | None]
    forward_spread: list[float | None]
    years: list[float | None]
    rate: list[float | None]
    convention: list[str | None]
    priced_at: list[datetime | None]
    expires_at: list[datetime | None]
    provisional: list[bool | None]
    legs: list[int | None]
    priced: list[int | None]
    age_seconds: list[float | None]


class LegColumns(SnapshotColumns):
    """One contract in each snapshot: quantities in shares, IV a fraction.

    The columns `..._contracts` are as received from a source that counts contracts.
    """

    instrument_key: list[str | None]
    ltp: list[float | None]
    prev_close: list[float | None]
    bid: list[float | None]
    bid_qty: list[int | None]
    ask: list[float | None]
    ask_qty: list[int | None]
    total_buy_qty: list[int | None]
    total_sell_qty: list[int | None]
    volume: list[int | None]
    oi: list[int | None]
    prev_oi: list[int | None]
    volume_contracts: list[float | None]
    oi_contracts: list[float | None]
    prev_oi_contracts: list[float | None]
    oi_reason: list[str | None]
    provider_iv: list[float | None]
    provider_delta: list[float | None]
    provider_gamma: list[float | None]
    provider_theta: list[float | None]
    provider_vega: list[float | None]
    price: list[float | None]
    forward: list[float | None]
    iv: list[float | None]
    delta: list[float | None]
    gamma: list[float | None]
    theta: list[float | None]
    vega: list[float | None]
    rho: list[float | None]
    reason: list[str | None]


class SeriesAnswer(DataAnswer):
    """A range of snapshots of one underlying, and the receipts of each expiry in it."""

    symbol: str
    first: Annotated[datetime, Field(alias="from")]
    last: Annotated[datetime, Field(alias="to")]
    snapshots: int
    expiries: list[ExpiryReceipts]
    count: int


class ChainHistoryAnswer(SeriesAnswer):
    """The figures of a chain over time, oldest first."""

    columns: FigureColumns


class LegAnswer(SeriesAnswer):
    """One contract over time, oldest first."""

    columns: LegColumns
