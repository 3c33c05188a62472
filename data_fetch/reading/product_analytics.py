"""Figures of option chains in the shape of the older streaming backend."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from math import isfinite
from operator import gt, lt
from statistics import fmean
from typing import Any

from data_fetch.analytics.columns import Floats
from data_fetch.analytics.metrics import ChainArrays, otm_smile
from data_fetch.core.chains.valuation import Metric
from data_fetch.core.clock import utc_text
from data_fetch.core.settings import Settings
from data_fetch.reading.chain_records import ChainHead, ChainRecord, running_chains
from data_fetch.reading.documents import rounded
from data_fetch.reading.product_chains import (
    NO_SPOT,
    Document,
    open_interest,
    product_chain,
    reason_of_oi,
)
from data_fetch.reading.seam import question
from data_fetch.storage.chains.records import figures_of
from data_fetch.storage.chains.rows import StoredSnapshot as StoredSnapshot
from data_fetch.storage.chains.rows import read_snapshot

# Strikes at most this far from the spot are at the money.
AT_THE_MONEY = 0.01
RATIOS = ("pcr_oi", "pcr_volume")
MORE_PUTS = "More open interest is in puts below the spot than in calls above it."
MORE_CALLS = "More open interest is in calls above the spot than in puts below it."
AS_MUCH = "As much open interest is in puts below the spot as in calls above it."


def put_call_ratios(settings: Settings, heads: Sequence[ChainHead]) -> list[dict[str, Any]]:
    """The ratios of puts to calls of each snapshot, in their order; null where unknown.

    Raises StoreUnreachable.
    """
    with question(settings) as asked:
        asked.recall_contents(head.stored for head in heads)
        figures = figures_of(asked.connection, heads)
    return [
        {
            "product": head.shown.underlying,
            "expiry": head.shown.expiry.isoformat(),
            **{name: _ratio(figures[head.stored.key], name) for name in RATIOS},
            "timestamp": utc_text(head.shown.timestamp),
        }
        for head in heads
    ]


def product_max_pain(found: ChainRecord) -> dict[str, Any]:
    """Max pain of a snapshot and how far it is from the spot: in rupees, and in percent of it."""
    chain = product_chain(found)
    spot, strike = chain["spot_price"], chain["max_pain_strike"]
    distance = None if spot is None or strike is None else strike - spot
    return {
        "product": chain["product"],
        "expiry": chain["expiry"],
        "max_pain_strike": strike,
        "spot_price": spot,
        "distance_from_spot": None if distance is None else round(distance, 2),
        "distance_pct": None if distance is None else round(distance / spot * 100, 2),
        "total_call_oi": chain["total_call_oi"],
        "total_put_oi": chain["total_put_oi"],
        "timestamp": chain["timestamp"],
        "unknown": _unknown(chain, "max_pain_strike", "total_call_oi", "total_put_oi"),
    }


def product_build_up(found: ChainRecord) -> dict[str, Any]:
    """Open interest (shares) in, at and out of the money. At the money are strikes within one
    percent of the spot."""
    chain = product_chain(found)
    spot = chain["spot_price"]
    calls = _by_moneyness(chain["calls"], spot, in_the_money=lt)
    puts = _by_moneyness(chain["puts"], spot, in_the_money=gt)
    return {
        "product": chain["product"],
        "expiry": chain["expiry"],
        "spot_price": spot,
        "call_buildup": calls,
        "put_buildup": puts,
        "interpretation": _interpretation(calls["otm"], puts["otm"]),
        "timestamp": chain["timestamp"],
        "unknown": {
            f"{name}.{place}": NO_SPOT if spot is None else reason_of_oi(found.legs)
            for name, sums in (("call_buildup", calls), ("put_buildup", puts))
            for place, value in sums.items()
            if value is None
        },
    }


def running_snapshots(settings: Settings, symbol: str, at: datetime | None) -> list[StoredSnapshot]:
    """The newest snapshot of each expiry that was not over at *at*, nearest first.

    Raises UnknownSymbol, NothingStored without any, StoreUnreachable.
    """
    heads = running_chains(settings, symbol, at)
    with question(settings) as asked:
        asked.recall_contents(head.stored for head in heads)
        return [read_snapshot(asked.connection, head.stored).shown_as(head.shown) for head in heads]


def product_surface(found: Sequence[StoredSnapshot]) -> dict[str, Any]:
    """Volatilities by strike for each expiry, as fractions; the lists of an expiry are equally
    long, null where a side has none. There must be at least one snapshot."""
    return {
        "product": found[0].head.underlying,
        "timestamp": utc_text(max(each.timestamp for each in found)),
        "expiries": [_smile(each) for each in found],
    }


def _smile(found: StoredSnapshot) -> dict[str, Any]:
    arrays = ChainArrays.of(found.summary.priced)
    calls, puts, ivs = (
        _nulled(column) for column in (arrays.iv.call, arrays.iv.put, otm_smile(arrays))
    )
    known = [iv for iv in ivs if iv is not None]
    return {
        "expiry": found.head.expiry.isoformat(),
        "strikes": arrays.strikes.tolist(),
        "ivs": ivs,
        "call_ivs": calls,
        "put_ivs": puts,
        "avg_iv": rounded(fmean(known)) if known else None,
        "num_quotes": sum(iv is not None for iv in (*calls, *puts)),
    }


def _nulled(column: Floats) -> list[float | None]:
    return [rounded(value) if isfinite(value) else None for value in column.tolist()]


def _ratio(figures: Mapping[str, Metric], name: str) -> float | None:
    value = figures[name].value if name in figures else None
    return None if value is None else round(value, 4)


def _by_moneyness(
    legs: Iterable[Document], spot: float | None, in_the_money: Callable[[float, float], bool]
) -> dict[str, int | None]:
    """The open interest of *legs* by place; *in_the_money* compares a strike with the spot."""
    places: dict[str, list[Document]] = {"itm": [], "atm": [], "otm": []}
    if spot is None:
        return dict.fromkeys(places)
    for leg in legs:
        strike = leg["strike"]
        if abs(strike - spot) <= AT_THE_MONEY * spot:
            places["atm"].append(leg)
        else:
            places["itm" if in_the_money(strike, spot) else "otm"].append(leg)
    return {place: open_interest(several) for place, several in places.items()}


def _interpretation(above: int | None, below: int | None) -> str | None:
    """The side out of the money with more open interest: calls *above*, puts *below*."""
    if above is None or below is None:
        return None
    if above == below:
        return AS_MUCH
    return MORE_PUTS if below > above else MORE_CALLS


def _unknown(chain: Document, *names: str) -> dict[str, str]:
    return {name: chain["unknown"][name] for name in names if name in chain["unknown"]}
