"""The newest ticks that the collector of this folder has received, as its tick file has them."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from data_fetch.core.clock import MINUTE
from data_fetch.core.settings import Settings
from data_fetch.publishing.tick_file import ticks_in
from data_fetch.reading.records import clock_of

log = logging.getLogger(__name__)

# A feed does not bring what it has sent no tick of for so long.
AWAY = timedelta(minutes=5)


class Received(Protocol):
    @property
    def received_at(self) -> datetime: ...


T = TypeVar("T", bound=Received)
# The document of one tick.
Document = Mapping[str, Any]


def feed_ticks(settings: Settings, channel: str, made: Callable[[Document, str], T]) -> list[T]:
    """The newest ticks of *channel*, as *made* of a tick and the name of its source.

    None without a feed, or of a file that is another account's or of another version of the
    platform. Ticks of a clock that was ahead are left out.
    """
    latest = clock_of(settings).now() + MINUTE
    try:
        published = ticks_in(settings.tick_file).get(channel)
        if published is None:
            return []
        ticks = [made(each, published["source"]) for each in published["ticks"]]
        return [each for each in ticks if each.received_at <= latest]
    except (OSError, ValueError, TypeError, LookupError) as problem:
        # What is stored is there without it.
        log.info("ticks_not_read", extra={"problem": str(problem)})
        return []
