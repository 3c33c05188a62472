"""One line about a chain: its figures, and how fresh and complete what they rest on was."""

from datetime import datetime

from data_fetch.analytics.build_up import counts_since_previous_close
from data_fetch.analytics.metrics import chain_metrics
from data_fetch.core.chain_numbers import ChainSummary, PricedChain


def summarise(
    priced: PricedChain, received_at: datetime | None, lot_size: int | None
) -> ChainSummary:
    """The summary of a chain received at *received_at*; build-up is against the previous close.

    *lot_size* is the lot in force for its expiry, where it is known.
    """
    chain = priced.chain
    return ChainSummary(
        priced=priced,
        age_seconds=_age(chain.exchange_time, received_at),
        metrics=chain_metrics(priced, lot_size),
        build_up=counts_since_previous_close(chain),
    )


def _age(stamped: datetime | None, received_at: datetime | None) -> float | None:
    if stamped is None or received_at is None:
        return None
    return (received_at - stamped).total_seconds()
