"""What a worker process keeps open: made when it does its first unit, which is after the fork."""

from collections.abc import Callable
from contextlib import ExitStack

from billiard import current_process

from data_fetch.core.clock import stopwatch
from data_fetch.core.ports import WorkQueue
from data_fetch.core.settings import Settings
from data_fetch.core.work import UnitFailure
from data_fetch.runtime.logs import LogServices, logs_for
from data_fetch.runtime.worker import WorkerParts, worker_for
from data_fetch.services.work import UnitResult

# Calendar and settings change, and a worker runs for months.
RENEWED_AFTER_SECONDS = 3_600.0


class WorkerProcess:
    """The parts of this process, opened when they are first needed."""

    def __init__(
        self, settings: Settings, queue: WorkQueue, report: Callable[[UnitResult], None]
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._report = report
        self._open = ExitStack()
        self._parts: WorkerParts | None = None
        self._opened_at = 0.0

    def do(self, key: str) -> None:
        """Do the unit with this key, and report the result."""
        result = self._opened().worker.do(key)
        if result is None:
            return
        self._report(result)
        if result.failed is not None and result.failed.reason is UnitFailure.OUTAGE:
            # The provider or the store may be at another address by the next unit.
            self.close()

    def dispatch(self) -> None:
        """Send what is due."""
        self._opened().dispatch.run()

    def close(self) -> None:
        """Close what is open."""
        self._parts = None
        self._open.close()

    def _opened(self) -> WorkerParts:
        if self._parts is not None and stopwatch() - self._opened_at > RENEWED_AFTER_SECONDS:
            self.close()
        if self._parts is None:
            self._opened_at = stopwatch()
            # Two processes must not rotate the same file.
            number = getattr(current_process(), "index", 0) + 1
            token = self._settings.access_token.get_secret_value()
            self._open.enter_context(
                logs_for(self._settings, lambda: token, LogServices(f"worker-{number}"))
            )
            self._parts = self._open.enter_context(worker_for(self._settings, self._queue))
        return self._parts
