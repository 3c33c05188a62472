"""A collector on a virtual clock that lives for months, with the troubles that months bring.

The real scheduler, its jobs and their services, the real SDK against a paper exchange with a
calendar of its own, and a PostgreSQL that is stopped and started meanwhile.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import orjson
import urllib3

from data_fetch.core.clock import IST, VirtualClock
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.settings import Settings
from data_fetch.runtime.collector import Collector, collector_at
from data_fetch.runtime.context import CollectorContext
from data_fetch.runtime.lead import LeadKeeper
from data_fetch.runtime.reporting import SILENT
from data_fetch.runtime.services import universe_at
from data_fetch.runtime.world import exchange_at, provider_at
from data_fetch.scheduling.scheduler import DataScheduler
from data_fetch.sources.transport.file_windows import FileWindows
from data_fetch.storage.database.leadership import Leadership
from data_fetch.storage.database.store import Store, open_store

Act = Callable[[], None]


def at(text: str) -> datetime:
    """An instant in India."""
    return datetime.fromisoformat(text).replace(tzinfo=IST)


@dataclass(frozen=True, slots=True)
class Span:
    """From *begin* to *end* (not included)."""

    begin: datetime
    end: datetime

    @classmethod
    def of(cls, day: str, begin: str, end: str) -> "Span":
        return cls(at(f"{day} {begin}"), at(f"{day} {end}"))

    def includes(self, instant: datetime) -> bool:
        return self.begin <= instant < self.end


class EventfulClock(VirtualClock):
    """A virtual clock on which things happen at their time, while all work waits."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self._acts: list[tuple[datetime, int, Act]] = []

    def at(self, instant: datetime, act: Act) -> None:
        """Have *act* done at *instant*; no time passes while it lasts."""
        heapq.heappush(self._acts, (instant, len(self._acts), act))

    def _advance_if_idle(self) -> None:
        # Not by a thread that waits on the clock: between two days the scheduler does not wait,
        # and the clock would leap to that thread's next instant.
        while self._holds <= 0 and self._waiters and self._due_before(self._waiters[0].deadline):
            instant, _, act = heapq.heappop(self._acts)
            self._now = max(self._now, instant)
            act()
        super()._advance_if_idle()

    def _due_before(self, deadline: datetime) -> bool:
        return bool(self._acts) and self._acts[0][0] <= deadline


@dataclass
class SimulatedLife:
    """A collector, and ways to trouble it."""

    context: CollectorContext
    clock: EventfulClock
    folder: Path
    collectors: list[Collector] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def members(self) -> Sequence[Instrument]:
        return universe_at(self.context, SILENT).members

    @property
    def store(self) -> Store:
        return self.context.store

    def fault(self, span: Span, **fault: Any) -> None:
        """Have the exchange do something wrong during *span*."""
        order = {"from": span.begin.isoformat(), "until": span.end.isoformat(), **fault}
        answer = urllib3.request(
            "POST",
            f"{self.context.provider.base_url}/paper/faults",
            body=orjson.dumps({"fault": [order]}),
        )
        assert answer.status < 300, answer.data

    def save_token(self, token: str) -> None:
        """As a person does who has logged in."""
        (self.folder / ".env").write_text(f"UPSTOX_ACCESS_TOKEN={token}\n")

    def live(self, until: datetime, absences: Sequence[Span]) -> None:
        """Collect until *until*, except during *absences*, in which no collector runs."""
        for absence in absences:
            self._run(absence.begin)
            hold = self.clock.hold()
            self.clock.sleep(absence.end - self.clock.now())
            hold.release()
        self._run(until)

    def _run(self, until: datetime) -> None:
        running = replace(self.context, running_since=self.clock.now())
        collector = collector_at(running, SILENT)
        collector.prepare()
        scheduler = DataScheduler()
        self.collectors.append(scheduler.run_days(collector, until, SILENT))
        self.failures += scheduler.failures


@contextmanager
def simulated_life(
    folder: Path,
    database_url: str,
    begins: datetime,
    market: MarketCalendar,
    symbols: Sequence[str],
) -> Iterator[SimulatedLife]:
    """A life that begins at *begins* on an exchange that trades by *market*."""
    listed = folder / "symbols.txt"
    listed.write_text("\n".join(symbols))
    environment = {
        "DATA_SOURCE": "paper",
        "FNO_SYMBOLS_FILE": str(listed),
        "DATABASE_URL": database_url,
        "REFRESH_INTERVAL": "600",
    }
    clock, stop = EventfulClock(begins), Event()
    with ExitStack() as stack:
        settings = Settings.load(environment, folder)
        exchange = stack.enter_context(exchange_at(settings, clock, market))
        settings = Settings.load({**environment, "UPSTOX_BASE_URL": exchange.url}, folder)
        store = open_store(database_url, settings.world)
        stack.callback(store.close)
        leadership = Leadership(store)
        fence = leadership.try_acquire()
        assert fence is not None
        lead = stack.enter_context(LeadKeeper(leadership, store.name, SILENT.message, lost=stop))
        windows = stack.enter_context(closing(FileWindows(folder, clock)))
        calendar = MarketCalendar.reviewed()
        provider = provider_at(settings, clock, exchange.url, calendar, windows, random=Random(0))
        context = CollectorContext(
            settings=settings,
            provider=provider,
            store=store,
            guard=fence,
            leads=lead.leads,
            running_since=begins,
            stop=stop,
        )
        yield SimulatedLife(context, clock, folder)
