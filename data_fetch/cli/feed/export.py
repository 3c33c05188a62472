"""`data-fetch feed export`: the ticks of a recording as Parquet files."""

from pathlib import Path

import click

from data_fetch.archive.tick_files import write_ticks
from data_fetch.cli.shared.output import INCOMPLETE, counted, emit, json_option, print_out, remark
from data_fetch.reading.feed_recordings import recorded_ticks
from data_fetch.runtime.settings import process_settings


@click.command()
@click.argument("place", metavar="DAY|FOLDER|FILE")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@json_option
def command(place: str, folder: Path, as_json: bool) -> None:
    """Write the ticks of a recording into FOLDER, in Parquet, a file for each minute.

    The recording is named as for `feed replay`. Files with ticks of the same minutes are replaced,
    other files are not. Exit status 3 when a file of the recording is damaged.
    """
    recorded = recorded_ticks(process_settings(), place)
    files = list(write_ticks(recorded.ticks, folder))
    ticks = sum(each.ticks for each in files)
    if as_json:
        damaged = [str(each) for each in recorded.damaged]
        emit({"folder": str(folder), "files": len(files), "ticks": ticks, "damaged_files": damaged})
    else:
        print_out(f"{counted(ticks, 'tick')} in {counted(len(files), 'file')} in {folder}")
        for file in recorded.damaged:
            remark(f"{file} is damaged: it ends where it cannot be read")
    if recorded.damaged:
        raise SystemExit(INCOMPLETE)
