"""JSON documents of option chains: one shape for a leg, one for the figures of an expiry.

Quantities are shares where the lot is known, with the provider's contracts beside them; implied
volatility is a fraction; an unknown value is null with its reason.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np

from data_fetch.core.chains.chains import ChainLeg, DoubtfulLeg, LotReason, QuantityUnit, in_shares
from data_fetch.core.chains.valuation import ChainSummary, LegValuation, Reason
from data_fetch.reading.instants import exact_text, ist_text
from data_fetch.storage.chains.rows import SnapshotHead as SnapshotHead
from data_fetch.storage.chains.rows import StoredSnapshot

SIGNIFICANT = 8
EXACT_POWER = 22


def snapshot_document(found: StoredSnapshot) -> dict[str, Any]:
    """A stored snapshot: its head, its figures, every leg."""
    return {
        **head_document(found.head),
        "metrics": metrics_document(found.summary),
        "legs": list(leg_documents(found.summary, found.lot_size)),
    }


def head_document(head: SnapshotHead) -> dict[str, Any]:
    """When a snapshot was received, how often, and from which source."""
    return {
        "underlying": head.underlying,
        "expiry": head.expiry.isoformat(),
        "source": head.source,
        "received_at": exact_text(head.timestamp),
        "exchange_time": exact_text(head.exchange_time),
        "confirmations": head.confirmations,
        "last_confirmed": exact_text(head.last_confirmed),
        "content_hash": head.content_hash,
        "lot_size": head.lot_size,
        "rejected": head.rejected,
        "run_id": head.run_id,
    }


def leg_documents(summary: ChainSummary, lot_size: int | None) -> Iterator[dict[str, Any]]:
    """Every leg of a priced chain, in the chain's order."""
    priced = summary.priced
    for leg, numbers in zip(priced.chain.legs, priced.numbers, strict=True):
        chain = priced.chain
        yield leg_document(chain.expiry, chain.unit, leg, numbers, lot_size)


def rejected_leg_document(rejected: DoubtfulLeg, unit: QuantityUnit) -> dict[str, Any] | None:
    """A leg that was rejected, in the same shape; None where its contract is not known."""
    if rejected.expiry is None or rejected.strike is None or rejected.option_type is None:
        return None
    leg = ChainLeg(strike=rejected.strike, option_type=rejected.option_type)
    nothing = LegValuation.none(Reason.REJECTED)
    return {**leg_document(rejected.expiry, unit, leg, nothing, None), "oi_reason": None}


def leg_document(
    expiry: date, unit: QuantityUnit, leg: ChainLeg, numbers: LegValuation, lot_size: int | None
) -> dict[str, Any]:
    return {
        "expiry": expiry.isoformat(),
        "strike": strike_number(leg.strike),
        "option_type": leg.option_type.value,
        "ltp": leg.ltp,
        "bid": leg.bid,
        "bid_qty": leg.bid_qty,
        "ask": leg.ask,
        "ask_qty": leg.ask_qty,
        **quantities(unit, leg, lot_size),
        **_numbers(numbers),
        "provider_iv": rounded(leg.provider_iv),
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
        "forward": rounded(priced.forward.value),
        "forward_method": priced.forward.method,
        "forward_strikes": priced.forward.strikes,
        "forward_spread": rounded(priced.forward.spread),
        "rate": priced.rate,
        "years": rounded(priced.years),
        "expires_at": ist_text(priced.expires_at),
        "provisional": priced.provisional,
        "priced_at": ist_text(priced.priced_at),
        "age_seconds": summary.age_seconds,
        "unit": priced.chain.unit.value,
        "legs": len(priced.numbers),
        "priced": sum(numbers.iv is not None for numbers in priced.numbers),
        **{name: rounded(metric.value) for name, metric in metrics.items()},
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
    """Volume and open interest in shares; in contracts too for a provider that counts those."""
    counts = {"volume": leg.volume, "oi": leg.oi, "prev_oi": leg.prev_oi}
    if unit is QuantityUnit.SHARES:
        return {**{name: _whole(value) for name, value in counts.items()}, "oi_reason": None}
    contracts = {f"{name}_contracts": value for name, value in counts.items()}
    if lot_size is None:
        nothing = dict.fromkeys(counts)
        return {**nothing, **contracts, "oi_reason": LotReason.LOT_UNKNOWN.value}
    shares = {name: in_shares(value, lot_size) for name, value in counts.items()}
    lost = any(counts[name] is not None and shares[name] is None for name in counts)
    reason = LotReason.LOT_MISMATCH.value if lost else None
    return {**shares, **contracts, "oi_reason": reason}


def strike_number(strike: Decimal) -> int | float:
    """A strike as JSON writes it: 24200, 282.5."""
    return int(strike) if strike == strike.to_integral_value() else float(strike)


def rounded(value: float | None) -> float | None:
    """A computed number in its significant digits."""
    return None if value is None else float(f"{value:.{SIGNIFICANT}g}")


def rounded_all(values: Sequence[float | None]) -> list[float | None]:
    """`rounded` of every value, many at once."""
    numbers = np.array(values, np.float64)
    known = np.isfinite(numbers) & (numbers != 0)
    digits = np.zeros(len(numbers), np.int64)
    digits[known] = SIGNIFICANT - 1 - np.floor(np.log10(np.abs(numbers[known]))).astype(np.int64)
    # Powers of ten up to this one are exact, so that one division gives the nearest number.
    exact = known & (np.abs(digits) <= EXACT_POWER)
    up, down = 10.0 ** np.clip(digits, 0, EXACT_POWER), 10.0 ** np.clip(-digits, 0, EXACT_POWER)
    numbers[exact] = (np.rint(numbers / down * up) / up * down)[exact]
    found: list[float | None] = numbers.tolist()
    for place in np.flatnonzero(~exact).tolist():
        found[place] = rounded(values[place])
    return found


def _numbers(numbers: LegValuation) -> dict[str, Any]:
    values = numbers._asdict()
    reason = values.pop("reason")
    return {**{name: rounded(value) for name, value in values.items()}, "reason": reason}


def _whole(value: float | None) -> int | float | None:
    return int(value) if value is not None and value == int(value) else value
