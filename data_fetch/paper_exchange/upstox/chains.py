"""Option contracts and the put-call chain (reference, section 8)."""

from datetime import date, datetime
from typing import Any

import numpy as np

from data_fetch.core.clock import IST
from data_fetch.paper_exchange.market.chain_prices import (
    ChainLegs,
    FairValues,
    LegTrades,
    order_book,
)
from data_fetch.paper_exchange.market.contract_prices import OPTION_TICK
from data_fetch.paper_exchange.market.contracts import Contract
from data_fetch.paper_exchange.market.days import Moment
from data_fetch.paper_exchange.market.listings import Listing
from data_fetch.paper_exchange.market.market import PaperMarket
from data_fetch.paper_exchange.market.master import contract_row
from data_fetch.paper_exchange.market.options import Greeks
from data_fetch.paper_exchange.wire import api_error

MARKET_DATA = (
    *("ltp", "volume", "oi", "close_price"),
    *("bid_price", "bid_qty", "ask_price", "ask_qty", "prev_oi"),
)
GREEKS = ("vega", "theta", "gamma", "delta", "iv", "pop")


class ChainApi:
    def __init__(self, market: PaperMarket) -> None:
        self._market = market

    def contracts(self, key: str | None, expiry: str | None, now: Moment) -> list[dict[str, Any]]:
        """The live options of an underlying, of one expiry or of all; without its futures."""
        underlying = self._underlying(key)
        expiry_day = parse_expiry(expiry) if expiry else None
        return [
            {**contract_row(contract, OPTION_TICK), "expiry": contract.expiry.isoformat()}
            for contract in self._options(underlying, now)
            if expiry_day in {None, contract.expiry}
        ]

    def chain(self, key: str | None, expiry: str | None, now: Moment) -> list[dict[str, Any]]:
        """One row per strike, lowest first; empty for an expiry without contracts.

        Last trades equal those of the quotes. Bids, offers and Greeks are of the current
        time, or of the last close outside trading hours.
        """
        underlying = self._underlying(key)
        if not expiry:
            raise api_error("UDAPI1088")
        legs = self._market.chains.legs(underlying, parse_expiry(expiry), now.day)
        if not legs.contracts:
            return []
        fair = self._market.chains.fair(legs, self._market.days.last_traded(now))
        spot = self._market.chain_spot(underlying, now)
        rows = leg_rows(legs, self._market.chains.trades(legs, now), fair)
        return [
            {
                "expiry": legs.expiry.isoformat(),
                "pcr": pcr(call["market_data"]["oi"], put["market_data"]["oi"]),
                "strike_price": strike,
                "underlying_key": underlying.key,
                "underlying_spot_price": spot,
                "call_options": call,
                "put_options": put,
            }
            for strike, call, put in zip(
                legs.strikes[::2].tolist(), rows[::2], rows[1::2], strict=True
            )
        ]

    def _underlying(self, key: str | None) -> Listing:
        if not key:
            raise api_error("UDAPI1009")
        underlying = self._market.listings.get(key)
        if underlying is None:
            raise api_error("UDAPI100011")
        return underlying

    def _options(self, underlying: Listing, now: Moment) -> list[Contract]:
        contracts = self._market.contracts.of(underlying, now.day)
        return [contract for contract in contracts if contract.kind != "FUT"]


def leg_rows(legs: ChainLegs, trades: LegTrades, fair: FairValues) -> list[dict[str, Any]]:
    """The legs in the provider's format: units, rupees, theta per day, volatility in percent."""
    book, lot = order_book(legs, fair), legs.lot
    columns = (
        trades.last,
        trades.volume * lot,
        trades.open_interest * float(lot),
        trades.previous_close,
        book.bid,
        book.bid_lots * lot,
        book.ask,
        book.ask_lots * lot,
        trades.previous_open_interest * float(lot),
    )
    market = zip(*(column.tolist() for column in columns), strict=True)
    return [
        {
            "instrument_key": contract.key,
            "market_data": dict(zip(MARKET_DATA, numbers, strict=True)),
            "option_greeks": dict(zip(GREEKS, greeks, strict=True)),
        }
        for contract, numbers, greeks in zip(
            legs.contracts, market, greek_rows(fair.greeks), strict=True
        )
    ]


def greek_rows(greeks: Greeks) -> list[tuple[float, ...]]:
    columns = (
        np.round(greeks.vega, 4),
        np.round(greeks.theta, 4),
        np.round(greeks.gamma, 6),
        np.round(greeks.delta, 4),
        np.round(greeks.iv * 100, 2),
        np.round(greeks.pop * 100, 2),
    )
    return list(zip(*(column.tolist() for column in columns), strict=True))


def pcr(call_oi: float, put_oi: float) -> float:
    """Put-call ratio of open interest at one strike; 0 without open calls."""
    return round(put_oi / call_oi, 4) if call_oi else 0.0


def parse_expiry(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=IST).date()
    except ValueError:
        raise api_error("UDAPI1088") from None
