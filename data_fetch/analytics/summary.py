"""One line about a chain: its figures, and how fresh and complete what they rest on was."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from data_fetch.analytics.build_up import counts_since_previous_close
from data_fetch.analytics.columns import stacked
from data_fetch.analytics.metrics import chain_metrics, chains_arrays
from data_fetch.core.chains.valuation import ChainSummary, PricedChain


class Subject(NamedTuple):
    """A chain to sum up: when it was received, and the lot in force where that is known."""

    priced: PricedChain
    received_at: datetime | None
    lot_size: int | None


def summarise(subjects: Sequence[Subject]) -> list[ChainSummary]:
    """A line for each, in their order; build-up is against the previous close."""
    legs, rows = stacked([each.priced.chain for each in subjects])
    filled = chains_arrays([each.priced for each in subjects], legs, rows)
    moved = counts_since_previous_close(legs, rows)
    return [
        ChainSummary(
            priced=each.priced,
            age_seconds=_age(each.priced.chain.exchange_time, each.received_at),
            metrics=chain_metrics(chain_arrays, each.lot_size),
            build_up=counts,
        )
        for each, chain_arrays, counts in zip(subjects, filled, moved, strict=True)
    ]


def _age(stamped: datetime | None, received_at: datetime | None) -> float | None:
    if stamped is None or received_at is None:
        return None
    return (received_at - stamped).total_seconds()
