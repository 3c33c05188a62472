"""One line about a chain: its figures, and how fresh and complete what they rest on was."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from data_fetch.analytics.build_up import counts_since_previous_close
from data_fetch.analytics.metrics import Bench, benches, chain_metrics
from data_fetch.core.chain_numbers import ChainSummary, PricedChain


class Subject(NamedTuple):
    """A chain to sum up: when it was received, and the lot in force where that is known."""

    priced: PricedChain
    received_at: datetime | None
    lot_size: int | None


def summarise(subjects: Sequence[Subject]) -> list[ChainSummary]:
    """A line for each, in their order; build-up is against the previous close."""
    filled = benches([each.priced for each in subjects])
    return [_line(each, bench) for each, bench in zip(subjects, filled, strict=True)]


def _line(subject: Subject, bench: Bench) -> ChainSummary:
    return ChainSummary(
        priced=subject.priced,
        age_seconds=_age(subject.priced.chain.exchange_time, subject.received_at),
        metrics=chain_metrics(bench, subject.lot_size),
        build_up=counts_since_previous_close(bench.legs),
    )


def _age(stamped: datetime | None, received_at: datetime | None) -> float | None:
    if stamped is None or received_at is None:
        return None
    return (received_at - stamped).total_seconds()
