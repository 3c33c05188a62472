"""Which price of a leg counts, and how far it can be trusted."""

from dataclasses import dataclass

import numpy as np

from data_fetch.analytics.columns import Floats, LegColumns
from data_fetch.core.chains.valuation import Reason

TICK = 0.05
# Books by their width, as a share of the middle. In a narrow one the middle is the price; in a
# wide one a trade of today says more; beyond that bid and ask say nothing about a price.
# Chosen where call and put at one strike disagree least, over the chains of a whole market.
NARROW, WIDEST = 0.08, 0.25


@dataclass(frozen=True, slots=True)
class LegPrices:
    """A price a leg (rupees), NaN where there is none and *reasons* says why; *widths* is how
    far apart those are who trade in it (rupees)."""

    prices: Floats
    widths: Floats
    reasons: list[Reason | None]


def quoted_or_traded(columns: LegColumns) -> LegPrices:
    """The middle of a narrow book; else today's last trade, moved into the book if it lies
    outside; else the middle of a book that is not too wide.

    A last price without any volume is of an earlier day: stale.
    """
    bid = np.where(columns.bid > 0, columns.bid, -np.inf)
    ask = np.where(columns.ask > 0, columns.ask, np.inf)
    with np.errstate(invalid="ignore"):
        width, middle = ask - bid, (ask + bid) / 2
    booked = np.isfinite(width) & (width >= 0)
    narrow = booked & (width <= np.maximum(NARROW * middle, 2 * TICK))
    traded = (columns.last > 0) & (columns.volume > 0) & (ask >= bid)
    by_middle = narrow | (booked & ~traded & (width <= WIDEST * middle))
    prices = np.select(
        [by_middle, traded], [middle, np.clip(columns.last, bid, ask)], default=np.nan
    )
    widths = np.where(booked, width, WIDEST * prices)
    why = np.select([booked, columns.last > 0], [Reason.WIDE_QUOTE, Reason.STALE_PRICE], "")
    reasons = [
        None if has else Reason(told or Reason.NO_PRICE)
        for has, told in zip(np.isfinite(prices).tolist(), why.tolist(), strict=True)
    ]
    return LegPrices(prices, np.maximum(widths, TICK), reasons)


def last_traded(columns: LegColumns) -> LegPrices:
    """The last price, whenever it was traded."""
    has = columns.last > 0
    prices = np.where(has, columns.last, np.nan)
    reasons = [None if each else Reason.NO_PRICE for each in has.tolist()]
    return LegPrices(prices, np.full(len(prices), TICK), reasons)
