"""Bodies that are made once: what they say as time passes, and when they are made anew."""

import asyncio
import gzip
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.serving.answers import Counted, Frame
from data_fetch.serving.made_bytes import Looks, MadeBodies, MadeBody

NEWEST = datetime(2026, 9, 16, 9, 30, tzinfo=UTC)


def frame(source: str = "upstox") -> Frame:
    return Frame(as_of=NEWEST, newest=NEWEST, completeness=Counted(of="legs"), source=source)


def body(document: dict[str, object]) -> MadeBody:
    return MadeBody.of('W/"tag"', frame(), orjson.dumps({**frame().lasting(), **document}))


@given(
    text=st.text(max_size=3_000),
    ages=st.lists(st.integers(min_value=0, max_value=100_000), min_size=1, max_size=4),
)
def test_at_every_second_plain_and_gzip_are_the_same_document(text: str, ages: list[int]) -> None:
    made = body({"text": text})
    for age in ages:
        now = NEWEST + timedelta(seconds=age, milliseconds=400)
        document = orjson.loads(made.plain(now))
        assert gzip.decompress(made.gzipped(now)) == made.plain(now)
        assert document["staleness_seconds"] == age
        assert (document["text"], document["source"]) == (text, "upstox")


def test_within_a_second_the_bytes_are_the_same_object() -> None:
    made = body({"rows": [1, 2]})

    assert made.plain(NEWEST) is made.plain(NEWEST + timedelta(milliseconds=999))


def test_requests_that_come_together_share_one_making() -> None:
    bodies, made = MadeBodies(), []

    def make() -> MadeBody:
        made.append(1)
        return body({})

    async def together() -> list[MadeBody]:
        return list(await asyncio.gather(*(bodies.get("key", make) for _ in range(20))))

    found = asyncio.run(together())

    assert (len(made), len({id(each) for each in found})) == (1, 1)


def test_a_making_that_fails_is_tried_again_by_the_next_request() -> None:
    bodies = MadeBodies()

    def fail() -> MadeBody:
        raise OSError("the store is away")

    async def twice() -> MadeBody:
        for _ in range(2):
            with pytest.raises(OSError, match="away"):
                await bodies.get("key", fail)
        return await bodies.get("key", lambda: body({"well": True}))

    assert orjson.loads(asyncio.run(twice()).plain(NEWEST))["well"]


def test_bodies_that_were_not_sent_for_longest_go_first() -> None:
    bodies = MadeBodies(most_bytes=3 * body({"text": "x" * 1_000}).size)
    made: list[str] = []

    async def get(name: str) -> None:
        def make() -> MadeBody:
            made.append(name)
            return body({"text": "x" * 1_000})

        await bodies.get(name, make)

    async def story() -> None:
        for name in "abcadb":
            await get(name)

    asyncio.run(story())

    # `a` was sent again before `d` came, so `b` went.
    assert made == ["a", "b", "c", "d", "b"]
    assert len(bodies) == 3


@pytest.mark.parametrize(("seconds", "looks"), [(1e9, 1), (0, 3)], ids=["recent", "old"])
def test_a_recent_look_is_shared_and_an_old_one_repeated(seconds: float, looks: int) -> None:
    shared: Looks[int] = Looks(seconds=seconds)
    count = iter(range(1, 10))

    async def three() -> int:
        for _ in range(2):
            await shared.get("NIFTY", lambda: next(count))
        return await shared.get("NIFTY", lambda: next(count))

    assert asyncio.run(three()) == looks


def test_a_look_that_is_not_used_any_more_is_not_kept() -> None:
    looks: Looks[int] = Looks(seconds=0)

    async def story() -> None:
        for number in range(100):
            assert await looks.get(number, lambda number=number: number) == number  # type: ignore[misc]

    asyncio.run(story())
    assert len(looks) == 0
