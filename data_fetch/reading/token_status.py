"""The access token in use: its kind, where it is from, and how long it is valid."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from data_fetch.core.clock import IST, SystemClock
from data_fetch.core.provider_tokens import TokenKind, TokenOrigin
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.reading.instants import ist_text
from data_fetch.runtime.provider_token import PAPER_TOKEN, token_of

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenStatus:
    """The token that is sent; *kind* and *origin* are None without one.

    *expires_at* is None where it is not in the token. *left* is the time until then, below zero
    when it has ended; not known in the paper world: its market has its own clock.
    """

    kind: TokenKind | None
    origin: TokenOrigin | None
    user_id: str | None
    issued_at: datetime | None
    expires_at: datetime | None
    left: timedelta | None

    @property
    def line(self) -> str:
        """The token in one line for people."""
        if self.kind is None:
            return "none: log in with data-fetch login, or set UPSTOX_ACCESS_TOKEN"
        what = f"{self.kind} token of {self.origin}"
        if self.expires_at is None:
            return f"{what}, its end is not known"
        until = f"{self.expires_at.astimezone(IST):%a %d %b %Y %H:%M} IST"
        if self.left is None:
            return f"{what}, until {until}"
        return f"{what}, until {until} ({left_text(self.left)})"

    def document(self) -> dict[str, Any]:
        return {
            "kind": None if self.kind is None else str(self.kind),
            "origin": None if self.origin is None else str(self.origin),
            "user_id": self.user_id,
            "expires_at": ist_text(self.expires_at),
            "seconds_left": None if self.left is None else round(self.left.total_seconds()),
        }


def token_status(settings: Settings) -> TokenStatus | None:
    """The status of the token in use; None where no token is needed."""
    token = token_of(settings).in_use
    if token.value == PAPER_TOKEN:
        return None
    known, ends = token.is_sendable, token.expires_at
    live = settings.world is World.LIVE
    return TokenStatus(
        kind=token.kind if known else None,
        origin=token.origin if known else None,
        user_id=token.user_id,
        issued_at=token.issued_at,
        expires_at=ends,
        left=ends - SystemClock().now() if live and ends is not None else None,
    )


def time_left(until: datetime, now: datetime) -> str:
    """How long it is from *now* to *until*, for people."""
    return left_text(until - now)


def left_text(left: timedelta) -> str:
    """A time that is left, for people: "12 days", "18 h 12 min", "ended"."""
    if left <= timedelta(0):
        return "ended"
    if left >= 2 * DAY:
        return f"{left // DAY} days"
    hours, minutes = left // HOUR, left % HOUR // MINUTE
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
