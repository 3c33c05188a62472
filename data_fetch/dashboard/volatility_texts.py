"""Volatilities as a sentence and as a table."""

from collections.abc import Sequence

import pyarrow as pa

from data_fetch.analytics.iv_standing import Standing
from data_fetch.analytics.surface import Smile

FEWEST_DAYS, FEWEST_EXPIRIES = 5, 2


def too_few_expiries(symbol: str, count: int) -> str:
    """Why there is no surface with *count* expiries, and the command that brings more."""
    return (
        f"The surface needs {FEWEST_EXPIRIES} expiries with prices; {_stored(count)}. Collect "
        f"more: `data-fetch symbols set '{symbol}' --expiries {FEWEST_EXPIRIES}`"
    )


def standing_sentence(smile: Smile | None, found: Standing | None) -> str:
    """The percentile and rank of the volatility of *smile*, and from how many days; what is
    missing where there is none."""
    if smile is None or smile.atm_iv is None:
        return "IV percentile: the volatility of today is unknown, because no expiry has prices."
    days = 0 if found is None else found.days
    if found is None or days < FEWEST_DAYS:
        return (
            f"IV percentile: it needs {FEWEST_DAYS} earlier days; {_stored(days)}. "
            "It comes by itself while chains are collected."
        )
    rank = "" if found.rank is None else f", IV rank {found.rank:.0f}"
    return (
        f"IV percentile {found.percentile:.0f}{rank}, from {days} days: ATM IV is "
        f"{smile.atm_iv * 100:.2f} % ({smile.expiry:%d %b %Y}, the expiry nearest to 30 days)."
    )


def _stored(count: int) -> str:
    return "1 is stored" if count == 1 else f"{count} are stored"


def smile_table(smiles: Sequence[Smile]) -> pa.Table:
    """A row for each point of each smile: expiry, strike, iv (a fraction) and the call's delta."""
    points = [
        (smile.expiry, *point)
        for smile in smiles
        for point in zip(smile.strikes, smile.ivs, smile.deltas, strict=True)
    ]
    columns = {"expiry": pa.date32(), **dict.fromkeys(("strike", "iv", "delta"), pa.float64())}
    return pa.Table.from_pylist(
        [dict(zip(columns, point, strict=True)) for point in points], pa.schema(columns.items())
    )
