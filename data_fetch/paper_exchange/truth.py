"""Reference data without faults, for tests to compare with.

The minutes of a day, and the unrounded fair values of an option chain.
"""

from datetime import date, datetime
from typing import Any

from data_fetch.core.clock import IST
from data_fetch.paper_exchange.market.days import Moment
from data_fetch.paper_exchange.market.market import PaperMarket, Tradable


def minutes_of(market: PaperMarket, tradable: Tradable, day: date) -> list[dict[str, Any]]:
    """All minutes of a day that have a row, future ones included, oldest first.

    A minute that is not *continuous* is after the end of continuous trading; of these only
    the closing auction's print has *traded*. An index trades without volume.
    """
    if not market.trades_on(tradable, day):
        return []
    rows = market.rows(tradable, day)
    columns = (rows.hours.starts.tolist(), rows.quiet.tolist(), rows.volume.tolist())
    return [
        {
            "start": f"{datetime.fromtimestamp(start, IST):%H:%M}",
            "continuous": number < rows.hours.continuous,
            "traded": not quiet,
            "volume": volume,
        }
        for number, (start, quiet, volume) in enumerate(zip(*columns, strict=True))
    ]


def chain_of(market: PaperMarket, symbol: str, expiry: date, now: Moment) -> dict[str, Any] | None:
    """Fair values of a chain's legs, and the smile used; None for an unknown chain.

    They are of the current time, or of the last close outside trading hours, as bids and
    offers are. Volatility is a fraction, theta per day, vega and rho per point.
    """
    underlying = market.underlyings.get(symbol)
    if underlying is None:
        return None
    legs = market.chains.legs(underlying, expiry, now.day)
    if not legs.contracts:
        return None
    fair = market.chains.fair(legs, market.days.last_traded(now))
    greeks = fair.greeks
    columns = {
        "iv": greeks.iv,
        "premium": fair.premium,
        "delta": greeks.delta,
        "gamma": greeks.gamma,
        "theta": greeks.theta,
        "vega": greeks.vega,
        "rho": greeks.rho,
    }
    numbers = zip(*(column.tolist() for column in columns.values()), strict=True)
    return {
        "symbol": symbol,
        "at": fair.at.at.isoformat(),
        "spot": fair.spot,
        "forward": fair.forward,
        "years": fair.years,
        "expires_at": datetime.fromtimestamp(fair.expires_at, IST).isoformat(),
        "rate": 0,
        "legs": [
            {
                "strike": contract.strike,
                "option_type": contract.kind,
                **dict(zip(columns, row, strict=True)),
            }
            for contract, row in zip(legs.contracts, numbers, strict=True)
        ],
    }
