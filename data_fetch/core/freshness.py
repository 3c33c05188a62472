"""How old what we hold is, counted in minutes in which the market traded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from data_fetch.core.market import MarketCalendar, Venue


class Freshness(StrEnum):
    """What can be said of one symbol's quotes."""

    FRESH = "fresh"
    NEVER_SEEN = "never_seen"
    STOPPED = "stopped"
    FROZEN = "frozen"
    CLOSED = "market_closed"


STALE = frozenset({Freshness.NEVER_SEEN, Freshness.STOPPED})


@dataclass(frozen=True, slots=True)
class Seen:
    """What one slot's quote said: enough to tell whether anything moved."""

    price: float
    volume: int


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
    venue: Venue,
    calendar: MarketCalendar,
    rules: FreshnessRules,
    last_quote: datetime | None,
    recent: Sequence[Seen],
    index_moved: bool,
) -> Judgement:
    """The state of one symbol at *now*.

    *recent* are its quotes of the last `frozen_after` slots. At night, on holidays and in the
    auction gap nothing is expected, so nothing is stale: the state is ``market_closed``.
    """
    minutes = (
        None if last_quote is None else calendar.trading_minutes_between(last_quote, now, venue)
    )
    if not calendar.is_open(now, venue):
        state = Freshness.CLOSED
    elif minutes is None:
        state = Freshness.NEVER_SEEN
    elif minutes > rules.stale_after:
        state = Freshness.STOPPED
    elif index_moved and stood_still(recent, rules.frozen_after):
        state = Freshness.FROZEN
    else:
        state = Freshness.FRESH
    return Judgement(symbol=symbol, state=state, last_quote=last_quote, minutes=minutes)


def stood_still(recent: Sequence[Seen], slots: int) -> bool:
    """Whether price and cumulative volume were the same in all of the last *slots* slots."""
    return len(recent) >= slots and len(set(recent[-slots:])) == 1


def count_states(judgements: Sequence[Judgement]) -> Mapping[str, int]:
    """How many symbols are in each state, every state named."""
    counts = dict.fromkeys(map(str, Freshness), 0)
    for judgement in judgements:
        counts[judgement.state] += 1
    return counts
