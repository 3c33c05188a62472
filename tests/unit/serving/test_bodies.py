"""A body that does not arrive in time, or whose sender goes away."""

import asyncio
from http import HTTPStatus

import pytest
from starlette.types import Message, Receive

from data_fetch.serving import bodies
from data_fetch.serving.bodies import with_whole_body
from data_fetch.serving.problems import Refusal

HEADERS = {b"content-length": b"10", b"content-type": b"application/json"}


def sender(*messages: Message) -> Receive:
    """Sends *messages*, then nothing more."""
    waiting = list(messages)

    async def receive() -> Message:
        if waiting:
            return waiting.pop(0)
        await asyncio.Event().wait()
        raise AssertionError("an event that is never set was set")

    return receive


def part(body: bytes, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


async def replayed(receive: Receive, count: int) -> list[Message]:
    through = await with_whole_body(HEADERS, receive)
    return [await through() for _ in range(count)]


def test_a_body_in_parts_arrives_whole_and_the_end_after_it() -> None:
    gone = {"type": "http.disconnect"}

    messages = asyncio.run(replayed(sender(part(b'{"a":', True), part(b" 1}", False), gone), 2))

    assert messages == [part(b'{"a": 1}', False), gone]


def test_a_sender_that_goes_away_is_seen_as_gone() -> None:
    gone = {"type": "http.disconnect"}

    [first, second] = asyncio.run(replayed(sender(part(b"", True), gone), 2))

    assert first["more_body"]
    assert second == gone


def test_refusals_of_large_bodies_keep_none_of_them() -> None:
    large = part(b" " * (bodies.MOST_BYTES + 1), False)

    def refusal() -> Refusal:
        with pytest.raises(Refusal) as refused:
            asyncio.run(replayed(sender(large), 1))
        return refused.value

    # An exception that is raised again keeps the frames of every time.
    assert refusal() is not refusal()


def test_a_body_that_does_not_arrive_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST_SECONDS", 0.01)

    with pytest.raises(Refusal) as refused:
        asyncio.run(replayed(sender(part(b"{", True)), 1))

    assert refused.value.status is HTTPStatus.REQUEST_TIMEOUT
