"""`data-fetch calendar`: trading hours, and their update from the provider."""

from collections.abc import Iterable
from datetime import datetime
from threading import Event

import click

from data_fetch.cli.shared.output import counted, emit, json_option, print_out, remark
from data_fetch.cli.shared.world_line import settings_to_store
from data_fetch.core.clock import IST
from data_fetch.core.market.calendar import (
    Segment,
    Session,
    TradingWindow,
    unlisted_warning,
)
from data_fetch.core.market.provider import PublishedCalendar
from data_fetch.reading.calendar_days import TRADING_GROUPS
from data_fetch.reading.instants import ist_text
from data_fetch.reading.records import clock_of
from data_fetch.runtime.calendars import calendar_for
from data_fetch.runtime.settings import process_settings
from data_fetch.services.calendar_refresh import (
    Change,
    Conflict,
    Refresh,
    hours_text,
    refresh_calendar,
)

segment_option = click.option(
    "--segment",
    type=click.Choice([str(segment) for segment in Segment]),
    default=str(Segment.CASH),
    show_default=True,
    help="cash (an F&O stock), fo (its futures and options) or index.",
)


@click.group()
def command() -> None:
    """When the exchange trades. All times are IST."""


@command.command()
@click.argument("day", metavar="DATE", type=click.DateTime(["%Y-%m-%d"]))
@segment_option
@json_option
def show(day: datetime, segment: str, as_json: bool) -> None:
    """The trading windows of DATE (2026-09-16)."""
    calendar = calendar_for(process_settings())
    session = calendar.session(day.date(), TRADING_GROUPS[Segment(segment)])
    if as_json:
        emit(
            {
                "date": session.day.isoformat(),
                "segment": segment,
                "open": session.open,
                "windows": _pairs(session.windows),
                "auction": None if session.auction is None else _pair(session.auction),
                "expected_minutes": session.expected_minutes,
                "note": session.note,
                "provisional": session.provisional,
            }
        )
    else:
        print_out(_sentence(session))
    if session.provisional:
        remark(f"{session.day} is provisional: its hours are not reviewed.")


@command.command("next")
@segment_option
@json_option
def next_session(segment: str, as_json: bool) -> None:
    """When continuous trading begins next."""
    group = TRADING_GROUPS[Segment(segment)]
    settings = process_settings()
    calendar, now = calendar_for(settings), clock_of(settings).now()
    opens = calendar.next_open(now, group)
    session = calendar.session(opens.astimezone(IST).date(), group)
    open_now = calendar.is_open(now, group)
    if as_json:
        emit(
            {
                "segment": segment,
                "now": ist_text(now),
                "open_now": open_now,
                "next_open": ist_text(opens),
                "windows": _pairs(session.windows),
                "note": session.note,
            }
        )
    else:
        state = "open" if open_now else "closed"
        print_out(f"{ist_text(now)}: {segment} is {state}. It opens next at {ist_text(opens)}.")
        print_out(_sentence(session))


@command.command()
@json_option
def refresh(as_json: bool) -> None:
    """Update the calendar with the provider's holidays and timings.

    An empty response removes nothing. The command prints what changes, and where the reviewed
    table or the override file is followed instead.
    """
    # Only this command of the group needs a provider, which takes a second to load.
    from data_fetch.runtime.world import provider_for

    settings = settings_to_store()
    with provider_for(settings) as provider:
        now = provider.clock.now()
        result = refresh_calendar(
            provider.sources.calendars(),
            provider.calendar,
            settings.data_folder,
            settings.world,
            now,
            Event(),
        )
    if result.problem is not None:
        remark(f"Warning: the calendar is that of {result.published.source}: {result.problem}")
    for reason in result.published.rejected:
        remark(f"Rejected: {reason}")
    if as_json:
        emit(_document(result))
    else:
        _print_result(result)
    warning = unlisted_warning(result.calendar, now.astimezone(IST).date())
    if warning:
        remark(f"Note: {warning}")


def _document(result: Refresh) -> dict[str, object]:
    published = result.published
    return {
        "source": published.source,
        "years": sorted(published.calendar.years),
        "days": _days(published),
        "rejected": len(published.rejected),
        "changes": [_change_row(change) for change in result.changes],
        "kept": [_kept_row(kept) for kept in result.conflicts],
    }


def _days(published: PublishedCalendar) -> int:
    return len({day for day, _, _ in published.calendar.days()})


def _change_row(change: Change) -> dict[str, object]:
    return {
        "date": change.day.isoformat(),
        "segment": str(change.segment),
        "before": None if change.before is None else _pairs(change.before),
        "after": _pairs(change.after),
        "note": change.note,
    }


def _kept_row(kept: Conflict) -> dict[str, object]:
    return {
        "date": kept.session.day.isoformat(),
        "segment": str(kept.session.group.segment),
        "kept": _pairs(kept.session.windows),
        "provider": _pairs(kept.provider_windows),
        "note": kept.session.note,
    }


def _print_result(result: Refresh) -> None:
    days, rejected = _days(result.published), len(result.published.rejected)
    print_out(
        f"The provider reported {counted(days, 'day')}: "
        f"{counted(len(result.changes), 'session')} changed, {len(result.conflicts)} unchanged "
        f"against it, {counted(rejected, 'row')} rejected."
    )
    for change in result.changes:
        before = "unknown" if change.before is None else hours_text(change.before)
        after = f"{hours_text(change.after)}  {change.note}"
        print_out(f"  {change.day} {change.segment}: {before} -> {after}")
    for kept in result.conflicts:
        session = kept.session
        stays = f"stays {hours_text(session.windows)}, although the provider reports"
        print_out(
            f"  {session.day} {session.group.segment}: {stays} "
            f"{hours_text(kept.provider_windows)}  {session.note}"
        )
    if result.conflicts:
        print_out("If the provider is right, name the day in the calendar override file.")


def _sentence(session: Session) -> str:
    auction = f", closing auction {session.auction}" if session.auction else ""
    reason = f"  ({session.note})" if session.note else ""
    hours = f"{hours_text(session.windows)}{auction}, {session.expected_minutes} minutes"
    return f"{session.day:%a %Y-%m-%d} {session.group.segment}: {hours}{reason}"


def _pair(window: TradingWindow) -> list[str]:
    return [f"{window.start:%H:%M}", f"{window.end:%H:%M}"]


def _pairs(windows: Iterable[TradingWindow]) -> list[list[str]]:
    return [_pair(window) for window in windows]
