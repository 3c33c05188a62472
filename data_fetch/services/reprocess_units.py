"""Reprocessing by workers: each unit is the stored raw responses of one underlying on one day."""

from collections.abc import Sequence
from datetime import date, datetime

from data_fetch.archive.raw_responses import RawResponseStore
from data_fetch.core.errors import NothingStored
from data_fetch.core.ports import Clock
from data_fetch.core.runs import SyncRun
from data_fetch.core.timetable import CHAIN_REPROCESS
from data_fetch.core.work import UnitKind, UnitOffer
from data_fetch.services.chain_reprocess import ChainReprocess
from data_fetch.storage.database.store import Store
from data_fetch.storage.work_units import UnitLease, WorkUnits


def offer_reprocessing(units: WorkUnits, days: Sequence[tuple[date, str]], now: datetime) -> int:
    """Make units of these days and underlyings; returns how many do not wait already.

    The worker needs the folder of the raw responses.
    """
    offers = [_offer(day, underlying) for day, underlying in days]
    return units.offer(offers, SyncRun.begin(CHAIN_REPROCESS, now), now)


class ReprocessUnits:
    """Reprocesses days of underlyings. *clock* is that of the machine."""

    def __init__(
        self, store: Store, reprocess: ChainReprocess, raw_store: RawResponseStore, clock: Clock
    ) -> None:
        self._store = store
        self._reprocess = reprocess
        self._raw_store = raw_store
        self._clock = clock

    def do(self, lease: UnitLease) -> None:
        """Reprocess one day of one underlying, and settle its unit.

        Each snapshot is rewritten in a transaction of its own, and one that is as it would be
        written stays as it is: the same unit may be done again. Raises NothingStored without a
        response: on another machine, or when they have been deleted since.
        """
        subject = lease.unit.subject
        day, underlying = date.fromisoformat(subject["day"]), subject["underlying"]
        if (day, underlying) not in self._raw_store.underlyings(day, day):
            raise NothingStored(
                f"{self._raw_store.folder} has no raw response of {underlying} on {day}",
                hint="Let this machine see the collector's folder, then replay the unit; drop it "
                "if RAW_VAULT_DAYS have passed.",
            )
        self._reprocess.run(self._raw_store.raw_responses(day, day, underlying))
        with self._store.writing() as connection:
            lease.settle(connection, self._clock.now())


def _offer(day: date, underlying: str) -> UnitOffer:
    content = (day.isoformat(), underlying)
    return UnitOffer(
        kind=UnitKind.REPROCESSING,
        content=content,
        subject=dict(zip(("day", "underlying"), content, strict=True)),
    )
