"""Checks of the set-up that ask no provider, each problem with its fix."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from data_fetch.core.errors import DataFetchError, OutsideError
from data_fetch.core.runs import Outcome
from data_fetch.core.settings import Settings
from data_fetch.reading.calendar_status import calendar_status
from data_fetch.reading.instants import ist_text
from data_fetch.reading.layout_status import CONVERT, configured_layout
from data_fetch.reading.readiness import recorded_readiness
from data_fetch.reading.token_status import token_status
from data_fetch.reading.windows_status import windows_status
from data_fetch.runtime.provider_token import NOT_NEEDED
from data_fetch.runtime.stores import degraded_reason
from data_fetch.sources.upstox.token import RENEW

LOW_DISK_BYTES = 2_000_000_000
ENDS_SOON = timedelta(hours=12)


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check; *hint* is the fix when it is not `ok`. *outside*: a provider or a
    database failed."""

    name: str
    state: State
    message: str
    hint: str = ""
    outside: bool = False


def local_checks(settings: Settings) -> Iterator[Check]:
    """What can be said of the set-up without a request to a provider."""
    yield settings_check(settings)
    checks: dict[str, Callable[[Settings], Check]] = {
        "token": token_expiry_check,
        "database": stand_in_check,
        "budget": windows_check,
        "layout": layout_check,
        "calendar": calendar_check,
        "disk": disk_check,
        "readiness": readiness_check,
    }
    for name, check in checks.items():
        yield checked(name, check, settings)


def checked(name: str, check: Callable[[Settings], Check], settings: Settings) -> Check:
    """The result of *check*; its error as a failure."""
    try:
        return check(settings)
    except DataFetchError as problem:
        outside = isinstance(problem, OutsideError)
        return Check(name, State.FAILED, problem.message, problem.hint, outside)


def settings_check(settings: Settings) -> Check:
    message = f"world {settings.world}, source {settings.data_source}, folder {settings.folder}"
    if settings.warnings:
        return Check(
            "settings",
            State.WARNING,
            f"{message}; {'; '.join(settings.warnings)}",
            "Correct the names in .env or in the environment, or remove them.",
        )
    if settings.ignored_mongo_name is None:
        return Check("settings", State.OK, message)
    return Check(
        "settings",
        State.WARNING,
        f"{message}; {settings.ignored_mongo_name} is set, but the store is SQL",
        "Import old rows as docs/howto/coming-from-the-scripts.md shows, then unset it.",
    )


def token_expiry_check(settings: Settings) -> Check:
    """When the access token ends, without trying it."""
    found = token_status(settings)
    if found is None:
        return Check("token", State.OK, NOT_NEEDED)
    if found.kind is None:
        return Check("token", State.FAILED, found.line, f"{RENEW}.")
    if found.left is None:
        return Check("token", State.OK, f"{found.line}; data-fetch doctor tries it")
    if found.left <= timedelta(0):
        return Check("token", State.FAILED, found.line, f"{RENEW}.")
    if found.left < ENDS_SOON:
        return Check("token", State.WARNING, found.line, f"{RENEW}.")
    return Check("token", State.OK, found.line)


def readiness_check(settings: Settings) -> Check:
    """Go or no-go, as it was recorded before the open of today."""
    run = recorded_readiness(settings)
    if run is None:
        return Check("readiness", State.OK, "not checked yet today: a collector does so at 08:55")
    message = f"checked {ist_text(run.started_at)}: {run.error or 'go'}"
    if run.outcome is Outcome.COMPLETED:
        return Check("readiness", State.OK, message)
    return Check("readiness", State.FAILED, message, "Try again: data-fetch ready")


def stand_in_check(settings: Settings) -> Check:
    """Whether rows wait to be brought over to the configured database."""
    degraded = degraded_reason(settings)
    if degraded is None:
        return Check("database", State.OK, "no rows wait in the store that stands in")
    return Check("database", State.WARNING, "rows wait to be brought over", degraded)


def windows_check(settings: Settings) -> Check:
    """Whether the place of the rate windows answers, and knows what was sent."""
    found = windows_status(settings)
    message = f"rate windows in {found.place}"
    if found.problem:
        return Check("budget", State.FAILED, message, found.problem, outside=True)
    if found.unknown_until:
        return Check(
            "budget",
            State.WARNING,
            f"{message}; nothing is sent before {ist_text(found.unknown_until)}",
            "What was sent before is not known there. It goes on by itself then.",
        )
    return Check("budget", State.OK, message)


def layout_check(settings: Settings) -> Check:
    found = configured_layout(settings)
    if found.is_dated:
        return Check("layout", State.WARNING, found.line, CONVERT)
    return Check("layout", State.OK, found.line)


def calendar_check(settings: Settings) -> Check:
    calendar = calendar_status(settings)
    if calendar.warning is None:
        return Check("calendar", State.OK, calendar.line)
    return Check(
        "calendar",
        State.WARNING,
        f"{calendar.line}: {calendar.warning}",
        "A running collector refreshes it each morning; by hand: data-fetch calendar refresh",
    )


def disk_check(settings: Settings) -> Check:
    folder = next(p for p in (settings.data_folder, settings.folder, Path("/")) if p.is_dir())
    free = shutil.disk_usage(folder).free
    message = f"{free / 1e9:.0f} GB free in {folder}"
    if free > LOW_DISK_BYTES:
        return Check("disk", State.OK, message)
    return Check("disk", State.WARNING, message, "A year of minutes takes about 2 GB: make room.")
