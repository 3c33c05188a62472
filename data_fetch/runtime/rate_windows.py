"""Chooses where the rate windows of an account are kept."""

from data_fetch.core.clock import SystemClock
from data_fetch.core.ports import Clock, RateWindows
from data_fetch.core.settings import Settings
from data_fetch.sources.transport.file_windows import FileWindows


def windows_for(settings: Settings) -> RateWindows:
    """The windows of a provider."""
    return FileWindows(None, SystemClock())


def paper_windows(settings: Settings, clock: Clock) -> RateWindows:
    """The windows of a paper exchange, whose clock is *clock*.

    Those of the exchange that belongs to the working folder are in this folder.
    """
    return FileWindows(None if settings.base_url else settings.data_folder / "pacing", clock)
