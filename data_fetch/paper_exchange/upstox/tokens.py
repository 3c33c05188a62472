"""Access tokens and their expiry.

Tokens of a login are signed, so that they outlive the exchange's process, and end as an Upstox
token does, at the next 03:30 IST. Without *issued_only* any other token is accepted on first use
and ends in the same way. One that begins with `ANALYTICS` never ends, like the provider's
analytics token.
"""

from datetime import UTC, datetime, time, timedelta

import jwt

from data_fetch.core.clock import IST
from data_fetch.paper_exchange.wire import api_error

ANALYTICS = "paper-analytics"
EXPIRES_AT = time(3, 30)
BEARER = "Bearer "
USER_ID = "PAPER1"
# Not a secret: invented prices are for everyone.
SIGNING_KEY = "the paper exchange, invented prices"
ALGORITHM = "HS256"


class Tokens:
    def __init__(self, *, issued_only: bool = False) -> None:
        self._issued_only = issued_only
        self._first_use: dict[str, datetime] = {}
        self._issued = 0

    def issue(self, now: datetime) -> str:
        """A new token, valid until the next 03:30 IST."""
        self._issued += 1
        claims = {
            "sub": USER_ID,
            "jti": f"{now.timestamp():.6f}-{self._issued}",
            "iss": "paper-exchange",
            "iat": int(now.timestamp()),
            "exp": int(next_expiry(now).timestamp()),
        }
        return jwt.encode(claims, SIGNING_KEY, ALGORITHM)

    def check(self, authorization: str | None, now: datetime) -> None:
        """Raises ApiError (401 UDAPI100050) when the token is missing or expired."""
        header = authorization or ""
        token = header.removeprefix(BEARER).strip()
        if not header.startswith(BEARER) or not token or now >= self._end_of(token, now):
            raise api_error("UDAPI100050")

    def _end_of(self, token: str, now: datetime) -> datetime:
        """When *token* ends, or ended."""
        issued_until = _end_of_issued(token)
        if issued_until is not None:
            return issued_until
        if self._issued_only:
            return now
        if token.startswith(ANALYTICS):
            return datetime.max.replace(tzinfo=UTC)
        return self._first_use.setdefault(token, next_expiry(now))


def next_expiry(first_used: datetime) -> datetime:
    """The first 03:30 IST after *first_used*."""
    local = first_used.astimezone(IST)
    expires = datetime.combine(local.date(), EXPIRES_AT, IST)
    return expires if local < expires else expires + timedelta(days=1)


def _end_of_issued(token: str) -> datetime | None:
    """The end of a token that an exchange issued; None for any other."""
    try:
        # The market's clock decides, not this machine's.
        claims = jwt.decode(
            token,
            SIGNING_KEY,
            [ALGORITHM],
            options={"verify_exp": False, "verify_iat": False},
        )
        return datetime.fromtimestamp(claims["exp"], UTC)
    except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
        return None
