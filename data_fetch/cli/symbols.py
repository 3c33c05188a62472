"""`data-fetch symbols`: which option chains are polled, and how often."""

from collections.abc import Callable, Mapping
from typing import Any

import click

from data_fetch.cli.shared.output import RemarksOnly, emit, json_option, print_out
from data_fetch.cli.shared.world_line import settings_to_store
from data_fetch.core.chains.symbol_config import LATEST_SECONDS, SOONEST_SECONDS
from data_fetch.reading.polling_plan import PolledChains, polled_chains, polling_plan
from data_fetch.runtime.chains import polling_for
from data_fetch.runtime.settings import process_settings
from data_fetch.services.chain_jobs import plan_line
from data_fetch.services.polling import ConfigChanges

MOST_EXPIRIES, MOST_STRIKES = 40, 500


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of one symbol."""
    for option in (
        click.option(
            "--pin/--no-pin", "pinned", default=None, help="Put first in line, as indices are."
        ),
        click.option(
            "--strikes",
            help="How many strikes on each side of the money are stored; 'all' for all.",
        ),
        click.option(
            "--expiries",
            type=click.IntRange(1, MOST_EXPIRIES),
            help="How many expiries, nearest first.",
        ),
        click.option(
            "--refresh",
            type=click.IntRange(SOONEST_SECONDS, LATEST_SECONDS),
            help="Seconds from one poll to the next.",
        ),
    ):
        command = option(command)
    return command


@click.group()
def command() -> None:
    """Which option chains are polled. A running collector follows within a minute."""


@command.command("list")
@json_option
def list_symbols(as_json: bool) -> None:
    """List what is polled, as configured and as the rate limits allow."""
    with polling_for(process_settings(), RemarksOnly()) as (polling, _):
        chains = polled_chains(polling)
    if as_json:
        emit(chains.document())
        return
    for line in lines(chains):
        print_out(line)


@command.command()
@click.argument("symbols", nargs=-1, required=True)
@options
def add(symbols: tuple[str, ...], **options: Any) -> None:
    """Poll SYMBOLS too. A paused one is polled again."""
    with polling_for(settings_to_store(), RemarksOnly()) as (polling, now):
        polling.add(symbols, changes(options), now)
        print_out(plan_line(polling_plan(polling)))


@command.command("set")
@click.argument("symbol")
@options
def set_symbol(symbol: str, **options: Any) -> None:
    """Change how SYMBOL is polled."""
    with polling_for(settings_to_store(), RemarksOnly()) as (polling, now):
        polling.change(symbol, changes(options), now)
        print_out(plan_line(polling_plan(polling)))


@command.command()
@click.argument("symbols", nargs=-1, required=True)
def pause(symbols: tuple[str, ...]) -> None:
    """Stop polling SYMBOLS until they are added again."""
    with polling_for(settings_to_store(), RemarksOnly()) as (polling, now):
        polling.pause(symbols, now)
        print_out(plan_line(polling_plan(polling)))


def changes(options: Mapping[str, Any]) -> ConfigChanges:
    """The changes that the options of the command line ask for."""
    given = ConfigChanges()
    if options["refresh"] is not None:
        given["refresh_seconds"] = options["refresh"]
    if options["expiries"] is not None:
        given["expiries"] = options["expiries"]
    if options["pinned"] is not None:
        given["pinned"] = options["pinned"]
    if options["strikes"] is not None:
        given["strikes"] = _strikes(options["strikes"])
    return given


def lines(chains: PolledChains) -> list[str]:
    table = [f"{'symbol':<14}{'every':>8}{'possible':>10}{'expiries':>10}{'strikes':>9}"]
    for each in chains.configs:
        planned = chains.planned_seconds(each.symbol)
        possible = "paused" if planned is None else f"{planned:.0f} s"
        strikes = "all" if each.strikes is None else str(each.strikes)
        pinned = "  pinned" if each.pinned else ""
        table.append(
            f"{each.symbol:<14}{each.refresh_seconds:>6} s{possible:>10}{each.expiries:>10}"
            f"{strikes:>9}{pinned}"
        )
    return [*table, plan_line(chains.plan)]


def _strikes(given: str) -> int | None:
    if given == "all":
        return None
    if not given.isdecimal() or not 1 <= int(given) <= MOST_STRIKES:
        raise click.BadParameter(
            f"{given!r} is neither 'all' nor from 1 to {MOST_STRIKES}", param_hint="--strikes"
        )
    return int(given)
