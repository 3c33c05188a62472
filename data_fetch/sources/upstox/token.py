"""The access tokens that requests may carry, their rejections, and their renewal.

A token may be opaque. If it is a JWT its times are known; otherwise the first rejection shows its
end. Of several tokens the one that ends last is sent, see `preferred_token`.
A rejection is an opinion with a time, of one API about one token: that API gets one more request
with the token every few minutes, and at once when `.env` was saved or a login stored its token.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock

from data_fetch.core.clock import IST
from data_fetch.core.env_file import read_env_file
from data_fetch.core.errors import SettingsInvalid, TokenRejected
from data_fetch.core.provider_tokens import ProviderToken, TokenOrigin, preferred_token
from data_fetch.sources.transport.jwt import token_claims
from data_fetch.sources.upstox.login_file import LoginFile

TOKEN_NAME = "UPSTOX_ACCESS_TOKEN"  # noqa: S105 - its name

# A little less than three slots, so that the third slot after a rejection tries again.
PROBE_AFTER = timedelta(minutes=2, seconds=50)

RENEW = (
    "Daily tokens end at 03:30 IST: log in with data-fetch login, or use an Analytics Token, "
    "which lasts a year"
)

# Every token is valid then.
EARLIEST = datetime.min.replace(tzinfo=UTC)


def read_token(value: str, origin: TokenOrigin) -> ProviderToken:
    """The token *value*, with the times and the user that a JWT has in it."""
    issued_at, expires_at = token_times(value)
    user_id = token_claims(value).get("sub")
    return ProviderToken(
        value=value.strip(),
        origin=origin,
        issued_at=issued_at,
        expires_at=expires_at,
        user_id=user_id if isinstance(user_id, str) else None,
    )


def token_times(value: str) -> tuple[datetime | None, datetime | None]:
    """When a token was issued and when it ends (UTC); None where it does not contain that."""
    claims = token_claims(value)
    return _instant(claims.get("iat")), _instant(claims.get("exp"))


def _instant(seconds: object) -> datetime | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


@dataclass(slots=True)
class _Rejection:
    """Since when one API rejects a token, and when it last got a request with it."""

    since: datetime
    tried_at: datetime

    def is_recent(self, now: datetime) -> bool:
        # A clock that was set back makes nothing recent.
        return timedelta(0) <= now - self.tried_at < PROBE_AFTER


class _TokenFile:
    """The token in a file, which may be saved with another one at any time.

    *read* returns the token in it, None without one.
    """

    def __init__(self, path: Path, read: Callable[[], ProviderToken | None]) -> None:
        self.unreadable = False
        self._path = path
        self._read = read
        self._state: tuple[int, ...] | None = None

    def saved_token(self, known: ProviderToken | None) -> ProviderToken | None:
        """The token of a file that was saved since it was last read.

        The first look finds what the settings had, *known*; from then on the same token counts as
        well: saving the file means that it is to be tried.
        """
        looked_before = self._state is not None or self.unreadable
        try:
            state = _state_of(self._path)
            if state == self._state and not self.unreadable:
                return None
            token = self._read() if state else None
        except (OSError, SettingsInvalid):
            self.unreadable = True
            return None
        self.unreadable, self._state = False, state
        if token is None or not token.is_sendable:
            return None
        is_new = known is None or token.value != known.value
        return token if looked_before or is_new else None


def _state_of(path: Path) -> tuple[int, ...]:
    """What changes when a file is saved; empty without a file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    # The change time is included because new permissions of the file change only that.
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)


class TokenKeeper:
    """Holds the access tokens; shared by every thread that sends requests.

    *token* is the configured one, from *env_file*, which may get a new one later; *in_environment*
    means that it is from the process environment, which takes precedence over the file until the
    process ends. *logins* has the token of the last login, if there was one.
    """

    def __init__(
        self,
        token: str,
        *,
        env_file: Path | None,
        in_environment: bool,
        logins: LoginFile | None = None,
    ) -> None:
        origin = TokenOrigin.ENVIRONMENT if in_environment else TokenOrigin.ENV_FILE
        self._env_file = None if in_environment else env_file
        self._in_environment = in_environment
        self._logins = logins
        self._tokens = {origin: read_token(token, origin)}
        self._files: dict[TokenOrigin, _TokenFile] = {}
        if self._env_file is not None:
            self._files[TokenOrigin.ENV_FILE] = _TokenFile(self._env_file, self._in_env_file)
        if logins is not None:
            file = _TokenFile(logins.path, self._of_login)
            self._files[TokenOrigin.LOGIN] = file
            found = file.saved_token(None)
            if found is not None:
                self._tokens[TokenOrigin.LOGIN] = found
        self._rejections: dict[tuple[str, str], _Rejection] = {}
        self._lock = Lock()
        self._in_use = self._preferred(EARLIEST)

    def __repr__(self) -> str:
        return f"<TokenKeeper {'with a' if self.held else 'without a'} token>"

    def current(self, api: str, now: datetime) -> str:
        """The token to send to *api*.

        Raises TokenRejected, with a hint, while there is none, and after a rejection by *api*
        until the next try is due; the caller that gets the token then makes that try.
        """
        with self._lock:
            token = self._preferred(now, api)
            if not token.is_valid(now) or not token.is_sendable or self._rejected(api, token):
                self._follow_files()
                token = self._preferred(now, api)
            rejection = self._rejected(api, token)
            if not token.is_sendable or (rejection and rejection.is_recent(now)):
                raise self._problem(token, rejection)
            if rejection is not None:
                rejection.tried_at = now
            self._in_use = token
            return token.value

    @property
    def in_use(self) -> ProviderToken:
        """The token that was sent last, and before that the one to be sent first."""
        with self._lock:
            return self._in_use

    @property
    def held(self) -> str:
        """The newest known token, rejected or not; empty if there never was one."""
        return self.in_use.value

    def known(self) -> Sequence[ProviderToken]:
        """Every token that could be sent."""
        with self._lock:
            return [token for token in self._tokens.values() if token.is_sendable]

    def reject(self, api: str, token: str, now: datetime) -> None:
        """Record that *api* rejected *token*, which may no longer be there."""
        with self._lock:
            if any(token == known.value for known in self._tokens.values()):
                known = self._rejections.get((api, token))
                self._rejections[api, token] = _Rejection(known.since if known else now, now)

    def accept(self, api: str, token: str) -> None:
        """Record that *api* took *token*."""
        with self._lock:
            self._rejections.pop((api, token), None)

    def expires_at(self) -> datetime | None:
        """The expiry of the token in use (UTC); None if the token does not contain it."""
        return self.in_use.expires_at

    def _preferred(self, now: datetime, api: str = "") -> ProviderToken:
        """The token to send to *api*; one that cannot be sent where there is no other."""
        tokens = list(self._tokens.values())
        rejected = {token for at, token in self._rejections if at == api}
        return preferred_token(tokens, now, rejected) or tokens[0]

    def _rejected(self, api: str, token: ProviderToken) -> _Rejection | None:
        return self._rejections.get((api, token.value))

    def _follow_files(self) -> None:
        """Take the tokens of files that were saved since they were last read."""
        for origin, file in self._files.items():
            token = file.saved_token(self._tokens.get(origin))
            if token is not None:
                self._tokens[origin] = token
                others = {each.value for at, each in self._tokens.items() if at is not origin}
                self._rejections = {
                    (api, value): rejection
                    for (api, value), rejection in self._rejections.items()
                    if value in others
                }

    def _in_env_file(self) -> ProviderToken:
        assert self._env_file is not None
        value = read_env_file(self._env_file).get(TOKEN_NAME, "")
        return read_token(value, TokenOrigin.ENV_FILE)

    def _of_login(self) -> ProviderToken | None:
        assert self._logins is not None
        login = self._logins.read()
        if login is None:
            return None
        return ProviderToken(
            value=login.access_token,
            origin=TokenOrigin.LOGIN,
            issued_at=login.issued_at,
            expires_at=login.expires_at,
            user_id=login.user_id,
        )

    def _problem(self, token: ProviderToken, rejection: _Rejection | None) -> TokenRejected:
        where = self._where_to_set_it()
        if not token.value:
            what = "There is no access token"
        elif rejection is None:
            what = f"{TOKEN_NAME} contains characters that no access token has"
        else:
            since = f"{rejection.since.astimezone(IST):%H:%M:%S}"
            what = f"Upstox rejects the access token (401 since {since} IST)"
            where += " The present token is tried again every three minutes."
        return TokenRejected(what, hint=f"{RENEW}. {where}")

    def _where_to_set_it(self) -> str:
        if self._in_environment:
            return (
                f"{TOKEN_NAME} is set in the process environment, which takes precedence over "
                ".env: change it there and restart."
            )
        if self._env_file is None:
            return f"Set {TOKEN_NAME} and restart."
        if self._files[TokenOrigin.ENV_FILE].unreadable:
            return f"{self._env_file} cannot be read: fix it, with a new {TOKEN_NAME} in it."
        return f"Put it as {TOKEN_NAME} into {self._env_file}; no restart is needed."
