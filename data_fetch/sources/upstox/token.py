"""The access token in use, and its replacement after a rejection.

A token may be opaque. If it is a JWT its expiry is known; otherwise the first rejection shows it.
A rejected token is replaced, without a restart, as soon as `.env` holds a different one.
"""

from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from data_fetch.core.errors import SettingsInvalid, TokenRejected
from data_fetch.core.settings import read_env_file
from data_fetch.sources.transport.jwt import token_claims

TOKEN_NAME = "UPSTOX_ACCESS_TOKEN"

RENEW = (
    "Daily tokens end at 03:30 IST: log in to Upstox again, or use an Analytics Token, "
    "which lasts a year"
)


class TokenKeeper:
    """Holds the access token; shared by every thread that sends requests.

    *env_file* may get a new token later; *in_environment* means that the token is from the
    process environment, which takes precedence over the file until the process ends.
    """

    def __init__(self, token: str, *, env_file: Path | None, in_environment: bool) -> None:
        self._token = token.strip()
        self._env_file = None if in_environment else env_file
        self._in_environment = in_environment
        self._rejected: set[str] = set()
        self._read_state: tuple[int, ...] | None = None
        self._unreadable = False
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"<TokenKeeper {'with a' if self._token else 'without a'} token>"

    def current(self) -> str:
        """The token to send. Raises TokenRejected, with a hint, while there is none."""
        with self._lock:
            if not self._usable(self._token):
                candidate = self._token_in_file()
                if candidate is None or not self._usable(candidate):
                    raise self._rejection()
                self._token = candidate
            return self._token

    @property
    def held(self) -> str:
        """The newest known token, rejected or not; empty if there never was one."""
        with self._lock:
            return self._token

    def reject(self, token: str) -> None:
        """Record that the provider returned 401 for *token*."""
        with self._lock:
            self._rejected.add(token)

    def expires_at(self) -> datetime | None:
        """The expiry of the token (UTC); None if the token does not contain it."""
        expiry = token_claims(self._token).get("exp")
        if isinstance(expiry, bool) or not isinstance(expiry, int | float):
            return None
        try:
            return datetime.fromtimestamp(expiry, UTC)
        except (ValueError, OverflowError, OSError):
            return None

    def _usable(self, token: str) -> bool:
        return _sendable(token) and token not in self._rejected

    def _token_in_file(self) -> str | None:
        """The token of an `.env` that changed since it was last read."""
        if self._env_file is None:
            return None
        self._unreadable = False
        try:
            found = self._env_file.stat()
            # The change time is included because new permissions of the file change only that.
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

    def _rejection(self) -> TokenRejected:
        if not self._token:
            what = "There is no access token"
        elif not _sendable(self._token):
            what = f"{TOKEN_NAME} contains characters that no access token has"
        else:
            what = "Upstox rejects the access token (401)"
        return TokenRejected(what, hint=f"{RENEW}. {self._where_to_set_it()}")

    def _where_to_set_it(self) -> str:
        if self._in_environment:
            return (
                f"{TOKEN_NAME} is set in the process environment, which takes precedence over "
                ".env: change it there and restart."
            )
        if self._env_file is None:
            return f"Set {TOKEN_NAME} and restart."
        if self._unreadable:
            return f"{self._env_file} cannot be read: fix it, with a new {TOKEN_NAME} in it."
        return f"Put it as {TOKEN_NAME} into {self._env_file}; no restart is needed."


def _sendable(token: str) -> bool:
    """Whether *token* can stand in an HTTP header."""
    return bool(token) and all("!" <= sign <= "~" for sign in token)
