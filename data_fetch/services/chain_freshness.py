"""How fresh the stored option chains are."""

from datetime import datetime

from data_fetch.core.chains.freshness import ChainJudgement, judge_chains
from data_fetch.core.chains.polling import PollingPlan
from data_fetch.core.freshness import FreshnessRules
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.storage.chains.last_receipts import last_receipts
from data_fetch.storage.database.store import Store


def judge_polled(
    store: Store,
    plan: PollingPlan,
    calendar: MarketCalendar,
    rules: FreshnessRules,
    now: datetime,
) -> list[ChainJudgement]:
    """The state at *now* of the chains of each symbol of *plan*."""
    with store.reading() as connection:
        receipts = last_receipts(connection, [each.symbol for each in plan.cadences])
    return judge_chains(plan.cadences, receipts, now=now, calendar=calendar, rules=rules)
