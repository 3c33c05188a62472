"""Quotes of a slot that no request brought, from the feed.

A row that is there already stays, and a later request replaces one of the feed.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from data_fetch.core.clock import IST, MINUTE, minute_of
from data_fetch.core.feed.slot_quotes import SOURCE, SlotClose, closing_quote, was_live
from data_fetch.core.feed.ticks import Tick
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar, group_of
from data_fetch.core.market.members import Members
from data_fetch.core.ports import Clock, SlotListener
from data_fetch.core.quotes.quotes import StoredQuote
from data_fetch.core.runs import Outcome, SyncRun, log_facts
from data_fetch.core.timetable import FEED
from data_fetch.sources.upstox.feed_state import FeedStatus
from data_fetch.storage.quotes import QuoteStore

log = logging.getLogger(__name__)


class FeedQuotes:
    """Keeps the ticks at the close of the last slot, and fills in what is missing of it.

    *listeners* get what was filled, as they get the quotes of requests.
    """

    def __init__(
        self,
        *,
        members: Members,
        calendar: MarketCalendar,
        repository: QuoteStore,
        clock: Clock,
        listeners: Collection[SlotListener] = (),
    ) -> None:
        self._members = members
        self._calendar = calendar
        self._repository = repository
        self._clock = clock
        self._listeners = listeners
        self._close: SlotClose | None = None

    def close_slot(self, status: FeedStatus, ticks: Sequence[Mapping[str, Tick]]) -> None:
        """Keep *ticks*, as `SlotClose` has them, if the feed was live throughout the slot that ends
        now."""
        slot = minute_of(self._clock.now()) - MINUTE
        live = was_live(status.condition, status.connected_since, slot)
        self._close = SlotClose(slot, ticks) if live else None

    def fill(self) -> None:
        """Store what is missing of the slot that closed last, with a run that has its slot."""
        close, self._close = self._close, None
        if close is None:
            return
        due = {one.symbol: one for one in self._members.instruments if self._due(one, close.slot)}
        missing = due.keys() - self._repository.symbols_at(close.slot, due)
        now = self._clock.now()
        run = SyncRun.begin(FEED, now, close.slot)
        rows = [row for name in sorted(missing) if (row := _row(due[name], close, run)) is not None]
        if rows:
            outcome = Outcome.COMPLETED if len(rows) == len(missing) else Outcome.INCOMPLETE
            run = run.finish(now, outcome, requested=len(missing), stored=len(rows))
            self._announce(*self._repository.fill_slot(run, rows))

    def _announce(self, run: SyncRun, filled: Sequence[StoredQuote]) -> None:
        log.info("slot", extra={"job": run.job, **log_facts(run)})
        for listener in self._listeners:
            listener(run, filled)

    def _due(self, instrument: Instrument, slot: datetime) -> bool:
        group = group_of(instrument, slot.astimezone(IST).date())
        return self._calendar.is_slot_due(slot, group)


def _row(instrument: Instrument, close: SlotClose, run: SyncRun) -> StoredQuote | None:
    tick = close.of(instrument.live_key)
    quote = tick and closing_quote(tick, instrument.instrument_key, close.slot)
    if tick is None or quote is None:
        return None
    return StoredQuote(
        symbol=instrument.symbol,
        slot=close.slot,
        quote=quote,
        off_session=False,
        received_at=tick.received_at,
        source=SOURCE,
        run_id=run.run_id,
    )
