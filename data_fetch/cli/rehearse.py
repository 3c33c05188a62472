"""`data-fetch rehearse`: whole trading days, as fast as the machine can."""

from datetime import date, datetime

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from data_fetch.cli.shared.output import INCOMPLETE, emit, json_option, print_out, remark
from data_fetch.runtime.settings import process_settings
from data_fetch.scheduling.rehearsal import Rehearsal, rehearse

DATE = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.option("--date", "day", type=DATE, help="A trading day, for example 2026-09-16.")
@click.option("--from", "first", type=DATE, help="The first of several days, with --to.")
@click.option("--to", "last", type=DATE, help="The last of several days, with --from.")
@json_option
def command(
    day: datetime | None, first: datetime | None, last: datetime | None, as_json: bool
) -> None:
    """Drive the real scheduler and every job through trading days against the paper exchange.

    Without DATABASE_URL the rows go to a temporary store that is removed again.
    """
    begin, end = _days(day, first, last)
    settings = process_settings()
    remark("World     paper (invented prices): a rehearsal runs on a paper exchange of its own")
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
        task = progress.add_task("slots", total=None, day=_named(begin, end))

        def advance(done: int, due: int) -> None:
            progress.update(task, completed=done, total=due)

        report = rehearse(settings, begin, end, advance)
    for text in report.remarks:
        remark(text)
    if as_json:
        emit(document(report))
    else:
        print_out(sentence(report))
    missing = report.slots_missed or report.tallies["missed_minutes"]
    if missing or report.unexplained_minutes or report.errors:
        raise SystemExit(INCOMPLETE)


def _days(day: datetime | None, first: datetime | None, last: datetime | None) -> tuple[date, date]:
    if day is not None and first is None and last is None:
        return day.date(), day.date()
    if day is None and first is not None and last is not None and first <= last:
        return first.date(), last.date()
    raise click.UsageError("Name a day with --date, or several with --from and a later --to.")


def _named(first: date, last: date) -> str:
    return str(first) if first == last else f"{first} to {last}"


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
        "unexplained_minutes": report.unexplained_minutes,
    }


def sentence(report: Rehearsal) -> str:
    count, days = report.tallies, _named(report.first, report.last)
    return (
        f"{days}: {report.slots_collected} of {report.slots_due} slots collected, "
        f"{report.slots_missed} missed, {report.rows} rows, {count['candles']} candles, "
        f"{count['missed_minutes']} minutes missed, {report.unexplained_minutes} unexplained, "
        f"{count['chain_snapshots']} chain snapshots "
        f"({count['chain_legs']} legs) in {count['chain_polls']} polls, "
        f"{report.requests} requests, {report.errors} errors, "
        f"{report.seconds:.1f} s, peak memory {report.peak_memory_mb} MB."
    )
