"""`data-fetch chain collect`: chains once, at any hour."""

from collections.abc import Sequence
from datetime import datetime

import click

from data_fetch.cli.chain.documents import exactly
from data_fetch.cli.shared.output import (
    INCOMPLETE,
    REFUSED,
    Remarks,
    counted,
    emit,
    json_option,
    note,
    say,
)
from data_fetch.cli.shared.span_options import symbols_option
from data_fetch.core.chains.chains import Chain
from data_fetch.core.chains.polls import Poll
from data_fetch.runtime.chains import chain_polls_for
from data_fetch.runtime.settings import process_settings
from data_fetch.services.chain_jobs import state_line


@click.command()
@click.option("--once", is_flag=True, required=True, help="One round; `data-fetch run` goes on.")
@symbols_option
@click.option(
    "--expiries", type=click.IntRange(1, 40), help="How many, nearest first. Default: as listed."
)
@json_option
def command(once: bool, symbols: tuple[str, ...], expiries: int | None, as_json: bool) -> None:
    """Collect the chains of the polled symbols, or of those named, once.

    Exit status 3 when a chain could not be had, 4 when none could.
    """
    with chain_polls_for(process_settings(), Remarks(), symbols, expiries) as polling:
        polls = list(polling)
    if as_json:
        emit({"polls": [document(poll) for poll in polls]})
    else:
        for poll in polls:
            say(sentence(poll))
    for poll in polls:
        for remark in poll.remarks:
            note(f"Remark: {poll.symbol}: {remark}")
    raise SystemExit(status(polls))


def status(polls: Sequence[Poll]) -> int:
    if all(poll.whole for poll in polls):
        return 0
    return INCOMPLETE if any(poll.replies for poll in polls) else REFUSED


def document(poll: Poll) -> dict[str, object]:
    return {
        "symbol": poll.symbol,
        "begun_at": exactly(poll.begun_at),
        "asked": poll.asked,
        "stored": poll.stored,
        "confirmed": poll.confirmed,
        "requests": poll.requests,
        "rejected": poll.rejected,
        "chains": [
            {
                "expiry": chain.expiry.isoformat(),
                "source": chain.source.value,
                "received_at": exactly(received_at),
                "exchange_time": exactly(chain.exchange_time),
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
    told = (
        f"{poll.symbol}: {poll.stored} new, {poll.confirmed} unchanged"
        f"{f' ({expiries})' if expiries else ''}, {counted(poll.requests, 'request')}"
    )
    return f"{told}\n  {state_line(poll)}" if poll.failures or poll.error else told


def _chains(poll: Poll) -> list[tuple[Chain, datetime]]:
    return [
        (chain, reply.received_at)
        for reply in poll.replies
        if reply.parsed
        for chain in reply.parsed.chains
    ]
