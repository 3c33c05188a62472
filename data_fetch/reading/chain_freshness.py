"""Freshness of option chains: trading minutes since the last receipt of each polled symbol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from data_fetch.core.chains.freshness import ChainJudgement
from data_fetch.core.feed.tick_ages import NO_TICK, LastTick
from data_fetch.core.freshness import USUAL, count_states
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.settings import Settings
from data_fetch.reading.instants import ist_text
from data_fetch.reading.polling_plan import answering_source, plan_within
from data_fetch.reading.tick_receipts import option_ticks, tick_document
from data_fetch.services.chain_freshness import judge_polled
from data_fetch.services.polling import Polling
from data_fetch.storage.database.store import Store


@dataclass(frozen=True, slots=True)
class ChainFreshness:
    """The judgements of all polled symbols; none when nothing is polled. Beside them *ticks*: while
    a feed runs the newest one of any option of each symbol, else none."""

    judgements: Sequence[ChainJudgement]
    ticks: Mapping[str, LastTick] = field(default_factory=dict)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many symbols are in each state."""
        return count_states(each.state for each in self.judgements)

    @property
    def notable(self) -> list[ChainJudgement]:
        """The judgements of symbols that are neither fresh nor out of trading hours."""
        return [each for each in self.judgements if each.state not in USUAL]

    def tick(self, symbol: str) -> LastTick:
        """The newest tick of any option of *symbol*."""
        return self.ticks.get(symbol, NO_TICK)

    def document(self) -> dict[str, Any]:
        return {
            "counts": self.counts,
            "symbols": [
                {**_judgement_document(each), **tick_document(self.tick(each.symbol))}
                for each in self.judgements
            ],
        }


def chain_freshness(
    settings: Settings,
    store: Store,
    calendar: MarketCalendar,
    now: datetime,
    listed: Sequence[Instrument],
) -> ChainFreshness:
    """The freshness at *now* of the chains that are polled into *store*, whose *listed* instruments
    decide what is polled by default.

    The plan is the one in force: within the limits of the source that answers. Raises
    CalendarUnknown, SymbolsFileBad, StoreUnreachable.
    """
    polling = Polling(settings, store, listed)
    plan = plan_within(polling, answering_source(polling))
    found = judge_polled(store, plan, calendar, settings.freshness_rules, now)
    states = {each.symbol: each.state for each in found}
    return ChainFreshness(found, option_ticks(store, states, now))


def _judgement_document(judgement: ChainJudgement) -> dict[str, Any]:
    last = judgement.last
    return {
        "symbol": judgement.symbol,
        "state": str(judgement.state),
        "last_receipt": ist_text(last.received_at) if last else None,
        "trading_minutes": judgement.minutes,
        "expiry": last.expiry.isoformat() if last else None,
        "source": last.source.value if last else None,
        "exchange_time": ist_text(last.exchange_time) if last else None,
        "unchanged_since": ist_text(last.unchanged_since) if last else None,
        "standing_minutes": judgement.standing,
    }
