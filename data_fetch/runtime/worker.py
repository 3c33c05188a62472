"""The parts of a worker process: what does the units of each kind."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from data_fetch.core.clock import SystemClock
from data_fetch.core.ports import WorkQueue
from data_fetch.core.settings import Settings
from data_fetch.core.work import UnitKind
from data_fetch.runtime.archive import lifecycle_of
from data_fetch.runtime.calendars import calendar_for
from data_fetch.runtime.chains import chain_reprocess_at, raw_store_for
from data_fetch.runtime.context import CollectorContext, one_off_context
from data_fetch.runtime.late_days import bring_back_into
from data_fetch.runtime.services import backfill_at
from data_fetch.runtime.units import dispatch_at
from data_fetch.services.backfill_units import BackfillUnits
from data_fetch.services.chain_enrichment import ChainEnricher
from data_fetch.services.chain_units import ChainUnits
from data_fetch.services.compaction_units import CompactionUnits
from data_fetch.services.outage import Patience
from data_fetch.services.reprocess_units import ReprocessUnits
from data_fetch.services.work import UnitDispatch, UnitWork, UnitWorker
from data_fetch.storage.work_units import WorkUnits

log = logging.getLogger(__name__)

# A unit that fails waits in the store, and no worker waits for it.
NO_PATIENCE = Patience(short=(), long=())


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerParts:
    """What a worker process does: units by their key, and what is due is sent again."""

    worker: UnitWorker
    dispatch: UnitDispatch


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
    reprocess = chain_reprocess_at(store, calendar, clock, bring_back)
    lifecycle = lifecycle_of(settings, store, log.info)
    return {
        UnitKind.COMPACTION: CompactionUnits(WorkUnits(store), lifecycle, clock).do,
        UnitKind.REPROCESSING: ReprocessUnits(store, reprocess, raw_store_for(settings), clock).do,
        UnitKind.BACKFILL: BackfillUnits(backfill, store, clock).do,
        UnitKind.ENRICHMENT: ChainUnits(store, enricher, clock, bring_back).do,
    }
