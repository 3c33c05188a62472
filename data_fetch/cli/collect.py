"""`data-fetch collect`: one round of quotes, at any hour."""

import click

from data_fetch.cli.shared.output import (
    INCOMPLETE,
    RemarksOnly,
    counted,
    emit,
    json_option,
    print_out,
)
from data_fetch.cli.shared.run_lines import listed_in, unresolved_in
from data_fetch.core.runs import SyncRun
from data_fetch.reading.instants import ist_text
from data_fetch.runtime.one_off import quotes_for
from data_fetch.runtime.settings import process_settings


@click.command()
@click.option(
    "--once", is_flag=True, default=True, help="One round (the default); `data-fetch run` goes on."
)
@json_option
def command(once: bool, as_json: bool) -> None:
    """Collect the whole universe once; the slot is the minute of the request.

    Outside a session the rows are marked `off_session` and count for no coverage.
    Exit status 3 when a listed symbol has no quote.
    """
    with quotes_for(process_settings(), RemarksOnly()) as quotes:
        run = quotes.collect_now()
    if as_json:
        emit(document(run))
    else:
        print_out(sentence(run))
    if run.stored < listed_in(run):
        raise SystemExit(INCOMPLETE)


def document(run: SyncRun) -> dict[str, object]:
    return {
        "slot": ist_text(run.due_slot),
        "requested": run.requested,
        "stored": run.stored,
        # Every requested symbol without a quote: left out, rejected, or its request failed.
        "absent": run.requested - run.stored - run.quarantined,
        "quarantined": run.quarantined,
        "requests": run.requests,
        "listed": listed_in(run),
        "unresolved": unresolved_in(run),
    }


def sentence(run: SyncRun) -> str:
    unresolved = unresolved_in(run)
    unknown = f"{len(unresolved)} unresolved, " if unresolved else ""
    return (
        f"Slot {ist_text(run.due_slot)}: {run.stored} of {listed_in(run)} quotes stored, "
        f"{run.absent} absent, {run.rejected} rejected, {run.quarantined} quarantined, {unknown}"
        f"{counted(run.requests, 'request')}.\nSee how fresh they are: data-fetch freshness"
    )
