"""Candles: history, the day in progress, expired contracts (reference, sections 7, 9).

Historical responses contain the days before today on the exchange's clock. Intraday responses
contain today's rows, including the current minute after its first trade.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

import numpy as np

from data_fetch.core.clock import IST
from data_fetch.paper_exchange.market.contracts import Contract
from data_fetch.paper_exchange.market.days import (
    DAY_SECONDS,
    IST_SECONDS,
    MIDNIGHT,
    TRADES,
    Moment,
    epoch,
)
from data_fetch.paper_exchange.market.market import PaperMarket, Tradable
from data_fetch.paper_exchange.market.prices import Rows
from data_fetch.paper_exchange.market.seeded_random import Floats, Ints
from data_fetch.paper_exchange.wire import api_error

FIRST_DAY = date(2000, 1, 1)

# unit -> the largest interval
LARGEST_INTERVAL = {"minutes": 300, "hours": 5, "days": 1, "weeks": 1, "months": 1}
MONTH, QUARTER, DECADE = 31, 92, 3653
# The days of a request without from_date.
DEFAULT_WINDOWS = {"minutes": MONTH, "hours": QUARTER, "days": DECADE}
# Interval in the path of expired contracts -> unit and interval.
EXPIRED_INTERVALS = {
    **{f"{count}minute": ("minutes", count) for count in (1, 3, 5, 15, 30)},
    "day": ("days", 1),
}


class Quiet(StrEnum):
    """Minutes without a trade in candle responses."""

    LEFT_OUT = "left-out"
    ZERO_VOLUME = "zero-volume"


@dataclass(frozen=True, slots=True)
class Candles:
    """Columns of candles, oldest first; *starts* are epoch seconds."""

    starts: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Ints
    oi: Ints

    def to_wire(self) -> list[tuple[Any, ...]]:
        """The provider's seven-element rows, newest first, with timestamps in IST."""
        local = (self.starts + IST_SECONDS).astype("datetime64[s]")
        stamps = [f"{stamp}+05:30" for stamp in np.datetime_as_string(local).tolist()]
        columns = (self.open, self.high, self.low, self.close, self.volume, self.oi)
        rows = list(zip(stamps, *(column.tolist() for column in columns), strict=True))
        rows.reverse()
        return rows

    def grouped(self, groups: Ints, stamps: Ints) -> "Candles":
        """One candle for each run of equal *groups*, with the first of its *stamps*."""
        if not len(groups):
            return self
        first = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1))
        last = np.append(first[1:], len(groups)) - 1
        return Candles(
            stamps[first],
            self.open[first],
            np.maximum.reduceat(self.high, first),
            np.minimum.reduceat(self.low, first),
            self.close[last],
            np.add.reduceat(self.volume, first),
            self.oi[last],
        )


class CandleApi:
    """Candle endpoints, with the provider's checks and limits."""

    def __init__(self, market: PaperMarket, quiet: Quiet) -> None:
        self._market = market
        self._quiet = quiet

    def historical(
        self, key: str, unit: str, interval: str, to_date: str, from_date: str | None, now: Moment
    ) -> list[tuple[Any, ...]]:
        """Rows of completed days between the dates, both included.

        Raises ApiError for an invalid unit (UDAPI1146) or interval (1147), malformed or
        reversed dates (1015), a window longer than the unit allows (1148), and a key that is
        not listed today (100011).
        """
        count = parse_interval(unit, interval)
        first, last = self._window(unit, count, to_date, from_date)
        tradable = self._find(key, now.day)
        last = min(last, now.day - timedelta(days=1))
        return self._over_days(tradable, first, last, unit, count)

    def expired(
        self, key: str, interval: str, to_date: str, from_date: str, now: Moment
    ) -> list[tuple[Any, ...]]:
        """Rows of a contract up to its expiry; *key* is its live key followed by that date.

        Raises ApiError as `historical` does, but with UDAPI1020 for the interval, 1021 for
        the date in the key, and 100011 for a contract that does not exist or is not expired.
        """
        if interval not in EXPIRED_INTERVALS:
            raise api_error("UDAPI1020")
        unit, count = EXPIRED_INTERVALS[interval]
        first, last = self._window(unit, count, to_date, from_date)
        live_key, _, expiry_text = key.rpartition("|")
        expiry = parse_date(expiry_text, "%d-%m-%Y", "UDAPI1021")
        contract = self._market.find(live_key, expiry)
        if not isinstance(contract, Contract) or not contract.expiry == expiry < now.day:
            raise api_error("UDAPI100011")
        return self._over_days(contract, first, min(last, expiry), unit, count)

    def intraday(
        self, key: str, unit: str, interval: str, now: Moment, day: date | None = None
    ) -> list[tuple[Any, ...]]:
        """Today's rows so far; none before the first trade and on days without a session.

        With *day*, all rows of that day instead, as from a stale cache of the provider.
        """
        count = parse_interval(unit, interval)
        if unit not in {"minutes", "hours", "days"}:
            raise api_error("UDAPI1146")
        today = now.day
        tradable = self._find(key, today)
        if day is not None:
            return self._of_day(tradable, day, unit, count).to_wire()
        if not self._market.trades_on(tradable, today):
            return []
        rows = self._market.rows(tradable, today)
        so_far = self._served(rows, *rows.hours.position(now.seconds))
        return _by_interval(so_far, rows, unit, count).to_wire()

    def _window(
        self, unit: str, count: int, to_date: str, from_date: str | None
    ) -> tuple[date, date]:
        last = parse_date(to_date)
        first = parse_date(from_date) if from_date else self._default_start(unit, last)
        if first > last:
            raise api_error("UDAPI1015")
        longest = longest_window(unit, count)
        if longest is not None and (last - first).days + 1 > longest:
            raise api_error("UDAPI1148")
        return first, last

    def _over_days(
        self, tradable: Tradable, first: date, last: date, unit: str, count: int
    ) -> list[tuple[Any, ...]]:
        days = self._market.days.between(max(first, FIRST_DAY), last)
        parts = [self._of_day(tradable, day, unit, count) for day in days]
        return _by_period(_concatenated(parts), unit).to_wire()

    def _find(self, key: str, today: date) -> Tradable:
        if "|" not in key:
            raise api_error("UDAPI1021")
        tradable = self._market.find(key, today)
        if tradable is None:
            raise api_error("UDAPI100011")
        return tradable

    def _of_day(self, tradable: Tradable, day: date, unit: str, count: int) -> Candles:
        rows = self._market.rows(tradable, day)
        whole_day = self._served(rows, len(rows.close) - 1, TRADES)
        return _by_interval(whole_day, rows, unit, count)

    def _served(self, rows: Rows, row: int, trades: int) -> Candles:
        """The minutes up to *row*, the last one after *trades* of its trades."""
        count = row + 1
        oi = rows.oi[:count] if len(rows.oi) else np.zeros(count, dtype=np.int64)
        high, low, close = (column[:count].copy() for column in (rows.high, rows.low, rows.close))
        volume = rows.volume[:count].copy()
        if 0 < trades < TRADES:
            seen = rows.trades(row)[:trades]
            high[-1], low[-1], close[-1] = max(seen), min(seen), seen[-1]
            volume[-1] = rows.traded_in(row, trades)
        served = np.ones(count, dtype=np.bool_)
        if self._quiet is Quiet.LEFT_OUT:
            # Rows between continuous trading and the auction's print are never left out.
            traded = rows.hours.continuous
            served[:traded] = ~rows.quiet[:traded][:count]
        return Candles(
            rows.hours.starts[:count][served],
            rows.open[:count][served],
            high[served],
            low[served],
            close[served],
            volume[served],
            oi[served],
        )

    def _default_start(self, unit: str, last: date) -> date:
        days = DEFAULT_WINDOWS.get(unit)
        if days is None or (last - FIRST_DAY).days < days:
            return min(FIRST_DAY, last)
        return last - timedelta(days=days - 1)


def parse_interval(unit: str, interval: str) -> int:
    if unit not in LARGEST_INTERVAL:
        raise api_error("UDAPI1146")
    if not interval.isdecimal() or not 1 <= int(interval) <= LARGEST_INTERVAL[unit]:
        raise api_error("UDAPI1147")
    return int(interval)


def longest_window(unit: str, interval: int) -> int | None:
    """The longest span of one request in days, both ends counted; None without a limit.

    A month is always 31 days: Upstox was seen to accept 31 and to refuse 33.
    """
    if unit == "minutes":
        return MONTH if interval <= 15 else QUARTER
    return DEFAULT_WINDOWS.get(unit)


def parse_date(text: str, date_format: str = "%Y-%m-%d", code: str = "UDAPI1015") -> date:
    """The date in *text*. Raises ApiError with *code* when it is invalid."""
    try:
        return datetime.strptime(text, date_format).replace(tzinfo=IST).date()
    except ValueError:
        raise api_error(code) from None


def _by_interval(candles: Candles, rows: Rows, unit: str, count: int) -> Candles:
    """Minutes aggregated to *count* minutes or hours from the day's first minute, or to days."""
    if unit == "minutes" and count == 1:
        return candles
    if unit in {"minutes", "hours"}:
        seconds = count * (60 if unit == "minutes" else 3600)
        first = rows.hours.first
        groups = (candles.starts - first) // seconds
        return candles.grouped(groups, first + groups * seconds)
    midnight = (candles.starts + IST_SECONDS) // DAY_SECONDS * DAY_SECONDS - IST_SECONDS
    return candles.grouped(midnight, midnight)


def _by_period(candles: Candles, unit: str) -> Candles:
    """Days aggregated to weeks that start on Monday, or to months."""
    if unit not in {"weeks", "months"}:
        return candles
    days = (candles.starts + IST_SECONDS) // DAY_SECONDS
    if unit == "weeks":
        # Day 0 of the epoch was a Thursday.
        periods = (days + 3) // 7
        first_days = periods * 7 - 3
    else:
        months = days.astype("datetime64[D]").astype("datetime64[M]")
        periods = months.astype(np.int64)
        first_days = months.astype("datetime64[D]").astype(np.int64)
    return candles.grouped(periods, first_days * DAY_SECONDS - IST_SECONDS)


def _concatenated(parts: list[Candles]) -> Candles:
    floats = np.empty(0)
    integers = np.empty(0, dtype=np.int64)
    columns = [
        np.concatenate([start, *(getattr(part, name) for part in parts)])
        for name, start in (
            ("starts", integers),
            *((name, floats) for name in ("open", "high", "low", "close")),
            *((name, integers) for name in ("volume", "oi")),
        )
    ]
    return Candles(*columns)


def midnight_ms(day: date) -> int:
    """The first instant of an Indian day in epoch milliseconds."""
    return epoch(day, MIDNIGHT) * 1000
