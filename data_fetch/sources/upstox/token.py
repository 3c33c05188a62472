"""The access token in use, and what happens when the provider stops taking it.

Nothing is known about a token's form: it may be opaque. If it happens to be a JWT its
expiry can be told; otherwise the first refusal tells. A refused token is replaced, without
a restart, as soon as `.env` holds a different one.
"""

from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from data_fetch.core.errors import SettingsInvalid, TokenRejected
from data_fetch.core.settings import read_env_file
from data_fetch.sources.transport.jwt import token_claims

TOKEN_NAME = "UPSTOX_ACCESS_TOKEN"

GET_ANOTHER = (
    "Daily tokens end at 03:30 IST: log in to Upstox again, or use an Analytics Token, "
    "which lasts a year"
)


class TokenKeeper:
    """Holds the access token; shared by every thread that sends requests.

    *env_file* is where a new token may turn up; *in_environment* says that the token came
    from the process environment, which wins over the file for as long as we run.
    """

    def __init__(self, token: str, *, env_file: Path | None, in_environment: bool) -> None:
        self._token = token.strip()
        self._env_file = None if in_environment else env_file
        self._in_environment = in_environment
        self._refused: set[str] = set()
        self._read_state: tuple[int, ...] | None = None
        self._unreadable = False
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"<TokenKeeper {'with a' if self._token else 'without a'} token>"

    def current(self) -> str:
        """The token to send. Raises TokenRejected, with what to do, while there is none."""
        with self._lock:
            if not self._fit(self._token):
                candidate = self._token_in_file()
                if candidate is None or not self._fit(candidate):
                    raise self._refusal()
                self._token = candidate
            return self._token

    @property
    def held(self) -> str:
        """The newest token known, refused or not; empty if there never was one."""
        with self._lock:
            return self._token

    def reject(self, token: str) -> None:
        """The provider answered 401 to *token*."""
        with self._lock:
            self._refused.add(token)

    def expires_at(self) -> datetime | None:
        """When the token says it ends (UTC); None if it does not say."""
        expiry = token_claims(self._token).get("exp")
        if isinstance(expiry, bool) or not isinstance(expiry, int | float):
            return None
        try:
            return datetime.fromtimestamp(expiry, UTC)
        except (ValueError, OverflowError, OSError):
            return None

    def _fit(self, token: str) -> bool:
        return _sendable(token) and token not in self._refused

    def _token_in_file(self) -> str | None:
        """The token of an `.env` that changed since it was last read."""
        if self._env_file is None:
            return None
        self._unreadable = False
        try:
            found = self._env_file.stat()
            # The change time is in it because mending the file's permissions alters only that.
            state = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
            if state == self._read_state:
                return None
            values = read_env_file(self._env_file)
        except FileNotFoundError:
            return None
        except (OSError, SettingsInvalid):
            self._unreadable = True
            return None
        self._read_state = state
        return values.get(TOKEN_NAME, "").strip()

    def _refusal(self) -> TokenRejected:
        if not self._token:
            what = "There is no access token"
        elif not _sendable(self._token):
            what = f"{TOKEN_NAME} holds blanks or signs that no access token has"
        else:
            what = "Upstox does not take our access token any more (401)"
        return TokenRejected(what, hint=f"{GET_ANOTHER}. {self._where_to_put_it()}")

    def _where_to_put_it(self) -> str:
        if self._in_environment:
            return (
                f"{TOKEN_NAME} is set in the process environment, which wins over .env: "
                "change it there and start again."
            )
        if self._env_file is None:
            return f"Set {TOKEN_NAME} and start again."
        if self._unreadable:
            return f"{self._env_file} cannot be read: mend it, with a new {TOKEN_NAME} in it."
        return f"Put it as {TOKEN_NAME} into {self._env_file}; no restart is needed."


def _sendable(token: str) -> bool:
    """Whether *token* can stand in an HTTP header."""
    return bool(token) and all("!" <= sign <= "~" for sign in token)
