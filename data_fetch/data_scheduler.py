"""The scheduler: `data_scheduler.start()`, `.stop()`, `.get_status()`."""

from data_fetch.scheduling.scheduler import DataScheduler, Status, data_scheduler

__all__ = ["DataScheduler", "Status", "data_scheduler"]
