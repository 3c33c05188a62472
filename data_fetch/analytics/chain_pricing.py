"""Prices chains: for every leg a volatility and its Greeks, or the reason why there are none.

All legs of all chains are computed together, whatever their expiry.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from data_fetch.analytics.columns import Floats, LegColumns, stacked
from data_fetch.analytics.conventions import Convention, ExpiryInputs, SolvedLegs
from data_fetch.analytics.forward import UNKNOWN
from data_fetch.analytics.iv import Unsolved, implied_volatility
from data_fetch.analytics.leg_prices import LegPrices
from data_fetch.core.chains.chains import Chain
from data_fetch.core.chains.valuation import (
    NOT_PRICED,
    Forward,
    LegValuation,
    PricedChain,
    Reason,
    obstacle_to_pricing,
)
from data_fetch.core.market.calendar import ExpiryClose, MarketCalendar

Rows = NDArray[np.intp]

YEAR_SECONDS = 365 * 86_400

UNSOLVED = {
    Unsolved.BELOW_INTRINSIC: Reason.BELOW_INTRINSIC,
    Unsolved.ABOVE_MAXIMUM: Reason.ABOVE_MAXIMUM,
    Unsolved.NOT_A_PRICE: Reason.NO_PRICE,
}


@dataclass(frozen=True, slots=True)
class _Expiry:
    """One chain with its rows among all legs, its time to expiry and its forward."""

    chain: Chain
    priced_at: datetime | None
    rows: slice
    close: ExpiryClose
    years: float | None
    forward: Forward

    @property
    def obstacle(self) -> Reason | None:
        """The reason why none of its legs can be priced; None if they can."""
        return obstacle_to_pricing(self.years, self.forward)


def price_chains(
    chains: Sequence[Chain],
    priced_at: datetime | None,
    convention: Convention,
    calendar: MarketCalendar,
) -> list[PricedChain]:
    """Price each of *chains* as of *priced_at* (None: unknown).

    An expiry outside the calendar ends at the ordinary close of that time and is marked
    provisional.
    """
    return price_dated([(chain, priced_at) for chain in chains], convention, calendar)


def price_dated(
    dated: Sequence[tuple[Chain, datetime | None]],
    convention: Convention,
    calendar: MarketCalendar,
) -> list[PricedChain]:
    """`price_chains` for chains with an instant each."""
    columns, rows_of_each = stacked([chain for chain, _ in dated])
    prices = convention.prices(columns)
    expiries = [
        _expiry_of(chain, rows, columns, prices, priced_at, convention, calendar)
        for (chain, priced_at), rows in zip(dated, rows_of_each, strict=True)
    ]
    numbers = _numbers(expiries, columns, prices, convention)
    return [
        PricedChain(
            chain=each.chain,
            convention=convention.name,
            priced_at=each.priced_at,
            expires_at=each.close.at,
            provisional=each.close.provisional,
            years=each.years,
            rate=convention.rate,
            forward=each.forward,
            numbers=tuple(numbers[each.rows]),
        )
        for each in expiries
    ]


def not_priced(
    dated: Sequence[tuple[Chain, datetime | None]],
    convention: Convention,
    calendar: MarketCalendar,
) -> list[PricedChain]:
    """The chains without valuation, to be priced later by *convention*: each leg has the reason."""
    nothing = LegValuation.none(Reason.NOT_PRICED_YET)
    return [
        PricedChain(
            chain=chain,
            convention=NOT_PRICED,
            priced_at=priced_at,
            expires_at=close.at,
            provisional=close.provisional,
            years=None,
            rate=convention.rate,
            forward=UNKNOWN,
            numbers=(nothing,) * len(chain.legs),
        )
        for chain, priced_at in dated
        for close in [convention.close(calendar, chain.expiry)]
    ]


def _expiry_of(
    chain: Chain,
    rows: slice,
    columns: LegColumns,
    prices: LegPrices,
    priced_at: datetime | None,
    convention: Convention,
    calendar: MarketCalendar,
) -> _Expiry:
    close = convention.close(calendar, chain.expiry)
    years, forward = None, UNKNOWN
    if priced_at is not None:
        years = (close.at - priced_at).total_seconds() / YEAR_SECONDS
        own = LegPrices(prices.prices[rows], prices.widths[rows], prices.reasons[rows])
        inputs = ExpiryInputs(columns[rows], own, chain.spot, max(years, 0.0), convention.rate)
        forward = convention.forward(inputs)
    return _Expiry(chain, priced_at, rows, close, years, forward)


def _numbers(
    expiries: Sequence[_Expiry], columns: LegColumns, prices: LegPrices, convention: Convention
) -> list[LegValuation]:
    forward = _per_leg(expiries, lambda each: each.forward.value)
    years = _per_leg(expiries, lambda each: each.years)
    reasons = _reasons(expiries, prices)
    rows = np.flatnonzero([reason is None for reason in reasons])
    solved = implied_volatility(
        prices.prices[rows] * np.exp(convention.rate * years[rows]),
        forward[rows],
        columns.strike[rows],
        years[rows],
        columns.is_call[rows],
    )
    for row in np.flatnonzero(solved.unsolved).tolist():
        reasons[rows[row]] = UNSOLVED[Unsolved(int(solved.unsolved[row]))]
    known = solved.unsolved == 0
    priced = rows[known]
    legs = SolvedLegs(
        forward[priced],
        columns.strike[priced],
        years[priced],
        solved.volatility[known],
        columns.is_call[priced],
    )
    greeks = convention.greeks(legs, convention.rate)
    results = (
        legs.volatility,
        greeks.delta,
        greeks.gamma,
        greeks.theta,
        greeks.vega,
        greeks.rho,
    )
    spread = [_spread(values, priced, len(reasons)) for values in results]
    with_price = np.flatnonzero(np.isfinite(prices.prices))
    used = _spread(prices.prices[with_price], with_price, len(reasons))
    return list(map(LegValuation, used, *spread, reasons))


def _per_leg(expiries: Sequence[_Expiry], value_of: Callable[[_Expiry], float | None]) -> Floats:
    values = np.array([value_of(each) for each in expiries], dtype=np.float64)
    return np.repeat(values, [len(each.chain.legs) for each in expiries])


def _reasons(expiries: Iterable[_Expiry], prices: LegPrices) -> list[Reason | None]:
    """The reasons of legs that cannot be priced, before any volatility is computed."""
    found: list[Reason | None] = []
    for each in expiries:
        obstacle, own = each.obstacle, prices.reasons[each.rows]
        found += own if obstacle is None else [obstacle] * len(own)
    return found


def _spread(values: Floats, rows: Rows, length: int) -> list[float | None]:
    """*values* at their *rows*, None elsewhere."""
    column: list[float | None] = [None] * length
    for row, value in zip(rows.tolist(), values.tolist(), strict=True):
        column[row] = value
    return column
