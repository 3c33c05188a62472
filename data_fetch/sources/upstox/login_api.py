"""Login at Upstox: the dialog's address, the exchange of its code, the approval request.

No request is repeated: a code is spent by its first exchange, whether that succeeds or not.
Nothing is imported or connected before the first request.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from data_fetch.core.chains.chains import RawResponse
from data_fetch.core.errors import BadResponse, LoginRefused
from data_fetch.core.ports import Clock
from data_fetch.core.provider_tokens import ApprovalRequest, Login, daily_end
from data_fetch.core.world import World
from data_fetch.sources.upstox.responses import error_code, read_object, read_response
from data_fetch.sources.upstox.token import token_times

if TYPE_CHECKING:
    from data_fetch.sources.upstox.sdk import UpstoxSdk

DIALOG_PATH = "/v2/login/authorization/dialog"
API_VERSION = "2.0"
OWNER = "LoginApi"

_CREDENTIALS = "Compare UPSTOX_API_KEY and UPSTOX_API_SECRET with the app in the developer console."
# Code of Upstox -> what it means, and the fix (developer documentation, "Get Token"; the code of
# the approval request is from public clients).
REFUSALS = {
    "UDAPI100057": (
        "the code is spent, too old or of another redirect URI",
        "A code is good for one try within a minute or two: run data-fetch login again.",
    ),
    "UDAPI100068": (
        "API key and redirect URI are not of one app",
        "UPSTOX_REDIRECT_URI must equal the app's in the developer console, to the last slash.",
    ),
    "UDAPI100069": ("API key and API secret are not of one app", _CREDENTIALS),
    "UDAPI100016": ("API key or API secret is wrong", _CREDENTIALS),
    "UDAPI1123": ("API key or API secret is wrong", _CREDENTIALS),
    "UDAPI100073": ("the app is not active", "Activate it in the developer console."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An app of the developer console: its API key (*client_id*) and its API secret."""

    client_id: str
    secret: str = field(repr=False)


class UpstoxLoginApi:
    """Logs in with *app* at the host of *base_url*."""

    def __init__(
        self, *, base_url: str, app: App, clock: Clock, world: World, timeout_seconds: int
    ) -> None:
        self._base_url = base_url
        self._app = app
        self._clock = clock
        self._world = world
        self._timeout_seconds = timeout_seconds
        self._sdk: UpstoxSdk | None = None

    def dialog_url(self, redirect_uri: str, state: str) -> str:
        """The page on which a person logs in; it sends the browser to *redirect_uri*."""
        query = {
            "response_type": "code",
            "client_id": self._app.client_id,
            "redirect_uri": redirect_uri,
            "state": state,
        }
        return f"{self._base_url}{DIALOG_PATH}?{urlencode(query)}"

    def exchange(self, code: str, redirect_uri: str) -> Login:
        """The token for *code*, which is spent by this.

        Raises LoginRefused, and the errors of a request that is not repeated.
        """
        raw = self._send(
            "token",
            API_VERSION,
            code=code,
            client_id=self._app.client_id,
            client_secret=self._app.secret,
            redirect_uri=redirect_uri,
            grant_type="authorization_code",
        )
        document = _read(raw, read_object)
        token, user_id = document.get("access_token"), document.get("user_id")
        if not isinstance(token, str) or not token or not isinstance(user_id, str):
            raise BadResponse("Upstox returned no access token, or no user, for the code")
        issued_at, expires_at = token_times(token)
        return Login(
            access_token=token,
            user_id=user_id,
            client_id=self._app.client_id,
            host=urlsplit(self._base_url).netloc,
            issued_at=issued_at or raw.received_at,
            expires_at=expires_at or daily_end(raw.received_at),
        )

    def request_approval(self) -> ApprovalRequest:
        """Ask the app's user for approval; the token is sent to the app's notifier.

        Raises LoginRefused, and the errors of a request that is not repeated.
        """
        raw = self._send(
            "init_token_request_for_indie_user",
            {"client_secret": self._app.secret},
            self._app.client_id,
        )
        data = _read(raw, lambda raw: read_response(raw, dict).data)
        return ApprovalRequest(
            expires_at=_instant(data.get("authorization_expiry")) or daily_end(raw.received_at),
            notifier_url=str(data.get("notifier_url") or ""),
        )

    def _send(self, method: str, *args: object, **params: object) -> RawResponse:
        if self._sdk is None:
            # The SDK takes a third of a second to import.
            from data_fetch.sources.upstox.sdk import UpstoxSdk

            self._sdk = UpstoxSdk(self._base_url, self._clock, self._world)
        return self._sdk.get(
            OWNER, method, *args, token="", timeout=self._timeout_seconds, **params
        )


def _read(raw: RawResponse, read: Callable[[RawResponse], Any]) -> Any:
    """What *read* makes of *raw*. Raises LoginRefused where Upstox names one of REFUSALS."""
    code = error_code(raw)
    if code in REFUSALS:
        what, hint = REFUSALS[code]
        raise LoginRefused(f"Upstox refuses the login: {what} ({code})", hint=hint)
    return read(raw)


def _instant(epoch_ms: object) -> datetime | None:
    """The instant of epoch milliseconds, which Upstox sends as text; None for anything else."""
    try:
        return datetime.fromtimestamp(int(str(epoch_ms)) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
