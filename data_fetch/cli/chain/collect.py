"""`data-fetch chain collect`: chains once, at any hour."""

from collections.abc import Sequence
from datetime import datetime

import click

from data_fetch.cli.chain.options import date_given
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
from data_fetch.cli.shared.range_options import symbols_option
from data_fetch.cli.shared.world_line import settings_to_store
from data_fetch.core.chains.chains import Chain
from data_fetch.core.chains.polls import Poll
from data_fetch.reading.instants import exact_text
from data_fetch.runtime.chains import chain_polls_for
from data_fetch.services.chain_jobs import state_line


@click.command()
@click.option(
    "--once", is_flag=True, default=True, help="One round (the default); `data-fetch run` goes on."
)
@symbols_option
@click.option(
    "--expiries",
    type=click.IntRange(1, 40),
    help="How many, nearest first. Default: as configured.",
)
@click.option(
    "--expiry", type=click.DateTime(["%Y-%m-%d"]), help="This one alone, also one not polled."
)
@json_option
def command(
    once: bool,
    symbols: tuple[str, ...],
    expiries: int | None,
    expiry: datetime | None,
    as_json: bool,
) -> None:
    """Collect the chains of the polled symbols, or of those named, once.

    Exit status 3 when a chain is not available, 4 when none is.
    """
    if expiries and expiry:
        raise click.UsageError("Name --expiry or --expiries, not both.")
    with chain_polls_for(
        settings_to_store(), RemarksOnly(), symbols, expiries, date_given(expiry)
    ) as polling:
        polls = list(polling)
    if as_json:
        emit({"polls": [document(poll) for poll in polls]})
    else:
        for poll in polls:
            print_out(sentence(poll))
    for poll in polls:
        for text in poll.remarks:
            remark(f"Remark: {poll.symbol}: {text}")
    raise SystemExit(status(polls))


def status(polls: Sequence[Poll]) -> int:
    if all(poll.complete for poll in polls):
        return 0
    return INCOMPLETE if any(poll.replies for poll in polls) else REFUSED


def document(poll: Poll) -> dict[str, object]:
    return {
        "symbol": poll.symbol,
        "begun_at": exact_text(poll.begun_at),
        "requested": poll.requested,
        "stored": poll.stored,
        "confirmed": poll.confirmed,
        "requests": poll.requests,
        "rejected": poll.rejected,
        "chains": [
            {
                "expiry": chain.expiry.isoformat(),
                "source": chain.source.value,
                "received_at": exact_text(received_at),
                "exchange_time": exact_text(chain.exchange_time),
                "spot": chain.spot,
                "legs": len(chain.legs),
            }
            for chain, received_at in _chains(poll)
        ],
        "faults": {source.value: failure.value for source, failure in poll.failures.items()},
        "error": poll.error,
        "remarks": poll.remarks,
    }


def sentence(poll: Poll) -> str:
    expiries = ", ".join(
        f"{chain.expiry} {len(chain.legs)} legs from {chain.source}" for chain, _ in _chains(poll)
    )
    line = (
        f"{poll.symbol}: {poll.stored} new, {poll.confirmed} unchanged"
        f"{f' ({expiries})' if expiries else ''}, {counted(poll.requests, 'request')}"
    )
    return f"{line}\n  {state_line(poll)}" if poll.failures or poll.error else line


def _chains(poll: Poll) -> list[tuple[Chain, datetime]]:
    return [
        (chain, reply.received_at)
        for reply in poll.replies
        if reply.parsed
        for chain in reply.parsed.chains
    ]
