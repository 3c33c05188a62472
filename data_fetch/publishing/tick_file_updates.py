"""What a collector of the same working folder writes into its tick file, received by a server."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from data_fetch.publishing.tick_file import NAMED_BY, mark_of, ticks_in

log = logging.getLogger(__name__)

# A look reads a few bytes while nothing was written.
LOOK_SECONDS = 0.1

Document = Mapping[str, Any]


class TickFileUpdates:
    """Follows the tick file at *path*. For one event loop.

    *received* gets a channel, and a document of the ticks in it that have changed.
    """

    def __init__(self, path: Path, received: Callable[[str, Document], Awaitable[None]]) -> None:
        self._path = path
        self._received = received
        self._seen = self._torn = b""
        self._ticks: dict[str, dict[str, Document]] = {channel: {} for channel in NAMED_BY}
        self._failing = False

    async def look(self) -> None:
        """Receive what was written since the last look. A file that cannot be read is logged once,
        until one was read."""
        try:
            await self._look()
        except (OSError, ValueError, TypeError, LookupError) as problem:
            # Another version of the platform may have written something else.
            if not self._failing:
                log.warning("ticks_not_read", extra={"problem": str(problem)})
            self._failing = True

    async def _look(self) -> None:
        mark = mark_of(self._path)
        if mark == self._seen:
            return
        documents = await asyncio.to_thread(ticks_in, self._path)
        if not documents:
            # It is being written, or is what a killed collector has left, which stays as it is.
            if mark == self._torn:
                self._seen = mark
            self._torn = mark
            return
        self._seen = mark
        for channel, document in documents.items():
            if changed := self._changed(channel, document):
                await self._received(channel, {**document, "ticks": changed})
        self._failing = False

    def _changed(self, channel: str, document: Document) -> list[Document]:
        ticks = {tick[NAMED_BY[channel]]: tick for tick in document["ticks"]}
        before, self._ticks[channel] = self._ticks[channel], ticks
        return [tick for name, tick in ticks.items() if tick != before.get(name)]
