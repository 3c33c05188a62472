"""Chooses the place of the rate windows: a file, Redis or PostgreSQL."""

from data_fetch.core.clock import SystemClock
from data_fetch.core.ports import Clock, RateWindows
from data_fetch.core.settings import REDIS_SCHEMES, THE_STORE, Settings
from data_fetch.core.world import World
from data_fetch.sources.transport.file_windows import FileWindows


def provider_windows(settings: Settings, paper_clock: Clock | None = None) -> RateWindows:
    """The windows of the configured provider, in the place that RATE_WINDOWS_URL names.

    Shared windows have the time of their server, so that clocks of machines may differ; those of
    a paper exchange have its time, *paper_clock*. Nothing is opened or connected.
    """
    if settings.rate_windows_url is None:
        return FileWindows(None, paper_clock or SystemClock())
    # They take as long to import as some commands run.
    url = settings.rate_windows_url.get_secret_value()
    if url.partition("://")[0] in REDIS_SCHEMES:
        from data_fetch.sources.transport.redis_windows import RedisWindows

        return RedisWindows(url, paper_clock)
    from data_fetch.storage.rate_windows import DatabaseWindows

    if url == THE_STORE:
        return DatabaseWindows(settings.store_url, settings.world, "DATABASE_URL", paper_clock)
    return DatabaseWindows(url, settings.world, "RATE_WINDOWS_URL", paper_clock)


def folder_windows(settings: Settings, clock: Clock) -> RateWindows:
    """The windows of the paper exchange that belongs to the working folder, on its *clock*.

    They stay in the folder wherever others are: no other machine sends this exchange anything.
    """
    return FileWindows(settings.data_folder / "pacing", clock)


def windows_place(settings: Settings) -> str:
    """The place of the windows, in words and without passwords."""
    if settings.world is World.PAPER and settings.base_url is None:
        return folder_windows(settings, SystemClock()).where
    return provider_windows(settings).where
