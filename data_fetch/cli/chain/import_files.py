"""`data-fetch chain import`: captured responses into the store."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from data_fetch.cli.chain.options import (
    INSTANT,
    date_given,
    table_expiry_option,
    table_symbol_option,
)
from data_fetch.cli.shared.output import INCOMPLETE, counted, emit, json_option, print_out, remark
from data_fetch.cli.shared.world_line import settings_to_store
from data_fetch.reading.captured_chains import captured_documents, table_subject
from data_fetch.runtime.chains import chain_import_for
from data_fetch.services.chain_import import ImportReport

SHOWN_REFUSALS = 10


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--at", type=INSTANT, help="Capture time, for documents without one.")
@table_symbol_option
@table_expiry_option
@json_option
def command(
    files: tuple[Path, ...],
    at: datetime | None,
    symbol: str | None,
    expiry: datetime | None,
    as_json: bool,
) -> None:
    """Store captured responses: single bodies, one document a line, archives, also gzipped.

    Of a damaged file the documents before the damage are stored. Storing them again changes
    nothing.
    Exit status 3 when a document was refused.
    """
    settings = settings_to_store()
    subject = table_subject(symbol, date_given(expiry))
    with chain_import_for(settings, remark) as importer:
        reports = [(file, importer.store(captured_documents(file), at, subject)) for file in files]
    if as_json:
        emit(document(reports))
    else:
        for file, report in reports:
            for line in lines(file, report):
                print_out(line)
    for text in dict.fromkeys(text for _, report in reports for text in report.remarks):
        remark(f"Remark: {text}")
    if any(report.refused for _, report in reports):
        raise SystemExit(INCOMPLETE)


def document(reports: Sequence[tuple[Path, ImportReport]]) -> dict[str, object]:
    def total(name: str) -> int:
        return sum(getattr(report, name) for _, report in reports)

    counts = ("documents", "snapshots", "confirmed", "repeated", "legs", "rejected")
    return {
        **{name: total(name) for name in counts},
        "refused": [
            {"file": str(file), "document": each.name, "fault": each.failure, "why": each.why}
            for file, report in reports
            for each in report.refused
        ],
        "remarks": list(dict.fromkeys(r for _, report in reports for r in report.remarks)),
    }


def lines(file: Path, report: ImportReport) -> list[str]:
    line = (
        f"{file.name}: {counted(report.documents, 'document')}, "
        f"{counted(report.snapshots, 'new snapshot')}, {report.confirmed:,} confirmed, "
        f"{report.repeated:,} stored before, {counted(report.legs, 'leg')}"
    )
    if report.rejected:
        line += f", {counted(report.rejected, 'rejected leg')}"
    refusals = [
        f"  {each.name}: {each.failure} ({each.why})" for each in report.refused[:SHOWN_REFUSALS]
    ]
    if len(report.refused) > SHOWN_REFUSALS:
        refusals.append(f"  and {len(report.refused) - SHOWN_REFUSALS} more refused")
    return [line, *refusals]
