"""`data-fetch symbols`: which option chains are polled, and how often."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import click

from data_fetch.cli.shared.output import RemarksOnly, emit, json_option, print_out
from data_fetch.core.chains.polling import PollingPlan
from data_fetch.core.chains.symbol_config import SymbolConfig
from data_fetch.core.errors import SetupError
from data_fetch.runtime.chains import Polling, polling_for
from data_fetch.runtime.settings import process_settings
from data_fetch.services.chain_jobs import plan_line
from data_fetch.storage.chains.symbol_config import SymbolConfigs

SOONEST_SECONDS, LATEST_SECONDS = 5, 3600
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
        configs, plan = polling.configs(), polling.plan()
    if as_json:
        emit(document(configs, plan))
        return
    for line in lines(configs, plan):
        print_out(line)


@command.command()
@click.argument("symbols", nargs=-1, required=True)
@options
def add(symbols: tuple[str, ...], **options: Any) -> None:
    """Poll SYMBOLS too. A paused one is polled again."""
    with polling_for(process_settings(), RemarksOnly()) as (polling, now):
        known = {each.symbol: each for each in polling.configs()}
        # Every symbol is resolved before anything is changed.
        added = [polling.with_options(symbol) for symbol in symbols]
        for instrument in added:
            before = known.get(instrument.symbol) or polling.usual(instrument)
            _set(polling, now, changed(replace(before, active=True), options))
        print_out(plan_line(polling.plan()))


@command.command("set")
@click.argument("symbol")
@options
def set_symbol(symbol: str, **options: Any) -> None:
    """Change how SYMBOL is polled."""
    with polling_for(process_settings(), RemarksOnly()) as (polling, now):
        _set(polling, now, changed(the_config(polling, symbol), options))
        print_out(plan_line(polling.plan()))


@command.command()
@click.argument("symbols", nargs=-1, required=True)
def pause(symbols: tuple[str, ...]) -> None:
    """Stop polling SYMBOLS until they are added again."""
    with polling_for(process_settings(), RemarksOnly()) as (polling, now):
        for config in [the_config(polling, symbol) for symbol in symbols]:
            _set(polling, now, replace(config, active=False))
        print_out(plan_line(polling.plan()))


def the_config(polling: Polling, symbol: str) -> SymbolConfig:
    """How *symbol* is polled now. Raises SetupError when it is not polled."""
    instrument = polling.named(symbol)
    for config in polling.configs():
        if config.symbol == instrument.symbol:
            return config
    raise SetupError(
        f"{instrument.symbol} is not polled", hint=f"Add it: data-fetch symbols add '{symbol}'"
    )


def changed(config: SymbolConfig, options: dict[str, Any]) -> SymbolConfig:
    """*config* with the options of the command line."""
    names = {"refresh": "refresh_seconds", "expiries": "expiries", "pinned": "pinned"}
    given = {
        names[name]: value for name, value in options.items() if name in names and value is not None
    }
    if options.get("strikes") is not None:
        given["strikes"] = _strikes(options["strikes"])
    return replace(config, **given)


def document(configs: list[SymbolConfig], plan: PollingPlan) -> dict[str, object]:
    return {
        "symbols": [
            {
                "symbol": each.symbol,
                "instrument_key": each.instrument_key,
                "active": each.active,
                "refresh_seconds": each.refresh_seconds,
                "feasible_seconds": _feasible(each, plan),
                "expiries": each.expiries,
                "strikes": each.strikes,
                "pinned": each.pinned,
            }
            for each in configs
        ],
        "requests_per_minute": {
            "requested": round(plan.requested, 2),
            "budget": round(plan.budget, 2),
        },
        "feasible": plan.feasible,
    }


def lines(configs: list[SymbolConfig], plan: PollingPlan) -> list[str]:
    table = [f"{'symbol':<14}{'every':>8}{'possible':>10}{'expiries':>10}{'strikes':>9}"]
    for each in configs:
        feasible = _feasible(each, plan)
        possible = "paused" if feasible is None else f"{feasible:.0f} s"
        strikes = "all" if each.strikes is None else str(each.strikes)
        pinned = "  pinned" if each.pinned else ""
        table.append(
            f"{each.symbol:<14}{each.refresh_seconds:>6} s{possible:>10}{each.expiries:>10}"
            f"{strikes:>9}{pinned}"
        )
    return [*table, plan_line(plan)]


def _feasible(config: SymbolConfig, plan: PollingPlan) -> float | None:
    cadence = plan.of(config.symbol)
    return None if cadence is None else round(cadence.planned_interval, 1)


def _strikes(given: str) -> int | None:
    if given == "all":
        return None
    if not given.isdecimal() or not 1 <= int(given) <= MOST_STRIKES:
        raise click.BadParameter(
            f"{given!r} is neither 'all' nor from 1 to {MOST_STRIKES}", param_hint="--strikes"
        )
    return int(given)


def _set(polling: Polling, now: datetime, config: SymbolConfig) -> None:
    SymbolConfigs(polling.store).set(config, now)
