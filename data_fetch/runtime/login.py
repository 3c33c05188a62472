"""Builds what a login at the provider needs: the app, the API of logins, the proof of a token."""

import hmac
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from data_fetch.core.errors import SetupError
from data_fetch.core.ports import Clock, Lane
from data_fetch.core.provider_tokens import Login, ProviderToken, TokenKind
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.runtime.provider_token import login_file, token_of
from data_fetch.runtime.signing_secret import signing_secret
from data_fetch.runtime.world import ProviderConnection, api_with, provider_for
from data_fetch.services.login import LoginService
from data_fetch.sources.upstox.login_api import App, UpstoxLoginApi
from data_fetch.sources.upstox.login_redirect import RedirectListener, pasted_code
from data_fetch.sources.upstox.notifications import login_of
from data_fetch.sources.upstox.token import TokenKeeper

# The paper exchange accepts any app, and any loopback address.
PAPER_APP = App(client_id="paper-app", secret="invented")  # noqa: S106 - opens nothing
PAPER_USER = "PAPER1"
PAPER_REDIRECT = "http://127.0.0.1:0/callback"
CONSOLE = "https://account.upstox.com/developer/apps"
# Of an exchange that always trades on days of the calendar.
PROOF_EXCHANGE = "NSE"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginContext:
    """A login at the configured provider. *redirect_uri* is that of the app."""

    service: LoginService
    clock: Clock
    world: World
    redirect_uri: str
    file: Path

    def listener(self) -> RedirectListener:
        """What receives the answer of a dialog. Raises SetupError where it cannot listen."""
        return RedirectListener(self.redirect_uri)

    def code_in(self, text: str, state: str | None = None) -> str:
        """The code in a pasted *text*. Raises LoginRefused for one of another dialog than that of
        *state*."""
        return pasted_code(text, state)


NOTIFIER_PATH = "/upstox/notifier/"


def notifier_path(settings: Settings) -> str:
    """The path of the API server to which the app's notifier URL leads; only the server's secret
    gives its last part. Raises SetupError."""
    client_id = app_of(settings).client_id
    secret = hmac.new(signing_secret(settings), f"upstox notifier {client_id}".encode(), sha256)
    return f"{NOTIFIER_PATH}{secret.hexdigest()}"


def receive_notification(settings: Settings, notification: Mapping[str, object]) -> Login:
    """The login in what was posted to the notifier, proved and stored.

    Raises NotificationRefused, LoginRefused, and the errors of the request that proves it.
    """
    app = app_of(settings)
    with provider_for(settings) as provider:
        service = login_service_at(settings, provider, app)
        login = login_of(
            notification,
            client_id=app.client_id,
            user_id=user_of(settings, service),
            host=urlsplit(provider.base_url).netloc,
            now=provider.clock.now(),
        )
        return service.receive(login)


def user_of(settings: Settings, service: LoginService) -> str:
    """The user whose tokens the notifier takes. Raises SetupError when none is known."""
    last = service.last()
    user_id = settings.user_id or (last.user_id if last is not None else "")
    if user_id:
        return user_id
    if settings.world is World.PAPER:
        return PAPER_USER
    raise SetupError(
        "UPSTOX_USER_ID is not set, and no login is stored: the notifier takes no token",
        hint="Set it to the user id of the account, such as AB1234, or log in once.",
    )


@contextmanager
def login_for(settings: Settings) -> Iterator[LoginContext]:
    """The login at the provider of *settings*. Raises SetupError where the app is not set."""
    app = app_of(settings)
    redirect_uri = redirect_uri_of(settings)
    with provider_for(settings) as provider:
        yield LoginContext(
            service=login_service_at(settings, provider, app),
            clock=provider.clock,
            world=settings.world,
            redirect_uri=redirect_uri,
            file=settings.login_file,
        )


def analytics_token(settings: Settings, now: datetime) -> ProviderToken | None:
    """The configured Analytics Token, with which no login is necessary; None without a valid
    one."""
    return next(
        (
            token
            for token in token_of(settings).known()
            if token.kind is TokenKind.ANALYTICS and token.is_valid(now)
        ),
        None,
    )


def login_service_at(settings: Settings, provider: ProviderConnection, app: App) -> LoginService:
    """The service that logs *app* in at *provider*."""

    def prove(token: str) -> None:
        keeper = TokenKeeper(token, env_file=None, in_environment=False)
        _, api = api_with(keeper, settings, provider.clock, provider.base_url, provider.windows)
        api.market_status(PROOF_EXCHANGE, api.context(Lane.LIVE))

    return LoginService(
        source=UpstoxLoginApi(
            base_url=provider.base_url,
            app=app,
            clock=provider.clock,
            world=settings.world,
            timeout_seconds=settings.request_timeout_seconds,
        ),
        logins=login_file(settings, provider.base_url),
        prove=prove,
        clock=provider.clock,
    )


def app_of(settings: Settings) -> App:
    """The app to log in. Raises SetupError when its key or secret is not set."""
    key, secret = settings.api_key, settings.api_secret.get_secret_value()
    if not key and not secret and settings.world is World.PAPER:
        return PAPER_APP
    named = {"UPSTOX_API_KEY": key, "UPSTOX_API_SECRET": secret}
    missing = [name for name, value in named.items() if not value]
    if missing:
        raise SetupError(
            f"{' and '.join(missing)} not set: a login is that of an app",
            hint=f"Make an app at {CONSOLE}, and put its API key and API secret into .env.",
        )
    return App(client_id=key, secret=secret)


def redirect_uri_of(settings: Settings) -> str:
    """The redirect address of the app. Raises SetupError when it is not set."""
    if settings.redirect_uri is not None:
        return settings.redirect_uri
    if settings.world is World.PAPER:
        return PAPER_REDIRECT
    raise SetupError(
        "UPSTOX_REDIRECT_URI is not set",
        hint=f"Set it to the redirect URI of the app at {CONSOLE}, which may be "
        "http://127.0.0.1:8765/callback",
    )
