"""The newest quotes in Redis, for screens that do not query the database.

`quotes:live:latest` (or `quotes:paper:latest`) is a hash of symbol to JSON; each slot is also
published on `quotes:live` (or `quotes:paper`). Redis is optional: when it fails, collecting
goes on and one warning is logged.
"""

import logging
from collections.abc import Sequence
from typing import Any

import orjson
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from data_fetch.core.quotes.quotes import StoredQuote
from data_fetch.core.runs import SyncRun
from data_fetch.core.world import World

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 1


class QuoteFeed:
    """A slot listener that writes the quotes of one world to Redis. Connects at the first slot."""

    def __init__(self, url: str, world: World) -> None:
        self.channel = f"quotes:{world}"
        self.latest = f"{self.channel}:latest"
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            # The next slot replaces this one; the client's own repeats would only hold it up.
            retry=Retry(NoBackoff(), 0),
        )
        self._failing = False

    def __call__(self, run: SyncRun, quotes: Sequence[StoredQuote]) -> None:
        # The client's type of a mapping is wider than ours, and mappings are invariant.
        rows: dict[Any, Any] = {row.symbol: orjson.dumps(_wire(row)) for row in quotes}
        if not rows:
            return
        try:
            with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.hset(self.latest, mapping=rows)
                pipeline.publish(self.channel, b"[" + b",".join(rows.values()) + b"]")
                pipeline.execute()
        except redis.RedisError as problem:
            if not self._failing:
                log.warning("quote_feed_down", extra={"problem": type(problem).__name__})
            self._failing = True
        else:
            self._failing = False


def _wire(row: StoredQuote) -> dict[str, object]:
    quote = row.quote
    return {
        "symbol": row.symbol,
        "instrument_key": quote.instrument_key,
        "slot": row.slot,
        "ltp": quote.last_price,
        "volume": quote.volume,
        "change": quote.change,
        "change_percent": quote.change_percent,
        "off_session": row.off_session,
        "received_at": row.received_at,
        "source": row.source,
    }
