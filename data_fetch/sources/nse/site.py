"""NSE's website, asked slowly and politely, as its own pages ask it.

There is no official interface. The site's back end answers whoever has opened a page before
and shows the cookies of it; stale ones are answered with 401, 403, a page, or 200 and an
empty object. Its terms restrict automated use, so that it can be switched off altogether.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from ipaddress import ip_address
from threading import Event, Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin, urlsplit

import urllib3

from data_fetch.core.chains.chains import ChainError, RawResponse
from data_fetch.core.clock import stopwatch
from data_fetch.core.errors import Stopped, Unreachable
from data_fetch.core.failures import FailureKind
from data_fetch.core.ports import Clock, Lane, Pacing
from data_fetch.core.settings import NSE_URL
from data_fetch.sources.chain_parsing.bodies import parsed
from data_fetch.sources.chain_parsing.values import MONTHS
from data_fetch.sources.transport.recording import RecordingRequestContext

if TYPE_CHECKING:
    import requests

# No limit is published; people keep 2 to 3.5 seconds between calls.
NSE_LIMITS: Mapping[timedelta, int] = {timedelta(seconds=2.5): 1}
NSE_API = "nse"

# The first usually brings all cookies; the second is opened only if it did not.
PAGES = ("/option-chain", "/")
SITE_COOKIE = "nseappid"
REVISIT_AFTER = timedelta(minutes=4)
MOST_REDIRECTS = 2

CONNECT_SECONDS = 5.0
PIECE = 65_536
# The largest body ever captured has 0.9 MB.
LARGEST_BODY = 32 * 2**20
LOCK_NAP_SECONDS = 0.1

BROWSER = {
    "User-Agent": (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/140.0.0.0 Safari/537.36"
    ),
    "Accept-Language": "en-US,en;q=0.9",
    # Brotli and zstd are what the site likes best, and nothing here could unpack them.
    "Accept-Encoding": "gzip, deflate",
}
OPENS_A_PAGE = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none",
    "Upgrade-Insecure-Requests": "1",
}
ASKS_THE_API = {
    "Accept": "application/json,text/plain,*/*",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-origin",
}

# How the site shows that it wants to see a page opened first.
STALE = frozenset(
    {FailureKind.UNAUTHORISED, FailureKind.FORBIDDEN, FailureKind.EMPTY_OBJECT, FailureKind.HTML}
)
# Opening another page would not help.
SHUT_OUT = frozenset({FailureKind.FORBIDDEN, FailureKind.RATE_LIMITED})
REFUSALS = {
    401: FailureKind.UNAUTHORISED,
    403: FailureKind.FORBIDDEN,
    404: FailureKind.NOT_FOUND,
    421: FailureKind.MISDIRECTED,
    429: FailureKind.RATE_LIMITED,
}
ADVICE = {
    FailureKind.FORBIDDEN: "Addresses outside India and those of data centres are often shut out.",
    FailureKind.EMPTY_OBJECT: "The symbol or expiry is unknown, or the site has shut us out.",
    FailureKind.UNREACHABLE: "Check the network and NSE_BASE_URL.",
}


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    location: str | None


class NseSite:
    """One visitor of the site. Safe to share between threads; they take turns.

    Every request, pages included, waits for *pacing* (a `Pacer` with `NSE_LIMITS`). Switched
    off (*enabled* is false) it raises FailureKind.SWITCHED_OFF and sends nothing. Every method
    raises ChainError with the name of what went wrong, Unreachable, RateLimited when its turn
    would come too late, or Stopped; all bodies that were received are in the errand.
    """

    def __init__(
        self,
        *,
        pacing: Pacing,
        clock: Clock,
        base_url: str = NSE_URL,
        enabled: bool = True,
        timeout_seconds: float = 10,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._pacing = pacing
        self._clock = clock
        self._enabled = enabled
        self._timeout_seconds = timeout_seconds
        self._session: requests.Session | None = None
        self._opened_at: datetime | None = None
        self._turn = Lock()

    def context(
        self, lane: Lane = Lane.CHAIN, stop: Event | None = None
    ) -> RecordingRequestContext:
        """A piece of work that begins now, with the patience of its lane."""
        return RecordingRequestContext.begin(lane, self._clock.now(), stop)

    def contract_info(self, symbol: str, context: RecordingRequestContext | None = None) -> Any:
        """The parsed body about *symbol*: `expiryDates`, and all strikes under `strikePrice`."""
        path = f"/api/option-chain-contract-info?symbol={quote(symbol, safe='')}"
        return self._told(path, context or self.context())

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
        return self._told(path, context or self.context())

    def _told(self, path: str, context: RecordingRequestContext) -> Any:
        if not self._enabled:
            raise ChainError(
                FailureKind.SWITCHED_OFF,
                "NSE's website is switched off",
                hint="Switch it on in the settings, or use another source.",
            )
        self._wait_for_turn(context)
        try:
            if self._opened_at is None or self._clock.now() >= self._opened_at + REVISIT_AFTER:
                self._open_page(context)
            try:
                return self._ask(path, context)
            except ChainError as problem:
                if problem.kind not in STALE:
                    raise
            self._open_page(context)
            return self._ask(path, context)
        finally:
            self._turn.release()

    def _wait_for_turn(self, context: RecordingRequestContext) -> None:
        """The site sees one visitor, who does one thing after the other."""
        if self._turn.acquire(blocking=False):
            return
        with self._clock.released():
            while not self._turn.acquire(timeout=LOCK_NAP_SECONDS):
                if context.stop.is_set():
                    raise Stopped("the request was called off before its turn came")
                if self._clock.now() >= context.deadline:
                    raise _too_late()

    def _open_page(self, context: RecordingRequestContext) -> None:
        """Come as a new visitor: what the site took amiss may hang on the old cookies."""
        self._opened_at = None
        self._visitor().cookies.clear()
        for page in PAGES:
            answer = self._request(page, OPENS_A_PAGE, context)
            kind = REFUSALS.get(answer.status)
            if kind is not None and kind in SHUT_OUT:
                self._keep(answer, context)
                raise _refusal(kind, answer.status)
            if any(cookie.name == SITE_COOKIE for cookie in self._visitor().cookies):
                break
        self._opened_at = self._clock.now()

    def _ask(self, path: str, context: RecordingRequestContext) -> Any:
        headers = {**ASKS_THE_API, "Referer": f"{self._base_url}{PAGES[0]}"}
        answer = self._request(path, headers, context)
        self._keep(answer, context)
        return read_site_answer(answer.status, answer.body)

    def _keep(self, answer: _Answer, context: RecordingRequestContext) -> None:
        context.raw_responses.append(RawResponse(self._clock.now(), answer.status, answer.body))

    def _request(
        self, path: str, headers: Mapping[str, str], context: RecordingRequestContext
    ) -> _Answer:
        """One answer; redirects are followed as long as they stay on the site."""
        url = f"{self._base_url}{path}"
        for _ in range(1 + MOST_REDIRECTS):
            if self._clock.now() >= context.deadline:
                raise _too_late()
            with self._pacing.request(NSE_API, context.lane, context.deadline, context.stop):
                context.requests += 1
                answer = self._send(url, headers)
            if answer.location is None:
                return answer
            url = urljoin(url, answer.location)
            if _origin(url) != _origin(self._base_url):
                raise ChainError(FailureKind.REFUSED, "NSE sends us to another site")
        raise ChainError(FailureKind.REFUSED, "NSE sends us round in circles")

    def _send(self, url: str, headers: Mapping[str, str]) -> _Answer:
        # A tenth of a second to import, and most commands never ask NSE.
        import requests

        seconds = self._timeout_seconds
        try:
            with self._visitor().get(
                url,
                headers=headers,
                timeout=(min(CONNECT_SECONDS, seconds), seconds),
                stream=True,
                allow_redirects=False,
            ) as response:
                body = _whole_body(response.raw, stopwatch() + seconds)
                location = response.headers.get("Location") if response.is_redirect else None
                return _Answer(response.status_code, body, location)
        except urllib3.exceptions.DecodeError:
            raise ChainError(FailureKind.NOT_JSON, "a body that cannot be unpacked") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as problem:
            # Their own texts name the whole address.
            raise Unreachable(
                f"No answer from NSE ({type(problem).__name__})",
                hint=ADVICE[FailureKind.UNREACHABLE],
            ) from None

    def _visitor(self) -> "requests.Session":
        if self._session is None:
            import requests

            self._session = requests.Session()
            self._session.headers.update(BROWSER)
            # A proxy of the environment leads out of this machine.
            self._session.trust_env = not _is_loopback(self._base_url)
        return self._session


def format_expiry(expiry: date) -> str:
    """``15-Sep-2026``: English months whatever the locale."""
    return f"{expiry.day:02}-{MONTHS[expiry.month - 1].capitalize()}-{expiry.year}"


def read_site_answer(status: int, body: bytes) -> Any:
    """The parsed body of an answer of the site's back end. Raises ChainError."""
    if status != 200:
        unnamed = FailureKind.SERVER_ERROR if status >= 500 else FailureKind.REFUSED
        raise _refusal(REFUSALS.get(status, unnamed), status)
    told = parsed(body)
    if told == {}:
        raise _refusal(FailureKind.EMPTY_OBJECT, status)
    return told


def _whole_body(raw: urllib3.HTTPResponse, until: float) -> bytes:
    """The body, unpacked. Each single read is bounded by the timeout of the connection, but a
    body that trickles could take for ever."""
    body = bytearray()
    while piece := raw.read1(PIECE, decode_content=True):
        body += piece
        if stopwatch() > until:
            raise urllib3.exceptions.TimeoutError("no whole body in time")
        if len(body) > LARGEST_BODY:
            raise ChainError(FailureKind.NOT_A_CHAIN, f"a body of more than {LARGEST_BODY} bytes")
    return bytes(body)


def _too_late() -> Unreachable:
    return Unreachable("No time is left for this request", hint="It was not sent.")


def _refusal(kind: FailureKind, status: int) -> ChainError:
    return ChainError(kind, f"NSE answered {status}", hint=ADVICE.get(kind, ""))


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
