"""What has changed in a store, as the documents that are streamed and published."""

from typing import Any

from data_fetch.core.clock import utc_text
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.reading.chain_records import ChainRecord
from data_fetch.reading.product_analytics import product_surface, running_snapshots
from data_fetch.reading.product_chains import product_chain
from data_fetch.reading.stream_changes import Price


def price_document(of: Price, world: World) -> dict[str, Any]:
    """The price of a product in rupees, when it was received, and from which source."""
    received = utc_text(of.at)
    return {
        "product": of.product,
        "price": of.value,
        "timestamp": received,
        "type": "UNDERLYING_ENRICHED",
        "processed_at": received,
        "source": of.source,
        "world": world.value,
    }


def chain_document(of: ChainRecord, world: World) -> dict[str, Any]:
    """A whole chain, as `product_chain` has it, and the world it is of."""
    return {**product_chain(of), "world": world.value}


def surface_document(settings: Settings, product: str) -> dict[str, Any] | None:
    """The volatilities of all expiries of *product* that are not over; None without any.

    Raises StoreUnreachable.
    """
    running = running_snapshots(settings, product, None)
    return {**product_surface(running), "world": settings.world.value} if running else None
