"""Greeks and order books of options in the feed: those of the REST chain at the same instant."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from data_fetch.paper_exchange.market.chain_prices import ChainLegs, OrderBook, order_book
from data_fetch.paper_exchange.market.contracts import Contract
from data_fetch.paper_exchange.market.days import Moment
from data_fetch.paper_exchange.market.depth import Depth, Level
from data_fetch.paper_exchange.market.market import PaperMarket


@dataclass(frozen=True, slots=True)
class Leg:
    """What an option has beside its trades: *iv* a fraction, *theta* per day, *vega* and *rho*
    per point. *depth* has the best level only."""

    depth: Depth
    delta: float
    theta: float
    gamma: float
    vega: float
    rho: float
    iv: float


class FeedChains:
    """The option chains whose legs are asked for."""

    def __init__(self, market: PaperMarket) -> None:
        self.market = market
        self._legs: dict[tuple[str, date], tuple[date, ChainLegs]] = {}

    def at(self, now: Moment) -> "LegsAtInstant":
        return LegsAtInstant(self, now)

    def legs(self, contract: Contract, day: date) -> ChainLegs:
        """The chain of an option as it is listed on *day*."""
        name = (contract.underlying.symbol, contract.expiry)
        known = self._legs.get(name)
        if known is None or known[0] != day:
            legs = self.market.chains.legs(contract.underlying, contract.expiry, day)
            known = self._legs[name] = (day, legs)
        return known[1]


class LegsAtInstant:
    """Legs at one instant. A chain is valued once for all of its legs."""

    def __init__(self, chains: FeedChains, now: Moment) -> None:
        self._chains = chains
        self._now = now
        self._valued: dict[tuple[str, date], dict[str, Leg]] = {}

    def of(self, contract: Contract) -> Leg | None:
        """The leg of an option; None when it is in no chain."""
        name = (contract.underlying.symbol, contract.expiry)
        if name not in self._valued:
            self._valued[name] = self._values(self._chains.legs(contract, self._now.day))
        return self._valued[name].get(contract.key)

    def _values(self, legs: ChainLegs) -> dict[str, Leg]:
        market = self._chains.market
        fair = market.chains.fair(legs, market.days.last_traded(self._now))
        greeks = fair.greeks
        columns = (
            np.round(greeks.delta, 4),
            np.round(greeks.theta, 4),
            np.round(greeks.gamma, 6),
            np.round(greeks.vega, 4),
            np.round(greeks.rho, 4),
            np.round(greeks.iv, 4),
        )
        rows = zip(*(column.tolist() for column in columns), strict=True)
        depths = _depths(order_book(legs, fair), legs.lot)
        return {
            contract.key: Leg(depth, *row)
            for contract, row, depth in zip(legs.contracts, rows, depths, strict=True)
        }


def _depths(book: OrderBook, lot: int) -> list[Depth]:
    """The best levels of a chain's legs in units."""
    columns = (
        book.bid,
        book.bid_lots * lot,
        book.ask,
        book.ask_lots * lot,
        book.total_bid_lots * float(lot),
        book.total_ask_lots * float(lot),
    )
    return [
        Depth((Level(bid, bid_units, ask, ask_units),), total_bid, total_ask)
        for bid, bid_units, ask, ask_units, total_bid, total_ask in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]
