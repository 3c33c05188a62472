"""Option chains as NSE's website tells them (option-chain notes, sections 2 and 4).

Open interest and volume are contracts, the book's quantities units. Everything stands still
from the close until the next open, the stamp too.
"""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import numpy as np

from data_fetch.core.clock import IST
from data_fetch.paper_exchange.market.chain_prices import Fair, Legs, Trades, book
from data_fetch.paper_exchange.market.chance import Bools, Floats, Ints
from data_fetch.paper_exchange.market.days import Moment
from data_fetch.paper_exchange.market.listings import Listing
from data_fetch.paper_exchange.market.market import PaperMarket
from data_fetch.paper_exchange.nse.iv import printed_volatility
from data_fetch.paper_exchange.nse.wire import MONTHS, plain, plain_all

INDEX_TYPES, STOCK_TYPES = frozenset({"Indices"}), frozenset({"Equity", "Equities"})
NOTHING: dict[str, Any] = {}


class NseChainAnswers:
    def __init__(self, market: PaperMarket) -> None:
        self._market = market

    def contract_info(self, symbol: str, now: Moment) -> dict[str, Any]:
        """The expiries and strikes of an underlying; an empty object for an unknown symbol."""
        underlying = self._market.underlyings.get(symbol)
        if underlying is None:
            return NOTHING
        return {
            "expiryDates": self._expiries(underlying, now.day),
            "strikePrice": self._strikes(underlying, now.day),
        }

    def chain(self, kind: str, symbol: str, expiry: str, now: Moment) -> dict[str, Any]:
        """The chain of one expiry; an empty object when type, symbol or expiry is unknown."""
        underlying = self._market.underlyings.get(symbol)
        wanted = read_day(expiry)
        if underlying is None or kind not in _types_of(underlying) or wanted is None:
            return NOTHING
        legs = self._market.chains.legs(underlying, wanted, now.day)
        if not legs.contracts:
            return NOTHING
        at = self._market.days.last_traded(now)
        spot = self._market.spot_beside_options(underlying, at)
        trades = self._market.chains.trades(legs, at)
        rows = _rows(legs, _leg_rows(legs, trades, self._market.chains.fair(legs, at), spot))
        return {
            "records": {
                "data": rows,
                "timestamp": spelt_instant(at.at),
                "underlyingValue": plain(spot),
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
        return [spelt_day(expiry) for expiry, _ in self._market.contracts.listed(underlying, day)]

    def _strikes(self, underlying: Listing, day: date) -> list[str]:
        """As text, and of all expiries together."""
        strikes = self._market.contracts.strikes(underlying, day)
        return [str(plain(strike)) for strike in strikes]


def _types_of(underlying: Listing) -> frozenset[str]:
    return INDEX_TYPES if underlying.isin is None else STOCK_TYPES


def _rows(legs: Legs, told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a strike, lowest first."""
    expiry = spelt_day(legs.expiry)
    return [
        {"expiryDates": expiry, "CE": call, "PE": put, "strikePrice": call["strikePrice"]}
        for call, put in zip(told[::2], told[1::2], strict=True)
    ]


def _leg_rows(legs: Legs, trades: Trades, fair: Fair, spot: float) -> list[dict[str, Any]]:
    columns = _columns(legs, trades, fair, spot)
    same = {
        "expiryDate": f"{legs.expiry:%d-%m-%Y}",
        "underlying": legs.underlying.symbol,
        "underlyingValue": plain(spot),
        "optionType": None,
    }
    numbers = zip(*columns.values(), strict=True)
    return [
        {**same, "identifier": identifier, **dict(zip(columns, row, strict=True))}
        for identifier, row in zip(_identifiers(legs), numbers, strict=True)
    ]


def _columns(
    legs: Legs, trades: Trades, fair: Fair, spot: float
) -> dict[str, list[int] | list[int | float]]:
    best, lot = book(legs, fair), legs.lot
    change = np.round(trades.last - trades.previous_close, 2)
    percent = plain_all(change / trades.previous_close * 100)
    gained = trades.open_interest - trades.previous_open_interest
    return {
        "strikePrice": plain_all(legs.strikes),
        "openInterest": trades.open_interest.tolist(),
        "changeinOpenInterest": gained.tolist(),
        "pchangeinOpenInterest": plain_all(_percent(gained, trades.previous_open_interest)),
        "totalTradedVolume": trades.volume.tolist(),
        "impliedVolatility": plain_all(_volatility(legs, trades, spot, fair.at.seconds)),
        "lastPrice": plain_all(trades.last),
        "change": plain_all(change),
        "pChange": percent,
        "PChange": percent,
        "totalBuyQuantity": (best.buyers_lots * lot).tolist(),
        "totalSellQuantity": (best.sellers_lots * lot).tolist(),
        "buyPrice1": plain_all(best.bid),
        "buyQuantity1": (best.bid_lots * lot).tolist(),
        "sellPrice1": plain_all(best.ask),
        "sellQuantity1": (best.ask_lots * lot).tolist(),
    }


def _volatility(legs: Legs, trades: Trades, spot: float, at: float) -> Floats:
    """As printed; 0 also beside a price of an earlier day, as seen in captures."""
    printed = printed_volatility(spot, legs.strikes, legs.calls, trades.last, legs.expiry, at)
    return np.where(trades.volume > 0, printed, 0.0)


def _percent(gained: Ints, before: Ints) -> Floats:
    """How much *gained* is of what was there *before*; 0 where nothing was."""
    percent = np.zeros(len(before))
    np.divide(gained * 100.0, before, out=percent, where=before > 0)
    return percent


def _identifiers(legs: Legs) -> Iterator[str]:
    """`OPTIDXNIFTY15-09-2026CE22650.00`, `OPTSTKRELIANCE26-05-2026CE1100.00`."""
    family = "OPTSTK" if legs.underlying.isin else "OPTIDX"
    head = f"{family}{legs.underlying.symbol}{legs.expiry:%d-%m-%Y}"
    return (f"{head}{contract.kind}{contract.strike:.2f}" for contract in legs.contracts)


def _totals(trades: Trades, side: Bools) -> dict[str, int]:
    return {
        "totOI": int(trades.open_interest[side].sum()),
        "totVol": int(trades.volume[side].sum()),
    }


def spelt_day(day: date) -> str:
    """`15-Sep-2026`, in English wherever the server runs."""
    return f"{day.day:02d}-{MONTHS[day.month - 1]}-{day.year:04d}"


def spelt_instant(at: datetime) -> str:
    """`11-Sep-2026 15:40:00`, Indian time."""
    local = at.astimezone(IST)
    return f"{spelt_day(local.date())} {local:%H:%M:%S}"


def read_day(text: str) -> date | None:
    """The date of `15-Sep-2026`; None for anything else."""
    try:
        day, month, year = text.split("-")
        return date(int(year), MONTHS.index(month) + 1, int(day))
    except ValueError:
        return None
