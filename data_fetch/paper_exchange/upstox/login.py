"""Login as Upstox has it: the dialog, the exchange of its code, and the approval request.

The dialog needs no person: it allows the access at once. Any app is known; its API secret is the
one that it had first.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from secrets import token_urlsafe
from threading import Thread
from typing import Any
from urllib.parse import urlencode

import orjson
import urllib3

from data_fetch.paper_exchange.upstox.tokens import USER_ID, Tokens, next_expiry
from data_fetch.paper_exchange.wire import Response, api_error

FOUND = 302
FORM = ("code", "client_id", "client_secret", "redirect_uri")
DENIED = "access_denied"
POST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Grant:
    """What a code was given for."""

    client_id: str
    redirect_uri: str


class LoginApi:
    """The logins at one exchange. *notifier_url* is where tokens are sent that were approved."""

    def __init__(self, tokens: Tokens) -> None:
        self.notifier_url = ""
        self._tokens = tokens
        self._grants: dict[str, _Grant] = {}
        self._secrets: dict[str, str] = {}

    def dialog(self, query: dict[str, str], *, denied: bool) -> Response:
        """The redirect with a code, or with an error when access is *denied*."""
        client_id, redirect_uri = query.get("client_id"), query.get("redirect_uri")
        if not client_id or not redirect_uri or query.get("response_type") != "code":
            raise api_error("UDAPI100068")
        answer = {"error": DENIED}
        if not denied:
            code = token_urlsafe(6)
            self._grants[code] = _Grant(client_id, redirect_uri)
            answer = {"code": code}
        if state := query.get("state"):
            answer["state"] = state
        separator = "&" if "?" in redirect_uri else "?"
        location = f"{redirect_uri}{separator}{urlencode(answer)}"
        return Response(b"", FOUND, headers={"Location": location})

    def token(self, form: dict[str, str], now: datetime) -> Response:
        """A token for a code, which is spent by this. The response has no envelope."""
        if form.get("grant_type") != "authorization_code" or not all(map(form.get, FORM)):
            raise api_error("UDAPI100016")
        grant = self._grants.pop(form["code"], None)
        if grant is None:
            raise api_error("UDAPI100057")
        if grant != _Grant(form["client_id"], form["redirect_uri"]):
            raise api_error("UDAPI100068")
        self._check_secret(form["client_id"], form["client_secret"])
        return Response(orjson.dumps(_account(self._tokens.issue(now))))

    def approval(self, client_id: str, secret: str, now: datetime) -> Any:
        """The answer to an approval request: until when it can be approved, and where the token
        is sent then. It is approved at once."""
        self._check_secret(client_id, secret)
        if self.notifier_url:
            notification = self._notification(client_id, now)
            Thread(target=_post, args=(self.notifier_url, notification), daemon=True).start()
        expires_at = int(next_expiry(now).timestamp() * 1000)
        return {"authorization_expiry": str(expires_at), "notifier_url": self.notifier_url}

    def _notification(self, client_id: str, now: datetime) -> dict[str, str]:
        """What the notifier of *client_id* gets when its user has approved."""
        return {
            "client_id": client_id,
            "user_id": USER_ID,
            "access_token": self._tokens.issue(now),
            "token_type": "Bearer",
            "expires_at": str(int(next_expiry(now).timestamp() * 1000)),
            "issued_at": str(int(now.timestamp() * 1000)),
            "message_type": "access_token",
        }

    def _check_secret(self, client_id: str, secret: str) -> None:
        if not secret or self._secrets.setdefault(client_id, secret) != secret:
            raise api_error("UDAPI100069")


def _post(notifier_url: str, notification: dict[str, str]) -> None:
    # Nothing is known of a notifier that fails; the provider does not repeat it either.
    with suppress(urllib3.exceptions.HTTPError):
        urllib3.request("POST", notifier_url, json=notification, timeout=POST_SECONDS)


def _account(token: str) -> dict[str, Any]:
    return {
        "email": "paper@example.in",
        "exchanges": ["NSE", "NFO"],
        "products": ["D", "I"],
        "broker": "UPSTOX",
        "user_id": USER_ID,
        "user_name": "Paper Trader",
        "order_types": ["MARKET", "LIMIT", "SL", "SL-M"],
        "user_type": "individual",
        "poa": False,
        "is_active": True,
        "access_token": token,
        "extended_token": "",
    }
