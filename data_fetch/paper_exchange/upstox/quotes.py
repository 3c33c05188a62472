"""Quotes: last prices and OHLC of many instruments at once (reference, section 6)."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import numpy as np

from data_fetch.core.clock import IST
from data_fetch.paper_exchange.market.days import TRADES, Moment
from data_fetch.paper_exchange.market.market import PaperMarket, Tradable
from data_fetch.paper_exchange.market.prices import Rows
from data_fetch.paper_exchange.upstox.candles import midnight_ms
from data_fetch.paper_exchange.wire import api_error

MAX_KEYS = 500
MINUTES_IN = {"I1": 1, "I30": 30}

Quotes = dict[str, dict[str, Any]]


class QuoteApi:
    def __init__(self, market: PaperMarket) -> None:
        self._market = market

    def ltp(self, keys: Sequence[str], now: Moment) -> Quotes:
        """Last prices by name. Raises ApiError when any key of the batch is unknown."""
        return {
            tradable.label: self._last(tradable, now) for tradable in self._find_all(keys, now.day)
        }

    def ohlc(self, keys: Sequence[str], interval: str | None, now: Moment) -> Quotes:
        """The current and the previous candle; `1d` has no previous one."""
        if not interval:
            raise api_error("UDAPI1027")
        if interval not in {"1d", *MINUTES_IN}:
            raise api_error("UDAPI1028")
        return {
            tradable.label: self._candles(tradable, interval, now)
            for tradable in self._find_all(keys, now.day)
        }

    def _find_all(self, keys: Sequence[str], today: date) -> list[Tradable]:
        if not keys:
            raise api_error("UDAPI1009")
        if len(keys) > MAX_KEYS:
            raise api_error("UDAPI100043")
        found = [self._market.find(key, today) for key in keys]
        known = [tradable for tradable in found if tradable is not None]
        if len(known) < len(keys):
            raise api_error("UDAPI1087")
        return known

    def _last(self, tradable: Tradable, now: Moment) -> dict[str, Any]:
        last = self._market.last_trade(tradable, now)
        return {
            "last_price": last.price,
            "instrument_token": tradable.key,
            "ltq": last.size,
            "volume": last.volume,
            "cp": last.cp,
        }

    def _candles(self, tradable: Tradable, interval: str, now: Moment) -> dict[str, Any]:
        rows, row, trades = self._market.rows_at(tradable, now)
        previous: dict[str, Any] | None
        if interval == "1d":
            live, previous = day_candle(rows, row, trades), None
        else:
            if rows.hours.current_row(now.seconds) < 0:
                rows = self._market.rows(tradable, self._market.days.before(now.day))
                row, trades = len(rows.close) - 1, TRADES
            live, previous = current_candles(rows, row, trades, MINUTES_IN[interval], now.seconds)
        return {
            "last_price": self._market.last_trade(tradable, now).price,
            "instrument_token": tradable.key,
            "prev_ohlc": previous,
            "live_ohlc": live,
        }


def day_candle(rows: Rows, row: int, trades: int) -> dict[str, Any]:
    """The day so far, with the timestamp of midnight IST."""
    day = datetime.fromtimestamp(rows.hours.first, IST).date()
    return candle_of(rows, 0, row, trades, midnight_ms(day))


def current_candles(
    rows: Rows, row: int, trades: int, span: int, at: float
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The current candle of *span* minutes, and the last one before it with a trade.

    A current candle without a trade is flat at the last price with volume 0. *at* is after
    the open.
    """
    starts = rows.hours.starts
    first = rows.hours.current_row(at) // span * span
    live = candle_of(rows, first, row, trades, int(starts[first]) * 1000)
    traded = np.flatnonzero(~rows.quiet[:first])
    if not len(traded):
        return live, None
    before = int(traded[-1]) // span * span
    last = min(before + span, first) - 1
    return live, candle_of(rows, before, last, TRADES, int(starts[before]) * 1000)


def candle_of(rows: Rows, first: int, row: int, trades: int, stamp: int) -> dict[str, Any]:
    """A candle of the minutes *first* to *row*, the last one after *trades* of its trades."""
    if row < first:
        return _flat(rows, row, trades, stamp)
    seen = rows.trades(row)[:trades]
    before = slice(first, row)
    earlier = rows.cumulative[first - 1].item() if first > 0 else 0
    return {
        "open": rows.open[first].item(),
        "high": max(rows.high[before].tolist() + list(seen)),
        "low": min(rows.low[before].tolist() + list(seen)),
        "close": seen[-1],
        "volume": rows.traded_by(row, trades) - earlier,
        "ts": stamp,
    }


def _flat(rows: Rows, row: int, trades: int, stamp: int) -> dict[str, Any]:
    price = rows.price(row, trades) if row >= 0 else rows.previous_close
    flat = dict.fromkeys(("open", "high", "low", "close"), price)
    return {**flat, "volume": 0, "ts": stamp}
