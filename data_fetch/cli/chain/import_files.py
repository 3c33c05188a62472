"""`data-fetch chain import`: captured responses into the store."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from data_fetch.cli.chain.options import INSTANT
from data_fetch.cli.shared.output import INCOMPLETE, counted, emit, json_option, note, say
from data_fetch.runtime.chains import chain_import_for
from data_fetch.runtime.settings import process_settings
from data_fetch.services.chain_import import ImportReport
from data_fetch.sources.captured_chains import documents_in

SHOWN_REFUSALS = 10


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--at", type=INSTANT, help="When they were captured, where they do not say.")
@json_option
def command(files: tuple[Path, ...], at: datetime | None, as_json: bool) -> None:
    """Store captured responses: single bodies, one document a line, archives, also gzipped.

    Of a damaged file what comes before the damage is stored. Storing them again changes nothing.
    Exit status 3 when a document was refused.
    """
    settings = process_settings()
    with chain_import_for(settings) as importer:
        reports = [(file, importer.store(documents_in(file), at)) for file in files]
    if as_json:
        emit(document(reports))
    else:
        for file, report in reports:
            for line in lines(file, report):
                say(line)
    for remark in dict.fromkeys(remark for _, report in reports for remark in report.remarks):
        note(f"Remark: {remark}")
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
    told = (
        f"{file.name}: {counted(report.documents, 'document')}, "
        f"{counted(report.snapshots, 'new snapshot')}, {report.confirmed:,} confirmed, "
        f"{report.repeated:,} stored before, {counted(report.legs, 'leg')}"
    )
    if report.rejected:
        told += f", {report.rejected} set aside"
    refusals = [
        f"  {each.name}: {each.failure} ({each.why})" for each in report.refused[:SHOWN_REFUSALS]
    ]
    if len(report.refused) > SHOWN_REFUSALS:
        refusals.append(f"  and {len(report.refused) - SHOWN_REFUSALS} more refused")
    return [told, *refusals]
