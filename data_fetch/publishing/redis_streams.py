"""Prices and option chains in Redis, under the names of the older streaming backend.

Channels carry every change as JSON: `market:underlying`, `market:option_chain` and
`market:option_quote` what was received, `enriched:underlying` and `enriched:option_chain` what
servers stream; `market:ticks` and `market:option_ticks` the ticks of a feed. Keys with the newest
values live for five minutes. Redis is optional: while it fails, nothing is published, and it is
tried again after a pause.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry

from data_fetch.core.clock import stopwatch
from data_fetch.publishing.price_windows import PriceWindows

log = logging.getLogger(__name__)

LIFE_SECONDS = 300
TIMEOUT_SECONDS = 1
PAUSE_SECONDS = 2.0
RATIOS = ("product", "expiry", "pcr_oi", "pcr_volume", "timestamp")
RECEIVED = ("product", "expiry", "spot_price", "strikes", "calls", "puts", "timestamp", "world")
PRICES, CHAINS = "enriched:underlying", "enriched:option_chain"
TICKS, OPTION_TICKS = "market:ticks", "market:option_ticks"

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RedisNames:
    """Names of channels and keys, which begin with *prefix* where several stores share a Redis."""

    prefix: str = ""

    def of(self, plain: str) -> str:
        return f"{self.prefix}:{plain}" if self.prefix else plain


class StreamPublisher:
    """Publishes to the Redis at *url*. Connects at the first change."""

    def __init__(self, url: str, names: RedisNames) -> None:
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            # What is not published now is read from the store by those who follow it.
            retry=Retry(NoBackoff(), 0),
        )
        self._names = names
        self._windows = PriceWindows()
        self._failed_at: float | None = None

    def publish(
        self, prices: Sequence[Document], chains: Sequence[Document], surfaces: Iterable[Document]
    ) -> None:
        """Publish changes: prices and chains as they are streamed, volatilities by product."""

        def add(pipeline: "Pipeline") -> None:
            for price in prices:
                self._price(pipeline, price)
            for chain in chains:
                self._chain(pipeline, chain)
            for surface in surfaces:
                self._keep(pipeline, f"volatility_surface:{surface['product']}", surface)

        self._send(add)

    def publish_ticks(self, channel: str, ticks: Document) -> None:
        """Publish *ticks*, a document of several, as one message."""
        self._send(lambda pipeline: self._announce(pipeline, channel, ticks))

    def close(self) -> None:
        self._redis.close()

    def _send(self, add: Callable[["Pipeline"], None]) -> None:
        """Send what *add* puts into a pipeline, unless Redis has just failed."""
        if self._failed_at is not None and stopwatch() - self._failed_at < PAUSE_SECONDS:
            return
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                add(pipeline)
                pipeline.execute()
        except redis.RedisError as problem:
            if self._failed_at is None:
                log.warning("streams_not_published", extra={"problem": type(problem).__name__})
            self._failed_at = stopwatch()
        else:
            self._failed_at = None

    def _price(self, pipeline: "Pipeline", price: Document) -> None:
        product, timestamp = price["product"], price["timestamp"]
        received = {
            "type": "UNDERLYING",
            "product": product,
            "price": price["price"],
            "timestamp": timestamp,
            "tick_id": f"{product}:{timestamp}",
            "world": price["world"],
        }
        self._announce(pipeline, "market:underlying", received)
        self._announce(pipeline, PRICES, price)
        newest = {name: price[name] for name in ("product", "price", "timestamp")}
        self._keep(pipeline, f"latest:underlying:{product}", newest)
        at = datetime.fromisoformat(timestamp)
        for minutes, window in self._windows.add(product, price["price"], at).items():
            self._keep(pipeline, f"ohlc:{product}:{minutes}m", window, 60 * minutes)

    def _chain(self, pipeline: "Pipeline", chain: Document) -> None:
        self._announce(pipeline, "market:option_chain", {name: chain[name] for name in RECEIVED})
        self._announce(pipeline, CHAINS, chain)
        place = f"{chain['product']}:{chain['expiry']}"
        self._keep(pipeline, f"latest:chain:{place}", chain)
        self._keep(pipeline, f"latest:pcr:{place}", {name: chain[name] for name in RATIOS})
        for leg in (*chain["calls"], *chain["puts"]):
            self._announce(pipeline, "market:option_quote", leg)
            self._keep(pipeline, f"latest:option:{leg['symbol']}", leg)

    def _announce(self, pipeline: "Pipeline", channel: str, document: Document) -> None:
        pipeline.publish(self._names.of(channel), orjson.dumps(document))

    def _keep(
        self, pipeline: "Pipeline", key: str, document: Document, seconds: int = LIFE_SECONDS
    ) -> None:
        pipeline.set(self._names.of(key), orjson.dumps(document), ex=seconds)
