"""When a connection is renewed ahead of a session. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.market.session import TradingGroup
from data_fetch.core.provider_tokens import daily_end

# Before the pre-open phase of 09:00, and with time to log in if the new connection needs that.
RENEWED_AHEAD = timedelta(minutes=30)


def is_worn(
    opened_at: datetime, now: datetime, calendar: MarketCalendar, groups: Iterable[TradingGroup]
) -> bool:
    """Whether a session is near and the connection is older than the last end of daily tokens.

    Such a connection may stand, answer pings and carry nothing. That would show ten seconds after
    the opening; a new one shows before it whether the token is accepted.
    """
    if now < daily_end(opened_at):
        return False
    return any(calendar.next_open(now, group) - now <= RENEWED_AHEAD for group in groups)
