"""Selects the price of each leg, with its uncertainty."""

from dataclasses import dataclass

import numpy as np

from data_fetch.analytics.columns import Floats, LegColumns
from data_fetch.core.chains.valuation import Reason

TICK = 0.05
# The width of an order book as a share of its middle. In a narrow book the middle is the price; in
# a wide one a trade of today is better; a wider one has no price. The limits are those at which
# calls and puts of one strike disagree least, over the chains of a whole market.
NARROW, WIDEST = 0.08, 0.25


@dataclass(frozen=True, slots=True)
class LegPrices:
    """The price of each leg (rupees), NaN where there is none for one of *reasons*; *widths* is
    its uncertainty (rupees): the distance between bid and ask where there is a book."""

    prices: Floats
    widths: Floats
    reasons: list[Reason | None]


def quoted_or_traded(columns: LegColumns) -> LegPrices:
    """The middle of a narrow book; else today's last trade, limited to the book; else the middle
    of a book that is not too wide.

    A last price without volume is of an earlier day, and stale.
    """
    bid = np.where(columns.bid > 0, columns.bid, -np.inf)
    ask = np.where(columns.ask > 0, columns.ask, np.inf)
    with np.errstate(invalid="ignore"):
        width, middle = ask - bid, (ask + bid) / 2
    both = np.isfinite(width)
    booked = both & (width >= 0)
    narrow = booked & (width <= np.maximum(NARROW * middle, 2 * TICK))
    traded = (columns.last > 0) & (columns.volume > 0) & (ask >= bid)
    by_middle = narrow | (booked & ~traded & (width <= WIDEST * middle))
    prices = np.select(
        [by_middle, traded], [middle, np.clip(columns.last, bid, ask)], default=np.nan
    )
    widths = np.where(booked, width, WIDEST * prices)
    one_sided = ~both & (np.isfinite(bid) | np.isfinite(ask))
    why = np.select(
        [booked, both, columns.last > 0, one_sided],
        [Reason.WIDE_QUOTE, Reason.CROSSED_BOOK, Reason.STALE_PRICE, Reason.ONE_SIDED_BOOK],
        "",
    )
    reasons = [
        None if has else Reason(given or Reason.NO_PRICE)
        for has, given in zip(np.isfinite(prices).tolist(), why.tolist(), strict=True)
    ]
    return LegPrices(prices, np.maximum(widths, TICK), reasons)


def last_traded(columns: LegColumns) -> LegPrices:
    """The last price, of whatever day."""
    has = columns.last > 0
    prices = np.where(has, columns.last, np.nan)
    reasons = [None if each else Reason.NO_PRICE for each in has.tolist()]
    return LegPrices(prices, np.full(len(prices), TICK), reasons)
