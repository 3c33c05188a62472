"""A server's answers with option chains, beside constant bytes.

L0 is a bare ASGI application that sends ready-made bytes, L1 this application with a route that
does. Both run as servers of their own, and so does the one that is measured. What counts is the
processor time of the server for a request: the programs that ask share the machine with it.
"""

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from random import Random
from statistics import median
from threading import Event, Thread

import orjson

from benchmarks.figure import Figure, interleaved
from data_fetch.core.chains.chains import Chain, ChainLeg, ChainSource, OptionType, QuantityUnit
from data_fetch.core.chains.valuation import (
    ChainSummary,
    Forward,
    ForwardMethod,
    LegValuation,
    Metric,
    PricedChain,
)
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.reading.chain_records import ChainQuery, chain_head, record_of
from data_fetch.reading.kept_open import KeptOpen
from data_fetch.reading.product_chains import product_chain
from data_fetch.reading.records import sharing
from data_fetch.storage.chains.rows import METRICS
from data_fetch.storage.chains.snapshots import ChainStore, Received
from data_fetch.storage.database.store import Store, open_store

STRIKES, LOT = 103, 75
EXPIRY, OPENS = date(2026, 9, 22), datetime(2026, 9, 16, 3, 45, tzinfo=UTC)
PAST = 720
CONNECTIONS, REQUESTS, ROUNDS = 8, 4_000, 5
NEW_EVERY_SECONDS = 0.1
CHAIN, CONSTANT, EMPTY = "/option-chain/NIFTY?limit=500", "/constant", "/nothing"
IN_FORCE = (
    "SELECT max(timestamp) FROM chain_snapshots "
    "WHERE underlying = 'NIFTY' AND expiry = ? AND source = 'upstox' AND timestamp <= ?"
)
LEGS = "SELECT * FROM option_chain_data WHERE underlying = 'NIFTY' AND expiry = ? AND timestamp = ?"
SUMMARY = "SELECT * FROM chain_summary WHERE underlying = 'NIFTY' AND expiry = ? AND timestamp = ?"
CPU = "/processor-seconds"
# What is refused costs less.
MEASURED = {"200", "304"}


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/store.db"
        with closing(open_store(url, World.LIVE)) as store:
            snapshots = Snapshots(store)
            snapshots.add()
            yield _first_build(Path(folder), url)
            for _ in range(PAST):
                snapshots.add()
            yield _at_a_past_instant(Path(folder), url)
            with _server("bare", url) as bare, _server("ours", url) as ours:
                yield from _unchanged(bare, ours)
                yield from _changing(ours, snapshots)


def _unchanged(bare: "Served", ours: "Served") -> Iterator[Figure]:
    tag = ours.tag(CHAIN)
    rounds = [
        (
            bare.cost(CONSTANT),
            ours.cost(CONSTANT),
            ours.cost(CHAIN),
            ours.cost(CHAIN, "Accept-Encoding: gzip"),
            ours.cost(EMPTY),
            ours.cost(CHAIN, f"If-None-Match: {tag}"),
        )
        for _ in range(ROUNDS)
    ]
    l0, l1, chain, packed, empty, known = (median(each) for each in zip(*rounds, strict=True))
    detail = f"ms a request: L0 {l0:.3f}, L1 {l1:.3f}, chain {chain:.3f}, gzip {packed:.3f}"
    yield Figure("latest chain, unchanged", l1 / chain, "of L1", least=0.8, detail=detail)
    yield Figure("latest chain, unchanged", chain / l0, "x L0", bound=4)
    yield Figure("latest chain, compressed", l1 / packed, "of L1", least=0.8)
    detail = f"ms a request: {known:.3f}, L1 with an empty body {empty:.3f}"
    yield Figure("latest chain, 304", empty / known, "of L1", least=0.9, detail=detail)


def _changing(ours: "Served", snapshots: "Snapshots") -> Iterator[Figure]:
    rounds = []
    for _ in range(ROUNDS):
        constant = ours.cost(CONSTANT)
        with snapshots.being_added():
            rounds.append((constant, ours.cost(CHAIN)))
    l1, chain = (median(each) for each in zip(*rounds, strict=True))
    detail = f"ms a request: L1 {l1:.3f}, chain {chain:.3f}"
    yield Figure("latest chain, new every 100 ms", l1 / chain, "of L1", least=0.6, detail=detail)


def _first_build(folder: Path, url: str) -> Figure:
    """From the database to the bytes, for a snapshot that nothing was made of yet."""
    settings = Settings.load({"DATA_SOURCE": "upstox", "DATABASE_URL": url}, folder)
    head = chain_head(settings, ChainQuery(symbol="NIFTY"))
    key = (EXPIRY.isoformat(), int(head.stored.timestamp.timestamp() * 1e6))
    with closing(sqlite3.connect(folder / "store.db")) as driver, sharing(KeptOpen()):

        def bare() -> None:
            orjson.dumps(driver.execute(LEGS, key).fetchall())
            orjson.dumps(driver.execute(SUMMARY, key).fetchall())

        def ours() -> None:
            orjson.dumps(product_chain(record_of(settings, head)))

        mine, theirs, ratio = interleaved(ours, bare, 40)
    detail = f"{2 * STRIKES} legs: ours {mine * 1e3:.2f} ms, query and orjson {theirs * 1e3:.2f} ms"
    return Figure("first build of a chain's bytes", ratio, "x bare", bound=3, detail=detail)


def _at_a_past_instant(folder: Path, url: str) -> Figure:
    """The chain in force at one of many instants, each time another one."""
    settings = Settings.load({"DATA_SOURCE": "upstox", "DATABASE_URL": url}, folder)
    ours_at, bare_at = (
        (OPENS + timedelta(seconds=number % PAST, milliseconds=500) for number in count())
        for _ in range(2)
    )
    with closing(sqlite3.connect(folder / "store.db")) as driver, sharing(KeptOpen()):

        def bare() -> None:
            at = int(next(bare_at).timestamp() * 1e6)
            [(newest,)] = driver.execute(IN_FORCE, (EXPIRY.isoformat(), at)).fetchall()
            for query in (LEGS, SUMMARY):
                orjson.dumps(driver.execute(query, (EXPIRY.isoformat(), newest)).fetchall())

        def ours() -> None:
            query = ChainQuery(symbol="NIFTY", expiry=EXPIRY, at=next(ours_at))
            orjson.dumps(product_chain(record_of(settings, chain_head(settings, query))))

        mine, theirs, ratio = interleaved(ours, bare, 200)
    detail = (
        f"of {PAST} snapshots: ours {mine * 1e3:.2f} ms, query and orjson {theirs * 1e3:.2f} ms"
    )
    return Figure("chain at a past instant", ratio, "x bare", bound=3, detail=detail)


class Snapshots:
    """Adds snapshots of a chain, each different from the one before."""

    def __init__(self, store: Store) -> None:
        self._chains = ChainStore(store)
        self._numbers, self._random = count(), Random(1)  # noqa: S311 - of load

    def add(self) -> None:
        number = next(self._numbers)
        self._chains.record([self._received(OPENS + timedelta(seconds=number))], _run(number), ())

    @contextmanager
    def being_added(self) -> Iterator[None]:
        """A new one every 100 ms until the end."""
        stop = Event()

        def add() -> None:
            while not stop.wait(NEW_EVERY_SECONDS):
                self.add()

        thread = Thread(target=add)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _received(self, at: datetime) -> Received:
        keys = [(22_000 + 50 * n, kind) for n in range(STRIKES) for kind in OptionType]
        legs = tuple(self._leg(strike, kind) for strike, kind in keys)
        chain = Chain(
            underlying="NIFTY",
            expiry=EXPIRY,
            source=ChainSource.UPSTOX,
            unit=QuantityUnit.SHARES,
            exchange_time=None,
            spot=24_010.0,
            legs=legs,
        )
        priced = PricedChain(
            chain=chain,
            convention="ours",
            priced_at=at,
            expires_at=datetime(2026, 9, 22, 10, tzinfo=UTC),
            provisional=False,
            years=0.02,
            rate=0.065,
            forward=Forward(value=24_010.0, method=ForwardMethod.PARITY, strikes=3, spread=0.5),
            numbers=tuple(LegValuation(*self._numbers_of_leg(), None) for _ in keys),
        )
        metrics = {name: Metric(value=self._random.random(), used=1, of=2) for name in METRICS}
        summary = ChainSummary(
            priced=priced, age_seconds=None, metrics=metrics, build_up={"long_build_up": 1}
        )
        return Received(summary=summary, received_at=at, lot_size=LOT)

    def _leg(self, strike: int, kind: OptionType) -> ChainLeg:
        ltp = round(self._random.uniform(1, 900), 2)
        oi = LOT * self._random.randrange(10, 90_000)
        return ChainLeg(
            strike=Decimal(strike), option_type=kind, ltp=ltp, prev_close=ltp + 1, bid=ltp - 0.05,
            bid_qty=LOT, ask=ltp + 0.05, ask_qty=LOT, volume=float(oi), oi=float(oi),
            prev_oi=float(oi - LOT), provider_iv=0.15,
        )  # fmt: skip

    def _numbers_of_leg(self) -> Sequence[float]:
        return [self._random.random() for _ in LegValuation._fields[:-1]]


def _run(number: int) -> SyncRun:
    return SyncRun(
        run_id=f"run {number}",
        job="chains",
        due_slot=OPENS,
        started_at=OPENS,
        finished_at=OPENS,
        outcome=Outcome.COMPLETED,
    )


@dataclass(frozen=True, slots=True)
class Served:
    """A server of its own process on *port*."""

    port: int

    def cost(self, path: str, *headers: str) -> float:
        """Milliseconds of the server's processor time for a request."""
        asyncio.run(self._load(path, headers, REQUESTS // 10))
        before = self._processor_seconds()
        asyncio.run(self._load(path, headers, REQUESTS))
        return (self._processor_seconds() - before) / REQUESTS * 1e3

    def tag(self, path: str) -> str:
        head, _ = asyncio.run(self._once(path))
        [tag] = [line for line in head.split("\r\n") if line.lower().startswith("etag:")]
        return tag.partition(": ")[2]

    def _processor_seconds(self) -> float:
        _, body = asyncio.run(self._once(CPU))
        return float(body)

    async def _once(self, path: str) -> tuple[str, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        found = await _answer(reader, writer, _request(path, ()))
        writer.close()
        return found

    async def _load(self, path: str, headers: Sequence[str], requests: int) -> None:
        request = _request(path, headers)

        async def some() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            for _ in range(requests // CONNECTIONS):
                head, _ = await _answer(reader, writer, request)
                assert head.split(" ", 2)[1] in MEASURED, head
            writer.close()

        await asyncio.gather(*(some() for _ in range(CONNECTIONS)))


def _request(path: str, headers: Sequence[str]) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]
    return "\r\n".join(lines).encode()


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[str, bytes]:
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    assert head.split(" ", 2)[1] in {"200", "304"}, head
    length = [
        int(line.partition(":")[2])
        for line in head.split("\r\n")
        if line.lower().startswith("content-length:")
    ]
    return head, await reader.readexactly(length[0]) if length else b""


@contextmanager
def _server(kind: str, url: str) -> Iterator[Served]:
    inherited = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.constant_server", kind, folder],
            stdout=subprocess.PIPE,
            text=True,
            env={
                **inherited,
                "DATA_SOURCE": "upstox",
                "DATABASE_URL": url,
                "API_RATE_LIMIT": "10000000",
            },
        )
        try:
            assert process.stdout is not None
            yield Served(int(process.stdout.readline()))
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
