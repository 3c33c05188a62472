"""Backfills as units of work: each window of a plan is one, and a worker fetches it."""

from datetime import date

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.request_planner import Window
from data_fetch.core.errors import BadRecord, Stopped, UnknownSymbol
from data_fetch.core.failures import FailureGroup
from data_fetch.core.ports import Clock
from data_fetch.core.runs import SyncRun
from data_fetch.core.work import UnitKind, UnitOffer
from data_fetch.services.backfill import BACKFILL, BackfillService
from data_fetch.services.backfill_run import BackfillPlan
from data_fetch.services.missing_days import BackfillOrder
from data_fetch.storage.database.store import Store
from data_fetch.storage.instruments.instruments import earliest_listings, instruments_with
from data_fetch.storage.work_units import UnitLease, WorkUnits


class BackfillUnits:
    """Offers the windows of plans, and fetches them. *clock* is that of the machine."""

    def __init__(self, service: BackfillService, store: Store, clock: Clock) -> None:
        self._service = service
        self._store = store
        self._units = WorkUnits(store)
        self._clock = clock

    def offer(self, plan: BackfillPlan, job: str = BACKFILL, begun: SyncRun | None = None) -> int:
        """Make units of the windows of *plan*; returns how many do not wait already.

        The audit row of *job*, which continues the run *begun*, is written with them.
        """
        now = self._clock.now()
        offers = [_offer(window, plan.order) for window in plan.windows]
        return self._units.offer(offers, begun or SyncRun.begin(job, now), now)

    def do(self, lease: UnitLease) -> None:
        """Fetch what the ledger still lacks of a window, and settle its unit.

        A window that another process has fetched meanwhile takes no request. Raises what stopped
        it, BadRecord for a response with rows that cannot be used, Stopped when it was stopped.
        """
        plan = self._service.plan(self._order(lease))
        report = self._service.run(plan, begun=lease.begun)
        if report.stopped_by is not None:
            raise report.stopped_by
        if report.done < report.windows:
            raise Stopped("the backfill was stopped")
        if report.failures[FailureGroup.SCHEMA]:
            raise BadRecord("; ".join(report.reasons.values()))
        with self._store.writing() as connection:
            lease.settle(connection, self._clock.now())

    def _order(self, lease: UnitLease) -> BackfillOrder:
        subject = lease.unit.subject
        keys = [subject["instrument_key"]]
        with self._store.reading() as connection:
            instruments = instruments_with(connection, keys)
            contracts = [one.instrument_key for one in instruments if one.expiry]
            listed = earliest_listings(connection, contracts)
        if not instruments:
            raise UnknownSymbol(
                f"the store has no instrument {subject['instrument_key']}",
                hint="Does the worker have the same DATABASE_URL as the collector?",
            )
        return BackfillOrder(
            instruments=instruments,
            interval=CandleInterval(subject["interval"]),
            first=date.fromisoformat(subject["first"]),
            last=date.fromisoformat(subject["last"]),
            # After a failure the unit has its own distances, which the ledger does not know.
            retry_failed=subject["retry_failed"] or lease.unit.reason is not None,
            listed=listed,
        )


def _offer(window: Window, order: BackfillOrder) -> UnitOffer:
    key, interval = window.instrument.instrument_key, window.interval.value
    first, last = window.first.isoformat(), window.last.isoformat()
    return UnitOffer(
        kind=UnitKind.BACKFILL,
        content=(key, interval, first, last),
        subject={
            "instrument_key": key,
            "symbol": window.instrument.symbol,
            "interval": interval,
            "first": first,
            "last": last,
            "retry_failed": order.retry_failed,
        },
    )
