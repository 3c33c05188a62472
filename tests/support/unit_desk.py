"""Units of work in one process: a queue that is a list, and a clock that only the test sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from data_fetch.core.clock import ScaledClock
from data_fetch.core.errors import BrokerUnreachable
from data_fetch.core.runs import SyncRun
from data_fetch.core.work import UnitKind, UnitOffer, WorkUnit
from data_fetch.services.work import UnitDispatch, UnitResult, UnitWork, UnitWorker
from data_fetch.storage.database.store import Store
from data_fetch.storage.work_units import WorkUnits

NOW = datetime(2026, 11, 30, 6, tzinfo=UTC)
# As good as standing still.
SLOW = 1e-9


@dataclass
class ListQueue:
    """A broker that a test can read, empty and switch off."""

    keys: list[str] = field(default_factory=list)
    answers: bool = True

    def send(self, units: Sequence[WorkUnit]) -> None:
        self._check()
        self.keys += [unit.key for unit in units]

    def waiting(self) -> int:
        self._check()
        return len(self.keys)

    def _check(self) -> None:
        if not self.answers:
            raise BrokerUnreachable("switched off")


class UnitDesk:
    """A store's units, a queue, and workers that do them by *work*."""

    def __init__(self, store: Store, work: Mapping[UnitKind, UnitWork]) -> None:
        self.clock = ScaledClock(NOW, SLOW)
        self.units = WorkUnits(store)
        self.queue = ListQueue()
        self.dispatch = UnitDispatch(self.units, self.queue, self.clock)
        self.worker = UnitWorker(self.units, work, self.clock)

    def go_on(self, duration: timedelta) -> None:
        self.clock.set(self.clock.now() + duration)

    def offer(self, *names: str, kind: UnitKind = UnitKind.BACKFILL) -> list[str]:
        offers = [UnitOffer(kind=kind, content=(name,), subject={}) for name in names]
        now = self.clock.now()
        self.units.offer(offers, SyncRun.begin("plan", now), now)
        return [offer.key for offer in offers]

    def deliver(self) -> list[UnitResult | None]:
        """Do every key that is in the queue now, as often as it is there."""
        keys, self.queue.keys = self.queue.keys, []
        return [self.worker.do(key) for key in keys]

    def work_off(self) -> list[UnitResult | None]:
        """Send and do until nothing is due."""
        results = []
        while self.dispatch.run().sent:
            results += self.deliver()
        return results
