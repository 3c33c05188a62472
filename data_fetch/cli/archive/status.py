"""`data-fetch archive status`: where the days of each dataset are."""

import click

from data_fetch.cli.shared.output import INCOMPLETE, counted, emit, json_option, print_out
from data_fetch.core.archive.days import DayState
from data_fetch.core.archive.lifecycle import Step
from data_fetch.reading.archive_status import ArchiveStatus, DatasetStatus, archive_status
from data_fetch.runtime.settings import process_settings

STATES = {
    DayState.ARCHIVED: "in files not compared yet",
    DayState.VERIFIED: "verified",
    DayState.DROPPED: "dropped, rows still being deleted",
    DayState.CLEARED: "dropped",
    DayState.RESTORING: "half restored",
    DayState.RESTORED: "restored",
}
DUE = {
    Step.SEAL: "to seal",
    Step.VERIFY: "to compare",
    Step.DROP: "to drop",
    Step.CLEAR: "to delete from the store",
    Step.RESTORE: "to restore",
}
GIGABYTE, MEGABYTE = 1e9, 1e6


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Show how many days are in the store, in files, and in files only, and what is due.

    Exit status 3 when a sealed file is gone, cut off or unreadable; each is listed with what to do.
    """
    status = archive_status(process_settings())
    if as_json:
        emit(status.document())
    else:
        _print(status)
    if status.damaged:
        raise SystemExit(INCOMPLETE)


def _print(status: ArchiveStatus) -> None:
    print_out(f"{status.folder}: {status.free_bytes / GIGABYTE:,.1f} GB free")
    for one in status.datasets:
        print_out(f"{one.dataset:<8} {_place(one)}")
        for line in _details(one):
            print_out(f"         {line}")
    last = status.last_run
    if last is None:
        print_out("No round has archived a day yet.")
    else:
        trouble = f" {last.error}" if last.error else ""
        print_out(f"last round: {last.outcome}.{trouble}")
    for problem in status.damaged:
        print_out(f"damaged: {problem}")
    if not status.enabled:
        print_out("ARCHIVE_ENABLED is false: nothing is archived unless you run the command.")


def _place(one: DatasetStatus) -> str:
    kept = f"kept {counted(one.hot_days, 'day')}" if one.hot_days else "kept for ever"
    since = f", the oldest {one.oldest_stored}" if one.oldest_stored else ""
    return f"{counted(one.stored, 'day')} in the store ({kept}{since})"


def _details(one: DatasetStatus) -> list[str]:
    lines = []
    if one.states:
        days = ", ".join(
            f"{one.states[state]:,} {text}" for state, text in STATES.items() if state in one.states
        )
        size = f"{one.rows:,} rows, {one.size_bytes / MEGABYTE:,.1f} MB"
        lines.append(f"{counted(sum(one.states.values()), 'day')} in files: {days}; {size}")
    if one.due:
        due = ", ".join(
            f"{one.due[step]:,} {text}" for step, text in DUE.items() if step in one.due
        )
        lines.append(f"next: {due}")
    return lines
