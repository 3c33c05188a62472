"""Sends units of work to the workers, and does one: lease, work, settle.

The table decides, the queue only wakes workers: a key that is delivered twice, late or never
changes nothing. Instants are on the clock of the machine, because leases and distances between
tries are real time.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from threading import Event, Thread

from data_fetch.core.errors import DataFetchError, InUse, LostUnit, Stopped, StoreFailure
from data_fetch.core.ports import Clock, WorkQueue
from data_fetch.core.runs import Outcome, new_run_id
from data_fetch.core.work import Failed, UnitFailure, UnitKind, WorkUnit, failure_of
from data_fetch.storage.work_units import LEASE_LASTS, UnitLease, WorkUnits

log = logging.getLogger(__name__)

RENEWALS = 8
# The broker has a few minutes of work: more would only be sent again when it forgets.
MOST_SENT = 2_000
# Keys that no worker took although the queue is empty are lost, after the time of a delivery;
# where it is not empty they may still come.
DELIVERY, PATIENT = timedelta(seconds=10), timedelta(minutes=30)
# A unit that needs what another program works on looks again after that.
TURN = timedelta(seconds=15)
FAULT = "the program has a fault"

# Does the work of a unit and settles it. Raises what the work raises; Stopped when it is stopped.
UnitWork = Callable[[UnitLease], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitResult:
    """The end of one try. *failed* is None when the unit is done; *error* is for people."""

    unit: WorkUnit
    seconds: float
    failed: Failed | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Dispatched:
    """One look at the table: units *sent* to the broker, *recovered* from workers that ended."""

    sent: int
    recovered: int


class UnitDispatch:
    """Sends what is due to the workers, once and again until a worker has it.

    `clock` is that of the machine; what is offered beside it is due by the same one.
    """

    def __init__(self, units: WorkUnits, queue: WorkQueue, clock: Clock) -> None:
        self._units = units
        self._queue = queue
        self.clock = clock

    def run(self) -> Dispatched:
        """Send the keys of units that are due, and take back those of workers that have ended.

        Raises BrokerUnreachable; the units wait in the store then.
        """
        now = self.clock.now()
        recovered = self._units.recover_lost(now)
        for unit in recovered:
            log.warning("unit_lost", extra={"unit": unit.key, "attempts": unit.attempts})
        self._units.prune(now)
        again_before = now - (PATIENT if self._queue.waiting() else DELIVERY)
        room = MOST_SENT - self._units.sent_since(again_before)
        claimed = self._units.claim(now, again_before, room) if room > 0 else []
        self._queue.send(claimed)
        return Dispatched(len(claimed), len(recovered))


class UnitWorker:
    """Does units by their kind, one at a time."""

    def __init__(self, units: WorkUnits, work: Mapping[UnitKind, UnitWork], clock: Clock) -> None:
        self._units = units
        self._work = work
        self._clock = clock

    def do(self, key: str) -> UnitResult | None:
        """Do the unit with this key; None when there is nothing to do.

        Failures of the unit are in the result and in the store. Raises what the store raises.
        """
        lease = self._units.take(key, new_run_id(), self._clock.now())
        if lease is None:
            return None
        try:
            with self._renewing(lease):
                return self._do(lease)
        finally:
            lease.life.end()

    def _do(self, lease: UnitLease) -> UnitResult | None:
        unit = lease.unit
        try:
            self._work[unit.kind](lease)
        except Stopped:
            self._later(lease, timedelta(0))
            return None
        except InUse:
            self._later(lease, TURN)
            return None
        except LostUnit as lost:
            log.warning("unit_taken_over", extra={"unit": unit.key, "problem": lost.message})
            return None
        except DataFetchError as problem:
            return self._failed(lease, failure_of(problem), str(problem))
        except Exception as fault:
            # Of this unit: the others are done all the same, and the unit says what happened.
            log.exception("unit_broke", extra={"unit": unit.key})
            error = f"{FAULT}: {type(fault).__name__}: {fault}"
            return self._failed(lease, failure_of(fault), error)
        seconds = (self._clock.now() - lease.taken_at).total_seconds()
        log.info("unit", extra={"unit": unit.key, "run_id": lease.run_id, "seconds": seconds})
        return UnitResult(unit=unit, seconds=seconds)

    def _later(self, lease: UnitLease, wait: timedelta) -> None:
        now = self._clock.now()
        self._units.give_back(lease, now, now + wait)

    def _failed(self, lease: UnitLease, reason: UnitFailure, error: str) -> UnitResult | None:
        now = self._clock.now()
        run = lease.begun.finish(now, Outcome.FAILED, requested=1, error=error)
        failed = self._units.fail(lease, reason, error, run, now)
        if failed is None:
            return None
        facts = {"unit": lease.unit.key, "reason": str(reason), "state": str(failed.state)}
        log.warning("unit_failed", extra={**facts, "problem": error})
        seconds = (now - lease.taken_at).total_seconds()
        return UnitResult(unit=lease.unit, seconds=seconds, failed=failed, error=error)

    @contextmanager
    def _renewing(self, lease: UnitLease) -> Iterator[None]:
        """Keep *lease* while the work goes on, from a thread of its own."""
        ended = Event()

        def renew() -> None:
            while not ended.wait(LEASE_LASTS.total_seconds() / RENEWALS):
                # The next one may succeed; if none does, the write that settles is refused.
                with suppress(StoreFailure):
                    if not self._units.renew(lease, self._clock.now()):
                        return

        thread = Thread(target=renew, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
