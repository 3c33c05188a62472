"""What really is so, whatever faults make of it: for tests to compare with.

What happens on a day, and what the options of an instant are worth before any rounding.
"""

from datetime import date, datetime
from typing import Any

from data_fetch.core.clock import IST
from data_fetch.paper_exchange.market.days import Moment
from data_fetch.paper_exchange.market.market import PaperMarket, Tradable


def minutes_of(market: PaperMarket, tradable: Tradable, day: date) -> list[dict[str, Any]]:
    """Every minute that has a row that day, come or still to come, oldest first.

    A minute that is not *continuous* lies between the end of trading and the closing
    auction's print; the print itself has *traded*. An index trades without volume.
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
    """What the legs of a chain are worth, and the smile they come from; None: no such chain.

    It is told of the last second of trading, as bids and offers are. Volatility is a
    fraction, theta per day, vega per point.
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
