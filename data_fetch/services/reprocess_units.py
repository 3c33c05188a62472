"""Reprocessing by workers: each unit is the stored raw responses of one underlying on one day."""

from collections.abc import Sequence
from datetime import date

from data_fetch.archive.raw_responses import RawResponseStore
from data_fetch.core.ports import Clock
from data_fetch.core.runs import SyncRun
from data_fetch.core.timetable import CHAIN_REPROCESS
from data_fetch.core.work import UnitKind, UnitOffer
from data_fetch.services.chain_reprocess import ChainReprocess
from data_fetch.storage.database.store import Store
from data_fetch.storage.work_units import UnitLease, WorkUnits


class ReprocessUnits:
    """Offers days of underlyings to be reprocessed, and does that. *clock* is that of the machine.

    Offering and doing need the same folder of raw responses.
    """

    def __init__(
        self, store: Store, reprocess: ChainReprocess, raw_store: RawResponseStore, clock: Clock
    ) -> None:
        self._store = store
        self._units = WorkUnits(store)
        self._reprocess = reprocess
        self._raw_store = raw_store
        self._clock = clock

    def offer(self, days: Sequence[tuple[date, str]]) -> int:
        """Make units of these days and underlyings; returns how many do not wait already."""
        now = self._clock.now()
        offers = [_offer(day, underlying) for day, underlying in days]
        return self._units.offer(offers, SyncRun.begin(CHAIN_REPROCESS, now), now)

    def do(self, lease: UnitLease) -> None:
        """Reprocess one day of one underlying, and settle its unit.

        Each snapshot is rewritten in a transaction of its own, and one that is as it would be
        written stays as it is: the same unit may be done again.
        """
        day = date.fromisoformat(lease.unit.subject["day"])
        bodies = self._raw_store.raw_responses(day, day, lease.unit.subject["underlying"])
        self._reprocess.run(bodies)
        with self._store.writing() as connection:
            lease.settle(connection, self._clock.now())


def _offer(day: date, underlying: str) -> UnitOffer:
    content = (day.isoformat(), underlying)
    return UnitOffer(
        kind=UnitKind.REPROCESSING,
        content=content,
        subject=dict(zip(("day", "underlying"), content, strict=True)),
    )
