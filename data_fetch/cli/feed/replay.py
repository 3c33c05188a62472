"""`data-fetch feed replay`: what a recording contains."""

import click

from data_fetch.cli.shared.output import INCOMPLETE, counted, emit, json_option, print_out, remark
from data_fetch.reading.feed_recordings import ReplayedRecording, replayed_recording
from data_fetch.reading.instants import exact_text
from data_fetch.runtime.settings import process_settings


@click.command()
@click.argument("place", metavar="DAY|FOLDER|FILE")
@json_option
def command(place: str, as_json: bool) -> None:
    """Read a recording again: its messages, its ticks, and their digest.

    A recorded day (YYYY-MM-DD), a folder with recordings, or one file, also of `data-fetch
    paper-exchange --record-feed`. Exit status 3 when a file is damaged.
    """
    found = replayed_recording(process_settings(), place)
    if as_json:
        emit(found.document())
    else:
        _print(found)
    if found.damaged:
        raise SystemExit(INCOMPLETE)


def _print(found: ReplayedRecording) -> None:
    messages = found.messages
    print_out(
        f"Messages  {messages.messages:,} with {messages.bytes:,} bytes in "
        f"{counted(len(found.files), 'file')}: {messages.junk:,} cannot be read, "
        f"{messages.refusals:,} in text"
    )
    print_out(f"Ticks     {found.ticks.ticks:,} of {counted(len(found.by_key), 'key')}")
    if found.first is not None:
        print_out(f"Received  {exact_text(found.first)} to {exact_text(found.last)}")
    dropped = ", ".join(f"{number:,} {name}" for name, number in found.dropped.items() if number)
    if dropped:
        print_out(f"Dropped   {dropped.replace('_', ' ')}")
    print_out(f"Digest    {found.digest}")
    for file in found.damaged:
        remark(f"{file} is damaged: it ends where it cannot be read")
