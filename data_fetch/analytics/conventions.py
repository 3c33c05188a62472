"""How numbers are worked out: our own way, and those of the two providers.

What the providers do was measured on captured answers: NSE's site prices off the spot at 10 %
and from the last price; Upstox prices off the forward without discounting. Both take every
expiry to end at 15:30 and a year to have 365 days. Their volatilities differ by construction.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time

import numpy as np

from data_fetch.analytics.columns import Bools, Floats, Ladder, LegColumns
from data_fetch.analytics.forward import UNKNOWN, carried_spot, parity_forward
from data_fetch.analytics.greeks import Greeks, forward_greeks, spot_greeks
from data_fetch.analytics.leg_prices import LegPrices, last_traded, quoted_or_traded
from data_fetch.core.chains.valuation import Forward
from data_fetch.core.clock import IST
from data_fetch.core.market.calendar import ExpiryClose, MarketCalendar

# What Indian rupees earn over some months; a chain's own prices say too little about it.
OWN_RATE = 0.065
NSE_RATE = 0.10
PROVIDERS_CLOSE = time(15, 30)


@dataclass(frozen=True, slots=True)
class Setting:
    """What one expiry is priced in: rupees, years, a rate per year."""

    columns: LegColumns
    prices: LegPrices
    spot: float | None
    years: float
    rate: float


@dataclass(frozen=True, slots=True)
class Priceable:
    """Legs that have a volatility, one row a leg, whatever their expiry."""

    forward: Floats
    strike: Floats
    years: Floats
    volatility: Floats
    is_call: Bools


@dataclass(frozen=True, slots=True)
class Convention:
    """One way of turning the prices of a chain into numbers."""

    name: str
    rate: float
    prices: Callable[[LegColumns], LegPrices]
    forward: Callable[[Setting], Forward]
    greeks: Callable[[Priceable, float], Greeks]
    close: Callable[[MarketCalendar, date], ExpiryClose]


def _parity_else_spot(setting: Setting) -> Forward:
    ladder = Ladder.of(setting.columns)
    prices = ladder.sides(setting.prices.prices)
    widths = ladder.sides(setting.prices.widths)
    discount = float(np.exp(-setting.rate * setting.years))
    found = parity_forward(prices, widths, discount)
    return carried_spot(setting.spot, setting.rate, setting.years) if found == UNKNOWN else found


def _spot_alone(setting: Setting) -> Forward:
    return carried_spot(setting.spot, setting.rate, setting.years)


def _against_the_forward(legs: Priceable, rate: float) -> Greeks:
    return forward_greeks(
        legs.forward, legs.strike, legs.years, legs.volatility, legs.is_call, rate
    )


def _against_the_spot(legs: Priceable, rate: float) -> Greeks:
    spot = legs.forward * np.exp(-rate * legs.years)
    return spot_greeks(spot, rate, legs.strike, legs.years, legs.volatility, legs.is_call, rate)


def _actual_close(calendar: MarketCalendar, expiry: date) -> ExpiryClose:
    return calendar.expiry_close(expiry)


def _half_past_three(_: MarketCalendar, expiry: date) -> ExpiryClose:
    return ExpiryClose(datetime.combine(expiry, PROVIDERS_CLOSE, IST), provisional=False)


OWN = Convention(
    "own", OWN_RATE, quoted_or_traded, _parity_else_spot, _against_the_forward, _actual_close
)
NSE = Convention("nse", NSE_RATE, last_traded, _spot_alone, _against_the_spot, _half_past_three)
UPSTOX = Convention(
    "upstox", 0.0, last_traded, _parity_else_spot, _against_the_forward, _half_past_three
)

CONVENTIONS: Mapping[str, Convention] = {each.name: each for each in (OWN, NSE, UPSTOX)}
