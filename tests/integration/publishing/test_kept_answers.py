"""Bodies of answers in Redis: shared by servers over one store, and nothing to wait for."""

import asyncio
import socket

from data_fetch.publishing.kept_answers import KeptAnswers


class Heard:
    """What a server hears of Redis."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def away(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def back(self) -> None:
        self.sentences.append("back")


def kept(url: str, store: str, heard: Heard | None = None) -> KeptAnswers:
    heard = heard or Heard()
    return KeptAnswers(url, store, heard.away, heard.back)


def test_servers_over_one_store_share_and_those_over_others_do_not(redis_url: str) -> None:
    async def story() -> list[bytes | None]:
        one, same, other = (kept(redis_url, store) for store in ("a.db", "a.db", "b.db"))
        await one.put("tag", b"bytes")
        found = [await each.get("tag") for each in (same, other)]
        for each in (one, same, other):
            await each.close()
        return found

    assert asyncio.run(story()) == [b"bytes", None]


def test_redis_away_is_no_error_and_is_asked_again_only_after_a_pause() -> None:
    heard = Heard()

    async def story(url: str) -> list[bytes | None]:
        away = kept(url, "a.db", heard)
        found = [await away.get("tag") for _ in range(1_000)]
        await away.put("tag", b"bytes")
        await away.close()
        return found

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        found = asyncio.run(story(f"redis://127.0.0.1:{port}/0"))

    assert set(found) == {None}
    assert heard.sentences[0].startswith("Redis does not answer")
    assert len(heard.sentences) < 1_000
