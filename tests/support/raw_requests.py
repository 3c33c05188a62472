"""Requests that are sent as they stand, and what an answer may not say."""

import http.client
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson
from checkout import CHECKOUT
from effort import PATIENCE_SECONDS

PROBLEM = "application/problem+json"
MEMBERS = {"type", "title", "status", "detail", "instance", "error", "code", "then", "near"}
# Of stack traces, queries and this machine.
PRIVATE = ("Traceback", "site-packages", "sqlalchemy", "psycopg2", "SELECT ", str(CHECKOUT))

# A sentence, and not what was sent.
LONGEST_DETAIL = 500

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def media_type(self) -> str:
        return (self.headers.get("Content-Type") or "").partition(";")[0]

    @property
    def document(self) -> Any:
        return orjson.loads(self.body)


@dataclass(frozen=True)
class Target:
    """A server at *url*, and words beside PRIVATE that none of its answers may have."""

    url: str
    secrets: tuple[str, ...] = ()

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 80

    def send(
        self, method: str, path: str, headers: Headers = (), body: bytes | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE_SECONDS)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            return _read(connection.getresponse())
        finally:
            connection.close()

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        """A connection to write any bytes to."""
        with socket.create_connection(self.address, timeout=PATIENCE_SECONDS) as connection:
            yield connection

    def fault(self, answer: Answer) -> str | None:
        """What is wrong with an answer; None if it is data, or a clear refusal, and no more."""
        spoken = answer.body.decode(errors="replace") + str(answer.headers)
        said = [each for each in (*PRIVATE, *self.secrets) if each in spoken]
        if said:
            return f"it says {said}: {spoken[:500]}"
        if answer.status >= 500:
            return f"status {answer.status}: {spoken[:500]}"
        if answer.status < 400:
            return None
        if answer.media_type != PROBLEM:
            return f"{answer.status} as {answer.media_type}: {spoken[:500]}"
        document = answer.document
        if not document.keys() >= MEMBERS or document["status"] != answer.status:
            return f"a problem with {document}"
        if len(document["detail"]) > LONGEST_DETAIL:
            return f"a sentence of {len(document['detail'])} letters"
        return None if document["detail"] and document["code"] else f"a problem without {document}"


def answer_on(connection: socket.socket) -> Answer:
    """The answer to what was written to a connection."""
    found = http.client.HTTPResponse(connection)
    found.begin()
    return _read(found)


def _read(found: http.client.HTTPResponse) -> Answer:
    return Answer(found.status, found.headers, found.read())
