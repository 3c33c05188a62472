"""Updates from the store of a server: what changed since the last look."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool

from data_fetch.core.clock import stopwatch
from data_fetch.core.errors import CalendarUnknown, DataFetchError
from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS, MarketCalendar
from data_fetch.core.ports import Clock
from data_fetch.publishing.stream_messages import Update
from data_fetch.publishing.stream_updates import chain_update, price_update, summary_update
from data_fetch.reading.records import clock_of, sharing
from data_fetch.reading.stream_changes import ChangeFollower, Changes
from data_fetch.reading.stream_documents import chain_document, price_document
from data_fetch.reading.stream_products import general_products
from data_fetch.reading.underlyings import products
from data_fetch.runtime.calendars import calendar_for
from data_fetch.serving.server import Server

# The calendar and the pinned symbols may change, and a snapshot may be stored late.
LOOK_AGAIN_SECONDS = 60.0
TROUBLE = "store"
STANDS_STILL = "the store does not answer: streams stand still"

log = logging.getLogger(__name__)

T = TypeVar("T")


class StoreFeed:
    """Looks at the store of *server* as of *delay* ago, outside of the event loop.

    *general* are the products that the room `general` is about, as of the last look.
    """

    def __init__(self, server: Server, delay: timedelta) -> None:
        self._server = server
        self._delay = delay
        self._follower = ChangeFollower(server.settings, delay)
        self._looking = asyncio.Lock()
        self._looked_again: float | None = None
        self._clock: Clock | None = None
        self._calendar: MarketCalendar | None = None
        self._starts_over = False
        self.general: frozenset[str] = frozenset()

    async def updates(self, followed: Collection[str]) -> list[Update]:
        """What is new: prices, summaries of the general products, and chains of those *followed*.

        While the store does not answer there is nothing, and the server is in trouble.
        """
        async with self._looking:
            try:
                found = await self.read(partial(self._updates, followed))
            except DataFetchError as problem:
                if TROUBLE not in self._server.troubles:
                    log.warning("streams_stand_still", extra={"problem": problem.message})
                self._server.troubles.begin(TROUBLE, STANDS_STILL)
                return []
            self._server.troubles.end(TROUBLE)
            return found

    async def look_again(self) -> None:
        """Compare everything at the next look."""
        async with self._looking:
            self._looked_again = None

    def start_over(self) -> None:
        """Return everything at the next look: what the last one returned was not sent."""
        self._starts_over = True

    async def read(self, what: Callable[[], T]) -> T:
        """The result of a blocking query of `reading`."""
        with sharing(self._server.kept):
            return await run_in_threadpool(what)

    async def products(self) -> list[str]:
        """The underlyings whose chains are polled, or stored by then. Raises as `products`."""
        settings = self._server.settings

        def found() -> list[str]:
            return products(settings, clock_of(settings).now() - self._delay)

        return await self.read(found)

    def now(self) -> datetime | None:
        """The market's instant that is shown as the present one; None before the first look."""
        return None if self._clock is None else self._clock.now() - self._delay

    def market(self) -> str | None:
        """The state of the market: open or closed; None while it is not known."""
        now = self.now()
        if now is None or self._calendar is None:
            return None
        try:
            return "open" if self._calendar.is_open(now, FUTURES_AND_OPTIONS) else "closed"
        except CalendarUnknown:
            return None

    def of_chain(self, document: Mapping[str, Any]) -> list[Update]:
        """The updates that the document of a chain is sent as."""
        if document["product"] in self.general:
            return [chain_update(document), summary_update(document)]
        return [chain_update(document)]

    def _updates(self, followed: Collection[str]) -> list[Update]:
        settings = self._server.settings
        self._clock = clock_of(settings)
        if self._starts_over:
            self._starts_over = False
            self._follower.start_over()
        now = stopwatch()
        if self._looked_again is None or now - self._looked_again >= LOOK_AGAIN_SECONDS:
            self._calendar = calendar_for(settings)
            self.general = general_products(settings)
            self._follower.look_again()
            self._looked_again = now
        return self._of(self._follower.changes({*followed, *self.general}))

    def _of(self, changes: Changes) -> list[Update]:
        world = self._server.settings.world
        updates = [price_update(price_document(each, world)) for each in changes.prices]
        for record in changes.chains:
            updates += self.of_chain(chain_document(record, world))
        return updates
