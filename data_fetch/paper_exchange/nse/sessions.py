"""Cookie sessions of NSE's website (option-chain notes, section 3).

A page sets the cookies. They are valid for a number of API requests or a period, whichever
ends first; then a page has to be loaded again. Some expired sessions get a 401. Others get
200 with an empty object, which is a block and not an empty chain.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from data_fetch.paper_exchange.market.seeded_random import fingerprint
from data_fetch.paper_exchange.nse.wire import EMPTY_OBJECT, UNAUTHORIZED
from data_fetch.paper_exchange.wire import ApiError

COOKIE_REQUESTS = 60
COOKIE_LIFE = timedelta(minutes=10)
SITE, APP, BOT_MANAGER = "nsit", "nseappid", "bm_sv"
# A client uses the cookies of its last page, so older sessions can be dropped.
MAX_SESSIONS = 256


@dataclass(slots=True)
class _Session:
    number: int
    cookies: dict[str, str]
    started: datetime
    requests: int = 0


class NseSessions:
    """The open cookie sessions, and how many requests each has made."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._started = 0

    def start(self, now: datetime) -> dict[str, str]:
        """Start a session and return its cookies, which are new each time."""
        self._started += 1
        cookies = {
            name: f"{fingerprint(name, self._started):016x}" for name in (SITE, APP, BOT_MANAGER)
        }
        self._sessions[cookies[APP]] = _Session(self._started, cookies, now)
        if len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return cookies

    def check(self, cookies: Mapping[str, str], now: datetime) -> None:
        """Count one API request. Raises ApiError with 401 unless both site cookies are sent.

        An expired session is rejected too: the first with 401, the second with an empty
        object, and so on alternately.
        """
        session = self._sessions.get(cookies.get(APP, ""))
        if session is None or cookies.get(SITE) != session.cookies[SITE]:
            raise ApiError(UNAUTHORIZED)
        session.requests += 1
        if session.requests > COOKIE_REQUESTS or now >= session.started + COOKIE_LIFE:
            raise ApiError(UNAUTHORIZED if session.number % 2 else EMPTY_OBJECT)
