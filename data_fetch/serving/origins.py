"""Which web pages may read the answers (CORS), and by which names the server may be called."""

import re
from http import HTTPStatus

from data_fetch.core.settings import Settings
from data_fetch.runtime.exposure import LOCAL_HOST
from data_fetch.serving.problems import Refusal

Header = tuple[bytes, bytes]
LOCAL_ORIGIN = re.compile(rb"http://(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?")
# A page that was opened from disk, or any page by way of a frame: it may read, and no more.
FROM_DISK = b"null"
ACCOUNTS = "/api/auth/"
METHODS = b"GET, HEAD, POST, OPTIONS"
ASKED_HEADERS = (
    b"Accept, Authorization, Content-Type, If-Modified-Since, If-None-Match, X-API-Key, "
    b"X-Request-Id"
)
SHOWN_HEADERS = (
    b"Data-Frame, ETag, Link, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, "
    b"X-Request-Id"
)
SECONDS_KEPT = b"600"
VARY: Header = (b"vary", b"Origin")


class Origins:
    """The web pages that may read the answers of one server."""

    def __init__(self, settings: Settings) -> None:
        self._local = settings.on_loopback
        self._open = not settings.needs_authentication
        self._listed = frozenset(each.encode() for each in settings.cors_origins)

    def allows(self, origin: bytes) -> bool:
        if origin in self._listed:
            return True
        return self._local and (origin == FROM_DISK or LOCAL_ORIGIN.fullmatch(origin) is not None)

    def answer_headers(self, origin: bytes | None) -> list[Header]:
        """The headers of an answer to a page of *origin*."""
        if origin is None or not self.allows(origin):
            return []
        headers = [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", SHOWN_HEADERS),
            VARY,
        ]
        # Any page can be of the origin `null`, by way of a frame.
        if origin != FROM_DISK:
            headers.append((b"access-control-allow-credentials", b"true"))
        return headers

    def preflight_headers(self, origin: bytes) -> list[Header]:
        """The headers of the answer to a browser that asks before it sends a request.

        Raises Refusal for a page that may not send one.
        """
        if not self.allows(origin):
            raise _foreign(origin)
        return [
            *self.answer_headers(origin),
            (b"access-control-allow-methods", METHODS),
            (b"access-control-allow-headers", ASKED_HEADERS),
            (b"access-control-max-age", SECONDS_KEPT),
        ]

    def refuse_socket(self, origin: bytes | None) -> None:
        """Raises Refusal for a WebSocket of a page that may not read answers: browsers leave
        that to the server."""
        if origin is not None and not self.allows(origin):
            raise _foreign(origin)

    def refuse_accounts(self, origin: bytes | None, path: str) -> None:
        """Raises Refusal for a page of the origin `null` that registers or signs in."""
        if origin == FROM_DISK and origin not in self._listed and path.startswith(ACCOUNTS):
            raise _foreign(origin)

    def refuse_foreign_name(self, host: bytes | None) -> None:
        """Raises Refusal when a server that is open for reading on this machine is called by a
        name that is not this machine's.

        Such a name belongs to a web page that wants to read as a page of ours, or to a proxy that
        lets others read.
        """
        if self._local and self._open and host is not None and not LOCAL_HOST.fullmatch(host):
            raise Refusal(
                HTTPStatus.MISDIRECTED_REQUEST,
                "foreign_host",
                "this server is open for reading on this machine, by its own name only",
                then="Call it by 127.0.0.1 or localhost; behind a proxy set API_AUTHENTICATION=on.",
            )


def _foreign(origin: bytes) -> Refusal:
    shown = origin.decode("latin-1")[:100]
    return Refusal(
        HTTPStatus.FORBIDDEN,
        "foreign_origin",
        f"pages of {shown!r} may not read here",
        then="Add the origin to CORS_ORIGINS of the server.",
    )
