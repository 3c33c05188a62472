"""The freshness of a store: quotes of the listed symbols, and chains of the polled ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.settings import Settings
from data_fetch.reading.chain_freshness import ChainFreshness, chain_freshness
from data_fetch.reading.feed_status import FeedSummary, feed_in
from data_fetch.reading.quote_freshness import QuoteFreshness, quote_freshness
from data_fetch.reading.records import clock_of, listed_instruments, store_of
from data_fetch.runtime.calendars import calendar_for


@dataclass(frozen=True, slots=True)
class FreshnessReport:
    """The judgements of quotes and of chains, made at the same instant, and the *listed*
    instruments. *feed* is None where no collector ever had one."""

    listed: Sequence[Instrument]
    quotes: QuoteFreshness
    chains: ChainFreshness
    feed: FeedSummary | None

    def document(self) -> dict[str, Any]:
        return {**self.quotes.document(), "chains": self.chains.document()}


def freshness_report(settings: Settings) -> FreshnessReport:
    """The freshness of the configured store now, or of the one that `run` fell back to.

    Raises CalendarUnknown, SymbolsFileBad, StoreUnreachable.
    """
    clock = clock_of(settings)
    with store_of(settings) as store:
        calendar, now = calendar_for(settings), clock.now()
        with store.reading() as connection:
            listed = listed_instruments(connection, settings)
        return FreshnessReport(
            listed,
            quote_freshness(settings, store, calendar, now, listed),
            chain_freshness(settings, store, calendar, now, listed),
            feed_in(store, now),
        )
