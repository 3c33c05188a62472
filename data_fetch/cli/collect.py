"""`data-fetch collect`: one round of quotes, at any hour."""

import click

from data_fetch.cli.shared.output import (
    INCOMPLETE,
    REFUSED,
    RemarksOnly,
    counted,
    emit,
    json_option,
    print_out,
    remark,
)
from data_fetch.cli.shared.run_lines import failed_in, listed_in, unresolved_in
from data_fetch.cli.shared.world_line import settings_to_store
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.reading.instants import ist_text
from data_fetch.runtime.one_off import quotes_for


@click.command()
@click.option(
    "--once", is_flag=True, default=True, help="One round (the default); `data-fetch run` goes on."
)
@json_option
def command(once: bool, as_json: bool) -> None:
    """Collect the whole universe once; the slot is the minute of the request.

    Outside a session the rows are marked `off_session` and count for no coverage.
    Exit status 3 when a listed symbol has no quote, 4 when the provider refused them all.
    """
    with quotes_for(settings_to_store(), RemarksOnly()) as quotes:
        run = quotes.try_to_collect()
    refused = run.outcome in {Outcome.FAILED, Outcome.MISSED}
    if as_json:
        emit(document(run))
    elif not refused:
        print_out(sentence(run))
    if refused:
        remark(f"data-fetch: {run.error}")
        raise SystemExit(REFUSED)
    if run.requested and failed_in(run) + run.quarantined == run.requested:
        raise SystemExit(REFUSED)
    if run.stored < listed_in(run):
        raise SystemExit(INCOMPLETE)


def document(run: SyncRun) -> dict[str, object]:
    unresolved = run.details.get("unresolved")
    return {
        "slot": ist_text(run.due_slot),
        "requested": run.requested,
        "stored": run.stored,
        "absent": run.absent,
        "quarantined": run.quarantined,
        "requests": run.requests,
        "listed": listed_in(run),
        "unresolved": unresolved["sample"] if isinstance(unresolved, dict) else [],
        "rejected": run.rejected,
        "failed": failed_in(run),
        "error": run.error,
        "details": dict(run.details),
    }


def sentence(run: SyncRun) -> str:
    left_out = [
        f"{run.absent} absent",
        f"{run.rejected} rejected",
        f"{run.quarantined} quarantined",
        *(
            f"{count} {name}"
            for name, count in (("failed", failed_in(run)), ("unresolved", unresolved_in(run)))
            if count
        ),
    ]
    why = f"Failed: {run.error}\n" if run.error else ""
    return (
        f"Slot {ist_text(run.due_slot)}: {run.stored} of {listed_in(run)} quotes stored, "
        f"{', '.join(left_out)}, {counted(run.requests, 'request')}.\n{why}"
        "See how fresh they are: data-fetch freshness"
    )
