"""The age of stored quotes, counted in minutes in which the market traded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from data_fetch.core.market.calendar import MarketCalendar, TradingGroup
from data_fetch.core.quotes.quotes import Movement


class Freshness(StrEnum):
    """The state of one symbol's quotes."""

    FRESH = "fresh"
    NEVER_SEEN = "never_seen"
    STOPPED = "stopped"
    FROZEN = "frozen"
    CLOSED = "market_closed"


STALE = frozenset({Freshness.NEVER_SEEN, Freshness.STOPPED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The freshness of one symbol. *minutes* are trading minutes since the last quote."""

    symbol: str
    state: Freshness
    last_quote: datetime | None
    minutes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshnessRules:
    """*stale_after* trading minutes without a quote; *frozen_after* slots without movement."""

    stale_after: int = 5
    frozen_after: int = 10


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


def count_states(judgements: Sequence[Judgement]) -> Mapping[str, int]:
    """The number of symbols in each state, with every state present."""
    counts = dict.fromkeys(map(str, Freshness), 0)
    for judgement in judgements:
        counts[judgement.state] += 1
    return counts
