"""Tables in their forms, and answers that end early."""

import asyncio
from collections.abc import Generator
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

import orjson
import pyarrow as pa
import pytest
from anyio import CapacityLimiter
from starlette.requests import ClientDisconnect
from starlette.types import Message

from data_fetch.serving.answers import Counted, Frame
from data_fetch.serving.formats import Format
from data_fetch.serving.tables import WRITERS, Streamed, columns_json

AT = datetime(2026, 9, 16, 3, 45, tzinfo=UTC)
FRAME = Frame(as_of=AT, newest=None, completeness=Counted(of="minutes"))


@pytest.mark.parametrize(
    ("values", "kind", "written"),
    [
        pytest.param([1, None], pa.int64(), [1, None], id="integers stay integers"),
        pytest.param([1.5, float("nan")], pa.float64(), [1.5, None], id="NaN is null"),
        pytest.param([None, 2.0], pa.float64(), [None, 2.0], id="an unknown number"),
        pytest.param([AT], pa.timestamp("us", "UTC"), ["2026-09-16T03:45:00Z"], id="instant"),
        pytest.param([None, AT], pa.timestamp("us", "UTC"), [None, "2026-09-16T03:45:00Z"], id="-"),
        pytest.param([date(2026, 9, 16)], pa.date32(), ["2026-09-16"], id="date"),
        pytest.param([True, False], pa.bool_(), [True, False], id="flag"),
        pytest.param(["a", "a"], pa.string(), ["a", "a"], id="one text"),
        pytest.param(["a", None, 'b"'], pa.string(), ["a", None, 'b"'], id="texts"),
        pytest.param([None], pa.string(), [None], id="no text"),
        pytest.param([], pa.string(), [], id="no row"),
    ],
)
def test_columns_as_json(values: list[Any], kind: pa.DataType, written: list[Any]) -> None:
    table = pa.table({"one": pa.array(values, kind)})

    document = orjson.loads(columns_json(table))

    assert document == {"one": written}
    assert [type(value) for value in document["one"]] == [type(value) for value in written]


def test_chunks_of_a_table_change_nothing() -> None:
    table = pa.table({"at": pa.array([AT] * 3, pa.timestamp("us", "UTC")), "name": ["a", "b", "c"]})
    chunked = pa.concat_tables([table.slice(0, 0), table.slice(0, 1), table.slice(1)])

    written = [b"".join(WRITERS[Format.CSV]([of], of.schema, {}, FRAME)) for of in (table, chunked)]

    assert written[0] == written[1]
    assert written[0].splitlines()[1] == b'"2026-09-16T03:45:00Z","a"'


class Portions:
    """An endless body, whose work ends with it."""

    def __init__(self) -> None:
        self.made = 0
        self.closed = False

    def body(self) -> Generator[bytes]:
        try:
            while True:
                self.made += 1
                yield b"x" * 1_000
        finally:
            self.closed = True


@pytest.mark.parametrize("version", ["2.3", "2.4"])
def test_a_client_that_goes_away_ends_the_work(version: str) -> None:
    """Servers say so by a message, or by an error at the next one that is sent."""
    portions = Portions()
    away = asyncio.Event()

    async def receive() -> Message:
        await away.wait()
        return {"type": "http.disconnect"}

    sent = 0

    async def send(message: Message) -> None:
        nonlocal sent
        sent += 1
        if sent == 5:
            away.set()
            if version == "2.4":
                raise OSError
        await asyncio.sleep(0)

    async def answer() -> None:
        response = Streamed(portions.body(), CapacityLimiter(1))
        scope = {"type": "http", "asgi": {"spec_version": version}, "state": {}}
        with suppress(ClientDisconnect):
            await response(scope, receive, send)

    asyncio.run(answer())

    assert portions.closed
    assert portions.made < 20
