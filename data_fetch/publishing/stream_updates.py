"""The updates that are streamed, in the shapes that clients of the older backend read.

A document that is not of its shape raises ValueError, TypeError or LookupError.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from data_fetch.core.chains.contract_names import TYPES, Contract
from data_fetch.core.clock import utc_text
from data_fetch.core.feed.ticks import NO_BEST, NO_DETAIL, Greeks, Tick
from data_fetch.core.world import World
from data_fetch.publishing.stream_messages import (
    CHAIN,
    GENERAL,
    OPTION_TICK,
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

NO_GREEKS = dict.fromkeys(Greeks._fields)

Document = Mapping[str, Any]


def price_update(document: Document) -> Update:
    """`underlying_update`: the price of a product."""
    return Update(
        event="underlying_update",
        key=(PRICE, _text(document, "product")),
        room=product_room(document["product"]),
        at=_instant(document),
        document=document,
    )


def chain_update(chain: Document) -> Update:
    """`chain_update`: a whole option chain. Its JSON is made now, which takes long: the loop that
    sends it serves other clients meanwhile."""
    return Update(
        event="chain_update",
        key=(CHAIN, _text(chain, "product"), _text(chain, "expiry")),
        room=chain_room(chain["product"]),
        at=_instant(chain),
        document=orjson.Fragment(orjson.dumps(chain)),
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
        document=summary,
    )


def ticks_document(ticks: Mapping[str, Tick], source: str, world: World) -> dict[str, Any]:
    """Ticks by product, of the feed of *source*, as they are published together."""
    made = [
        {"product": product, **_tick_document(tick), "minute": _minute_document(tick)}
        for product, tick in ticks.items()
    ]
    return {"source": source, "world": world.value, "ticks": made}


def option_ticks_document(
    ticks: Mapping[Contract, Tick], source: str, world: World
) -> dict[str, Any]:
    """Ticks by contract, of the feed of *source*, as they are published together."""
    made = [_option_tick_document(contract, tick) for contract, tick in ticks.items()]
    return {"source": source, "world": world.value, "ticks": made}


def tick_updates(published: Document) -> list[Update]:
    """`tick_update` for each of the ticks of products that were *published* together."""
    return [
        _tick_update("tick_update", (TICK, _text(tick, "product")), tick)
        for tick in _ticks(published)
    ]


def option_tick_updates(published: Document) -> list[Update]:
    """`option_tick_update` for each of the ticks of contracts that were *published* together."""
    return [
        _tick_update("option_tick_update", (OPTION_TICK, _text(tick, "symbol")), tick)
        for tick in _ticks(published)
    ]


def _ticks(published: Document) -> list[Document]:
    shared = {"source": published["source"], "world": published["world"]}
    return [{**tick, **shared} for tick in published["ticks"]]


def _tick_update(event: str, key: tuple[str, str], tick: Document) -> Update:
    return Update(
        event=event,
        key=key,
        room=tick_room(key[1]),
        at=_instant(tick, "received_at"),
        document=tick,
    )


def _tick_document(of: Tick) -> dict[str, Any]:
    """The last trade in rupees and shares, when it was and when it was received."""
    traded_at, detail = of.traded_at, of.detail or NO_DETAIL
    return {
        "price": of.last_price,
        "ltq": of.ltq,
        "traded_at": None if traded_at is None else utc_text(traded_at),
        "received_at": utc_text(of.received_at),
        "prev_close": of.prev_close,
        "volume": detail.volume,
        "open_interest": detail.open_interest,
    }


def _minute_document(of: Tick) -> dict[str, Any] | None:
    """The newest minute of the feed, the running one while there are trades: provisional."""
    bar = max((of.detail and of.detail.bars) or (), default=None)
    if bar is None:
        return None
    prices = {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close}
    return {"timestamp": utc_text(bar.start), **prices, "volume": bar.volume}


def _option_tick_document(contract: Contract, of: Tick) -> dict[str, Any]:
    """The same of a contract, with the best prices and the provider's volatility and Greeks."""
    detail = of.detail or NO_DETAIL
    best = detail.best or NO_BEST
    return {
        "symbol": contract.name,
        "product": contract.product,
        "expiry": contract.expiry.isoformat(),
        "strike": contract.strike,
        "option_type": TYPES[contract.option_type],
        **_tick_document(of),
        "bid": best.bid,
        "ask": best.ask,
        "iv": detail.iv,
        **(NO_GREEKS if detail.greeks is None else detail.greeks._asdict()),
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
