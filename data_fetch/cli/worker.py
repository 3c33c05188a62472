"""`data-fetch worker`: do units of work from the broker."""

import click

from data_fetch.cli.shared.output import counted, print_out, remark
from data_fetch.cli.shared.unit_lines import result_line
from data_fetch.cli.shared.world_line import settings_to_store
from data_fetch.runtime.service_manager import READY, notify, status


@click.command()
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that each do one unit at a time.",
)
def command(concurrency: int) -> None:
    """Do the units of `data-fetch run --distributed` until Ctrl-C or SIGTERM; running units are
    finished.

    Needs CELERY_BROKER_URL, and the store of the collector in DATABASE_URL. Any number of workers,
    on any machine, share the work.
    """
    # It takes longer to load than most commands take to run.
    from data_fetch.workers.app import run_worker

    settings = settings_to_store()

    def ready() -> None:
        at_once = counted(concurrency, "unit")
        remark(f"Working on {at_once} at a time. Ctrl-C ends it after the running units.")
        notify(READY, status(f"Working on {at_once} at a time"))

    run_worker(settings, concurrency, ready, lambda result: print_out(result_line(result)), remark)
    remark("Stopped. What is still to be done waits in the store: data-fetch status")
