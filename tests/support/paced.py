"""Pacers with their windows in a file."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from data_fetch.core.pacing import LONGEST_FLIGHT
from data_fetch.core.ports import Clock
from data_fetch.sources.transport.file_windows import FileWindows
from data_fetch.sources.transport.pacing import Pacer
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS

ACCOUNT = "tests"


def file_pacer(
    folder: Path,
    clock: Clock,
    limits: Mapping[timedelta, int] = UPSTOX_LIMITS,
    flight: timedelta = LONGEST_FLIGHT,
    account: str = ACCOUNT,
) -> Pacer:
    """A pacer with the windows of *account* in a file in *folder*, on *clock*."""
    return Pacer(FileWindows(folder, clock), lambda: account, clock, limits, flight)
