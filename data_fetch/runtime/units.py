"""The parts of distributed work in one process: what offers units, sends them and does them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from data_fetch.core.clock import SystemClock
from data_fetch.core.ports import WorkQueue
from data_fetch.core.settings import Settings
from data_fetch.core.work import UnitKind
from data_fetch.runtime.calendars import calendar_for
from data_fetch.runtime.context import CollectorContext, one_off_context
from data_fetch.runtime.late_days import bring_back_into
from data_fetch.runtime.one_off import BackfillParts
from data_fetch.runtime.services import backfill_at
from data_fetch.services.backfill import BackfillService
from data_fetch.services.backfill_jobs import Complete, fetched_by, shared_by
from data_fetch.services.backfill_run import BackfillPlan
from data_fetch.services.backfill_units import BackfillUnits
from data_fetch.services.chain_enrichment import ChainEnricher
from data_fetch.services.chain_units import ChainUnits
from data_fetch.services.outage import Patience
from data_fetch.services.unit_jobs import UnitJobs
from data_fetch.services.work import UnitDispatch, UnitWork, UnitWorker
from data_fetch.storage.database.store import Store
from data_fetch.storage.work_units import WorkUnits

log = logging.getLogger(__name__)

# A unit that fails waits in the store, and no worker waits for it.
NO_PATIENCE = Patience(short=(), long=())


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerParts:
    """What a worker process does: units by their key, and what is due is sent again."""

    worker: UnitWorker
    dispatch: UnitDispatch


def dispatch_at(store: Store, queue: WorkQueue) -> UnitDispatch:
    """What sends the units of *store* that are due."""
    return UnitDispatch(WorkUnits(store), queue, SystemClock())


def complete_at(context: CollectorContext, backfill: BackfillService) -> Complete:
    """How the plans of *backfill* are completed: by workers if *context* has a queue."""
    if context.queue is None:
        return fetched_by(backfill)
    units = BackfillUnits(backfill, context.store, SystemClock())
    return shared_by(units, dispatch_at(context.store, context.queue))


def unit_jobs_at(context: CollectorContext) -> list[UnitJobs]:
    """The job that sends units to the queue of *context*, if it has one."""
    if context.queue is None:
        return []
    return [UnitJobs(dispatch_at(context.store, context.queue))]


def offered_to(queue: WorkQueue, backfill: BackfillParts, plan: BackfillPlan) -> int:
    """Leave *plan* to workers; returns how many of its windows do not wait already."""
    offered = BackfillUnits(backfill.service, backfill.store, SystemClock()).offer(plan)
    dispatch_at(backfill.store, queue).run()
    return offered


@contextmanager
def worker_for(settings: Settings, queue: WorkQueue) -> Iterator[WorkerParts]:
    """The parts of a worker process. Call it in the process itself: connections survive no fork."""
    with one_off_context(settings) as context:
        yield WorkerParts(
            worker=UnitWorker(WorkUnits(context.store), _work_at(context), SystemClock()),
            dispatch=dispatch_at(context.store, queue),
        )


def _work_at(context: CollectorContext) -> dict[UnitKind, UnitWork]:
    """What does the units of each kind."""
    settings, store, clock = context.settings, context.store, SystemClock()
    calendar = calendar_for(settings)
    backfill = backfill_at(context, calendar, NO_PATIENCE)
    bring_back = bring_back_into(settings, store, log.warning)
    enricher = ChainEnricher(store, calendar)
    return {
        UnitKind.BACKFILL: BackfillUnits(backfill, store, clock).do,
        UnitKind.ENRICHMENT: ChainUnits(store, enricher, clock, bring_back).do,
    }
