"""The age of stored option chains, counted in minutes in which their options traded.

A symbol is judged by the newest receipt of any of its expiries, from any source: a symbol whose
nearest expiry has just changed, or whose chains come from another source, is not late by that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from data_fetch.core.chains.chains import ChainSource
from data_fetch.core.chains.polling import Cadence
from data_fetch.core.clock import IST
from data_fetch.core.freshness import STALE, Freshness, FreshnessRules
from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS, MarketCalendar

# The quotes of a symbol may stand still because it is not traded; a chain is hundreds of prices.
STALE_CHAINS = STALE | {Freshness.FROZEN}
# One poll may fail and the next one may be slow.
INTERVALS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LastReceipt:
    """The newest receipt of a symbol's chains.

    *exchange_time* is the source's own stamp of it, None from a source without stamps;
    *unchanged_since* is when its content was received first.
    """

    expiry: date
    source: ChainSource
    received_at: datetime
    exchange_time: datetime | None
    unchanged_since: datetime

    @property
    def current_at(self) -> datetime:
        """The latest instant that its content is known to be from."""
        return self.exchange_time or self.unchanged_since


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainJudgement:
    """The freshness of one symbol's chains.

    *minutes* are trading minutes since the last receipt; *standing* those from the source's stamp
    to the receipt, or, without a stamp, those for which the content had not changed by then.
    """

    symbol: str
    state: Freshness
    last: LastReceipt | None = None
    minutes: int | None = None
    standing: int | None = None


def judge_chains(
    cadences: Sequence[Cadence],
    receipts: Mapping[str, LastReceipt],
    *,
    now: datetime,
    calendar: MarketCalendar,
    rules: FreshnessRules,
) -> list[ChainJudgement]:
    """The state of each polled symbol at *now*, from its newest receipt.

    - ``market_closed``: no chain is expected, because options do not trade, or because they have
      traded today for less than the interval of the symbol;
    - ``never_seen``: there is no receipt;
    - ``stopped``: none for more than `stale_after` trading minutes and three planned intervals;
    - ``frozen``: the last one is recent, but its stamp was more than `frozen_after` trading
      minutes old. Without a stamp: its content had not changed for so long, while the chain of
      another symbol did.

    A stamp in the future is not old. Raises CalendarUnknown when *now* is before the calendar.
    """
    trading = _Trading(calendar, now)
    moving = any(
        trading.minutes(receipts[each.symbol].unchanged_since, now) <= rules.frozen_after
        for each in cadences
        if each.symbol in receipts
    )
    return [_judge(each, receipts.get(each.symbol), trading, rules, moving) for each in cadences]


class _Trading:
    """The trading minutes of options, as of *now*."""

    def __init__(self, calendar: MarketCalendar, now: datetime) -> None:
        self._calendar = calendar
        self.now = now
        self.open = calendar.is_open(now, FUTURES_AND_OPTIONS)
        today = now.astimezone(IST).date()
        self.today = self.minutes(datetime.combine(today, time(), IST), now)

    def minutes(self, start: datetime, end: datetime) -> int:
        """Whole trading minutes; none of those before the calendar, 0 if *start* is the later."""
        begin = datetime.combine(self._calendar.reviewed_from, time(), IST).astimezone(UTC)
        return self._calendar.trading_minutes_between(max(start, begin), end, FUTURES_AND_OPTIONS)


def _judge(
    cadence: Cadence,
    last: LastReceipt | None,
    trading: _Trading,
    rules: FreshnessRules,
    moving: bool,
) -> ChainJudgement:
    interval = cadence.planned_interval
    if last is None:
        state = Freshness.NEVER_SEEN if _is_due(trading, interval) else Freshness.CLOSED
        return ChainJudgement(symbol=cadence.symbol, state=state)
    minutes = trading.minutes(last.received_at, trading.now)
    standing = trading.minutes(last.current_at, last.received_at)
    if trading.open and 60 * minutes <= max(60 * rules.stale_after, INTERVALS * interval):
        witnessed = moving or last.exchange_time is not None
        frozen = witnessed and standing > rules.frozen_after
        state = Freshness.FROZEN if frozen else Freshness.FRESH
    else:
        state = Freshness.STOPPED if _is_due(trading, interval) else Freshness.CLOSED
    return ChainJudgement(
        symbol=cadence.symbol, state=state, last=last, minutes=minutes, standing=standing
    )


def _is_due(trading: _Trading, interval: float) -> bool:
    """Whether a chain that is polled every *interval* seconds had time to be received today."""
    return trading.open and 60 * trading.today >= interval
