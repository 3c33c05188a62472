"""NSE's website: paced requests to its API, in the form in which its own pages send them.

There is no official interface. The site's API requires the cookies of a page that was opened
before; with stale ones it returns 401, 403, a page, or 200 and an empty object. Its terms
restrict automated use, so the source can be switched off.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import partial
from ipaddress import ip_address
from threading import Event
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin, urlsplit

import urllib3

from data_fetch.core.chains.chains import ChainError, RawResponse
from data_fetch.core.errors import Stopped, Unreachable
from data_fetch.core.failures import FailureKind
from data_fetch.core.ports import Clock, Lane, Pacing
from data_fetch.core.settings import NSE_URL
from data_fetch.core.world import World
from data_fetch.sources.chain_parsing.values import MONTHS
from data_fetch.sources.nse.turns import Turns
from data_fetch.sources.transport.bodies import parse_json
from data_fetch.sources.transport.bounded import LARGEST_BODY, BodyTooLarge, whole_body
from data_fetch.sources.transport.recording import RecordingRequestContext
from data_fetch.sources.transport.retry_after import retry_after
from data_fetch.sources.transport.world_check import WorldCheck

if TYPE_CHECKING:
    import requests

NSE_API = "nse"

# The first usually sets all cookies; the second is opened only if it did not.
PAGES = ("/option-chain", "/")
SITE_COOKIE = "nseappid"
REVISIT_AFTER = timedelta(minutes=4)
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 2
# A response of these statuses may name a pause.
PAUSES = frozenset({429, 503})

CONNECT_SECONDS = 5.0

BROWSER = {
    "User-Agent": (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/140.0.0.0 Safari/537.36"
    ),
    "Accept-Language": "en-US,en;q=0.9",
    # The site prefers Brotli and zstd, which cannot be decompressed here.
    "Accept-Encoding": "gzip, deflate",
}
PAGE_HEADERS = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none",
    "Upgrade-Insecure-Requests": "1",
}
API_HEADERS = {
    "Accept": "application/json,text/plain,*/*",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-origin",
}

# Faults by which the site requires a page to be opened first.
STALE = frozenset(
    {FailureKind.UNAUTHORISED, FailureKind.FORBIDDEN, FailureKind.EMPTY_OBJECT, FailureKind.HTML}
)
# Opening another page would not help.
BLOCKS = frozenset({FailureKind.FORBIDDEN, FailureKind.RATE_LIMITED})
REFUSALS = {
    401: FailureKind.UNAUTHORISED,
    403: FailureKind.FORBIDDEN,
    404: FailureKind.NOT_FOUND,
    421: FailureKind.MISDIRECTED,
    429: FailureKind.RATE_LIMITED,
}
ADVICE = {
    FailureKind.FORBIDDEN: "NSE often blocks addresses outside India and those of data centres.",
    FailureKind.EMPTY_OBJECT: "The symbol or expiry is unknown, or NSE blocks this address.",
    FailureKind.UNREACHABLE: "Check the network and NSE_BASE_URL.",
}


class NseSite:
    """One session with the site. Safe to share between threads; they take turns.

    Every request, pages included, waits for *pacing* (a `Pacer` with `NSE_LIMITS`). With
    *enabled* false it raises FailureKind.SWITCHED_OFF and sends nothing. Every method raises
    ChainError, Unreachable, RateLimited when permission would come too late, WrongWorld for a
    response of another world than *world*, or Stopped; all received bodies of the API are in the
    request context.
    """

    def __init__(
        self,
        *,
        pacing: Pacing,
        clock: Clock,
        world: World,
        base_url: str = NSE_URL,
        enabled: bool = True,
        timeout_seconds: float = 10,
        largest_body: int = LARGEST_BODY,
    ) -> None:
        self._largest_body = largest_body
        self._base_url = base_url.rstrip("/")
        self._pacing = pacing
        self._clock = clock
        self._world = WorldCheck(world, "NSE_BASE_URL")
        self._enabled = enabled
        self._timeout_seconds = timeout_seconds
        self._session: requests.Session | None = None
        self._opened_at: datetime | None = None
        self._turns = Turns(clock)

    def context(self, stop: Event | None = None) -> RecordingRequestContext:
        """The context of requests that begin now, with the time limit of the chain lane."""
        return RecordingRequestContext.begin(Lane.CHAIN, self._clock.now(), stop)

    def contract_info(self, symbol: str, context: RecordingRequestContext | None = None) -> Any:
        """The parsed body about *symbol*: `expiryDates`, and all strikes under `strikePrice`."""
        path = f"/api/option-chain-contract-info?symbol={quote(symbol, safe='')}"
        return self._fetch(path, context or self.context())

    def option_chain(
        self,
        symbol: str,
        is_index: bool,
        expiry: date,
        context: RecordingRequestContext | None = None,
    ) -> Any:
        """The parsed body about one expiry of *symbol*."""
        kind = "Indices" if is_index else "Equity"
        path = (
            f"/api/option-chain-v3?type={kind}&symbol={quote(symbol, safe='')}"
            f"&expiry={format_expiry(expiry)}"
        )
        return self._fetch(path, context or self.context())

    def holidays(self, context: RecordingRequestContext) -> Any:
        """The parsed list of trading holidays of the current year, by segment."""
        return self._fetch("/api/holiday-master?type=trading", context)

    def _fetch(self, path: str, context: RecordingRequestContext) -> Any:
        if not self._enabled:
            raise ChainError(
                FailureKind.SWITCHED_OFF,
                "NSE's website is switched off",
                hint="Switch it on in the settings, or use another source.",
            )
        self._turns.take(partial(_give_up_waiting, self._clock, context))
        try:
            if self._opened_at is None or self._clock.now() >= self._opened_at + REVISIT_AFTER:
                self._open_page(context)
            try:
                return self._call_api(path, context)
            except ChainError as problem:
                if problem.kind not in STALE:
                    raise
            self._open_page(context)
            return self._call_api(path, context)
        finally:
            self._turns.pass_on()

    def _open_page(self, context: RecordingRequestContext) -> None:
        """Start a fresh session: a block may be tied to the old cookies."""
        self._opened_at = None
        self._opened_session().cookies.clear()
        for page in PAGES:
            response = self._request(page, PAGE_HEADERS, context)
            kind = REFUSALS.get(response.status)
            if kind is not None and kind in BLOCKS:
                context.raw_responses.append(response)
                raise _refusal(kind, response.status)
            if any(cookie.name == SITE_COOKIE for cookie in self._opened_session().cookies):
                break
        self._opened_at = self._clock.now()

    def _call_api(self, path: str, context: RecordingRequestContext) -> Any:
        headers = {**API_HEADERS, "Referer": f"{self._base_url}{PAGES[0]}"}
        response = self._request(path, headers, context)
        context.raw_responses.append(response)
        return read_site_response(response)

    def _request(
        self, path: str, headers: Mapping[str, str], context: RecordingRequestContext
    ) -> RawResponse:
        """The response; redirects are followed as long as they stay on the site."""
        url = f"{self._base_url}{path}"
        for _ in range(1 + MOST_REDIRECTS):
            if self._clock.now() >= context.deadline:
                raise _too_late()
            with self._pacing.request(NSE_API, context.lane, context.deadline, context.stop):
                context.requests += 1
                response = self._send(url, headers)
            pause = retry_after(response.headers, response.received_at)
            if response.status in PAUSES and pause:
                self._pacing.pause(NSE_API, pause)
            if response.status not in REDIRECTS or "Location" not in response.headers:
                return response
            url = urljoin(url, response.headers["Location"])
            if _origin(url) != _origin(self._base_url):
                raise ChainError(FailureKind.REFUSED, "NSE redirects to another site")
        raise ChainError(FailureKind.REFUSED, "NSE redirects in a loop")

    def _send(self, url: str, headers: Mapping[str, str]) -> RawResponse:
        # It takes a tenth of a second to import, and most commands never use NSE.
        import requests

        seconds = self._timeout_seconds
        try:
            with self._opened_session().get(
                url,
                headers=headers,
                timeout=(min(CONNECT_SECONDS, seconds), seconds),
                stream=True,
                allow_redirects=False,
            ) as response:
                self._world.check(self._base_url, response.headers)
                body = whole_body(response.raw, self._largest_body)
                return RawResponse(self._clock.now(), response.status_code, body, response.headers)
        except urllib3.exceptions.DecodeError:
            raise ChainError(FailureKind.NOT_JSON, "a body that cannot be decompressed") from None
        except BodyTooLarge as problem:
            raise ChainError(FailureKind.NOT_A_CHAIN, str(problem)) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as problem:
            # Their own texts contain the whole address.
            raise Unreachable(
                f"No response from NSE ({type(problem).__name__})",
                hint=ADVICE[FailureKind.UNREACHABLE],
            ) from None

    def _opened_session(self) -> "requests.Session":
        if self._session is None:
            # It imports `requests`, and most commands never use NSE.
            from data_fetch.sources.nse.session import browser_session

            # A proxy named in the environment is not on this machine.
            self._session = browser_session(BROWSER, not _is_loopback(self._base_url))
        return self._session


def format_expiry(expiry: date) -> str:
    """``15-Sep-2026``: English months whatever the locale."""
    return f"{expiry.day:02}-{MONTHS[expiry.month - 1].capitalize()}-{expiry.year}"


def read_site_response(raw: RawResponse) -> Any:
    """The JSON in a response of the site's API. Raises ChainError."""
    if raw.status != 200:
        unnamed = FailureKind.SERVER_ERROR if raw.status >= 500 else FailureKind.REFUSED
        raise _refusal(REFUSALS.get(raw.status, unnamed), raw.status)
    document = parse_json(raw.body)
    if document == {}:
        raise _refusal(FailureKind.EMPTY_OBJECT, raw.status)
    return document


def _give_up_waiting(clock: Clock, context: RecordingRequestContext) -> None:
    """Raises when a request that waits for its turn is not to be sent any more."""
    if context.stop.is_set():
        raise Stopped("the request was cancelled before its turn came")
    if clock.now() >= context.deadline:
        raise _too_late()


def _too_late() -> Unreachable:
    return Unreachable("No time is left for this request", hint="It was not sent.")


def _refusal(kind: FailureKind, status: int) -> ChainError:
    return ChainError(kind, f"NSE returned {status}", hint=ADVICE.get(kind, ""))


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
