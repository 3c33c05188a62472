"""`data-fetch chain rederive`: the tables worked out again from the raw vault."""

from datetime import date, datetime

import click

from data_fetch.cli.shared.output import INCOMPLETE, counted, emit, json_option, note, say
from data_fetch.runtime.chains import chain_reprocess_for
from data_fetch.runtime.settings import process_settings
from data_fetch.services.chain_reprocess import ReprocessReport

DATE = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.option("--from", "first", type=DATE, help="First day (IST). Default: all that is kept.")
@click.option("--to", "last", type=DATE, help="Last day, included.")
@click.option("--symbol", help="Only this underlying.")
@click.option("--source", type=click.Choice(["upstox", "nse"]), help="Only this source.")
@json_option
def command(
    first: datetime | None,
    last: datetime | None,
    symbol: str | None,
    source: str | None,
    as_json: bool,
) -> None:
    """Read the kept answers again and write what they tell: after an update that reads more.

    When they were received stays as it is. Exit status 3 when an answer holds no chain.
    """
    days = first.date() if first else date.min, last.date() if last else date.max
    with chain_reprocess_for(process_settings()) as (reprocess, raw_store):
        bodies = raw_store.raw_responses(
            *days, symbol.upper() if symbol else None, source, tell=note
        )
        report = reprocess.run(bodies)
    if as_json:
        emit(document(report))
    else:
        say(sentence(report))
    if report.failures:
        raise SystemExit(INCOMPLETE)


def document(report: ReprocessReport) -> dict[str, object]:
    return {
        "bodies": report.bodies,
        "renewed": report.renewed,
        "added": report.added,
        "confirming": report.confirming,
        "faults": report.failures,
    }


def sentence(report: ReprocessReport) -> str:
    if not report.bodies:
        return "The vault holds no answers of these days (RAW_VAULT_DAYS says how long they stay)."
    failures = ", ".join(f"{count} {failure}" for failure, count in sorted(report.failures.items()))
    return (
        f"{counted(report.bodies, 'kept answer')}: {counted(report.renewed, 'snapshot')} written "
        f"anew, {report.added:,} that had not been there, {report.confirming:,} told nothing new"
        f"{f'; no chain in: {failures}' if failures else ''}."
    )
