"""`data-fetch status`: what the store holds, and the last runs."""

from collections.abc import Iterator

import click

from data_fetch.cli.chain.status import chain_lines
from data_fetch.cli.shared.output import counted, emit, json_option, print_out
from data_fetch.cli.shared.run_lines import run_line
from data_fetch.cli.shared.unit_lines import unit_lines
from data_fetch.reading.alert_list import AlertList
from data_fetch.reading.feed_status import FeedSummary
from data_fetch.reading.instants import ist_text
from data_fetch.reading.status import StoreStatus, store_status
from data_fetch.reading.windows_status import WindowsStatus
from data_fetch.runtime.settings import process_settings

SHOWN_DISCONNECTS = 3
SHOWN_KEYS = 5


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Show the store, its last runs, and the symbols that keep failing."""
    found = store_status(process_settings())
    if as_json:
        emit(found.document())
    else:
        for line in lines(found):
            print_out(line)


def lines(found: StoreStatus) -> list[str]:
    slots = ", ".join(f"{count} {outcome}" for outcome, count in found.slots.items() if count)
    return [
        f"Store   {found.name}, {found.world} world",
        f"Layout  {found.layout.line}",
        f"State   {'degraded: ' + found.degraded if found.degraded else 'ok'}",
        *([] if found.token is None else [f"Token   {found.token.line}"]),
        *_readiness_lines(found),
        *_windows_lines(found.windows),
        *_alert_lines(found.alerts),
        _quote_line(found),
        _candle_line(found),
        *chain_lines(found.chains),
        _calendar_line(found),
        *unit_lines(found.units),
        *([] if found.feed is None else feed_lines(found.feed)),
        f"Slots   {slots or 'none yet: start collecting with data-fetch run'}",
        *(f"  {run_line(run)}" for run in found.runs),
        *(
            f"  {one.symbol:<12} {one.status}, {one.consecutive_failures} times in a row: "
            f"{one.error}"
            for one in found.failing
        ),
    ]


def _readiness_lines(found: StoreStatus) -> list[str]:
    run = found.readiness
    if run is None:
        return []
    return [f"Ready   {run.error or 'go'}, checked {ist_text(run.started_at)}"]


def feed_lines(feed: FeedSummary) -> Iterator[str]:
    """The state of the feed, its keys, those that it does not deliver, what was not read, and the
    intervals without it today."""
    yield f"Feed    {feed.state}: {feed.cause}"
    age = feed.tick_age
    ticks = "no tick yet" if age is None else f"last tick {age.total_seconds():.1f} s before that"
    yield f"        {feed.keys_line}; as of {ist_text(feed.report.at)}, {ticks}"
    for line in feed.undelivered(SHOWN_KEYS):
        yield f"        {line}"
    for line in feed.unread_lines:
        yield f"        {line}"
    recording = feed.report.recording
    if recording is not None:
        problem = f"; {recording.problem}" if recording.problem else ""
        minutes = counted(recording.files, "minute")
        yield f"        recorded {minutes}, {recording.failed:,} failed{problem}"
    for each in feed.disconnects[-SHOWN_DISCONNECTS:]:
        ended = ist_text(each.ended) or "now"
        yield f"        away from {ist_text(each.began)} to {ended}: {each.cause}"
    if len(feed.disconnects) > SHOWN_DISCONNECTS:
        yield f"        and {len(feed.disconnects) - SHOWN_DISCONNECTS} earlier times today"


def _alert_lines(alerts: AlertList) -> list[str]:
    """The open alerts, and the channels that do not accept messages; none in a healthy store."""
    names = ", ".join(f"{each.rule} ({each.subject})" for each in alerts.open)
    channels = {each.channel: each.error for each in alerts.unsent}
    return [
        *([f"Alerts  {len(alerts.open)} open: {names}: data-fetch alerts list"] if names else []),
        *(f"Alerts  {channel} accepts no message: {why}" for channel, why in channels.items()),
    ]


def _windows_lines(found: WindowsStatus) -> Iterator[str]:
    """The place of the rate windows, and what keeps requests back at present."""
    yield f"Budget  rate windows in {found.place}"
    if found.problem:
        yield f"        {found.problem}"
    if found.unknown_until:
        yield (
            f"Pause   no request before {ist_text(found.unknown_until)}: what was sent before is "
            "not known there"
        )
    for api, until in found.pauses.items():
        yield f"Pause   no request to {api} before {ist_text(until)}: the provider requires it"


def _quote_line(found: StoreStatus) -> str:
    held = found.quotes
    line = f"Quotes  {counted(held.rows, 'row')} of {counted(held.symbols, 'symbol')}"
    if not held.rows:
        return line
    return f"{line}, {ist_text(held.first_slot)} to {ist_text(held.last_slot)}"


def _calendar_line(found: StoreStatus) -> str:
    warning = found.calendar.warning
    return f"Calendar {found.calendar.line}{f': {warning}' if warning else ''}"


def _candle_line(found: StoreStatus) -> str:
    """The stored minutes, and those of the last day that a backfill can still fetch."""
    held = found.candles
    if held.last_day is None:
        return "Candles none yet: fetch some with data-fetch backfill, or start data-fetch run"
    return (
        f"Candles {held.candles:,} minutes of {held.first_day} to {held.last_day}, "
        f"{held.provisional:,} provisional; {found.candles_of_last_day.missed:,} missed on "
        f"{held.last_day}"
    )
