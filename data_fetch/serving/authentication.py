"""Who sends a request: the holder of its access token or API key.

Most requests are answered from memory. What an administrator changes is noticed within seconds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from http import HTTPStatus
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool

from data_fetch.core.accounts.accounts import Account, Role, Scope
from data_fetch.core.clock import SystemClock
from data_fetch.core.errors import TokenInvalid
from data_fetch.core.settings import Settings
from data_fetch.reading.kept_open import KeptOpen
from data_fetch.runtime.accounts import rules_of
from data_fetch.runtime.login import NOTIFIER_PATH
from data_fetch.runtime.signing_secret import signing_secret
from data_fetch.runtime.stores import store_for
from data_fetch.services.access_tokens import AccessTokens
from data_fetch.services.account_audit import RefusalAudit
from data_fetch.services.accounts import KEY_PREFIX, Accounts
from data_fetch.services.hashing import Hashing
from data_fetch.services.passwords import Passwords
from data_fetch.services.sign_in import SignIn
from data_fetch.serving.problems import Refusal
from data_fetch.serving.viewers import LOCAL, UNKNOWN, Viewer

Headers = Iterable[tuple[bytes, bytes]]

KEPT_FOR = timedelta(seconds=5)
MOST_KEPT = 2_000
# Answered without credentials where credentials are required.
OPEN_PATHS = frozenset({"/health/live", "/health/ready", "/docs", "/api/docs", "/openapi.json"})
OPEN_PREFIXES = ("/api/auth/", "/docs/", NOTIFIER_PATH)
# Their clients may send the credential in their first message instead.
STREAM_PATHS = frozenset({"/ws", "/socket.io", "/socket.io/"})
# Members of a query that would put a secret into logs and histories.
SECRET_NAMES = frozenset(
    {
        "access_token", "api-key", "api_key", "apikey", "authorization", "jwt", "password",
        "refresh_token", "token", "x-api-key",
    }
)  # fmt: skip
HOW = "Send it as `Authorization: Bearer ...`, or an API key as `X-API-Key: ...`."


class Authentication:
    """Finds the viewers of one server, and has the services that its accounts are managed by."""

    def __init__(self, settings: Settings, kept: KeptOpen) -> None:
        self._settings = settings
        self._opened = lambda: kept.store(settings, store_for)
        self._delay = timedelta(minutes=settings.public_delay_minutes)
        self._without = UNKNOWN if settings.needs_authentication else LOCAL
        self._found: dict[str, _Found] = {}
        self._passwords = Passwords()
        self.rules = rules_of(settings)
        self.hashing = Hashing()
        self.refusals = RefusalAudit(self._opened)

    @cached_property
    def accounts(self) -> Accounts:
        return Accounts(self._opened, self.rules, self._passwords)

    @cached_property
    def sign_in(self) -> SignIn:
        """Raises SetupError when there is no usable secret to sign tokens with."""
        tokens = AccessTokens(signing_secret(self._settings))
        return SignIn(self._opened, self.rules, self._passwords, tokens)

    async def viewer_for(self, path: str, headers: Headers) -> Viewer:
        """The viewer of a request for *path*, who may see it.

        Raises Refusal or TokenInvalid: no credentials where they are required, wrong ones
        anywhere, or an API key without the scope.
        """
        if is_open(path):
            return self._without
        viewer = await self.authenticate(headers)
        if path in STREAM_PATHS:
            if viewer.scopes and Scope.STREAM not in viewer.scopes:
                raise _lacking(Scope.STREAM)
            return viewer
        if not viewer.scopes:
            raise Refusal(
                HTTPStatus.UNAUTHORIZED, "unauthenticated", "this server needs credentials",
                then=HOW,
            )  # fmt: skip
        if Scope.READ not in viewer.scopes:
            raise _lacking(Scope.READ)
        return viewer

    async def authenticate(self, headers: Headers) -> Viewer:
        """The viewer whose token or key *headers* have. Without any: LOCAL on a server that is
        open for reading, else a viewer without scopes. Raises TokenInvalid."""
        credential = credential_in(headers)
        return self._without if credential is None else await self.viewer_with(credential)

    async def viewer_with(self, credential: str) -> Viewer:
        """The viewer that holds *credential*, an access token or an API key. Raises
        TokenInvalid."""
        now = SystemClock().now()
        found = self._found.get(credential)
        if found is not None and found.at <= now < found.at + KEPT_FOR:
            return found.viewer
        viewer = await run_in_threadpool(self._holder_of, credential)
        if len(self._found) >= MOST_KEPT:
            self._found.clear()
        self._found[credential] = _Found(now, viewer)
        return viewer

    def close(self) -> None:
        self.hashing.close()

    def _holder_of(self, credential: str) -> Viewer:
        if not credential.startswith(KEY_PREFIX):
            account = self.sign_in.holder_of_token(credential)
            return self._viewer(account, account.account_id, frozenset(Scope))
        key, account = self.sign_in.holder_of_key(credential)
        return self._viewer(account, key.key_id, key.scopes)

    def _viewer(self, account: Account, name: str, scopes: frozenset[Scope]) -> Viewer:
        delay = self._delay if account.role is Role.PUBLIC else timedelta(0)
        return Viewer(role=account.role, name=name, scopes=scopes, delay=delay)


@dataclass(frozen=True, slots=True)
class _Found:
    """The viewer that a credential had *at* an instant."""

    at: datetime
    viewer: Viewer


def is_open(path: str) -> bool:
    """Whether *path* is answered without credentials everywhere."""
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIXES)


def credential_in(headers: Headers) -> str | None:
    """The token or key of a request; None without one. Raises TokenInvalid for several, and for
    another scheme than Bearer."""
    given = [(name, value) for name, value in headers if name in {b"authorization", b"x-api-key"}]
    if not given:
        return None
    if len(given) > 1:
        raise TokenInvalid("the request has several credentials", hint="Send one.")
    name, value = given[0]
    text = value.decode("latin-1").strip()
    if name == b"x-api-key":
        if not text.startswith(KEY_PREFIX):
            raise TokenInvalid("X-API-Key is not an API key of this server", hint=HOW)
        return text
    scheme, _, credential = text.partition(" ")
    if scheme.lower() != "bearer" or not credential.strip():
        raise TokenInvalid("Authorization is not a Bearer token", hint=HOW)
    return credential.strip()


def refuse_secrets_in(query: bytes) -> None:
    """Raises Refusal when *query* has a token, key or password in it."""
    for member in query.split(b"&"):
        name, _, value = member.partition(b"=")
        if unquote(name.decode("latin-1")).lower() in SECRET_NAMES or value.startswith(
            KEY_PREFIX.encode()
        ):
            raise Refusal(
                HTTPStatus.BAD_REQUEST, "credential_in_url",
                "credentials in a URL end up in logs; this one should be replaced", then=HOW,
            )  # fmt: skip


def _lacking(scope: Scope) -> Refusal:
    return Refusal(
        HTTPStatus.FORBIDDEN, "scope_missing", f"the API key lacks the scope {scope}",
        then="An administrator makes another: data-fetch accounts keys add.",
    )  # fmt: skip
