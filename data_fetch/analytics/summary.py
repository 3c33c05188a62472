"""The summary of a chain: its metrics, and the age and completeness of their inputs."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from data_fetch.analytics.build_up import counts_since_previous_close
from data_fetch.analytics.columns import stacked
from data_fetch.analytics.metrics import arrays_of_chains, chain_metrics
from data_fetch.core.chains.valuation import ChainSummary, PricedChain


class Subject(NamedTuple):
    """A chain to summarise, when it was received, and its lot size where that is known."""

    priced: PricedChain
    received_at: datetime | None
    lot_size: int | None


def summarise(subjects: Sequence[Subject]) -> list[ChainSummary]:
    """The summary of each chain, in their order; build-up is against the previous close."""
    legs, rows = stacked([each.priced.chain for each in subjects])
    arrays = arrays_of_chains([each.priced for each in subjects], legs, rows)
    moved = counts_since_previous_close(legs, rows)
    return [
        ChainSummary(
            priced=each.priced,
            age_seconds=_age(each.priced.chain.exchange_time, each.received_at),
            metrics=chain_metrics(chain_arrays, each.lot_size),
            build_up=counts,
        )
        for each, chain_arrays, counts in zip(subjects, arrays, moved, strict=True)
    ]


def _age(stamped: datetime | None, received_at: datetime | None) -> float | None:
    if stamped is None or received_at is None:
        return None
    return (received_at - stamped).total_seconds()
