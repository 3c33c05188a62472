"""Option chains in the format of NSE's website (option-chain notes, sections 2 and 4).

Open interest and volume are contracts, quantities of the order book units. The whole
document, its timestamp included, does not change from the close until the next open.
"""

from collections.abc import Iterator
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
from data_fetch.paper_exchange.market.days import Moment
from data_fetch.paper_exchange.market.listings import Listing
from data_fetch.paper_exchange.market.market import PaperMarket
from data_fetch.paper_exchange.market.seeded_random import Bools, Floats, Ints
from data_fetch.paper_exchange.nse.iv import printed_volatility
from data_fetch.paper_exchange.nse.wire import MONTHS, json_number, json_numbers

INDEX_TYPES, STOCK_TYPES = frozenset({"Indices"}), frozenset({"Equity", "Equities"})
EMPTY: dict[str, Any] = {}


class NseChainApi:
    def __init__(self, market: PaperMarket) -> None:
        self._market = market

    def contract_info(self, symbol: str, now: Moment) -> dict[str, Any]:
        """The expiries and strikes of an underlying, or an empty object for an unknown symbol."""
        underlying = self._market.underlyings.get(symbol)
        if underlying is None:
            return EMPTY
        return {
            "expiryDates": self._expiries(underlying, now.day),
            "strikePrice": self._strikes(underlying, now.day),
        }

    def chain(self, kind: str, symbol: str, expiry: str, now: Moment) -> dict[str, Any]:
        """The chain of one expiry, or an empty object for an unknown type, symbol or expiry."""
        underlying = self._market.underlyings.get(symbol)
        expiry_day = parse_date(expiry)
        if underlying is None or kind not in _types_of(underlying) or expiry_day is None:
            return EMPTY
        legs = self._market.chains.legs(underlying, expiry_day, now.day)
        if not legs.contracts:
            return EMPTY
        at = self._market.days.last_traded(now)
        spot = self._market.chain_spot(underlying, at)
        trades = self._market.chains.trades(legs, at)
        rows = _rows(legs, _leg_rows(legs, trades, self._market.chains.fair(legs, at), spot))
        return {
            "records": {
                "data": rows,
                "timestamp": format_timestamp(at.at),
                "underlyingValue": json_number(spot),
                "expiryDates": self._expiries(underlying, now.day),
                "strikePrices": self._strikes(underlying, now.day),
            },
            "filtered": {
                "data": rows,
                "CE": _totals(trades, legs.calls),
                "PE": _totals(trades, ~legs.calls),
            },
        }

    def _expiries(self, underlying: Listing, day: date) -> list[str]:
        return [format_date(expiry) for expiry, _ in self._market.contracts.listed(underlying, day)]

    def _strikes(self, underlying: Listing, day: date) -> list[str]:
        """The strikes of all expiries, as text."""
        strikes = self._market.contracts.strikes(underlying, day)
        return [str(json_number(strike)) for strike in strikes]


def _types_of(underlying: Listing) -> frozenset[str]:
    return INDEX_TYPES if underlying.isin is None else STOCK_TYPES


def _rows(legs: ChainLegs, leg_rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per strike, lowest first."""
    expiry = format_date(legs.expiry)
    return [
        {"expiryDates": expiry, "CE": call, "PE": put, "strikePrice": call["strikePrice"]}
        for call, put in zip(leg_rows[::2], leg_rows[1::2], strict=True)
    ]


def _leg_rows(
    legs: ChainLegs, trades: LegTrades, fair: FairValues, spot: float
) -> list[dict[str, Any]]:
    columns = _columns(legs, trades, fair, spot)
    common = {
        "expiryDate": f"{legs.expiry:%d-%m-%Y}",
        "underlying": legs.underlying.symbol,
        "underlyingValue": json_number(spot),
        "optionType": None,
    }
    numbers = zip(*columns.values(), strict=True)
    return [
        {**common, "identifier": identifier, **dict(zip(columns, row, strict=True))}
        for identifier, row in zip(_identifiers(legs), numbers, strict=True)
    ]


def _columns(
    legs: ChainLegs, trades: LegTrades, fair: FairValues, spot: float
) -> dict[str, list[int] | list[int | float]]:
    book, lot = order_book(legs, fair), legs.lot
    change = np.round(trades.last - trades.previous_close, 2)
    percent = json_numbers(change / trades.previous_close * 100)
    oi_change = trades.open_interest - trades.previous_open_interest
    return {
        "strikePrice": json_numbers(legs.strikes),
        "openInterest": trades.open_interest.tolist(),
        "changeinOpenInterest": oi_change.tolist(),
        "pchangeinOpenInterest": json_numbers(_percent(oi_change, trades.previous_open_interest)),
        "totalTradedVolume": trades.volume.tolist(),
        "impliedVolatility": json_numbers(_volatility(legs, trades, spot, fair.at.seconds)),
        "lastPrice": json_numbers(trades.last),
        "change": json_numbers(change),
        "pChange": percent,
        "PChange": percent,
        "totalBuyQuantity": (book.total_bid_lots * lot).tolist(),
        "totalSellQuantity": (book.total_ask_lots * lot).tolist(),
        "buyPrice1": json_numbers(book.bid),
        "buyQuantity1": (book.bid_lots * lot).tolist(),
        "sellPrice1": json_numbers(book.ask),
        "sellQuantity1": (book.ask_lots * lot).tolist(),
    }


def _volatility(legs: ChainLegs, trades: LegTrades, spot: float, at: float) -> Floats:
    """The printed volatility; 0 without a trade today, as in captured responses."""
    printed = printed_volatility(spot, legs.strikes, legs.calls, trades.last, legs.expiry, at)
    return np.where(trades.volume > 0, printed, 0.0)


def _percent(oi_change: Ints, before: Ints) -> Floats:
    """The change in percent of *before*; 0 where that is 0."""
    percent = np.zeros(len(before))
    np.divide(oi_change * 100.0, before, out=percent, where=before > 0)
    return percent


def _identifiers(legs: ChainLegs) -> Iterator[str]:
    """`OPTIDXNIFTY15-09-2026CE22650.00`, `OPTSTKRELIANCE26-05-2026CE1100.00`."""
    family = "OPTSTK" if legs.underlying.isin else "OPTIDX"
    head = f"{family}{legs.underlying.symbol}{legs.expiry:%d-%m-%Y}"
    return (f"{head}{contract.kind}{contract.strike:.2f}" for contract in legs.contracts)


def _totals(trades: LegTrades, side: Bools) -> dict[str, int]:
    return {
        "totOI": int(trades.open_interest[side].sum()),
        "totVol": int(trades.volume[side].sum()),
    }


def format_date(day: date) -> str:
    """`15-Sep-2026`, in English whatever the locale."""
    return f"{day.day:02d}-{MONTHS[day.month - 1]}-{day.year:04d}"


def format_timestamp(at: datetime) -> str:
    """`11-Sep-2026 15:40:00`, Indian time."""
    local = at.astimezone(IST)
    return f"{format_date(local.date())} {local:%H:%M:%S}"


def parse_date(text: str) -> date | None:
    """The date in text such as `15-Sep-2026`, or None."""
    try:
        day, month, year = text.split("-")
        return date(int(year), MONTHS.index(month) + 1, int(day))
    except ValueError:
        return None
