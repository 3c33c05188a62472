"""The cost of a permission to send, and of recording its response, in each place of rate windows.

The bare version of Redis is two round trips without work (PING), of the same client.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import psycopg2
import redis
from psycopg2 import sql
from sqlalchemy import make_url

from benchmarks.figure import Figure, interleaved
from data_fetch.core.clock import SystemClock
from data_fetch.core.ports import Lane, RateWindows
from data_fetch.core.world import World
from data_fetch.sources.transport.file_windows import FileWindows
from data_fetch.sources.transport.pacing import Pacer
from data_fetch.sources.transport.redis_windows import RedisWindows
from data_fetch.storage.rate_windows import DatabaseWindows

POSTGRES = os.environ.get("BENCH_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/15")
ROUNDS = 1000
BOUND = 2.0
# None of them makes a request wait; the shortest ends what Redis does not know of a new account.
LIMITS = {
    timedelta(milliseconds=1): 1_000_000,
    timedelta(milliseconds=2): 1_000_000,
    timedelta(milliseconds=500): 1_000_000,
}


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        yield _alone("permission and response, file", FileWindows(Path(folder), SystemClock()))
    name = "permission and response, Redis"
    try:
        yield _against_pings(name)
    except redis.ConnectionError:
        yield Figure(name, float("nan"), "x bare", detail="no server: set BENCH_REDIS_URL")
    name = "permission and response, PostgreSQL"
    try:
        yield from _in_postgres(name)
    except psycopg2.OperationalError:
        yield Figure(name, float("nan"), "ms", detail="no server: set BENCH_DATABASE_URL")


def _against_pings(name: str) -> Figure:
    client = redis.Redis.from_url(REDIS)
    account = uuid4().hex

    def bare() -> None:
        client.ping()
        client.ping()

    bare()
    windows = RedisWindows(REDIS)
    ours, theirs, ratio = interleaved(_request(windows, account), bare, ROUNDS)
    windows.close()
    for key in client.keys(f"data-fetch:rate:{{{account}}}:*"):
        client.delete(key)
    client.close()
    detail = f"ours {ours * 1e3:.2f} ms, two round trips {theirs * 1e3:.2f} ms"
    return Figure(name, ratio, "x bare", BOUND, detail)


def _in_postgres(name: str) -> Iterator[Figure]:
    database = f"data_fetch_bench_{uuid4().hex}"
    _administer(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    try:
        url = make_url(POSTGRES).set(database=database).render_as_string(hide_password=False)
        yield _alone(name, DatabaseWindows(url, World.PAPER, "BENCH_DATABASE_URL"))
    finally:
        _administer(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))


def _administer(statement: sql.Composable) -> None:
    connection = psycopg2.connect(POSTGRES)
    connection.autocommit = True
    connection.cursor().execute(statement)
    connection.close()


def _alone(name: str, windows: RateWindows) -> Figure:
    request = _request(windows, "benchmark")
    ours, _, _ = interleaved(request, lambda: None, ROUNDS)
    windows.close()
    return Figure(name, ours * 1e3, "ms")


def _request(windows: RateWindows, account: str) -> Callable[[], None]:
    """One request that is granted at once and answered at once."""
    pacer = Pacer(windows, lambda: account, SystemClock(), LIMITS, flight=timedelta(seconds=1))

    def request() -> None:
        with pacer.request("benchmark", Lane.LIVE):
            pass

    for _ in range(20):
        request()
    return request
