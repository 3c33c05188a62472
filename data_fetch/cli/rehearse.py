"""`data-fetch rehearse`: a whole trading day, as fast as the machine can."""

from datetime import datetime

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from data_fetch.cli.shared.output import INCOMPLETE, emit, json_option, print_out, remark
from data_fetch.runtime.settings import process_settings
from data_fetch.scheduling.rehearsal import Rehearsal, rehearse


@click.command()
@click.option(
    "--date",
    "day",
    type=click.DateTime(["%Y-%m-%d"]),
    required=True,
    help="A trading day, for example 2026-09-16.",
)
@json_option
def command(day: datetime, as_json: bool) -> None:
    """Drive the real scheduler and every job through DAY against the paper exchange.

    Without DATABASE_URL the rows go to a temporary store that is removed again.
    """
    settings = process_settings()
    progress = Progress(
        TextColumn("rehearsing {task.fields[day]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("slots"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not Console(stderr=True).is_terminal,
    )
    with progress:
        task = progress.add_task("slots", total=None, day=day.date())

        def advance(done: int, due: int) -> None:
            progress.update(task, completed=done, total=due)

        report = rehearse(settings, day.date(), advance)
    for text in report.remarks:
        remark(text)
    if as_json:
        emit(document(report))
    else:
        print_out(sentence(report))
    if report.slots_missed or report.tallies["missed_minutes"] or report.errors:
        raise SystemExit(INCOMPLETE)


def document(report: Rehearsal) -> dict[str, object]:
    return {
        "slots_due": report.slots_due,
        "slots_collected": report.slots_collected,
        "slots_missed": report.slots_missed,
        "rows": report.rows,
        "requests": report.requests,
        "errors": report.errors,
        "seconds": round(report.seconds, 1),
        "peak_memory_mb": report.peak_memory_mb,
        **report.tallies,
    }


def sentence(report: Rehearsal) -> str:
    count = report.tallies
    return (
        f"{report.day}: {report.slots_collected} of {report.slots_due} slots collected, "
        f"{report.slots_missed} missed, {report.rows} rows, {count['candles']} candles, "
        f"{count['missed_minutes']} minutes missed, {count['chain_snapshots']} chain snapshots "
        f"({count['chain_legs']} legs) in {count['chain_polls']} polls, "
        f"{report.requests} requests, {report.errors} errors, "
        f"{report.seconds:.1f} s, peak memory {report.peak_memory_mb} MB."
    )
