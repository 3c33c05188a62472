"""Workers through a real broker: option numbers by one and by two, a backfill by four, and what
the way of a unit through the queue costs.

The store is PostgreSQL; workers are programs of their own. BENCH_BROKER_URL names the Redis, whose
database is emptied.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import redis
import urllib3
from sqlalchemy import delete, select, update

from benchmarks.backfill_run import instruments, pacer_in, service_for
from benchmarks.backfill_worker import PROCESSES
from benchmarks.bench_backfill import provider
from benchmarks.bench_chains import CHECKOUT, UNIVERSE, WRITTEN, captured
from benchmarks.candle_server import LAST
from benchmarks.figure import Figure, seconds
from benchmarks.stores import postgres_store
from data_fetch.analytics.chain_pricing import not_priced
from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.clock import SystemClock
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.ports import WorkQueue
from data_fetch.core.settings import Settings
from data_fetch.core.work import UnitKind, UnitState
from data_fetch.core.world import World
from data_fetch.runtime.broker import queue_for
from data_fetch.runtime.units import dispatch_at
from data_fetch.services.backfill_units import BackfillUnits
from data_fetch.services.chain_enrichment import ChainEnricher
from data_fetch.services.chain_import import ChainImport
from data_fetch.services.chain_units import ChainUnits, offering_to_price
from data_fetch.services.late_days import refuse
from data_fetch.services.missing_days import BackfillOrder
from data_fetch.services.work import UnitWorker
from data_fetch.sources.captured_chains import CapturedDocument
from data_fetch.sources.upstox.api import UpstoxApi
from data_fetch.sources.upstox.candle_client import UpstoxCandleClient
from data_fetch.sources.upstox.token import TokenKeeper
from data_fetch.storage.chains.snapshots import ChainStore
from data_fetch.storage.database.store import Store
from data_fetch.storage.database.tables import WorkUnitRow, table
from data_fetch.storage.instruments.instruments import save_master
from data_fetch.storage.work_units import WorkUnits

BROKER = os.environ.get("BENCH_BROKER_URL", "redis://127.0.0.1:6379/13")
LEAST_SPEED_UP, MOST_MILLISECONDS, MOST_OF_FLOOR = 1.7, 10.0, 1.1
ROUNDS, WARM_UP, RESPONSES = 3, 10, 130
# Of a backfill, of a day each.
REQUESTS = 420
# What a worker program prints when it takes keys.
READY = "Working on"


def measure() -> Iterator[Figure]:
    try:
        redis.Redis.from_url(BROKER).ping()
        with postgres_store(World.LIVE) as (store, _):
            yield from _option_numbers(store)
        with postgres_store(World.PAPER) as (store, _):
            yield from _backfill(store)
    except (psycopg2.OperationalError, redis.ConnectionError):
        detail = "no server: set BENCH_DATABASE_URL and BENCH_BROKER_URL"
        yield Figure("workers", float("nan"), "x", detail=detail)


def _option_numbers(store: Store) -> Iterator[Figure]:
    if not UNIVERSE.is_file():
        detail = f"no captured responses at {UNIVERSE}: name their place in SHARED_DATA"
        yield Figure("option numbers by workers", float("nan"), "x one", detail=detail)
        return
    rounds = [(_priced_by(store, 1), _priced_by(store, 2)) for _ in range(ROUNDS)]
    one, two = (statistics.median(rates) for rates in zip(*rounds, strict=True))
    yield Figure(
        "option numbers by two workers",
        statistics.median(two / one for one, two in rounds),
        "x one",
        least=LEAST_SPEED_UP,
        detail=f"{one:.0f} and {two:.0f} snapshots/s",
    )
    yield _through_the_queue(store)


def _priced_by(store: Store, concurrency: int) -> float:
    """Snapshots per second that a worker program of so many processes prices."""
    _empty(store)
    documents = [
        CapturedDocument(str(n), None, body) for n, body in enumerate(captured()[:RESPONSES])
    ]
    _received(store, documents[:WARM_UP])
    with _worker(store, "-m", "data_fetch", "worker", "--concurrency", str(concurrency)) as queue:
        _all_done(store, queue)
        _received(store, documents[WARM_UP:])
        units = _waiting(store)
        return units / seconds(lambda: _all_done(store, queue))


def _through_the_queue(store: Store) -> Figure:
    """What a unit costs beyond its work: those of chains that are priced already settle at once."""
    units, clock = WorkUnits(store), SystemClock()
    enricher = ChainEnricher(store, MarketCalendar.reviewed())
    work = ChainUnits(store, enricher, clock, refuse).do
    here = UnitWorker(units, {UnitKind.ENRICHMENT: work}, clock)
    keys = _offered_again(store)
    direct = seconds(lambda: [here.do(key) for key in keys])
    _offered_again(store)
    with _worker(store, "-m", "data_fetch", "worker", "--concurrency", "1") as queue:
        _all_done(store, queue)
        _offered_again(store)
        queued = seconds(lambda: _all_done(store, queue))
    each = 1000 / len(keys)
    return Figure(
        "  a unit through the queue",
        (queued - direct) * each,
        "ms",
        MOST_MILLISECONDS,
        f"{len(keys)} units: {queued * each:.1f} ms each, without queue {direct * each:.1f} ms",
    )


def _backfill(store: Store) -> Iterator[Figure]:
    clock = SystemClock()
    listed = instruments(REQUESTS)
    save_master(store, iter(listed), LAST, clock.now())
    # A day of each: of months the candles themselves are more work than the windows allow time for.
    order = BackfillOrder(instruments=listed, interval=CandleInterval.MINUTE, first=LAST, last=LAST)
    with tempfile.TemporaryDirectory() as folder, provider() as port:
        pacer = pacer_in(Path(folder), clock)
        api = UpstoxApi(
            world=World.PAPER,
            base_url=f"http://127.0.0.1:{port}",
            token=TokenKeeper("benchmark", env_file=None, in_environment=False),
            pacing=pacer,
            clock=clock,
        )
        service = service_for(UpstoxCandleClient(api, clock), store, clock, pacer)
        with _worker(store, "-m", "benchmarks.backfill_worker", str(port), folder) as queue:
            plan = service.plan(order)
            BackfillUnits(service, store, clock).offer(plan)
            took = seconds(lambda: _all_done(store, queue))
        state = urllib3.request("GET", f"http://127.0.0.1:{port}/state").json()
        missed = service.missed_minutes(order)
    floor = plan.estimate.duration.total_seconds()
    yield Figure(
        f"backfill by {PROCESSES} processes",
        took / floor,
        "x windows",
        MOST_OF_FLOOR,
        f"{len(plan.windows)} requests: {took:.1f} s, rate windows {floor:.1f} s",
    )
    yield Figure("  answered 429", state["refused"], "requests", 0)
    yield Figure("  still missed", missed, "minutes", 0)


def _received(store: Store, documents: list[CapturedDocument]) -> None:
    """Store chains as a collector with workers does."""
    clock = SystemClock()
    ChainImport(
        chains=ChainStore(store, beside=offering_to_price(clock)),
        enricher=ChainEnricher(store, MarketCalendar.reviewed(), not_priced),
        clock=clock,
        symbol_of=lambda name: name,
        bring_back=refuse,
    ).store(iter(documents))


def _offered_again(store: Store) -> list[str]:
    """Let every unit wait once more; their keys."""
    of = table(WorkUnitRow)
    with store.writing() as connection:
        connection.execute(update(of).values(state=UnitState.WAITING.value, enqueued_at=None))
        return list(connection.scalars(select(of.c.key)))


@contextmanager
def _worker(store: Store, *arguments: str) -> Iterator[WorkQueue]:
    """A worker program, and the queue that it works on."""
    redis.Redis.from_url(BROKER).flushdb()
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "DATA_SOURCE": "paper" if store.world is World.PAPER else "upstox",
            "UPSTOX_ACCESS_TOKEN": "benchmark",
            "DATABASE_URL": store.engine.url.render_as_string(hide_password=False),
            "CELERY_BROKER_URL": BROKER,
        }
        program = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT), **settings},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert program.stderr is not None
        next(line for line in program.stderr if line.startswith(READY))
        try:
            yield queue_for(Settings.load(settings, Path(folder)))
        finally:
            program.send_signal(signal.SIGTERM)
            program.wait()


def _empty(store: Store) -> None:
    with store.writing() as connection:
        for each in (*WRITTEN, table(WorkUnitRow)):
            connection.execute(delete(each))


def _waiting(store: Store) -> int:
    """Raises RuntimeError when units are dead: nothing would end the wait for them."""
    counts = WorkUnits(store).counts()
    if dead := sum(each.units for each in counts if each.state is UnitState.DEAD):
        raise RuntimeError(f"{dead} units are dead: data-fetch dlq list")
    return sum(each.units for each in counts if each.state is not UnitState.DONE)


def _all_done(store: Store, queue: WorkQueue) -> None:
    """Send what is due, and return when it is done."""
    dispatch_at(store, queue).run()
    while _waiting(store):
        time.sleep(0.05)
