"""Pricing conventions: our own, and those of the two providers.

The providers' conventions were measured on captured responses: NSE's site prices from the spot at
10 % and from the last price; Upstox prices from the forward without discounting. For both every
expiry ends at 15:30 and a year has 365 days. Their volatilities differ for these reasons.
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

# The interest rate of Indian rupees over some months; prices of a chain determine it too poorly.
OWN_RATE = 0.065
NSE_RATE = 0.10
PROVIDERS_CLOSE = time(15, 30)


@dataclass(frozen=True, slots=True)
class ExpiryInputs:
    """The inputs for the forward of one expiry: rupees, years, a rate per year."""

    columns: LegColumns
    prices: LegPrices
    spot: float | None
    years: float
    rate: float


@dataclass(frozen=True, slots=True)
class SolvedLegs:
    """Legs that have a volatility, one row per leg, whatever their expiry."""

    forward: Floats
    strike: Floats
    years: Floats
    volatility: Floats
    is_call: Bools


@dataclass(frozen=True, slots=True)
class Convention:
    """One way of computing volatilities and Greeks from the prices of a chain."""

    name: str
    rate: float
    prices: Callable[[LegColumns], LegPrices]
    forward: Callable[[ExpiryInputs], Forward]
    greeks: Callable[[SolvedLegs, float], Greeks]
    close: Callable[[MarketCalendar, date], ExpiryClose]


def _parity_else_spot(inputs: ExpiryInputs) -> Forward:
    ladder = Ladder.of(inputs.columns)
    prices = ladder.sides(inputs.prices.prices)
    widths = ladder.sides(inputs.prices.widths)
    discount = float(np.exp(-inputs.rate * inputs.years))
    found = parity_forward(prices, widths, discount)
    return carried_spot(inputs.spot, inputs.rate, inputs.years) if found == UNKNOWN else found


def _spot_alone(inputs: ExpiryInputs) -> Forward:
    return carried_spot(inputs.spot, inputs.rate, inputs.years)


def _against_the_forward(legs: SolvedLegs, rate: float) -> Greeks:
    return forward_greeks(
        legs.forward, legs.strike, legs.years, legs.volatility, legs.is_call, rate
    )


def _against_the_spot(legs: SolvedLegs, rate: float) -> Greeks:
    spot = legs.forward * np.exp(-rate * legs.years)
    return spot_greeks(spot, rate, legs.strike, legs.years, legs.volatility, legs.is_call, rate)


def _actual_close(calendar: MarketCalendar, expiry: date) -> ExpiryClose:
    return calendar.expiry_close(expiry)


def _close_at_1530(_: MarketCalendar, expiry: date) -> ExpiryClose:
    return ExpiryClose(datetime.combine(expiry, PROVIDERS_CLOSE, IST), provisional=False)


OWN = Convention(
    "own", OWN_RATE, quoted_or_traded, _parity_else_spot, _against_the_forward, _actual_close
)
NSE = Convention("nse", NSE_RATE, last_traded, _spot_alone, _against_the_spot, _close_at_1530)
UPSTOX = Convention(
    "upstox", 0.0, last_traded, _parity_else_spot, _against_the_forward, _close_at_1530
)

CONVENTIONS: Mapping[str, Convention] = {each.name: each for each in (OWN, NSE, UPSTOX)}
