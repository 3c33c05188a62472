"""Chains as JSON: one shape for a leg and one for the figures of an expiry, wherever they show.

Quantities are shares where that is known, and as told beside it; implied volatility is a
fraction; what is not known is null with its reason.
"""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from data_fetch.cli.shared.output import ist_text
from data_fetch.core.chains.chains import ChainLeg, DoubtfulLeg, LotReason, QuantityUnit, in_shares
from data_fetch.core.chains.valuation import ChainSummary, LegValuation, Reason
from data_fetch.core.clock import IST

SIGNIFICANT = 8


def leg_documents(summary: ChainSummary, lot_size: int | None) -> Iterator[dict[str, Any]]:
    """Every leg of a priced chain, in the chain's order."""
    priced = summary.priced
    for leg, numbers in zip(priced.chain.legs, priced.numbers, strict=True):
        chain = priced.chain
        yield leg_document(chain.expiry, chain.unit, leg, numbers, lot_size)


def doubtful_leg_document(told: DoubtfulLeg, unit: QuantityUnit) -> dict[str, Any] | None:
    """A leg that was set aside, in the same shape; None where nobody knows which leg it is."""
    if told.expiry is None or told.strike is None or told.option_type is None:
        return None
    leg = ChainLeg(strike=told.strike, option_type=told.option_type)
    nothing = LegValuation.none(Reason.REJECTED)
    return {**leg_document(told.expiry, unit, leg, nothing, None), "oi_reason": None}


def leg_document(
    expiry: date, unit: QuantityUnit, leg: ChainLeg, numbers: LegValuation, lot_size: int | None
) -> dict[str, Any]:
    return {
        "expiry": expiry.isoformat(),
        "strike": plain(leg.strike),
        "option_type": leg.option_type.value,
        "ltp": leg.ltp,
        "bid": leg.bid,
        "bid_qty": leg.bid_qty,
        "ask": leg.ask,
        "ask_qty": leg.ask_qty,
        **quantities(unit, leg, lot_size),
        **_numbers(numbers),
        "provider_iv": short(leg.provider_iv),
        "provider_delta": leg.provider_delta,
        "provider_gamma": leg.provider_gamma,
        "provider_theta": leg.provider_theta,
        "provider_vega": leg.provider_vega,
    }


def metrics_document(summary: ChainSummary) -> dict[str, Any]:
    """The figures of one expiry, each with the legs it rests on under `inputs`."""
    priced, metrics = summary.priced, summary.metrics
    compared = sum(summary.build_up.values())
    return {
        "expiry": priced.chain.expiry.isoformat(),
        "spot": priced.chain.spot,
        "forward": short(priced.forward.value),
        "forward_method": priced.forward.method,
        "forward_strikes": priced.forward.strikes,
        "forward_spread": short(priced.forward.spread),
        "rate": priced.rate,
        "years": short(priced.years),
        "expires_at": ist_text(priced.expires_at),
        "provisional": priced.provisional,
        "priced_at": ist_text(priced.priced_at),
        "age_seconds": summary.age_seconds,
        "unit": priced.chain.unit.value,
        "legs": len(priced.numbers),
        "priced": sum(numbers.iv is not None for numbers in priced.numbers),
        **{name: short(metric.value) for name, metric in metrics.items()},
        "build_up": dict(summary.build_up),
        "inputs": {
            **{
                name: {"used": metric.used, "of": metric.of, "reason": metric.reason}
                for name, metric in metrics.items()
            },
            "build_up": {
                "used": compared,
                "of": len(priced.numbers),
                "reason": None if compared else Reason.NO_BASELINE,
            },
        },
    }


def quantities(unit: QuantityUnit, leg: ChainLeg, lot_size: int | None) -> dict[str, Any]:
    """Volume and open interest in shares and, where contracts were told, in contracts."""
    told = {"volume": leg.volume, "oi": leg.oi, "prev_oi": leg.prev_oi}
    if unit is QuantityUnit.SHARES:
        return {**{name: _whole(value) for name, value in told.items()}, "oi_reason": None}
    contracts = {f"{name}_contracts": value for name, value in told.items()}
    if lot_size is None:
        nothing = dict.fromkeys(told)
        return {**nothing, **contracts, "oi_reason": LotReason.LOT_UNKNOWN.value}
    shares = {name: in_shares(value, lot_size) for name, value in told.items()}
    lost = any(told[name] is not None and shares[name] is None for name in told)
    reason = LotReason.LOT_MISMATCH.value if lost else None
    return {**shares, **contracts, "oi_reason": reason}


def plain(number: Decimal) -> int | float:
    """A strike as JSON writes it: 24200, 282.5."""
    return int(number) if number == number.to_integral_value() else float(number)


def short(value: float | None) -> float | None:
    """A computed number without the digits that mean nothing."""
    return None if value is None else float(f"{value:.{SIGNIFICANT}g}")


def exactly(at: datetime | None) -> str | None:
    """ISO text in IST, nothing lost: what was known then can be asked for with it."""
    return None if at is None else at.astimezone(IST).isoformat()


def _numbers(numbers: LegValuation) -> dict[str, Any]:
    told = numbers._asdict()
    reason = told.pop("reason")
    return {**{name: short(value) for name, value in told.items()}, "reason": reason}


def _whole(value: float | None) -> int | float | None:
    return int(value) if value is not None and value == int(value) else value
