"""The job of a collector that sends units to the workers, whatever was lost on the way."""

from collections.abc import Sequence

from data_fetch.core.timetable import UNITS, Job, Timetable
from data_fetch.services.recurring import RecurringService
from data_fetch.services.work import UnitDispatch


class UnitJobs(RecurringService):
    """Sends what is due every minute, at any hour."""

    def __init__(self, dispatch: UnitDispatch) -> None:
        self._dispatch = dispatch

    def jobs(self, timetable: Timetable) -> Sequence[Job]:
        return [timetable.job(UNITS, self._dispatch.run, at_start=True)]
