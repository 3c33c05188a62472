"""What a server remembers of the addresses that it was asked for."""

import asyncio
from collections.abc import Sequence

import pytest
from fastapi import Request
from fastapi.responses import Response

from data_fetch.serving.known_calls import LONGEST_ADDRESS, KnownCalls

PATH = "/option-chain/NIFTY"


def asked(calls: KnownCalls, query: bytes) -> bool:
    """Whether an address is known after it was asked for."""
    scope = {
        "type": "http", "method": "GET", "path": PATH, "query_string": query,
        "route": None, "path_params": {}, "endpoint": None, "headers": [],
    }  # fmt: skip

    async def call(_: Request) -> Response:
        return Response()

    asyncio.run(calls.first(Request(scope), call))
    return calls.of(scope) is not None


@pytest.mark.parametrize(
    ("length", "is_known"),
    [(0, True), (LONGEST_ADDRESS - len(PATH), True), (LONGEST_ADDRESS, False), (60_000, False)],
)
def test_a_long_address_is_not_remembered(length: int, is_known: bool) -> None:
    assert asked(KnownCalls(), b"x" * length) is is_known


def test_the_addresses_that_were_not_used_for_longest_are_forgotten() -> None:
    calls = KnownCalls(most=2)

    assert all(asked(calls, query) for query in (b"a=1", b"a=2", b"a=3"))

    queries = (b"a=1", b"a=2", b"a=3")
    assert [is_known(calls, query) for query in queries] == [False, True, True]


@pytest.mark.parametrize(
    ("accept", "is_taken"),
    [(b"*/*", True), (b"text/html,*/*;q=0.8", True), (b"text/csv", False)],
)
def test_a_known_call_is_for_those_who_take_json(accept: bytes, is_taken: bool) -> None:
    calls = KnownCalls()
    assert asked(calls, b"")

    assert is_known(calls, b"", [(b"accept", accept)]) is is_taken


def is_known(calls: KnownCalls, query: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> bool:
    scope = {
        "type": "http", "method": "GET", "path": PATH, "query_string": query, "headers": headers,
    }  # fmt: skip
    return calls.of(scope) is not None
