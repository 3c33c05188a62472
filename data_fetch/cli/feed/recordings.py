"""`data-fetch feed recordings`: the days that are recorded."""

import click

from data_fetch.cli.shared.output import INCOMPLETE, counted, emit, json_option, print_out, remark
from data_fetch.core.settings import Settings
from data_fetch.reading.feed_recordings import RecordedDay, recorded_feed_days
from data_fetch.runtime.settings import process_settings

MEGABYTE = 1e6


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List the recorded days with their minutes, messages and bytes, the oldest first.

    Every file is read. Exit status 3 when one of them is damaged.
    """
    settings = process_settings()
    days = recorded_feed_days(settings)
    if as_json:
        emit({"folder": str(settings.feed_folder), "days": [each.document() for each in days]})
    else:
        _print(settings, days)
    if any(each.damaged for each in days):
        raise SystemExit(INCOMPLETE)


def _print(settings: Settings, days: list[RecordedDay]) -> None:
    for each in days:
        size = f"{each.bytes / MEGABYTE:,.1f} MB"
        messages = counted(each.messages, "message")
        print_out(f"{each.day}  {counted(each.minutes, 'minute')}, {messages}, {size}")
        for file in each.damaged:
            remark(f"{file} is damaged: it ends where it cannot be read")
    if days:
        print_out(f"{counted(len(days), 'day')} in {settings.feed_folder}")
    else:
        print_out(f"No recording in {settings.feed_folder}.")
        remark("A collector records with FEED_ENABLED=true and FEED_RECORDING_DAYS.")
