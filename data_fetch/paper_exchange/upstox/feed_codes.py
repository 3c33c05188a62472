"""Addresses of the feed's socket: each has a code that is good for one connection."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_urlsafe
from urllib.parse import urlencode
from uuid import uuid4

from data_fetch.paper_exchange.wire import ApiError, Response, error_body

SOCKET_PATH = "/market-data-feeder/v3/upstox-developer-api/feeds"
CODE_LIFE = timedelta(seconds=60)
REFUSED = Response(error_body("UDAPI100057", "Invalid Auth code"), 403)


@dataclass(frozen=True, slots=True)
class _Grant:
    """Which request a code belongs to, the authorization it was asked for with, and when."""

    request_id: str
    authorization: str
    at: datetime

    def is_late(self, now: datetime) -> bool:
        return now >= self.at + CODE_LIFE


class FeedCodes:
    """The codes that were given out and not used yet."""

    def __init__(self) -> None:
        self._grants: dict[str, _Grant] = {}

    def address(self, host: str, authorization: str, now: datetime) -> str:
        """The address of a socket on *host* (name and port), with a new code."""
        self._grants = {code: each for code, each in self._grants.items() if not each.is_late(now)}
        request_id, code = str(uuid4()), token_urlsafe(16)
        self._grants[code] = _Grant(request_id, authorization, now)
        return _address(host, request_id, code)

    def redeem(self, request_id: str, code: str, now: datetime) -> str:
        """The authorization for which *code* was given; the code is used up by this.

        Raises ApiError (403) for one that is used, late or unknown.
        """
        grant = self._grants.pop(code, None)
        if grant is None or grant.request_id != request_id or grant.is_late(now):
            raise ApiError(REFUSED)
        return grant.authorization


def used_address(host: str) -> str:
    """The address of a socket on *host*, with a code that is good for nothing."""
    return _address(host, str(uuid4()), token_urlsafe(16))


def _address(host: str, request_id: str, code: str) -> str:
    query = urlencode({"requestId": request_id, "code": code})
    return f"ws://{host}{SOCKET_PATH}?{query}"
