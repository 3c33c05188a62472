"""`data-fetch archive restore`: days back from their files into the store."""

from datetime import datetime

import click

from data_fetch.cli.archive.options import DATASETS, DATE, days
from data_fetch.cli.shared.output import counted, emit, json_option, print_out, remark
from data_fetch.core.archive.days import Dataset
from data_fetch.runtime.archive import archive_lifecycle_for
from data_fetch.runtime.settings import process_settings


@click.command()
@click.option("--dataset", type=DATASETS, required=True, help="What to bring back.")
@click.option("--from", "first", type=DATE, required=True, help="First day (IST).")
@click.option("--to", "last", type=DATE, required=True, help="Last day, included.")
@json_option
def command(dataset: str, first: datetime, last: datetime, as_json: bool) -> None:
    """Load dropped days from their files into the store, and compare them.

    They stay for another hot window (HOT_CHAIN_DAYS, HOT_QUOTE_DAYS, HOT_CANDLE_DAYS). May be
    interrupted and repeated; a collector may run meanwhile.
    """
    begin, end = days(first, last)
    with archive_lifecycle_for(process_settings(), remark) as lifecycle:
        restored = lifecycle.restore(Dataset(dataset), begin, end)
    if as_json:
        emit({"dataset": dataset, "restored": [day.isoformat() for day in restored]})
    elif restored:
        print_out(f"{counted(len(restored), 'day')} of {dataset} restored.")
    else:
        print_out(f"No day of {dataset} from {begin} to {end} is in files only: nothing to do.")
