"""The shape of a service that a collector runs by itself."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from data_fetch.core.timetable import Job, Timetable


class RecurringService(ABC):
    """Declares its jobs, and counts their results.

    A collector joins the jobs of its services, a rehearsal adds up their tallies; neither knows
    which service they are from.
    """

    @abstractmethod
    def jobs(self, timetable: Timetable) -> Sequence[Job]:
        """The jobs of this service, with their rules in *timetable*."""

    def tallies(self, first: date, last: date) -> Mapping[str, int]:
        """Counts from *first* to *last* by name, as `data-fetch rehearse --json` has them."""
        return {}

    def prepare(self) -> None:
        """Do what has to be done before the first job runs."""
        return

    def clock_set_back(self, before: datetime, now: datetime) -> None:
        """The clock read *before* and was set back to *now*. Returns at once."""
        return

    def close(self) -> None:
        """Return when the work that its jobs have started has ended."""
        return
