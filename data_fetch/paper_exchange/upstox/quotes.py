"""Quote answers: last prices and OHLC of many instruments at once (reference, section 6)."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import numpy as np

from data_fetch.core.clock import IST
from data_fetch.paper_exchange.market.days import TRADES, Moment
from data_fetch.paper_exchange.market.market import PaperMarket, Tradable
from data_fetch.paper_exchange.market.prices import Rows
from data_fetch.paper_exchange.upstox.candles import midnight_ms
from data_fetch.paper_exchange.wire import refuse

MOST_KEYS = 500
ROWS_IN = {"I1": 1, "I30": 30}

Quotes = dict[str, dict[str, Any]]


class QuoteAnswers:
    def __init__(self, market: PaperMarket) -> None:
        self._market = market

    def ltp(self, keys: Sequence[str], now: Moment) -> Quotes:
        """Last prices, named with a colon; one unknown key refuses the whole batch."""
        return {
            tradable.label: self._last(tradable, now) for tradable in self._found(keys, now.day)
        }

    def ohlc(self, keys: Sequence[str], interval: str | None, now: Moment) -> Quotes:
        """The running bar and the one completed before it; `1d` has no bar before."""
        if not interval:
            raise refuse("UDAPI1027")
        if interval not in {"1d", *ROWS_IN}:
            raise refuse("UDAPI1028")
        return {
            tradable.label: self._bars(tradable, interval, now)
            for tradable in self._found(keys, now.day)
        }

    def _found(self, keys: Sequence[str], today: date) -> list[Tradable]:
        if not keys:
            raise refuse("UDAPI1009")
        if len(keys) > MOST_KEYS:
            raise refuse("UDAPI100043")
        found = [self._market.find(key, today) for key in keys]
        known = [tradable for tradable in found if tradable is not None]
        if len(known) < len(keys):
            raise refuse("UDAPI1087")
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

    def _bars(self, tradable: Tradable, interval: str, now: Moment) -> dict[str, Any]:
        rows, row, trades = self._market.rows_at(tradable, now)
        previous: dict[str, Any] | None
        if interval == "1d":
            live, previous = day_bar(rows, row, trades), None
        else:
            if rows.hours.begun(now.seconds) < 0:
                rows = self._market.rows(tradable, self._market.days.before(now.day))
                row, trades = len(rows.close) - 1, TRADES
            live, previous = running_bars(rows, row, trades, ROWS_IN[interval], now.seconds)
        return {
            "last_price": self._market.last_trade(tradable, now).price,
            "instrument_token": tradable.key,
            "prev_ohlc": previous,
            "live_ohlc": live,
        }


def day_bar(rows: Rows, row: int, trades: int) -> dict[str, Any]:
    """The day so far, stamped at midnight in India."""
    day = datetime.fromtimestamp(rows.hours.first, IST).date()
    return _bar(rows, 0, row, trades, midnight_ms(day))


def running_bars(
    rows: Rows, row: int, trades: int, span: int, at: float
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The forming bar of *span* minutes, and the last one before it that traded.

    A forming bar without a trade yet is flat at the last price with volume 0. A name that
    did not trade keeps showing an older bar as the previous one. *at* is after the open.
    """
    starts = rows.hours.starts
    first = rows.hours.begun(at) // span * span
    live = _bar(rows, first, row, trades, int(starts[first]) * 1000)
    traded = np.flatnonzero(~rows.quiet[:first])
    if not len(traded):
        return live, None
    before = int(traded[-1]) // span * span
    last = min(before + span, first) - 1
    return live, _bar(rows, before, last, TRADES, int(starts[before]) * 1000)


def _bar(rows: Rows, first: int, row: int, trades: int, stamp: int) -> dict[str, Any]:
    """Minutes *first* to *row*, of whose last minute *trades* trades have come."""
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
