"""`data-fetch doctor`: checks of the set-up, each problem with its fix."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path

import click
import urllib3

from data_fetch.cli.shared.calendar_lines import calendar_line
from data_fetch.cli.shared.layout_line import CONVERT, layout_line
from data_fetch.cli.shared.output import (
    REFUSED,
    WRONG_USE,
    counted,
    emit,
    json_option,
    print_out,
)
from data_fetch.core.clock import SystemClock
from data_fetch.core.errors import DataFetchError, OutsideError, SettingsInvalid
from data_fetch.core.settings import UPSTOX_URL, Settings
from data_fetch.core.world import World
from data_fetch.reading.calendar_status import calendar_status
from data_fetch.reading.instants import ist_text
from data_fetch.reading.layout_status import configured_layout
from data_fetch.runtime.settings import process_settings
from data_fetch.runtime.stores import degraded_reason, store_for
from data_fetch.runtime.world import master_for, provider_for

LOW_DISK_BYTES = 2_000_000_000
TOLERATED_SKEW = timedelta(seconds=2)


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check; *hint* is the fix when it is not `ok`."""

    name: str
    state: State
    message: str
    hint: str = ""
    status: int = 0


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Check settings, token, database, layout, master, calendar, disk and clock."""
    checks = list(examine())
    failed = [check for check in checks if check.state is State.FAILED]
    if as_json:
        emit(
            {
                "ok": not failed,
                "checks": [
                    {"name": c.name, "state": str(c.state), "message": c.message, "hint": c.hint}
                    for c in checks
                ],
            }
        )
    else:
        for check in checks:
            print_out(f"{check.state:<8} {check.name:<9} {check.message}")
            if check.hint:
                print_out(f"{'':<18} -> {check.hint}")
        print_out(verdict(checks))
    if failed:
        raise SystemExit(min(check.status for check in failed))


def verdict(checks: Sequence[Check]) -> str:
    """The last line: how many checks failed or warn."""
    counts = Counter(check.state for check in checks)
    if counts[State.FAILED]:
        return f"{counts[State.FAILED]} of {len(checks)} checks failed."
    if counts[State.WARNING]:
        return f"Everything needed is in place; {counted(counts[State.WARNING], 'warning')}."
    return "Everything is in place."


def examine() -> Iterator[Check]:
    """Run every check, in the order in which they depend on each other."""
    try:
        settings = process_settings()
    except SettingsInvalid as problem:
        hint = "Fix them in .env or in the environment."
        yield Check("settings", State.FAILED, "; ".join(problem.problems), hint, WRONG_USE)
        return
    yield _settings(settings)
    checks: dict[str, Callable[[Settings], Check]] = {
        "token": _token,
        "database": _database,
        "layout": _layout,
        "master": _master,
        "calendar": _calendar,
        "disk": _disk,
        "clock": _clock,
    }
    for name, check in checks.items():
        try:
            yield check(settings)
        except DataFetchError as problem:
            yield _failure(name, problem)


def _failure(name: str, problem: DataFetchError) -> Check:
    status = REFUSED if isinstance(problem, OutsideError) else WRONG_USE
    return Check(name, State.FAILED, problem.message, problem.hint, status)


def _settings(settings: Settings) -> Check:
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


def _token(settings: Settings) -> Check:
    if settings.world is World.PAPER:
        return Check("token", State.OK, "none needed on the paper exchange")
    with provider_for(settings) as provider:
        provider.api.market_status("NSE")
        expires = provider.token.expires_at()
    message = (
        f"accepted; expires {ist_text(expires)}" if expires else "accepted; its expiry is not known"
    )
    if settings.token_in_environment:
        return Check(
            "token",
            State.WARNING,
            f"{message}; it is set in the process environment",
            "Put it into .env instead, so that it can be renewed without a restart.",
        )
    return Check("token", State.OK, message)


def _database(settings: Settings) -> Check:
    store = store_for(settings)
    store.try_writing()
    degraded = degraded_reason(settings)
    if degraded is None:
        return Check("database", State.OK, f"{store.name} answers, schema up to date")
    return Check(
        "database",
        State.WARNING,
        f"{store.name} answers, but rows wait to be brought over",
        degraded,
    )


def _layout(settings: Settings) -> Check:
    found = configured_layout(settings)
    if found.is_dated:
        return Check("layout", State.WARNING, layout_line(found), CONVERT)
    return Check("layout", State.OK, layout_line(found))


def _master(settings: Settings) -> Check:
    with master_for(settings) as source:
        master = source.today()
    message = f"{master.instruments} instruments, as of {master.as_of}"
    if master.warning is None:
        return Check("master", State.OK, message)
    return Check("master", State.WARNING, message, master.warning)


def _calendar(settings: Settings) -> Check:
    calendar = calendar_status(settings)
    if calendar.warning is None:
        return Check("calendar", State.OK, calendar_line(calendar))
    return Check(
        "calendar",
        State.WARNING,
        f"{calendar_line(calendar)}: {calendar.warning}",
        "A running collector refreshes it each morning; by hand: data-fetch calendar refresh",
    )


def _disk(settings: Settings) -> Check:
    folder = next(p for p in (settings.data_folder, settings.folder, Path("/")) if p.is_dir())
    free = shutil.disk_usage(folder).free
    message = f"{free / 1e9:.0f} GB free in {folder}"
    if free > LOW_DISK_BYTES:
        return Check("disk", State.OK, message)
    return Check("disk", State.WARNING, message, "A year of minutes takes about 2 GB: make room.")


def _clock(settings: Settings) -> Check:
    """Compare with the Date header of the provider, which is exact to a second."""
    if settings.world is World.PAPER:
        return Check("clock", State.OK, "the paper exchange's clock is used")
    before = SystemClock().now()
    try:
        response = urllib3.request(
            "HEAD",
            settings.base_url or UPSTOX_URL,
            timeout=urllib3.Timeout(connect=5, read=5),
            retries=False,
        )
        skew = before - parsedate_to_datetime(response.headers["Date"])
    except (urllib3.exceptions.HTTPError, KeyError, TypeError, ValueError) as problem:
        message = f"cannot be compared with the provider's ({type(problem).__name__})"
        return Check("clock", State.WARNING, message, "Check that time synchronisation is on.")
    if abs(skew) <= TOLERATED_SKEW:
        return Check("clock", State.OK, "within two seconds of the provider's")
    return Check(
        "clock",
        State.FAILED,
        f"differs from the provider's by {skew.total_seconds():+.0f} s",
        "Switch time synchronisation on (timedatectl set-ntp true): slots are minutes.",
        WRONG_USE,
    )
