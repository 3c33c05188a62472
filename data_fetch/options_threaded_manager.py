"""The archive's threads: `OptionsThreadedManager().start_all_threads()`."""

from data_fetch.runtime.archive_threads import OptionsThreadedManager
from data_fetch.services.archive_workers import ThreadStatus

__all__ = ["OptionsThreadedManager", "ThreadStatus"]
