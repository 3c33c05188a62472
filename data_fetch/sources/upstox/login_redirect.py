"""The loopback address to which the provider's dialog sends the browser of the person who logs in.

It takes one answer. Whatever else a browser requests there (an icon, a connection without a
request) changes nothing.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from hmac import compare_digest
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from queue import Empty, Queue
from threading import Thread
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from data_fetch.core.errors import LoginRefused, SetupError

HTTP_PORT = 80
# A connection that sends nothing must not stay for ever.
READ_SECONDS = 5.0
PASTE = "Without a browser on this machine use data-fetch login --paste."
PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>data-fetch</title>"
    "<body style='font-family: sans-serif; margin: 4em'><h1>{title}</h1><p>{text}</p></html>"
)


@dataclass(frozen=True, slots=True)
class RedirectAnswer:
    """The query that the dialog added to the redirect address; empty where it has none."""

    code: str = ""
    state: str = ""
    error: str = ""

    @classmethod
    def of(cls, address: str) -> Self:
        """The answer in *address*, which may be a whole address or its path."""
        query = parse_qs(urlsplit(address).query)
        return cls(*(query.get(name, [""])[0] for name in ("code", "state", "error")))

    def code_for(self, state: str) -> str:
        """The code. Raises LoginRefused unless it answers the dialog that was opened with
        *state*."""
        if not compare_digest(self.state.encode(), state.encode()):
            raise LoginRefused(
                "The browser came back from another login: its state is not that of this one",
                hint="Nothing was sent to Upstox. Run data-fetch login again, and use the address "
                "that it prints.",
            )
        if self.error or not self.code:
            raise LoginRefused(
                "The login was denied in the dialog" if self.error else "The answer has no code",
                hint="Run data-fetch login again, and allow the access.",
            )
        return self.code


def pasted_code(text: str, state: str | None = None) -> str:
    """The code in what a person pasted: a code, or the address to which the browser was sent.

    Raises LoginRefused for nothing, and for an address of another login than that of *state*, if
    given.
    """
    text = text.strip()
    if not text:
        raise LoginRefused(
            "Nothing was pasted",
            hint="Nothing was sent to Upstox. Run data-fetch login --paste again, and paste the "
            "address to which the browser was sent.",
        )
    if "?" not in text:
        return text
    answer = RedirectAnswer.of(text)
    return answer.code_for(answer.state if state is None else state)


class RedirectListener:
    """Listens at *redirect_uri* while it is entered; port 0 takes a free one.

    Raises SetupError when it is not an address of this machine, or its port is taken.
    """

    def __init__(self, redirect_uri: str) -> None:
        parts = urlsplit(redirect_uri)
        host = parts.hostname or ""
        if parts.scheme != "http" or not _is_loopback(host):
            raise SetupError(
                f"{redirect_uri} is not an http address of this machine, so no answer can be "
                "received there",
                hint=f"Register http://127.0.0.1:8765/callback for the app, for example. {PASTE}",
            )
        self._uri = redirect_uri
        self._path = parts.path or "/"
        self._answers: Queue[RedirectAnswer] = Queue(1)
        port = HTTP_PORT if parts.port is None else parts.port
        self._servers = [self._bound(each, port) for each in _addresses(host)]
        if not port:
            self._uri = f"http://127.0.0.1:{self._servers[0].server_address[1]}{self._path}"

    @property
    def uri(self) -> str:
        """The redirect address, as the dialog gets it."""
        return self._uri

    def __enter__(self) -> Self:
        for server in self._servers:
            Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def answer(self, seconds: float) -> RedirectAnswer:
        """The answer of the dialog. Raises LoginRefused when none comes within *seconds*."""
        try:
            return self._answers.get(timeout=seconds)
        except Empty:
            raise LoginRefused(
                f"No answer of the dialog within {seconds / 60:.0f} minutes",
                hint="Run data-fetch login again; --minutes waits longer.",
            ) from None

    def _bound(self, address: tuple[socket.AddressFamily, str], port: int) -> ThreadingHTTPServer:
        family, host = address

        class Server(ThreadingHTTPServer):
            address_family = family
            daemon_threads = True
            # A second login at the same time must not share the port.
            allow_reuse_port = False

        try:
            return Server((host, port), _handler(self._path, self._answers))
        except OSError as problem:
            raise SetupError(
                f"cannot listen at {self._uri} ({problem.strerror})",
                hint=f"End the program that has the port: another login perhaps. {PASTE}",
            ) from None


def _handler(path: str, answers: "Queue[RedirectAnswer]") -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = READ_SECONDS

        def do_GET(self) -> None:
            answer = RedirectAnswer.of(self.path)
            if (urlsplit(self.path).path or "/") != path or answer == RedirectAnswer():
                self._send(HTTPStatus.NOT_FOUND, "Nothing here", "This address is for a login.")
                return
            self._send(
                HTTPStatus.OK, "Thank you", "The terminal shows the rest. This page can be closed."
            )
            if answers.empty():
                answers.put_nowait(answer)

        def _send(self, status: HTTPStatus, title: str, text: str) -> None:
            page = PAGE.format(title=title, text=text).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """Log nothing: the path has the code."""

    return Handler


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _addresses(host: str) -> Sequence[tuple[socket.AddressFamily, str]]:
    """What to listen on. A browser may try either address of ``localhost`` first."""
    if host == "localhost":
        both = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
        return both if _has_ipv6() else both[:1]
    return [(socket.AF_INET6 if ":" in host else socket.AF_INET, host)]


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
