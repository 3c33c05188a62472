"""`data-fetch paper-exchange`: the paper exchange as a server of its own."""

import os
import signal
import sys
from datetime import datetime
from pathlib import Path
from threading import Event

import click

from data_fetch.cli.shared.output import emit, json_option, print_out, remark
from data_fetch.core.clock import IST, SystemClock
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.paper_exchange.clock import PaperMarketClock, UnpausedMarketClock
from data_fetch.paper_exchange.exchange import ILLIQUID, PaperExchange
from data_fetch.paper_exchange.faults.faults import load_faults
from data_fetch.paper_exchange.upstox.candles import Quiet
from data_fetch.reading.records import listed_symbols
from data_fetch.runtime.settings import process_settings

# Some systems deliver a signal only between two waits.
WAIT_SECONDS = 0.5


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=0,
    show_default="a free one",
    help="Port to listen on.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Another seed, other prices.",
)
@click.option(
    "--speed",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Paper seconds to the real second.",
)
@click.option("--start", help="Begin at this time, e.g. 2026-09-16T09:14 (IST).")
@click.option(
    "--faults",
    "script",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Fault script, TOML or JSON.",
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for the paper market's time, so that a restart continues from it.",
)
@click.option(
    "--pause/--no-pause",
    "pausable",
    default=True,
    show_default=True,
    help="Whether the market waits while a collector starts. A real one does not.",
)
@click.option(
    "--illiquid",
    type=click.FloatRange(0, 1),
    default=ILLIQUID,
    show_default=True,
    help="Share of the stocks that have minutes without a trade.",
)
@click.option(
    "--quiet",
    type=click.Choice([each.value for each in Quiet]),
    default=Quiet.ZERO_VOLUME.value,
    show_default=True,
    help="How candles show a minute without a trade.",
)
@click.option(
    "--require-login", is_flag=True, help="Accept only tokens of a login, which end at 03:30 IST."
)
@click.option(
    "--record-feed",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the frames that the market data feed sends, a file for each connection.",
)
@json_option
def command(
    port: int,
    host: str,
    seed: int,
    speed: float,
    start: str | None,
    script: Path | None,
    state: Path | None,
    pausable: bool,
    illiquid: float,
    quiet: str,
    require_login: bool,
    record_feed: Path | None,
    as_json: bool,
) -> None:
    """Serve invented prices over HTTP, as Upstox would, until stopped."""
    calendar = MarketCalendar.reviewed()
    clock = (PaperMarketClock if pausable else UnpausedMarketClock)(
        calendar,
        today=SystemClock().now().astimezone(IST).date(),
        state_file=state,
        speed=speed,
        start=_read_start(start),
    )
    exchange = PaperExchange(
        clock,
        calendar=calendar,
        seed=seed,
        symbols=listed_symbols(process_settings()),
        host=host,
        port=port,
        faults=load_faults(script) if script else (),
        illiquid=illiquid,
        quiet=Quiet(quiet),
        issued_only=require_login,
        feed_recordings=record_feed,
    )
    stopped = Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: stopped.set())
    with exchange:
        _announce(exchange, clock, as_json)
        while not stopped.wait(WAIT_SECONDS):
            pass
    remark("The paper exchange has stopped.")


def _announce(exchange: PaperExchange, clock: UnpausedMarketClock, as_json: bool) -> None:
    if as_json:
        emit({"url": exchange.url, "pid": os.getpid()})
        sys.stdout.flush()
        return
    print_out(f"The paper exchange listens on {exchange.url}")
    print_out(f"Its time is {clock.now().astimezone(IST):%a %d %b %Y %H:%M:%S} IST.")
    remark("Point the product at it:")
    remark(f"  DATA_SOURCE=paper UPSTOX_BASE_URL={exchange.url} data-fetch run")
    remark("Ctrl-C stops it.")


def _read_start(start: str | None) -> datetime | None:
    if start is None:
        return None
    try:
        at = datetime.fromisoformat(start)
    except ValueError:
        raise click.BadParameter(
            f"{start!r} is not a time such as 2026-09-16T09:14", param_hint="--start"
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=IST)
