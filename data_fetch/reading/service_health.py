"""Whether the store answers, and the newest data in it: for whatever watches a server."""

from dataclasses import dataclass
from datetime import datetime

from data_fetch.core.errors import DataFetchError
from data_fetch.core.settings import Settings
from data_fetch.reading.quote_holdings import quote_holdings
from data_fetch.reading.records import clock_of, store_of
from data_fetch.storage.chains.snapshots import chain_holdings


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """*records* are the stored legs of option chains. *problem* is why the store does not answer;
    None when it does."""

    at: datetime
    last_fetch: datetime | None
    records: int
    problem: str | None


def service_health(settings: Settings) -> ServiceHealth:
    """The state of the configured store now. Raises Unreachable when the paper market, whose
    clock is asked, is not there."""
    now = clock_of(settings).now()
    try:
        with store_of(settings) as store:
            chains, quotes = chain_holdings(store), quote_holdings(settings, store)
    except DataFetchError as problem:
        # Away, refused, damaged, or of the other world: a watcher gets the reason.
        return ServiceHealth(now, None, 0, problem.message)
    fetched = [each.last_confirmed for each in chains.underlyings]
    if quotes.last_slot is not None:
        fetched.append(quotes.last_slot)
    return ServiceHealth(now, max(fetched, default=None), chains.legs, None)
