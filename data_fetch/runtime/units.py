"""The parts of distributed work in one process: what offers units, sends them and does them."""

from contextlib import closing
from datetime import date

from data_fetch.archive.raw_responses import RawResponseStore
from data_fetch.core.clock import SystemClock
from data_fetch.core.ports import WorkQueue
from data_fetch.core.settings import Settings
from data_fetch.runtime.context import CollectorContext
from data_fetch.runtime.one_off import BackfillParts
from data_fetch.runtime.stores import store_for
from data_fetch.services.backfill import BackfillService
from data_fetch.services.backfill_jobs import Complete, fetched_by, shared_by
from data_fetch.services.backfill_run import BackfillPlan
from data_fetch.services.backfill_units import BackfillUnits
from data_fetch.services.reprocess_units import offer_reprocessing
from data_fetch.services.unit_jobs import UnitJobs
from data_fetch.services.work import UnitDispatch
from data_fetch.storage.database.store import Store
from data_fetch.storage.work_units import WorkUnits


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


def reprocess_offered_to(
    queue: WorkQueue, settings: Settings, first: date, last: date, underlying: str | None
) -> int:
    """Leave the raw responses of these days to workers, of one *underlying* or of all; returns how
    many units do not wait already."""
    with closing(store_for(settings)) as store:
        raw_store = RawResponseStore(settings.raw_folder, settings.raw_vault_days)
        found = raw_store.underlyings(first, last)
        chosen = [each for each in found if underlying in {None, each[1]}]
        offered = offer_reprocessing(WorkUnits(store), chosen, SystemClock().now())
        dispatch_at(store, queue).run()
    return offered


def offered_to(queue: WorkQueue, backfill: BackfillParts, plan: BackfillPlan) -> int:
    """Leave *plan* to workers; returns how many of its windows do not wait already."""
    offered = BackfillUnits(backfill.service, backfill.store, SystemClock()).offer(plan)
    dispatch_at(backfill.store, queue).run()
    return offered
