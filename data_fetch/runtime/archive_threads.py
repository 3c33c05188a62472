"""The archive's threads for programs of one's own."""

from collections.abc import Callable
from contextlib import ExitStack

from data_fetch.core.settings import Settings
from data_fetch.runtime.archive import DayRounds, archive_workers_for, days_here
from data_fetch.runtime.settings import process_settings
from data_fetch.services.archive_workers import ArchiveWorkers, ThreadStatus

# A round ends within the time of a day's compaction.
STOP_SECONDS = 60.0


def _ignore(_line: str) -> None:
    return


class OptionsThreadedManager:
    """Threads that archive the configured store.

    One writes a Parquet file of each minute, one joins them every five minutes and shows them in
    DuckDB, one seals, verifies and drops days.

    Without *settings* those of the process are used. *report* gets a line about each file that is
    set apart and each failure. *days* makes the rounds that see to the days.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        report: Callable[[str], None] = _ignore,
        days: DayRounds = days_here,
    ) -> None:
        self._settings = settings
        self._report = report
        self._days = days
        self._open = ExitStack()
        self._workers: ArchiveWorkers | None = None

    def start_all_threads(self) -> None:
        """Start the threads; does nothing if they run.

        Raises SetupError while another program archives into the folder, and for a folder that
        belongs to another store.
        """
        if self._workers is not None:
            return
        settings = self._settings or process_settings()
        with ExitStack() as opened:
            workers = opened.enter_context(archive_workers_for(settings, self._report, self._days))
            workers.start()
            self._open = opened.pop_all()
        self._workers = workers

    def get_thread_status(self) -> dict[str, ThreadStatus]:
        """The status of each thread by its name; empty before the start and after the stop."""
        return {} if self._workers is None else self._workers.statuses()

    def stop_all_threads(self) -> bool:
        """End the threads after their round; whether each has ended within a minute."""
        if self._workers is None:
            return True
        ended = self._workers.stop(STOP_SECONDS)
        self._workers = None
        self._open.close()
        return ended
