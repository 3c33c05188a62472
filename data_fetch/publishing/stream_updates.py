"""The updates that are streamed, in the shapes that clients of the older backend read.

A document that is not of its shape raises ValueError, TypeError or LookupError.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from data_fetch.core.clock import utc_text
from data_fetch.core.feed.ticks import Tick
from data_fetch.core.world import World
from data_fetch.publishing.stream_messages import (
    CHAIN,
    GENERAL,
    PRICE,
    SUMMARY,
    TICK,
    Update,
    chain_room,
    product_room,
    tick_room,
)

# Clients of the older backend round them without looking.
NEEDED = ("pcr_oi", "pcr_volume", "atm_straddle_price")
SUMMARISED = ("product", "expiry", "spot_price", *NEEDED, "max_pain_strike", "timestamp", "world")

Document = Mapping[str, Any]


def price_update(document: Document) -> Update:
    """`underlying_update`: the price of a product."""
    return Update(
        event="underlying_update",
        key=(PRICE, _text(document, "product")),
        room=product_room(document["product"]),
        at=_instant(document),
        body=orjson.dumps(document),
    )


def chain_update(chain: Document) -> Update:
    """`chain_update`: a whole option chain."""
    return Update(
        event="chain_update",
        key=(CHAIN, _text(chain, "product"), _text(chain, "expiry")),
        room=chain_room(chain["product"]),
        at=_instant(chain),
        body=orjson.dumps(chain),
    )


def summary_update(chain: Document) -> Update:
    """`chain_summary`: the figures of an option chain; `chain_status` with the reasons when one
    that clients need is unknown."""
    unknown = [name for name in NEEDED if chain[name] is None]
    summary = {name: chain[name] for name in SUMMARISED}
    if unknown:
        summary["reasons"] = [
            {"code": chain["unknown"][name], "count": 1, "detail": f"{name} is not known"}
            for name in unknown
        ]
    return Update(
        event="chain_status" if unknown else "chain_summary",
        key=(SUMMARY, _text(chain, "product"), _text(chain, "expiry")),
        room=GENERAL,
        at=_instant(chain),
        body=orjson.dumps(summary),
    )


def ticks_document(ticks: Mapping[str, Tick], source: str, world: World) -> dict[str, Any]:
    """Ticks by product, of the feed of *source*, as they are published together."""
    return {
        "source": source,
        "world": world.value,
        "ticks": [_tick_document(product, each) for product, each in ticks.items()],
    }


def tick_updates(published: Document) -> list[Update]:
    """`tick_update` for each of the ticks that were *published* together."""
    shared = {"source": published["source"], "world": published["world"]}
    return [_tick_update({**tick, **shared}) for tick in published["ticks"]]


def _tick_update(tick: Document) -> Update:
    return Update(
        event="tick_update",
        key=(TICK, _text(tick, "product")),
        room=tick_room(tick["product"]),
        at=_instant(tick, "received_at"),
        body=orjson.dumps(tick),
    )


def _tick_document(product: str, of: Tick) -> dict[str, Any]:
    """The last trade in rupees and shares, when it was and when it was received."""
    traded_at, detail = of.traded_at, of.detail
    return {
        "product": product,
        "price": of.last_price,
        "ltq": of.ltq,
        "traded_at": None if traded_at is None else utc_text(traded_at),
        "received_at": utc_text(of.received_at),
        "prev_close": of.prev_close,
        "volume": None if detail is None else detail.volume,
        "open_interest": None if detail is None else detail.open_interest,
    }


def _text(document: Document, name: str) -> str:
    found = document[name]
    if not isinstance(found, str):
        raise TypeError(f"{name} is no text")
    return found


def _instant(document: Document, name: str = "timestamp") -> datetime:
    found = datetime.fromisoformat(_text(document, name))
    if found.tzinfo is None:
        raise ValueError(f"{name} has no time zone")
    return found
