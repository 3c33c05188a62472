"""Option chains in the shape of the older streaming backend: quantities in shares, IV a fraction.

Its REST answers, its streams and its cache have this one document.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from data_fetch.core.chains.chains import ChainLeg, OptionType
from data_fetch.core.chains.valuation import LegValuation, Metric, Reason
from data_fetch.reading.documents import quantities, rounded, strike_number
from data_fetch.reading.instants import utc_text
from data_fetch.storage.chains.rows import StoredSnapshot

# Its names of option types, and their letter in the name of a contract.
TYPES = {OptionType.CALL: "CALL", OptionType.PUT: "PUT"}
LETTERS = {OptionType.CALL: "C", OptionType.PUT: "P"}
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


def product_chain(found: StoredSnapshot) -> dict[str, Any]:
    """A stored snapshot with its figures and legs, lowest strike first.

    Open interest and volume are shares, null while the lot is unknown. `call_buildup_otm` and
    `put_buildup_otm` are the open interest of all strikes above and below the spot.
    `timestamp` and `processed_at` are the instant of the first receipt: it is priced as it
    comes. `unknown` has the reason of each figure that is null.
    """
    head, spot = found.head, found.head.spot
    calls, puts = legs_of(found)
    strikes = sorted({leg["strike"] for leg in (*calls, *puts)})
    figures = _figures(found.summary.metrics)
    sums = {
        "total_call_oi": open_interest(calls),
        "total_put_oi": open_interest(puts),
        **_out_of_the_money(spot, calls, puts),
    }
    without_oi = _reason_of_oi((*calls, *puts))
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
        "timestamp": utc_text(found.timestamp),
        "processed_at": utc_text(found.timestamp),
        "unit": UNIT,
        "source": str(head.source),
        "unknown": {
            **_reasons(figures, found.summary.metrics),
            **{
                name: NO_SPOT if spot is None and name in BUILD_UPS else without_oi
                for name, value in sums.items()
                if value is None
            },
        },
    }


def legs_of(found: StoredSnapshot) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The calls and the puts of a snapshot, by strike. `reason` is why there is no volatility,
    `oi_reason` why quantities are unknown."""
    legs = [
        _leg(found, leg, numbers)
        for leg, numbers in zip(found.chain.legs, found.summary.priced.numbers, strict=True)
    ]
    call = TYPES[OptionType.CALL]
    return (
        [each for each in legs if each["option_type"] == call],
        [each for each in legs if each["option_type"] != call],
    )


def open_interest(legs: Iterable[Document]) -> int | float | None:
    """The sum of the known open interest; without any it is not 0 but unknown."""
    known = [leg["open_interest"] for leg in legs if leg["open_interest"] is not None]
    return sum(known) if known else None


def _leg(found: StoredSnapshot, leg: ChainLeg, numbers: LegValuation) -> dict[str, Any]:
    product, expiry, kind = found.head.underlying, found.head.expiry, leg.option_type
    amounts = quantities(found.chain.unit, leg, found.lot_size)
    name = f"{product}{expiry:%Y%m%d}{LETTERS[kind]}{strike_number(leg.strike)}"
    return {
        "symbol": name,
        "product": product,
        "strike": float(leg.strike),
        "expiry": expiry.isoformat(),
        "option_type": TYPES[kind],
        "bid": leg.bid,
        "ask": leg.ask,
        "last": leg.ltp,
        "volume": amounts["volume"],
        "open_interest": amounts["oi"],
        "delta": rounded(numbers.delta),
        "gamma": rounded(numbers.gamma),
        "vega": rounded(numbers.vega),
        "theta": rounded(numbers.theta),
        "iv": rounded(numbers.iv),
        "timestamp": utc_text(found.timestamp),
        "reason": numbers.reason,
        "oi_reason": amounts["oi_reason"],
    }


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
) -> dict[str, int | float | None]:
    if spot is None:
        return dict.fromkeys(BUILD_UPS)
    above = open_interest(leg for leg in calls if leg["strike"] > spot)
    below = open_interest(leg for leg in puts if leg["strike"] < spot)
    return dict(zip(BUILD_UPS, (above, below), strict=True))


def _reason_of_oi(legs: Iterable[Document]) -> str:
    lots = (leg["oi_reason"] for leg in legs if leg["oi_reason"] is not None)
    return str(next(lots, Reason.NO_OPEN_INTEREST))


def _nearest(strikes: Iterable[float], spot: float | None) -> float | None:
    """The strike nearest to the spot, the lower one of two."""
    return None if spot is None else min(strikes, key=lambda strike: abs(strike - spot))
