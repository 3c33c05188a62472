"""`data-fetch chain reprocess`: the tables rebuilt from the stored raw responses."""

from datetime import date, datetime

import click

from data_fetch.cli.shared.output import INCOMPLETE, counted, emit, json_option, print_out, remark
from data_fetch.cli.shared.world_line import settings_to_store
from data_fetch.core.settings import Settings
from data_fetch.runtime.chains import chain_reprocess_for
from data_fetch.runtime.units import reprocess_offered_to
from data_fetch.services.chain_reprocess import ReprocessReport

DATE = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.option("--from", "first", type=DATE, help="First day (IST). Default: the oldest one stored.")
@click.option("--to", "last", type=DATE, help="Last day, included.")
@click.option("--symbol", help="Only this underlying.")
@click.option("--source", type=click.Choice(["upstox", "nse"]), help="Only this source.")
@click.option("--distributed", is_flag=True, help="Leave it to `data-fetch worker`.")
@json_option
def command(
    first: datetime | None,
    last: datetime | None,
    symbol: str | None,
    source: str | None,
    distributed: bool,
    as_json: bool,
) -> None:
    """Parse the stored raw responses again and rewrite their chains, after a parser update.

    The times of receipt do not change. Exit status 3 when a response has no chain.
    """
    days = first.date() if first else date.min, last.date() if last else date.max
    settings = settings_to_store()
    if distributed:
        if source:
            raise click.UsageError("--distributed and --source exclude each other.")
        _leave_to_workers(settings, days, symbol, as_json)
        return
    with chain_reprocess_for(settings, remark) as (reprocess, raw_store):
        bodies = raw_store.raw_responses(
            *days, symbol.upper() if symbol else None, source, report=remark
        )
        report = reprocess.run(bodies)
    if as_json:
        emit(document(report))
    else:
        print_out(sentence(report))
    if report.failures:
        raise SystemExit(INCOMPLETE)


def _leave_to_workers(
    settings: Settings, days: tuple[date, date], symbol: str | None, as_json: bool
) -> None:
    # It takes longer to load than most commands take to run.
    from data_fetch.runtime.broker import queue_for

    queue = queue_for(settings)
    units = reprocess_offered_to(queue, settings, *days, symbol.upper() if symbol else None)
    if as_json:
        emit({"units": units})
    else:
        print_out(f"{counted(units, 'unit')} for workers. See: data-fetch status")


def document(report: ReprocessReport) -> dict[str, object]:
    return {
        "bodies": report.bodies,
        "renewed": report.renewed,
        "added": report.added,
        "unchanged": report.unchanged,
        "confirming": report.confirming,
        "faults": report.failures,
    }


def sentence(report: ReprocessReport) -> str:
    if not report.bodies:
        return "No raw responses of these days are stored (RAW_VAULT_DAYS sets for how long)."
    failures = ", ".join(f"{count} {failure}" for failure, count in sorted(report.failures.items()))
    return (
        f"{counted(report.bodies, 'raw response')}: {counted(report.renewed, 'snapshot')} "
        f"rewritten, {report.unchanged:,} unchanged, {report.added:,} added, "
        f"{counted(report.confirming, 'confirmation')}"
        f"{f'; without a chain: {failures}' if failures else ''}."
    )
