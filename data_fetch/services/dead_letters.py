"""Units that are dead: shown, put back, dropped."""

from collections.abc import Collection, Sequence

from data_fetch.core.ports import Clock
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.timetable import UNITS_DROPPED, UNITS_REPLAYED
from data_fetch.core.work import UnitFailure, WorkUnit
from data_fetch.storage.work_units import WorkUnits


class DeadLetters:
    """The dead units of a store. Every change has an audit row."""

    def __init__(self, units: WorkUnits, clock: Clock) -> None:
        self._units = units
        self._clock = clock

    def all(self, reason: UnitFailure | None = None) -> Sequence[WorkUnit]:
        """The dead units, the oldest first; of one *reason* or of all."""
        return self._units.dead(reason)

    def named(self, key: str) -> WorkUnit | None:
        """The unit with this key, in whatever state it is."""
        return self._units.named(key)

    def replay(self, keys: Collection[str]) -> int:
        """Put the dead ones of *keys* back, to be done again; returns how many."""
        return self._units.replay(keys, self._run(UNITS_REPLAYED), self._clock.now())

    def drop(self, keys: Collection[str]) -> int:
        """Delete the dead ones of *keys*, which are not done then; returns how many."""
        return self._units.drop(keys, self._run(UNITS_DROPPED))

    def _run(self, job: str) -> SyncRun:
        now = self._clock.now()
        return SyncRun.begin(job, now).finish(now, Outcome.COMPLETED)
