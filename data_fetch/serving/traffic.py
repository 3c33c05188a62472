"""Requests and answers as Prometheus metrics, counted in the one layer that sees them all.

A label has few values whatever is requested: routes are templates, and everything without a
route is `other`.
"""

from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import Message, Scope, Send

from data_fetch.core.clock import stopwatch

OTHER = "other"
# They are answered without a route of their own.
PAGES = frozenset({"/openapi.json", "/socket.io/"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# An answer that never began, because its client went away or a fault came first.
NO_STATUS = 0
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Traffic:
    """The requests of one server, as metrics in *registry*."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "data_fetch_http_requests",
            "Requests that were answered, by route, method and status.",
            ("route", "method", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "data_fetch_http_request_duration_seconds",
            "From the request to the last byte of its answer.",
            ("route", "method"),
            buckets=SECONDS,
            registry=registry,
        )
        self._bytes = Counter(
            "data_fetch_http_response_bytes",
            "Bytes of answers as sent, without headers.",
            ("route",),
            registry=registry,
        )
        self._refusals = Counter(
            "data_fetch_http_refusals",
            "Refused requests, by the code in the answer.",
            ("code",),
            registry=registry,
        )
        self._in_flight = 0
        Gauge(
            "data_fetch_http_requests_in_flight",
            "Requests that are being answered.",
            registry=registry,
        ).set_function(lambda: self._in_flight)
        # Looking a child up by its labels costs more than counting.
        self._children: dict[tuple[str, str, int], _Children] = {}

    def begin(self, scope: Scope, send: Send) -> "Exchange":
        """A request that has come; its answer goes through the `send` of what is returned."""
        self._in_flight += 1
        return Exchange(scope, send)

    def end(self, exchange: "Exchange") -> None:
        """Count *exchange*, which is over."""
        self._in_flight -= 1
        children = self._children_of(exchange.route, exchange.method, exchange.status)
        children.requests.inc()
        children.seconds.observe(exchange.seconds)
        children.bytes.inc(exchange.sent_bytes)
        code = exchange.refusal
        if code is not None:
            self._refusals.labels(code).inc()

    def _children_of(self, route: str, method: str, status: int) -> "_Children":
        key = (route, method, status)
        found = self._children.get(key)
        if found is None:
            found = self._children[key] = _Children(
                self._requests.labels(route, method, str(status) if status else "none"),
                self._seconds.labels(route, method),
                self._bytes.labels(route),
            )
        return found


class _Children(NamedTuple):
    requests: Counter
    seconds: Histogram
    bytes: Counter


class Exchange:
    """One request and its answer. What it has is known when the answer is sent."""

    __slots__ = ("_began", "_send", "complete", "scope", "sent_bytes", "status")

    def __init__(self, scope: Scope, send: Send) -> None:
        self._began = stopwatch()
        self.scope = scope
        self._send = send
        self.status = NO_STATUS
        self.sent_bytes = 0
        self.complete = False

    async def send(self, message: Message) -> None:
        """Send *message* of the answer on; to HEAD without its body."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            if self.method == "HEAD":
                message = {**message, "body": b""}
            self.sent_bytes += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
        await self._send(message)

    @property
    def seconds(self) -> float:
        """Since the request came."""
        return stopwatch() - self._began

    @property
    def method(self) -> str:
        method: str = self.scope["method"]
        return method if method in METHODS else OTHER

    @property
    def route(self) -> str:
        """The template of the path, as routing found it."""
        route = self.scope.get("route")
        if route is not None:
            return str(route.path)
        path: str = self.scope["path"]
        return path if path in PAGES else OTHER

    @property
    def refusal(self) -> str | None:
        """The code of the refusal that the answer is; None for any other answer."""
        code: str | None = self.scope["state"].get("refusal")
        return code
