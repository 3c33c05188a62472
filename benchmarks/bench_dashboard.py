"""Pages of the dashboard, from a real server, and what twenty sessions cost the store.

Of 214 instruments by 60 trading days and a chain of 120 strikes. The time of a page is what a
browser waits for: from its request on Streamlit's WebSocket to the end of the script. The *first*
visitor comes to a server that knows no answer yet, a *later* one finds those of the first. A
*refresh* is one of all live parts of the page: at once, and when a chain was stored meanwhile. The
bare side asks the same questions of `reading` and makes the plainest charts (`dashboard_pages`).
Each time is the quickest of some rounds, in which both sides take turns: of a machine with busy
neighbours it is the one that they disturbed least.
"""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import IO, Any

import orjson
import psycopg2
from psycopg2.extensions import connection as Session

from benchmarks.dashboard_pages import PAGES, MeasuredPage
from benchmarks.dashboard_store import (
    EXPIRIES,
    STANDS_AT,
    ChainWriter,
    fill,
    nifty_chain,
    settings_in,
)
from benchmarks.figure import Figure, nothing, seconds
from benchmarks.page_server import forget
from benchmarks.page_visits import Run, Visit, visit
from benchmarks.stores import postgres_store
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.reading.kept_open import KeptOpen
from data_fetch.reading.records import sharing
from data_fetch.storage.database.store import Store, open_store

ROUNDS, SESSIONS = 7, 20


@dataclass(frozen=True, slots=True)
class PageServer:
    """A dashboard in a process of its own, at *url*, that takes orders."""

    url: str
    orders: IO[str]
    answers: IO[str]

    def order(self, name: str) -> Any:
        print(name, file=self.orders, flush=True)
        return orjson.loads(self.answers.readline())

    def visit_once(self, page: MeasuredPage) -> Run:
        with visit(self.url, page.address) as session:
            return session.open()


@dataclass(frozen=True, slots=True)
class Collector:
    """Stores one more snapshot of the chain that is shown."""

    writer: ChainWriter
    numbers: Iterator[int]

    @classmethod
    def of(cls, store: Store) -> "Collector":
        return cls(ChainWriter.to(store), count(1))

    def collect(self) -> None:
        at = STANDS_AT - timedelta(seconds=20) + next(self.numbers) * timedelta(milliseconds=10)
        self.writer.write([nifty_chain(at, EXPIRIES[0])], at)


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/store.db"
        with closing(open_store(url, World.PAPER)) as store:
            yield from _figures("SQLite", store, settings_in(Path(folder), url))
    try:
        with tempfile.TemporaryDirectory() as folder, postgres_store() as (store, session):
            url = store.engine.url.render_as_string(hide_password=False)
            settings = settings_in(Path(folder), url)
            yield from _figures("PostgreSQL", store, settings, lambda: _vacuum(session))
    except psycopg2.OperationalError:
        detail = "no server: set BENCH_DATABASE_URL"
        yield Figure("dashboard, PostgreSQL", float("nan"), "x reading", detail=detail)


def _vacuum(session: Session) -> None:
    """What the server does by itself in the minutes after so much was stored."""
    with session.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _figures(
    database: str, store: Store, settings: Settings, settle: Callable[[], None] = nothing
) -> Iterator[Figure]:
    fill(store, settings)
    settle()
    collector = Collector.of(store)
    with closing(KeptOpen()) as kept, page_server(settings) as server:
        for page in PAGES:
            name = f"{page.name}, {database}"
            yield from _page(name, page, server, collector, settings, kept)
            yield _together(name, page, server, collector)


@contextmanager
def page_server(settings: Settings) -> Iterator[PageServer]:
    place = str(settings.folder), settings.store_url
    command = [sys.executable, "-m", "benchmarks.page_server", *place]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        yield PageServer(address, process.stdin, process.stdout)
        process.stdin.close()


def _page(
    name: str,
    page: MeasuredPage,
    server: PageServer,
    collector: Collector,
    settings: Settings,
    kept: KeptOpen,
) -> Iterator[Figure]:
    def bare() -> object:
        with sharing(kept):
            return page.bare(settings)

    # The first time modules are loaded.
    server.visit_once(page)
    bare()
    rounds: list[Round] = []
    for _ in range(ROUNDS):
        server.order("forget")
        forget(kept)
        first, alone = server.visit_once(page), seconds(bare)
        with visit(server.url, page.address) as session:
            later, again = session.open(), session.refresh()
            collector.collect()
            server.order("forget")
            rounds.append((first, alone, later, again, session.refresh()))
    first, alone, later, again, anew = (min(times) for times in zip(*_seconds(rounds), strict=True))
    yield Figure(
        f"{name}: first visitor",
        first / alone,
        "x reading and bare chart",
        2,
        f"{first * 1e3:.0f} ms, bare {alone * 1e3:.0f} ms; {_load()}",
    )
    detail = f"a refresh {again * 1e3:.0f} ms, one that asks all anew {anew * 1e3:.0f} ms"
    yield Figure(f"{name}: later visitors", later * 1e3, "ms", detail=detail)
    sent, resent = (max(each[place].sent for each in rounds) / 1e3 for place in (0, -1))
    yield Figure(f"{name}: sent", sent, "kB", page.opened)
    yield Figure(f"{name}: sent for a refresh", resent, "kB", page.refreshed)


Round = tuple[Run, float, Run, Run, Run]


def _seconds(rounds: Sequence[Round]) -> Iterator[list[float]]:
    for each in rounds:
        yield [one if isinstance(one, float) else one.seconds for one in each]


def _load() -> str:
    """How many processes want the processors."""
    return f"load {os.getloadavg()[0]:.0f} on {os.cpu_count()} processors"


def _together(name: str, page: MeasuredPage, server: PageServer, collector: Collector) -> Figure:
    """The statements for a snapshot that many sessions show, beside those of one session."""
    alone, many = (_statements(server, page, collector, number) for number in (1, SESSIONS))
    again = {name: times for name, times in many.items() if times > alone[name]}
    detail = f"{many.total()} of {SESSIONS} sessions, {alone.total()} of one; {len(again)} repeated"
    return Figure(
        f"{name}: {SESSIONS} sessions",
        many.total() / max(1, alone.total()),
        "x statements of one",
        1,
        detail,
    )


def _statements(
    server: PageServer, page: MeasuredPage, collector: Collector, number: int
) -> Counter[str]:
    with ExitStack() as stack, ThreadPoolExecutor(number) as threads:
        sessions = [stack.enter_context(visit(server.url, page.address)) for _ in range(number)]
        list(threads.map(Visit.open, sessions))
        collector.collect()
        server.order("forget")
        server.order("statements")
        list(threads.map(Visit.refresh, sessions))
        return Counter(server.order("statements"))
