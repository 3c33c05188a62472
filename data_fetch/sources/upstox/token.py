"""The access token in use, its rejections, and its replacement.

A token may be opaque. If it is a JWT its expiry is known; otherwise the first rejection shows it.
A rejection is an opinion with a time, of one API: that API gets one more request with the same
token every few minutes, and at once when `.env` was saved, whatever token is in it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock

from data_fetch.core.clock import IST
from data_fetch.core.env_file import read_env_file
from data_fetch.core.errors import SettingsInvalid, TokenRejected
from data_fetch.sources.transport.jwt import token_claims

TOKEN_NAME = "UPSTOX_ACCESS_TOKEN"  # noqa: S105 - its name

# A little less than three slots, so that the third slot after a rejection tries again.
PROBE_AFTER = timedelta(minutes=2, seconds=50)

RENEW = (
    "Daily tokens end at 03:30 IST: log in to Upstox again, or use an Analytics Token, "
    "which lasts a year"
)


@dataclass(slots=True)
class _Rejection:
    """Since when one API rejects the token, and when it last got a request with it."""

    since: datetime
    tried_at: datetime

    def is_recent(self, now: datetime) -> bool:
        # A clock that was set back makes nothing recent.
        return timedelta(0) <= now - self.tried_at < PROBE_AFTER


class TokenKeeper:
    """Holds the access token; shared by every thread that sends requests.

    *env_file* may get a new token later; *in_environment* means that the token is from the
    process environment, which takes precedence over the file until the process ends.
    """

    def __init__(self, token: str, *, env_file: Path | None, in_environment: bool) -> None:
        self._token = token.strip()
        self._env_file = None if in_environment else env_file
        self._in_environment = in_environment
        self._rejections: dict[str, _Rejection] = {}
        self._read_state: tuple[int, ...] | None = None
        self._unreadable = False
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"<TokenKeeper {'with a' if self._token else 'without a'} token>"

    def current(self, api: str, now: datetime) -> str:
        """The token to send to *api*.

        Raises TokenRejected, with a hint, while there is none, and after a rejection by *api*
        until the next try is due; the caller that gets the token then makes that try.
        """
        with self._lock:
            if api in self._rejections or not _sendable(self._token):
                self._follow_file()
            rejection = self._rejections.get(api)
            if not _sendable(self._token) or (rejection and rejection.is_recent(now)):
                raise self._problem(rejection)
            if rejection is not None:
                rejection.tried_at = now
            return self._token

    @property
    def held(self) -> str:
        """The newest known token, rejected or not; empty if there never was one."""
        with self._lock:
            return self._token

    def reject(self, api: str, token: str, now: datetime) -> None:
        """Record that *api* rejected *token*, which may no longer be the one in use."""
        with self._lock:
            if token == self._token:
                known = self._rejections.get(api)
                self._rejections[api] = _Rejection(known.since if known else now, now)

    def accept(self, api: str, token: str) -> None:
        """Record that *api* took *token*."""
        with self._lock:
            if token == self._token:
                self._rejections.pop(api, None)

    def expires_at(self) -> datetime | None:
        """The expiry of the token (UTC); None if the token does not contain it."""
        expiry = token_claims(self._token).get("exp")
        if isinstance(expiry, bool) or not isinstance(expiry, int | float):
            return None
        try:
            return datetime.fromtimestamp(expiry, UTC)
        except (ValueError, OverflowError, OSError):
            return None

    def _follow_file(self) -> None:
        """Take the token of an `.env` that was saved since it was last read.

        The first look finds what the settings had; from then on the same token counts as well:
        saving the file means that it is to be tried.
        """
        saved_before = self._read_state is not None or self._unreadable
        token = self._token_in_file()
        if token is not None and _sendable(token) and (saved_before or token != self._token):
            self._token = token
            self._rejections.clear()

    def _token_in_file(self) -> str | None:
        """The token of an `.env` that changed since it was last read."""
        if self._env_file is None:
            return None
        try:
            found = self._env_file.stat()
            # The change time is included because new permissions of the file change only that.
            state = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
            if state == self._read_state and not self._unreadable:
                return None
            values = read_env_file(self._env_file)
        except FileNotFoundError:
            self._unreadable = False
            self._read_state = ()
            return None
        except (OSError, SettingsInvalid):
            self._unreadable = True
            return None
        self._unreadable = False
        self._read_state = state
        return values.get(TOKEN_NAME, "").strip()

    def _problem(self, rejection: _Rejection | None) -> TokenRejected:
        where = self._where_to_set_it()
        if not self._token:
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
        if self._unreadable:
            return f"{self._env_file} cannot be read: fix it, with a new {TOKEN_NAME} in it."
        return f"Put it as {TOKEN_NAME} into {self._env_file}; no restart is needed."


def _sendable(token: str) -> bool:
    """Whether *token* can stand in an HTTP header."""
    return bool(token) and all("!" <= sign <= "~" for sign in token)
