"""The cookies without which NSE's website answers no question (option-chain notes, section 3).

A page hands them out; they serve so many questions, or so long, and then have to be fetched
again. Some stale ones are told so with 401. Others get 200 and an empty object, which is a
block and no empty chain.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from data_fetch.paper_exchange.market.chance import fingerprint
from data_fetch.paper_exchange.nse.wire import EMPTY_OBJECT, UNAUTHORIZED
from data_fetch.paper_exchange.wire import Refused

COOKIE_REQUESTS = 60
COOKIE_LIFE = timedelta(minutes=10)
SITE, APP, BOT_MANAGER = "nsit", "nseappid", "bm_sv"
# Nobody comes back with an older cookie.
VISITS_KEPT = 256


@dataclass(slots=True)
class _Visit:
    number: int
    cookies: dict[str, str]
    began: datetime
    requests: int = 0


class NseVisits:
    """Who has seen a page, and how much that is still good for."""

    def __init__(self) -> None:
        self._visits: OrderedDict[str, _Visit] = OrderedDict()
        self._begun = 0

    def begin(self, now: datetime) -> dict[str, str]:
        """The cookies that a page sets, new ones each time."""
        self._begun += 1
        cookies = {
            name: f"{fingerprint(name, self._begun):016x}" for name in (SITE, APP, BOT_MANAGER)
        }
        self._visits[cookies[APP]] = _Visit(self._begun, cookies, now)
        if len(self._visits) > VISITS_KEPT:
            self._visits.popitem(last=False)
        return cookies

    def admit(self, cookies: Mapping[str, str], now: datetime) -> None:
        """Count a question in. Without both site cookies: 401.

        When they have served, the first visit's are refused with 401, the second's with an
        empty object, and so on by turns.
        """
        visit = self._visits.get(cookies.get(APP, ""))
        if visit is None or cookies.get(SITE) != visit.cookies[SITE]:
            raise Refused(UNAUTHORIZED)
        visit.requests += 1
        if visit.requests > COOKIE_REQUESTS or now >= visit.began + COOKIE_LIFE:
            raise Refused(UNAUTHORIZED if visit.number % 2 else EMPTY_OBJECT)
