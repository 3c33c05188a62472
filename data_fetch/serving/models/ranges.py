"""Ranges in columns: lists of equal length, a place in each of them is a row."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field

from data_fetch.serving.models.shared import Answer, CompletenessState, DataAnswer


class CandleDay(Answer):
    """The minutes (days for the interval `day`) of one trading date by state.

    `last_modified`: when something of it was stored or proved last; null where that is not known.
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
    """Candles of one instrument, oldest first, and the completeness of each of their days."""

    symbol: str
    instrument_keys: list[str]
    interval: str
    first: Annotated[date, Field(alias="from")]
    last: Annotated[date, Field(alias="to")]
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
