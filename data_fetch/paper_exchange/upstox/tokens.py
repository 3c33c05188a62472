"""Which access tokens the paper exchange takes, and for how long.

Any token is taken at first sight, and lives as an Upstox token does: until the next 03:30
in India. One that begins with `ANALYTICS` never dies, like the provider's analytics token.
"""

from datetime import datetime, time, timedelta

from data_fetch.core.clock import IST
from data_fetch.paper_exchange.market.chance import fingerprint
from data_fetch.paper_exchange.wire import refuse

ANALYTICS = "paper-analytics"
DIES_AT = time(3, 30)
BEARER = "Bearer "


class Tokens:
    def __init__(self) -> None:
        self._dies: dict[str, datetime] = {}
        self._issued = 0

    def issue(self, now: datetime) -> str:
        """A new token, alive until the next 03:30 IST."""
        self._issued += 1
        token = f"paper-{fingerprint('access token', self._issued, now):016x}"
        self._dies[token] = next_death(now)
        return token

    def check(self, authorization: str | None, now: datetime) -> None:
        """Refuse a request whose token is missing or has died (401 UDAPI100050)."""
        header = authorization or ""
        token = header.removeprefix(BEARER).strip()
        if not header.startswith(BEARER) or not token:
            raise refuse("UDAPI100050")
        if not token.startswith(ANALYTICS) and now >= self._dies.setdefault(token, next_death(now)):
            raise refuse("UDAPI100050")


def next_death(seen: datetime) -> datetime:
    """03:30 IST after *seen*: the same morning, or the next day's."""
    local = seen.astimezone(IST)
    dies = datetime.combine(local.date(), DIES_AT, IST)
    return dies if local < dies else dies + timedelta(days=1)
