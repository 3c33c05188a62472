"""The metrics of a chain: totals, ratios, max pain, at-the-money values, walls, gamma exposure.

Open interest and volume are in the unit of the chain; ratios and strikes do not depend on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_fetch.analytics.columns import (
    Floats,
    Ladder,
    LegColumns,
    StrikeColumns,
    floats,
    or_zero,
    stacked,
)
from data_fetch.core.chains.chains import QuantityUnit
from data_fetch.core.chains.valuation import Metric, PricedChain, Reason

PERCENT = 0.01


@dataclass(frozen=True, slots=True)
class ChainArrays:
    """A priced chain as columns, from which its metrics are computed."""

    priced: PricedChain
    legs: LegColumns
    price: StrikeColumns
    iv: StrikeColumns
    oi: StrikeColumns
    volume: StrikeColumns
    gamma: Floats

    @classmethod
    def of(cls, priced: PricedChain) -> "ChainArrays":
        legs, rows = stacked([priced.chain])
        [chain_arrays] = arrays_of_chains([priced], legs, rows)
        return chain_arrays

    @property
    def strikes(self) -> Floats:
        return self.oi.strike


def arrays_of_chains(
    priced_chains: Sequence[PricedChain], legs: LegColumns, rows: Sequence[slice]
) -> list[ChainArrays]:
    """The arrays of each of *priced_chains*, whose *legs* are stacked, each in its *rows*.

    Building the columns of all chains at once takes a fraction of the time.
    """
    numbers = [leg for each in priced_chains for leg in each.numbers]
    price = floats([leg.price for leg in numbers])
    iv = floats([leg.iv for leg in numbers])
    gamma = floats([leg.gamma for leg in numbers])
    ladder = Ladder.of(legs, [of_chain.start for of_chain in rows])
    sides = [ladder.sides(values) for values in (price, iv, legs.oi, legs.volume)]
    found = []
    for priced, of_chain in zip(priced_chains, rows, strict=True):
        strikes = ladder.rows_of(of_chain)
        of_price, of_iv, of_oi, of_volume = (each[strikes] for each in sides)
        found.append(
            ChainArrays(
                priced=priced,
                legs=legs[of_chain],
                price=of_price,
                iv=of_iv,
                oi=of_oi,
                volume=of_volume,
                gamma=gamma[of_chain],
            )
        )
    return found


def chain_metrics(chain_arrays: ChainArrays, lot_size: int | None) -> dict[str, Metric]:
    """The metrics of a chain by name, each with the number of legs it is computed from.

    *lot_size* converts contracts to shares where a metric is in rupees.
    """
    return {
        **_totals("oi", chain_arrays.oi, Reason.NO_OPEN_INTEREST),
        **_totals("volume", chain_arrays.volume, Reason.NO_VOLUME),
        "max_pain": _max_pain(chain_arrays.oi),
        **_at_the_money(chain_arrays),
        "support": _wall(chain_arrays.strikes, chain_arrays.oi.put),
        "resistance": _wall(chain_arrays.strikes, chain_arrays.oi.call),
        "gamma_exposure": _gamma_exposure(chain_arrays, lot_size),
    }


def payouts(strikes: Floats, call_oi: Floats, put_oi: Floats) -> Floats:
    """The payout of all option writers together if the expiry closes at each strike (rupees
    times the unit of open interest).

    For example, with strikes 100, 110 and 120: a close at 100 costs the writers 400 on puts.

    >>> payouts(np.array([100., 110., 120.]),
    ...         np.array([10., 20., 30.]), np.array([30., 20., 10.])).tolist()
    [400.0, 200.0, 400.0]
    """
    close = strikes[:, np.newaxis]
    to_calls = call_oi * np.maximum(close - strikes, 0)
    to_puts = put_oi * np.maximum(strikes - close, 0)
    total: Floats = (to_calls + to_puts).sum(axis=1)
    return total


def payout_curve(priced: PricedChain) -> list[tuple[float, float]]:
    """Strike and payout (rupees times the unit of open interest), lowest strike first; empty
    where open interest is not known on both sides."""
    oi = ChainArrays.of(priced).oi
    if not _known_on_both_sides(oi):
        return []
    return list(zip(oi.strike.tolist(), _payouts(oi).tolist(), strict=True))


def exposure_by_leg(chain_arrays: ChainArrays, lot_size: int | None) -> Floats:
    """The change, in rupees, of the delta of all open contracts of a leg when the forward moves
    one percent: positive for calls, negative for puts, as for a dealer who has bought the calls
    and sold the puts; NaN where gamma, open interest or the lot is unknown."""
    priced = chain_arrays.priced
    shares = 1.0 if priced.chain.unit is QuantityUnit.SHARES else lot_size or np.nan
    forward = priced.forward.value or np.nan
    side = np.where(chain_arrays.legs.is_call, 1.0, -1.0)
    exposed: Floats = (
        side * chain_arrays.gamma * chain_arrays.legs.oi * shares * forward**2 * PERCENT
    )
    return exposed


def otm_smile(chain_arrays: ChainArrays) -> Floats:
    """The volatility of each strike from its out-of-the-money side, or the other side where that
    has none; at the forward's own strike from the call."""
    call_first = chain_arrays.strikes >= (chain_arrays.priced.forward.value or np.nan)
    first = np.where(call_first, chain_arrays.iv.call, chain_arrays.iv.put)
    second = np.where(call_first, chain_arrays.iv.put, chain_arrays.iv.call)
    return np.where(np.isfinite(first), first, second)


def _totals(what: str, columns: StrikeColumns, nothing: Reason) -> dict[str, Metric]:
    call, put = _sum(columns.call, nothing), _sum(columns.put, nothing)
    used, of = call.used + put.used, call.of + put.of
    ratio = put.value / call.value if call.value and put.value is not None else np.nan
    no_ratio = Reason.NO_CALLS if call.value == 0 and put.value else nothing
    return {
        f"call_{what}": call,
        f"put_{what}": put,
        f"pcr_{what}": _metric(ratio, used, of, no_ratio),
    }


def _sum(column: Floats, nothing: Reason) -> Metric:
    """The sum of the known values; without any it is not 0 but missing."""
    known = column[np.isfinite(column)]
    total = float(known.sum()) if len(known) else np.nan
    return _metric(total, len(known), len(column), nothing)


def _max_pain(oi: StrikeColumns) -> Metric:
    used, of = _known(oi.call, oi.put), 2 * len(oi.strike)
    # With one side alone it would be the first strike or the last, whatever the open interest.
    known = _known_on_both_sides(oi) and bool(np.nansum(oi.call) + np.nansum(oi.put) > 0)
    strike = float(oi.strike[_payouts(oi).argmin()]) if known else np.nan
    return _metric(strike, used, of, Reason.NO_OPEN_INTEREST)


def _known_on_both_sides(columns: StrikeColumns) -> bool:
    return bool(_known(columns.call) and _known(columns.put))


def _payouts(oi: StrikeColumns) -> Floats:
    return payouts(oi.strike, or_zero(oi.call), or_zero(oi.put))


def _at_the_money(chain_arrays: ChainArrays) -> dict[str, Metric]:
    """The strike nearest to the forward, its straddle, and the volatility at the forward."""
    forward = chain_arrays.priced.forward.value
    if forward is None:
        why = chain_arrays.priced.obstacle
        nothing = Metric(value=None, used=0, of=len(chain_arrays.strikes), reason=why)
        return {"atm_strike": nothing, "straddle": nothing, "atm_iv": nothing}
    row = int(np.abs(chain_arrays.strikes - forward).argmin())
    sides = np.array([chain_arrays.price.call[row], chain_arrays.price.put[row]])
    return {
        "atm_strike": Metric(
            value=float(chain_arrays.strikes[row]),
            used=len(chain_arrays.strikes),
            of=len(chain_arrays.strikes),
        ),
        "straddle": _metric(float(sides.sum()), _known(sides), 2, Reason.NO_PRICE),
        "atm_iv": _iv_at(chain_arrays, forward),
    }


def _iv_at(chain_arrays: ChainArrays, forward: float) -> Metric:
    """The volatility at the forward, by linear interpolation without extrapolation."""
    smile = otm_smile(chain_arrays)
    known = np.isfinite(smile)
    strikes, ivs = chain_arrays.strikes[known], smile[known]
    inside = bool(known.any()) and strikes[0] <= forward <= strikes[-1]
    value = float(np.interp(forward, strikes, ivs)) if inside else float("nan")
    missing = Reason.OUTSIDE_STRIKES if known.any() else Reason.NO_PRICE
    why = chain_arrays.priced.obstacle or missing
    return _metric(value, int(known.sum()), len(known), why)


def _wall(strikes: Floats, oi: Floats) -> Metric:
    """The strike with the most open interest on one side; of equals the lowest."""
    used, held = _known(oi), or_zero(oi)
    if not held.any():
        return Metric(value=None, used=used, of=len(oi), reason=Reason.NO_OPEN_INTEREST)
    return Metric(value=float(strikes[held.argmax()]), used=used, of=len(oi))


def _gamma_exposure(chain_arrays: ChainArrays, lot_size: int | None) -> Metric:
    of = len(chain_arrays.gamma)
    if chain_arrays.priced.chain.unit is QuantityUnit.CONTRACTS and lot_size is None:
        return Metric(value=None, used=0, of=of, reason=Reason.LOT_UNKNOWN)
    exposed = exposure_by_leg(chain_arrays, lot_size)
    used = _known(exposed)
    no_numbers = chain_arrays.priced.obstacle or Reason.NO_PRICE
    why = no_numbers if _known(chain_arrays.legs.oi) else Reason.NO_OPEN_INTEREST
    return _metric(float(np.nansum(exposed)) if used else np.nan, used, of, why)


def _metric(value: float, used: int, of: int, why: Reason) -> Metric:
    if np.isfinite(value):
        return Metric(value=value, used=used, of=of)
    return Metric(value=None, used=used, of=of, reason=why)


def _known(*columns: Floats) -> int:
    return sum(int(np.isfinite(column).sum()) for column in columns)
