"""The age of stored quotes, counted in minutes in which the market traded."""

from dataclasses import dataclass
from datetime import datetime

from data_fetch.core.freshness import Freshness, FreshnessRules
from data_fetch.core.market.calendar import MarketCalendar, TradingGroup
from data_fetch.core.quotes.quotes import Movement


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The freshness of one symbol. *minutes* are trading minutes since the last quote."""

    symbol: str
    state: Freshness
    last_quote: datetime | None
    minutes: int | None


def judge(
    symbol: str,
    *,
    now: datetime,
    group: TradingGroup,
    calendar: MarketCalendar,
    rules: FreshnessRules,
    last_quote: datetime | None,
    movement: Movement | None,
    index_moved: bool,
) -> Judgement:
    """The state of one symbol at *now*.

    *movement* is over the last `frozen_after` slots. At night, on holidays and between trading
    and auction no quote is expected, so none is stale: the state is ``market_closed``.
    """
    minutes = (
        None if last_quote is None else calendar.trading_minutes_between(last_quote, now, group)
    )
    if not calendar.is_open(now, group):
        state = Freshness.CLOSED
    elif minutes is None:
        state = Freshness.NEVER_SEEN
    elif minutes > rules.stale_after:
        state = Freshness.STOPPED
    elif index_moved and _is_frozen(movement, rules):
        state = Freshness.FROZEN
    else:
        state = Freshness.FRESH
    return Judgement(symbol=symbol, state=state, last_quote=last_quote, minutes=minutes)


def _is_frozen(movement: Movement | None, rules: FreshnessRules) -> bool:
    return movement is not None and movement.slots >= rules.frozen_after and movement.stood_still
