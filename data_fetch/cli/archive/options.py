"""Options of the archive's commands: which dataset, which days."""

from datetime import date, datetime

import click

from data_fetch.core.archive.days import Dataset

DATE = click.DateTime(["%Y-%m-%d"])
DATASETS = click.Choice([dataset.value for dataset in Dataset])


def days(first: datetime | None, last: datetime | None) -> tuple[date, date]:
    """The days of two options; without one, the first or the last there is."""
    span = first.date() if first else date.min, last.date() if last else date.max
    if span[0] > span[1]:
        raise click.UsageError("--from is later than --to")
    return span
