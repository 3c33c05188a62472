"""What Upstox posts to an app's notifier when its user has approved a request for a token.

The body has no signature. It counts only for this app and this user, while the token is valid, and
only after a request has proved the token.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from data_fetch.core.errors import NotificationRefused
from data_fetch.core.provider_tokens import Login
from data_fetch.sources.transport.jwt import token_claims

KIND = "access_token"
LONGEST_TOKEN = 8_192
# Clocks differ.
TOLERATED_AHEAD = timedelta(minutes=2)


def login_of(
    notification: Mapping[str, object], *, client_id: str, user_id: str, host: str, now: datetime
) -> Login:
    """The login in *notification*. Raises NotificationRefused unless it is for the app *client_id*
    and the user *user_id*, and valid at *now*."""
    for name, expected in (("message_type", KIND), ("client_id", client_id), ("user_id", user_id)):
        if notification.get(name) != expected:
            raise NotificationRefused(f"its {name} is another one")
    token = notification.get("access_token")
    if not isinstance(token, str) or not 0 < len(token) <= LONGEST_TOKEN or not _is_plain(token):
        raise NotificationRefused("its access_token is none")
    # The claims are the provider's once it accepts the token.
    if token_claims(token).get("sub", user_id) != user_id:
        raise NotificationRefused("its access_token is of another user")
    issued_at, expires_at = (_instant(notification, name) for name in ("issued_at", "expires_at"))
    if issued_at > now + TOLERATED_AHEAD or expires_at <= now:
        raise NotificationRefused("it is not valid now")
    return Login(
        access_token=token,
        user_id=user_id,
        client_id=client_id,
        host=host,
        issued_at=issued_at,
        expires_at=expires_at,
    )


def _is_plain(token: str) -> bool:
    return all("!" <= sign <= "~" for sign in token)


def _instant(notification: Mapping[str, object], name: str) -> datetime:
    """An instant that is sent as text of epoch milliseconds."""
    try:
        return datetime.fromtimestamp(int(str(notification.get(name))) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise NotificationRefused(f"its {name} is no instant") from None
