"""Option contracts and the put-call chain (reference, section 8)."""

from collections import defaultdict
from datetime import date, datetime
from typing import Any

from data_fetch.core.clock import IST
from data_fetch.core.market import FUTURES_AND_OPTIONS
from data_fetch.paper_exchange.contract_prices import OPTION_TICK
from data_fetch.paper_exchange.contracts import Contract
from data_fetch.paper_exchange.days import Moment
from data_fetch.paper_exchange.listings import Listing
from data_fetch.paper_exchange.market import PaperMarket
from data_fetch.paper_exchange.master import contract_row
from data_fetch.paper_exchange.options import greeks, years_left
from data_fetch.paper_exchange.wire import refuse

CALL, PUT = "CE", "PE"


class ChainAnswers:
    def __init__(self, market: PaperMarket) -> None:
        self._market = market

    def contracts(self, key: str | None, expiry: str | None, now: Moment) -> list[dict[str, Any]]:
        """The live options of an underlying, of one expiry or of all; futures are not told."""
        underlying = self._underlying(key)
        wanted = read_expiry(expiry) if expiry else None
        return [
            {**contract_row(contract, OPTION_TICK), "expiry": contract.expiry.isoformat()}
            for contract in self._options(underlying, now)
            if wanted in {None, contract.expiry}
        ]

    def chain(self, key: str | None, expiry: str | None, now: Moment) -> list[dict[str, Any]]:
        """One row a strike, lowest first; nothing for an expiry without contracts."""
        underlying = self._underlying(key)
        if not expiry:
            raise refuse("UDAPI1088")
        wanted = read_expiry(expiry)
        spot = self._market.last_trade(underlying, now).price
        strikes: defaultdict[float, dict[str, Contract]] = defaultdict(dict)
        for contract in self._options(underlying, now):
            if contract.expiry == wanted:
                strikes[contract.strike][contract.kind] = contract
        return [self._row(strikes[strike], spot, underlying, now) for strike in sorted(strikes)]

    def _underlying(self, key: str | None) -> Listing:
        if not key:
            raise refuse("UDAPI1009")
        underlying = self._market.listings.get(key)
        if underlying is None:
            raise refuse("UDAPI100011")
        return underlying

    def _options(self, underlying: Listing, now: Moment) -> list[Contract]:
        contracts = self._market.contracts.of(underlying, now.day)
        return [contract for contract in contracts if contract.kind != "FUT"]

    def _row(
        self, pair: dict[str, Contract], spot: float, underlying: Listing, now: Moment
    ) -> dict[str, Any]:
        call, put = (self._leg(pair[kind], now) for kind in (CALL, PUT))
        call_oi, put_oi = call["market_data"]["oi"], put["market_data"]["oi"]
        return {
            "expiry": pair[CALL].expiry.isoformat(),
            "pcr": round(put_oi / call_oi, 4) if call_oi else 0.0,
            "strike_price": pair[CALL].strike,
            "underlying_key": underlying.key,
            "underlying_spot_price": spot,
            "call_options": call,
            "put_options": put,
        }

    def _leg(self, contract: Contract, now: Moment) -> dict[str, Any]:
        last = self._market.last_trade(contract, now)
        day = self._market.session_day(contract, now)
        before = self._market.days.before(day)
        open_interest = self._market.contract_prices.open_interest
        lot = contract.underlying.lot_size
        return {
            "instrument_key": contract.key,
            "market_data": {
                "ltp": last.price,
                "volume": last.volume,
                "oi": float(self._market.open_interest_at(contract, now)),
                "close_price": last.cp,
                "bid_price": round(max(last.price - OPTION_TICK, OPTION_TICK), 2),
                "bid_qty": lot,
                "ask_price": round(last.price + OPTION_TICK, 2),
                "ask_qty": lot,
                "prev_oi": float(open_interest(contract, before)),
            },
            "option_greeks": self._greeks(contract, day, now),
        }

    def _greeks(self, contract: Contract, day: date, now: Moment) -> dict[str, float]:
        """The provider's Greeks off the underlying's walk; after the close, those of the close."""
        hours = self._market.days.hours(day, FUTURES_AND_OPTIONS)
        row = max(hours.position(now.seconds)[0], 0)
        starts = hours.starts[row : row + 1]
        spot = self._market.prices.walk(contract.underlying, day).at(starts)
        told = greeks(contract, spot, years_left(contract.expiry, starts + 60))
        return {
            "vega": round(told.vega.item(), 4),
            "theta": round(told.theta.item(), 4),
            "gamma": round(told.gamma.item(), 6),
            "delta": round(told.delta.item(), 4),
            "iv": round(told.iv.item() * 100, 2),
            "pop": round(told.pop.item() * 100, 2),
        }


def read_expiry(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=IST).date()
    except ValueError:
        raise refuse("UDAPI1088") from None
