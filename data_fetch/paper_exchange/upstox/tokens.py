"""Access tokens and their expiry.

Any token is accepted on first use and expires as an Upstox token does, at the next 03:30
IST. One that begins with `ANALYTICS` never expires, like the provider's analytics token.
"""

from datetime import datetime, time, timedelta

from data_fetch.core.clock import IST
from data_fetch.paper_exchange.market.seeded_random import fingerprint
from data_fetch.paper_exchange.wire import api_error

ANALYTICS = "paper-analytics"
EXPIRES_AT = time(3, 30)
BEARER = "Bearer "


class Tokens:
    def __init__(self) -> None:
        self._expires: dict[str, datetime] = {}
        self._issued = 0

    def issue(self, now: datetime) -> str:
        """A new token, valid until the next 03:30 IST."""
        self._issued += 1
        token = f"paper-{fingerprint('access token', self._issued, now):016x}"
        self._expires[token] = next_expiry(now)
        return token

    def check(self, authorization: str | None, now: datetime) -> None:
        """Raises ApiError (401 UDAPI100050) when the token is missing or expired."""
        header = authorization or ""
        token = header.removeprefix(BEARER).strip()
        if not header.startswith(BEARER) or not token:
            raise api_error("UDAPI100050")
        if not token.startswith(ANALYTICS) and now >= self._expires.setdefault(
            token, next_expiry(now)
        ):
            raise api_error("UDAPI100050")


def next_expiry(first_used: datetime) -> datetime:
    """The first 03:30 IST after *first_used*."""
    local = first_used.astimezone(IST)
    expires = datetime.combine(local.date(), EXPIRES_AT, IST)
    return expires if local < expires else expires + timedelta(days=1)
