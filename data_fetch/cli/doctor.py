"""`data-fetch doctor`: checks of the set-up, each problem with its fix."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from email.utils import parsedate_to_datetime

import click
import urllib3

from data_fetch.cli.shared.output import (
    REFUSED,
    WRONG_USE,
    counted,
    emit,
    json_option,
    print_out,
)
from data_fetch.core.clock import SystemClock
from data_fetch.core.errors import SettingsInvalid
from data_fetch.core.ports import Lane
from data_fetch.core.provider_tokens import TokenOrigin
from data_fetch.core.settings import UPSTOX_URL, Settings
from data_fetch.core.world import World
from data_fetch.reading.setup_checks import (
    Check,
    State,
    calendar_check,
    checked,
    disk_check,
    layout_check,
    settings_check,
    windows_check,
)
from data_fetch.reading.token_status import token_status
from data_fetch.runtime.provider_token import NOT_NEEDED
from data_fetch.runtime.settings import process_settings
from data_fetch.runtime.stores import degraded_reason, store_for
from data_fetch.runtime.world import master_for, provider_for

TOLERATED_SKEW = timedelta(seconds=2)


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Check settings, token, database, budget, layout, master, calendar, disk and clock."""
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
        # A provider or a database that failed is another status than what is to be corrected here.
        raise SystemExit(min(REFUSED if check.outside else WRONG_USE for check in failed))


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
        yield Check("settings", State.FAILED, "; ".join(problem.problems), hint)
        return
    yield settings_check(settings)
    checks: dict[str, Callable[[Settings], Check]] = {
        "token": _token,
        "database": _database,
        "budget": windows_check,
        "layout": layout_check,
        "master": _master,
        "calendar": calendar_check,
        "disk": disk_check,
        "clock": _clock,
    }
    for name, check in checks.items():
        yield checked(name, check, settings)


def _token(settings: Settings) -> Check:
    found = token_status(settings)
    if found is None:
        return Check("token", State.OK, NOT_NEEDED)
    with provider_for(settings) as provider:
        provider.api.market_status("NSE", provider.api.context(Lane.LIVE))
    message = f"accepted; {found.line}"
    if found.origin is TokenOrigin.ENVIRONMENT:
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


def _master(settings: Settings) -> Check:
    with master_for(settings) as source:
        master = source.today()
    message = f"{master.instruments} instruments, as of {master.as_of}"
    if master.warning is None:
        return Check("master", State.OK, message)
    return Check("master", State.WARNING, message, master.warning)


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
    )
