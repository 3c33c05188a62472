"""Levels of an order book behind its best bid and offer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_fetch.paper_exchange.market.chain_prices import DEPTH_MULTIPLE, MAX_LEVEL_LOTS
from data_fetch.paper_exchange.market.seeded_random import fingerprint, uniforms


@dataclass(frozen=True, slots=True)
class Level:
    """Prices in rupees, quantities in units; a side without orders is 0."""

    bid: float
    bid_units: int
    ask: float
    ask_units: int


@dataclass(frozen=True, slots=True)
class Depth:
    """Levels, the best first, and the totals of both sides in units."""

    levels: Sequence[Level]
    total_bid: float
    total_ask: float


def around(price: float, tick: float, unit: int, name: str, number: int) -> Depth:
    """The best level of a book one tick wide: the bid is *price*.

    *number* is that of the book's state: another one, other quantities.
    """
    bid, bids_behind, ask, asks_behind = _lots(name, number, 4)
    best = Level(price, bid * unit, round(price + tick, 2), ask * unit)
    return Depth(
        (best,),
        float((bid + DEPTH_MULTIPLE * bids_behind) * unit),
        float((ask + DEPTH_MULTIPLE * asks_behind) * unit),
    )


def levels_behind(
    best: Level, tick: float, unit: int, name: str, number: int, count: int
) -> list[Level]:
    """*count* levels that begin with *best*, each a tick further away; no bid at 0 or below."""
    lots = _lots(name, number, 2 * count)
    levels = [best]
    for step in range(1, count):
        bid = round(best.bid - step * tick, 2)
        has_bid = bid > 0
        levels.append(
            Level(
                bid if has_bid else 0.0,
                lots[2 * step] * unit if has_bid else 0,
                round(best.ask + step * tick, 2),
                lots[2 * step + 1] * unit,
            )
        )
    return levels


def _lots(name: str, number: int, count: int) -> list[int]:
    """Quantities of a book's state in lots, at least 1."""
    seeds = np.uint64(fingerprint("book", name)) + np.arange(count, dtype=np.uint64)
    lots: list[int] = (1 + uniforms(seeds, number) * MAX_LEVEL_LOTS).astype(np.int64).tolist()
    return lots
