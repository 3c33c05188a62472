"""The newest chain over HTTP: made once, new when the store has new content, known by its tag."""

import gzip
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
import redis
import urllib3
from chain_shelf import OPENS, chain, keep, received
from effort import PATIENCE_SECONDS
from served import Served, served

from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.storage.database.store import Store, open_store

CHAIN = "/option-chain/NIFTY"


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = open_store(database_url, World.LIVE)
    keep(store, received(chain(24_010.0), OPENS))
    yield store
    store.close()


@pytest.fixture
def server(store: Store, database_url: str, tmp_path: Path) -> Iterator[Served]:
    settings = Settings.load({"DATA_SOURCE": "upstox", "DATABASE_URL": database_url}, tmp_path)
    with served(settings) as server:
        yield server


def get(server: Served, **headers: str) -> urllib3.BaseHTTPResponse:
    """One answer as it was sent, not decompressed."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return urllib3.request(
        "GET", f"{server.url}{CHAIN}", headers=named, timeout=PATIENCE_SECONDS, decode_content=False
    )


def test_who_has_the_content_gets_no_body(server: Served) -> None:
    tag = get(server).headers["ETag"]

    known = get(server, If_None_Match=tag)

    assert (known.status, known.data, known.headers["ETag"]) == (304, b"", tag)
    assert get(server, If_None_Match='"another"').status == 200


def test_new_content_has_another_tag_and_is_sent(server: Served, store: Store) -> None:
    tag = get(server).headers["ETag"]
    keep(store, received(chain(24_020.0), OPENS + timedelta(seconds=30)))

    while (answer := get(server, If_None_Match=tag)).status == 304:
        # A look at the store is shared for a tenth of a second.
        pass

    assert orjson.loads(answer.data)["underlying_value"] == 24_020.0
    assert answer.headers["ETag"] != tag


def test_a_confirmation_makes_the_same_content_younger(server: Served, store: Store) -> None:
    before = orjson.loads(get(server).data)
    tag = get(server).headers["ETag"]
    keep(store, received(chain(24_010.0), OPENS + timedelta(hours=1)))

    while (answer := get(server, If_None_Match=tag)).status == 304:
        pass

    younger = orjson.loads(answer.data)
    assert younger["calls"] == before["calls"]
    assert younger["staleness_seconds"] <= before["staleness_seconds"] - 3_600 + PATIENCE_SECONDS


def test_compressed_and_plain_are_the_same_document(server: Served, store: Store) -> None:
    plain, packed = get(server), get(server, Accept_Encoding="gzip")

    assert (plain.headers.get("Content-Encoding"), packed.headers["Content-Encoding"]) == (
        None,
        "gzip",
    )
    assert "Accept-Encoding" in packed.headers["Vary"]
    documents = [orjson.loads(plain.data), orjson.loads(gzip.decompress(packed.data))]
    for document in documents:
        # They may be of two different seconds.
        del document["as_of"], document["staleness_seconds"]
    assert documents[0] == documents[1]


def test_without_redis_the_database_answers_and_the_answer_says_so(
    store: Store, database_url: str, tmp_path: Path
) -> None:
    settings = Settings.load(
        {
            "DATA_SOURCE": "upstox",
            "DATABASE_URL": database_url,
            "REDIS_URL": "redis://127.0.0.1:1/0",
        },
        tmp_path,
    )
    with served(settings) as server:
        document = orjson.loads(get(server).data)

    assert document["underlying_value"] == 24_010.0
    assert document["degraded"].startswith("Redis does not answer")


def test_a_second_server_sends_the_bytes_that_the_first_one_made(
    store: Store, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = Settings.load(
        {"DATA_SOURCE": "upstox", "DATABASE_URL": database_url, "REDIS_URL": redis_url}, tmp_path
    )
    with served(settings) as first, redis.Redis.from_url(redis_url) as client:
        get(first)
        [key] = client.keys("answers:*")
        kept = client.get(key)
        assert isinstance(kept, bytes)
        client.set(key, kept.replace(b"24010.0", b"12345.0"))
        with served(settings) as second:
            document = orjson.loads(get(second).data)

    assert document["underlying_value"] == 12_345.0
