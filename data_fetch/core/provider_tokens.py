"""Access tokens of the provider: their kind, when they end, and which of several is used. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum

from data_fetch.core.clock import END_OF_TIME, IST

# Upstox ends every daily token at this time of IST, whenever it was issued (developer
# documentation, "Get Token").
DAILY_END = time(3, 30)
LONGEST_DAILY = timedelta(days=1)


class TokenKind(StrEnum):
    """``analytics``: valid for a year, for reading; ``unknown``: its text has no times."""

    ANALYTICS = "analytics"
    DAILY = "daily"
    UNKNOWN = "unknown"


class TokenOrigin(StrEnum):
    """Where a token is from."""

    ENVIRONMENT = "environment"
    ENV_FILE = ".env"
    LOGIN = "login"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderToken:
    """A token that requests may carry. Times are UTC, None where they are not known."""

    value: str = field(repr=False)
    origin: TokenOrigin
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    user_id: str | None = None

    @property
    def kind(self) -> TokenKind:
        if self.issued_at is None or self.expires_at is None:
            return TokenKind.UNKNOWN
        lasts_longer = self.expires_at - self.issued_at > LONGEST_DAILY
        return TokenKind.ANALYTICS if lasts_longer else TokenKind.DAILY

    @property
    def is_sendable(self) -> bool:
        """Whether it can stand in an HTTP header."""
        return bool(self.value) and all("!" <= sign <= "~" for sign in self.value)

    def is_valid(self, now: datetime) -> bool:
        """Whether it has not ended; True where its end is not known."""
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The result of a login at the provider: a token, and whose it is.

    *host* issued it: no other host may get it. *client_id* is the app (its API key).
    """

    access_token: str = field(repr=False)
    user_id: str
    client_id: str
    host: str
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequest:
    """A request that a person approves in the provider's app until *expires_at*; the token is then
    sent to *notifier_url*, as it is registered (empty if the provider does not say)."""

    expires_at: datetime
    notifier_url: str


def daily_end(issued_at: datetime) -> datetime:
    """When a daily token ends that is issued at *issued_at*: the next 03:30 IST."""
    local = issued_at.astimezone(IST)
    end = datetime.combine(local.date(), DAILY_END, IST)
    return end if local < end else end + timedelta(days=1)


def preferred_token(
    tokens: Sequence[ProviderToken], now: datetime, rejected: Collection[str] = ()
) -> ProviderToken | None:
    """The token to send: of those that are valid and not *rejected* the one that ends last.

    So an Analytics Token comes before a daily one. A token that does not say when it ends counts
    as one without an end; of two alike the first is taken.
    """
    return max(
        (token for token in tokens if token.is_sendable),
        key=lambda token: (
            token.is_valid(now),
            token.value not in rejected,
            token.expires_at or END_OF_TIME,
        ),
        default=None,
    )
