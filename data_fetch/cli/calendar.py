"""`data-fetch calendar`: when the exchange trades, and asking the provider about it."""

from collections.abc import Iterable
from datetime import datetime

import click

from data_fetch.cli.shared.output import emit, ist_text, json_option, note, say
from data_fetch.core.clock import IST
from data_fetch.core.market.calendar import (
    F_AND_O_STOCK,
    FUTURES_AND_OPTIONS,
    INDEX,
    Segment,
    Session,
    Window,
    end_warning,
)
from data_fetch.runtime.settings import process_settings
from data_fetch.runtime.world import calendar_for, provider_for
from data_fetch.sources.upstox.market_info import Change, Kept, Refresh, refresh_calendar

TRADING_GROUPS = {
    Segment.CASH: F_AND_O_STOCK,
    Segment.FO: FUTURES_AND_OPTIONS,
    Segment.INDEX: INDEX,
}

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
            }
        )
    else:
        say(_sentence(session))
    if session.provisional:
        note(f"{session.day} is provisional: nobody has reviewed it.")


@command.command("next")
@segment_option
@json_option
def next_session(segment: str, as_json: bool) -> None:
    """When continuous trading begins next."""
    group = TRADING_GROUPS[Segment(segment)]
    with provider_for(process_settings()) as provider:
        calendar, now = provider.calendar, provider.clock.now()
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
        say(f"{ist_text(now)}: {segment} is {state}. It opens next at {ist_text(opens)}.")
        say(_sentence(session))


@command.command()
@json_option
def refresh(as_json: bool) -> None:
    """Add and amend by the provider's holidays and timings.

    An empty answer removes nothing. What it changes, and where the reviewed table or the
    override file is followed instead, is printed.
    """
    settings = process_settings()
    with provider_for(settings) as provider:
        today = provider.clock.now().astimezone(IST).date()
        result = refresh_calendar(
            provider.api, provider.calendar, settings.data_folder, settings.world, today
        )
    for reason in result.amendments.rejected:
        note(f"Set aside: {reason}")
    if as_json:
        emit(_document(result))
    else:
        _tell(result)
    warning = end_warning(provider.calendar, today)
    if warning:
        note(f"Note: {warning}")


def _document(result: Refresh) -> dict[str, object]:
    told = result.amendments.calendar
    return {
        "years": sorted(told.years),
        "days": len({day for day, _ in told.days}),
        "rejected": len(result.amendments.rejected),
        "changes": [_change_row(change) for change in result.changes],
        "kept": [_kept_row(kept) for kept in result.kept],
    }


def _change_row(change: Change) -> dict[str, object]:
    return {
        "date": change.day.isoformat(),
        "segment": str(change.segment),
        "before": None if change.before is None else _pairs(change.before),
        "after": _pairs(change.after),
        "note": change.note,
    }


def _kept_row(kept: Kept) -> dict[str, object]:
    return {
        "date": kept.session.day.isoformat(),
        "segment": str(kept.session.group.segment),
        "kept": _pairs(kept.session.windows),
        "told": _pairs(kept.told),
        "note": kept.session.note,
    }


def _tell(result: Refresh) -> None:
    told = result.amendments.calendar
    days, rejected = len({day for day, _ in told.days}), len(result.amendments.rejected)
    say(
        f"The provider spoke of {days} day(s): {len(result.changes)} session(s) changed, "
        f"{len(result.kept)} kept as they were, {rejected} row(s) set aside."
    )
    for change in result.changes:
        before = "unknown" if change.before is None else _words(change.before)
        say(f"  {change.day} {change.segment}: {before} -> {_words(change.after)}  {change.note}")
    for kept in result.kept:
        session = kept.session
        say(
            f"  {session.day} {session.group.segment}: kept {_words(session.windows)}, although "
            f"the provider says {_words(kept.told)}  {session.note}"
        )
    if result.kept:
        say("If the provider is right there, name the day in the calendar override file.")


def _sentence(session: Session) -> str:
    auction = f", closing auction {session.auction}" if session.auction else ""
    told = f"  ({session.note})" if session.note else ""
    return (
        f"{session.day:%a %Y-%m-%d} {session.group.segment}: {_words(session.windows)}{auction}, "
        f"{session.expected_minutes} minutes{told}"
    )


def _words(windows: Iterable[Window]) -> str:
    return " and ".join(map(str, windows)) or "closed"


def _pair(window: Window) -> list[str]:
    return [f"{window.start:%H:%M}", f"{window.end:%H:%M}"]


def _pairs(windows: Iterable[Window]) -> list[list[str]]:
    return [_pair(window) for window in windows]
