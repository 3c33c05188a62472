"""Which store is read, in words."""

from data_fetch.core.settings import Settings
from data_fetch.reading.records import store_of
from data_fetch.runtime.stores import degraded_reason


def store_source(settings: Settings) -> str:
    """The store that is read and its world; that it stands in for the configured one, if so.

    Raises StoreUnreachable.
    """
    with store_of(settings) as store:
        named = f"store {store.name}, {store.world} world"
    degraded = degraded_reason(settings)
    return named if degraded is None else f"{named} ({degraded})"
