"""Option chains in the shape of the older streaming backend: quantities in shares, IV a fraction.

Its REST answers, its streams and its cache have this one document.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from data_fetch.core.chains.chains import OptionType
from data_fetch.core.chains.contract_names import TYPES, contract_name, day_text
from data_fetch.core.chains.valuation import Metric, Reason
from data_fetch.core.clock import utc_text
from data_fetch.reading.documents import rounded_all
from data_fetch.storage.chains.records import ChainRecord, LegRecord

OWN_NUMBERS = ("delta", "gamma", "vega", "theta", "iv")
# Its names of our figures, and their number of decimal digits.
FIGURES = {
    "pcr_oi": ("pcr_oi", 4),
    "pcr_volume": ("pcr_volume", 4),
    "atm_strike": ("atm_strike", 2),
    "atm_straddle_price": ("straddle", 2),
    "max_pain_strike": ("max_pain", 2),
}
BUILD_UPS = ("call_buildup_otm", "put_buildup_otm")
UNIT = "shares"
NO_SPOT, NOT_COMPUTED = "no_spot", "not_computed"

Document = Mapping[str, Any]


def product_chain(found: ChainRecord) -> dict[str, Any]:
    """A stored snapshot with its figures and legs, lowest strike first.

    Open interest and volume are shares, null while the lot is unknown. `call_buildup_otm` and
    `put_buildup_otm` are the open interest of all strikes above and below the spot.
    `timestamp` and `processed_at` are the instant of the first receipt: it is priced as it
    comes. `unknown` has the reason of each figure that is null.
    """
    head, spot = found.head, found.head.spot
    calls, puts = legs_of(found)
    strikes = sorted({leg["strike"] for leg in (*calls, *puts)})
    figures = _figures(found.figures)
    sums = {
        "total_call_oi": open_interest(calls),
        "total_put_oi": open_interest(puts),
        **_out_of_the_money(spot, calls, puts),
    }
    received = utc_text(head.timestamp)
    return {
        "product": head.underlying,
        "expiry": head.expiry.isoformat(),
        "spot_price": spot,
        "strikes": strikes,
        **figures,
        "atm_strike_spot": _nearest(strikes, spot),
        **sums,
        "calls": calls,
        "puts": puts,
        "timestamp": received,
        "processed_at": received,
        "unit": UNIT,
        "source": str(head.source),
        "unknown": {
            **_reasons(figures, found.figures),
            **{
                name: NO_SPOT if spot is None and name in BUILD_UPS else reason_of_oi(found.legs)
                for name, value in sums.items()
                if value is None
            },
        },
    }


def legs_of(found: ChainRecord) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The calls and the puts of a snapshot, by strike. `reason` is why there is no volatility,
    `oi_reason` why quantities are unknown."""
    head, received = found.head, utc_text(found.head.timestamp)
    product, expiry, day = head.underlying, head.expiry.isoformat(), day_text(head.expiry)
    numbers = [rounded_all([getattr(leg, name) for leg in found.legs]) for name in OWN_NUMBERS]
    sides: dict[str, list[dict[str, Any]]] = {OptionType.CALL: [], OptionType.PUT: []}
    for leg, delta, gamma, vega, theta, iv in zip(found.legs, *numbers, strict=True):
        kind = leg.option_type
        sides[kind].append(
            {
                "symbol": contract_name(product, day, kind, leg.strike),
                "product": product,
                "strike": leg.strike,
                "expiry": expiry,
                "option_type": TYPES[kind],
                "bid": leg.bid,
                "ask": leg.ask,
                "last": leg.ltp,
                "volume": leg.volume,
                "open_interest": leg.oi,
                "delta": delta,
                "gamma": gamma,
                "vega": vega,
                "theta": theta,
                "iv": iv,
                "timestamp": received,
                "reason": leg.reason,
                "oi_reason": leg.oi_reason,
            }
        )
    return sides[OptionType.CALL], sides[OptionType.PUT]


def open_interest(legs: Iterable[Document]) -> int | None:
    """The sum of the known open interest; without any it is not 0 but unknown."""
    known = [leg["open_interest"] for leg in legs if leg["open_interest"] is not None]
    return sum(known) if known else None


def _figures(metrics: Mapping[str, Metric]) -> dict[str, float | None]:
    return {
        name: None if (value := _value(metrics, ours)) is None else round(value, digits)
        for name, (ours, digits) in FIGURES.items()
    }


def _value(metrics: Mapping[str, Metric], name: str) -> float | None:
    return metrics[name].value if name in metrics else None


def _reasons(figures: Mapping[str, float | None], metrics: Mapping[str, Metric]) -> dict[str, str]:
    return {
        name: str(metrics[ours].reason) if ours in metrics else NOT_COMPUTED
        for name, (ours, _) in FIGURES.items()
        if figures[name] is None
    }


def _out_of_the_money(
    spot: float | None, calls: Iterable[Document], puts: Iterable[Document]
) -> dict[str, int | None]:
    if spot is None:
        return dict.fromkeys(BUILD_UPS)
    above = open_interest(leg for leg in calls if leg["strike"] > spot)
    below = open_interest(leg for leg in puts if leg["strike"] < spot)
    return dict(zip(BUILD_UPS, (above, below), strict=True))


def reason_of_oi(legs: Iterable[LegRecord]) -> str:
    """Why open interest is unknown where it is."""
    lots = (leg.oi_reason for leg in legs if leg.oi_reason is not None)
    return str(next(lots, Reason.NO_OPEN_INTEREST))


def _nearest(strikes: Iterable[float], spot: float | None) -> float | None:
    """The strike nearest to the spot, the lower one of two."""
    return None if spot is None else min(strikes, key=lambda strike: abs(strike - spot))
