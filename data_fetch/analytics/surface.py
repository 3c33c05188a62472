"""The volatility surface: smiles by strike and by delta for each expiry, and their skew."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from data_fetch.analytics.columns import Floats
from data_fetch.analytics.metrics import ChainArrays, otm_smile
from data_fetch.analytics.special import ndtr
from data_fetch.core.chains.valuation import PricedChain

# The points of the smile, by the delta of the call at that strike (the put of delta -0.25 has the
# strike of the call of 0.75).
DELTAS = {"10P": 0.90, "25P": 0.75, "50": 0.50, "25C": 0.25, "10C": 0.10}
FEWEST_POINTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Smile:
    """The smile of one expiry. *ivs* (fractions) are those of the out-of-the-money side at each
    of *strikes*; *deltas* are those of the undiscounted call; *by_delta* is None outside of the
    range of the strikes."""

    expiry: date
    years: float
    forward: float
    strikes: tuple[float, ...]
    ivs: tuple[float, ...]
    deltas: tuple[float, ...]
    atm_iv: float | None
    by_delta: dict[str, float | None]

    @property
    def risk_reversal(self) -> float | None:
        """The call's volatility minus the put's at 25 delta."""
        call, put = self.by_delta["25C"], self.by_delta["25P"]
        return None if call is None or put is None else call - put

    @property
    def butterfly(self) -> float | None:
        """The mean of both wings at 25 delta minus the middle."""
        call, put, middle = (self.by_delta[name] for name in ("25C", "25P", "50"))
        return None if call is None or put is None or middle is None else (call + put) / 2 - middle


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """Smiles, nearest expiry first; expiries without one, with their number of points."""

    underlying: str
    smiles: tuple[Smile, ...]
    left_out: tuple[tuple[date, int], ...]


def surface(priced: Sequence[PricedChain]) -> Surface:
    """The surface of chains of one underlying."""
    smiles, left_out = [], []
    for each in sorted(priced, key=lambda chain: chain.chain.expiry):
        chain_arrays = ChainArrays.of(each)
        ivs = otm_smile(chain_arrays)
        known = np.isfinite(ivs)
        if known.sum() < FEWEST_POINTS:
            left_out.append((each.chain.expiry, int(known.sum())))
        else:
            smiles.append(_smile(each, chain_arrays.strikes[known], ivs[known]))
    return Surface(
        underlying=priced[0].chain.underlying, smiles=tuple(smiles), left_out=tuple(left_out)
    )


def _smile(priced: PricedChain, strikes: Floats, ivs: Floats) -> Smile:
    forward, years = priced.forward.value, priced.years
    assert forward is not None
    assert years is not None
    deviation = ivs * np.sqrt(years)
    deltas = ndtr(np.log(forward / strikes) / deviation + deviation / 2)
    return Smile(
        expiry=priced.chain.expiry,
        years=years,
        forward=forward,
        strikes=tuple(strikes.tolist()),
        ivs=tuple(ivs.tolist()),
        deltas=tuple(deltas.tolist()),
        atm_iv=_between(strikes, ivs, forward),
        by_delta={name: _at_delta(deltas, ivs, delta) for name, delta in DELTAS.items()},
    )


def _at_delta(deltas: Floats, ivs: Floats, delta: float) -> float | None:
    """The volatility at *delta*, by linear interpolation. Deltas of a noisy smile are unordered."""
    order = np.argsort(deltas, kind="stable")
    return _between(deltas[order], ivs[order], delta)


def _between(places: Floats, values: Floats, place: float) -> float | None:
    """*values* at *place* by linear interpolation; None outside of *places*."""
    if not places[0] <= place <= places[-1]:
        return None
    return float(np.interp(place, places, values))
