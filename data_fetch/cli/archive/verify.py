"""`data-fetch archive verify`: the files of archived days, byte by byte."""

from datetime import datetime

import click

from data_fetch.cli.archive.options import DATASETS, DATE, days
from data_fetch.cli.shared.output import INCOMPLETE, counted, emit, json_option, print_out, remark
from data_fetch.core.archive.days import ArchivedFile, Dataset
from data_fetch.runtime.archive import archive_lifecycle_for
from data_fetch.runtime.settings import process_settings

FILES_PER_LINE = 500


@click.command()
@click.option("--from", "first", type=DATE, help="First day (IST). Default: the oldest one.")
@click.option("--to", "last", type=DATE, help="Last day, included.")
@click.option("--dataset", type=DATASETS, help="Only this dataset.")
@json_option
def command(
    first: datetime | None, last: datetime | None, dataset: str | None, as_json: bool
) -> None:
    """Check the bytes and rows of every file of the archive's sealed days.

    Exit status 3 when a file is gone, torn or changed; each is listed with what to do.
    """
    begin, end = days(first, last)
    datasets = [Dataset(dataset)] if dataset else list(Dataset)
    checked = _Progress()
    with archive_lifecycle_for(process_settings(), remark) as lifecycle:
        problems = lifecycle.verify(datasets, begin, end, checked)
    if as_json:
        emit({"checked_files": checked.files, "bad_files": [one.document() for one in problems]})
    else:
        for each in problems:
            print_out(str(each))
        state = f"{counted(len(problems), 'bad file')}" if problems else "all as they were written"
        print_out(f"{counted(checked.files, 'file')} checked: {state}.")
    if problems:
        raise SystemExit(INCOMPLETE)


class _Progress:
    """Counts files, and says so from time to time."""

    def __init__(self) -> None:
        self.files = 0

    def __call__(self, file: ArchivedFile) -> None:
        self.files += 1
        if self.files % FILES_PER_LINE == 0:
            remark(f"{self.files:,} files checked, up to {file.table_name} of {file.trading_date}")
