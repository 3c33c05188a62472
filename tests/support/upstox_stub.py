"""A tiny scripted server in Upstox's place, and an API object that talks to it."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

from data_fetch.core.clock import VirtualClock
from data_fetch.core.ports import Clock, Lane, Pacing
from data_fetch.core.world import World
from data_fetch.sources.transport.pacing import Pacer
from data_fetch.sources.transport.retrying import RequestContext, RetryPolicy
from data_fetch.sources.upstox.api import UpstoxApi
from data_fetch.sources.upstox.token import TokenKeeper

START = datetime(2026, 9, 16, 4, 0, tzinfo=UTC)
RELIANCE = "NSE_EQ|INE002A01018"


@dataclass(frozen=True)
class Scripted:
    """One answer: *cut* sends so many bytes of the body and hangs up, *trickle* sends the
    body byte by byte, *reset* answers nothing."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    trickle: float = 0.0
    silence: float = 0.0
    reset: bool = False


@dataclass(frozen=True)
class Seen:
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]

    @property
    def keys(self) -> list[str]:
        return self.query["instrument_key"][0].split(",")

    @property
    def token(self) -> str | None:
        return self.headers.get("Authorization")


Script = Callable[[Seen], Scripted]


def good(data: Any, status: str = "success") -> Scripted:
    return Scripted(body=json.dumps({"status": status, "data": data}).encode())


def error(status: int, code: str, message: str = "Something", **headers: str) -> Scripted:
    problem = {"errorCode": code, "message": message, "error_code": code, "invalidValue": None}
    body = json.dumps({"status": "error", "errors": [problem]}).encode()
    return Scripted(status, body, {name.replace("_", "-"): v for name, v in headers.items()})


def row(key: str, price: Any = 100.5, volume: Any = 10, **more: Any) -> dict[str, Any]:
    return {
        "last_price": price,
        "instrument_token": key,
        "ltq": 1,
        "volume": volume,
        "cp": 99.0,
        **more,
    }


def quotes_of(seen: Seen) -> Scripted:
    """Every requested key has a quote, under a map key that is not its name."""
    return good({f"NSE_EQ:SYMBOL{n}": row(key) for n, key in enumerate(seen.keys)})


def knowing_all_but(*bad: str) -> Script:
    """Upstox: one unknown key refuses the whole request, and 501 keys are too many."""

    def script(seen: Seen) -> Scripted:
        if len(seen.keys) > 500:
            return error(400, "UDAPI100043")
        if set(bad) & set(seen.keys):
            return error(400, "UDAPI1087", "Invalid Instrument key")
        return quotes_of(seen)

    return script


def in_turn(*answers: Scripted | Script) -> Script:
    """The answers one after the other; the last one again and again."""
    left = list(answers)

    def script(seen: Seen) -> Scripted:
        now = left.pop(0) if len(left) > 1 else left[0]
        return now if isinstance(now, Scripted) else now(seen)

    return script


class Stub:
    def __init__(self) -> None:
        self.script: Script = quotes_of
        self.seen: list[Seen] = []
        self._stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "Stub":
        serve = lambda: self._server.serve_forever(poll_interval=0.01)  # noqa: E731
        threading.Thread(target=serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(stub) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                seen = Seen(parts.path, parse_qs(parts.query), dict(self.headers.items()))
                stub.seen.append(seen)
                self._send(stub.script(seen))

            def _send(self, response: Scripted) -> None:
                if response.silence:
                    stub._stopping.wait(response.silence)
                if response.reset:
                    # Lingering zero seconds: hanging up becomes a reset.
                    self.connection.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                    )
                    self.close_connection = True
                    return
                self.send_response(response.status)
                for name, value in response.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(response.body)))
                self.end_headers()
                if response.trickle:
                    for byte in response.body:
                        if stub._stopping.wait(response.trickle):
                            return
                        try:
                            self.wfile.write(bytes([byte]))
                        except OSError:
                            return
                    return
                self.wfile.write(response.body[: response.cut])
                if response.cut is not None:
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                return None

        return Handler


@dataclass
class FreePacing:
    """Permission at once; records each request."""

    granted: list[tuple[str, Lane]] = field(default_factory=list)
    paused: list[tuple[str, timedelta]] = field(default_factory=list)

    @contextmanager
    def request(
        self,
        api: str,
        lane: Lane,
        latest: datetime | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[None]:
        self.granted.append((api, lane))
        yield

    def pause(self, api: str, duration: timedelta) -> None:
        self.paused.append((api, duration))


def keeper(token: str = "first-token", env_file: Path | None = None) -> TokenKeeper:
    return TokenKeeper(token, env_file=env_file, in_environment=env_file is None)


def api_for(
    url: str,
    clock: VirtualClock,
    *,
    token: TokenKeeper | None = None,
    pacing: Pacing | None = None,
    timeout_seconds: float = 5,
    attempts: int = 4,
) -> UpstoxApi:
    return UpstoxApi(
        world=World.LIVE,
        base_url=url,
        token=token or keeper(),
        pacing=pacing or FreePacing(),
        clock=clock,
        timeout_seconds=timeout_seconds,
        policy=RetryPolicy(clock, attempts=attempts, random=Random(1)),
    )


def equity_keys(count: int, first: int = 0) -> list[str]:
    return [f"NSE_EQ|INE{number:06d}A01" for number in range(first, first + count)]


def waited(clock: VirtualClock, since: datetime = START) -> timedelta:
    return clock.now() - since


def asked_keys(seen: Sequence[Seen]) -> list[int]:
    return [len(request.keys) for request in seen]


def live(clock: Clock) -> RequestContext:
    """The context of a request of the live lane that begins now."""
    return RequestContext.begin(Lane.LIVE, clock.now())


def bulk(clock: Clock) -> RequestContext:
    """The same of the backfill lane."""
    return RequestContext.begin(Lane.BACKFILL, clock.now())


def spent(pacer: Pacer, api: str, clock: Clock) -> dict[timedelta, int]:
    """How many requests each window of *api* contains now."""
    ends, now = pacer.spending(api), clock.now()
    return {window: sum(end >= now - window for end in ends) for window in pacer.limits}
