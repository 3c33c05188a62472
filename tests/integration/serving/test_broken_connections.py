"""Bytes that are no request, clients that leave within one, and clients that do not read."""

import socket
import struct
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from candle_shelf import TUESDAY
from effort import PATIENCE_SECONDS
from raw_requests import Target, answer_on
from served import served
from served_market import M_AND_M, market_shelf

HOST = b" HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /option-chain/filter" + HOST
LIVE = b"GET /health/live" + HOST + b"\r\n"
# Bytes of an answer that the system takes; the server keeps the rest until the client reads.
BUFFERED = 4096
LARGE = b"GET /api/data/candles/M%26M?from=2025-06-02&to=2025-06-13&limit=5000&format=csv" + HOST
# More than a store has connections, so that one that is not given back shows.
MANY = 40


@pytest.fixture(scope="module")
def target(shared_database: tuple[str, Path]) -> Iterator[Target]:
    url, folder = shared_database
    with market_shelf(url, folder) as shelf:
        for back in range(8):
            day = TUESDAY - timedelta(days=back)
            if day.weekday() < 5:
                shelf.keeps(M_AND_M, day, {number: 3_000.0 + number for number in range(375)})
    with served(shelf.settings, BUFFERED) as server:
        yield Target(server.url, (url, str(folder)))


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\xfc\r\n\r\n", 400, "not_http", id="TLS"),
        pytest.param(b"GET /\r\n\r\n", 400, "not_http", id="no version"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, "not_http", id="no host"),
        pytest.param(LIVE[:-2] + b"Host: other\r\n\r\n", 400, "not_http", id="two hosts"),
        pytest.param(LIVE[:-2] + b"X: a\x00b\r\n\r\n", 400, "not_http", id="a null byte"),
        pytest.param(b"GET /option-chain/A B" + HOST + b"\r\n", 400, "not_http", id="a space"),
        pytest.param(
            b"GET /option-chain/\xef\xbc\xae" + HOST + b"\r\n", 400, "not_http", id="not ASCII"
        ),
        pytest.param(POST + b"Content-Length: -1\r\n\r\n", 400, "not_http", id="negative length"),
        pytest.param(
            POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
            400,
            "not_http",
            id="two lengths",
        ),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n", 400, "not_http", id="no chunk"
        ),
        pytest.param(
            POST + b"Content-Length: 52428800\r\n\r\n", 413, "body_too_large", id="50 MB announced"
        ),
        pytest.param(
            POST + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b",
            415,
            "compressed_body",
            id="compressed",
        ),
        pytest.param(
            b"GET /option-chain/../../etc/passwd" + HOST + b"\r\n", 404, "not_found", id="a path up"
        ),
        pytest.param(
            LIVE[:-2] + b"X-More: " + b"a" * 400_000, 431, "headers_too_large", id="long headers"
        ),
        pytest.param(b"TRACE /" + HOST + b"\r\n", 405, "method_not_allowed", id="TRACE"),
        pytest.param(
            b"CONNECT evil.example:443" + HOST + b"\r\n", 404, "not_found", id="a proxy's request"
        ),
        pytest.param(
            b"GET http://evil.example/health/live" + HOST + b"\r\n", 404, "not_found", id="a URL"
        ),
    ],
)
def test_what_is_no_proper_request_is_refused(
    target: Target, sent: bytes, status: int, code: str
) -> None:
    with target.connected() as connection:
        connection.sendall(sent)
        answer = answer_on(connection)

    assert target.fault(answer) is None
    assert (answer.status, answer.document["code"]) == (status, code)
    assert target.send("GET", "/health/live").status == 200


def test_headers_without_an_end_are_cut_off(target: Target) -> None:
    endless = b"GET /" + HOST + b"X-More: " + b"a" * 50_000_000
    with target.connected() as connection, pytest.raises(ConnectionError):
        connection.sendall(endless)

    assert target.send("GET", "/health/live").status == 200


def reading_slowly(target: Target) -> socket.socket:
    """A connection with small buffers, on which a large answer is under way."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    connection.settimeout(PATIENCE_SECONDS)
    connection.connect(target.address)
    connection.sendall(LARGE + b"\r\n")
    assert connection.recv(64).startswith(b"HTTP/1.1 200 OK")
    return connection


def reset(connection: socket.socket) -> None:
    """Close without a word, as a program that is killed does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_the_answer_is_larger_than_what_a_connection_holds(target: Target) -> None:
    """Otherwise none would stop in the middle of it below."""
    with target.connected() as connection:
        connection.sendall(LARGE + b"\r\n")
        # The server itself writes 64 kB ahead.
        assert len(answer_on(connection).body) > 200_000


def test_clients_that_leave_in_the_middle_of_their_body_take_nothing_with_them(
    target: Target,
) -> None:
    for _ in range(MANY):
        with target.connected() as connection:
            connection.sendall(POST + b"Content-Length: 1000\r\n\r\n{")
            reset(connection)

    answer = target.send(
        "POST", "/option-chain/filter", [("Content-Type", "application/json")], b"{}"
    )
    assert (answer.status, target.fault(answer)) == (200, None)


def test_clients_that_stop_reading_hold_nobody_up(target: Target) -> None:
    stalled = [reading_slowly(target) for _ in range(MANY)]

    with target.connected() as connection:
        connection.sendall(LARGE + b"\r\n")
        answer = answer_on(connection)
    for connection in stalled:
        reset(connection)

    assert (answer.status, target.fault(answer)) == (200, None)
