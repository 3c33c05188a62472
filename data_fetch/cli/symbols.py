"""`data-fetch symbols`: which option chains are polled, and how often."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import click

from data_fetch.cli.shared.output import Remarks, emit, json_option, say
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
    """What can be said of a symbol."""
    for option in (
        click.option(
            "--pin/--no-pin", "pinned", default=None, help="Put first in line, as indices are."
        ),
        click.option(
            "--strikes",
            help="How many strikes on each side of the money are kept; 'all' for all.",
        ),
        click.option(
            "--expiries",
            type=click.IntRange(1, MOST_EXPIRIES),
            help="How many expiries, nearest first.",
        ),
        click.option(
            "--refresh",
            type=click.IntRange(SOONEST_SECONDS, LATEST_SECONDS),
            help="Seconds from one look to the next.",
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
    """List what is polled, as wished and as the rate limits allow."""
    with polling_for(process_settings(), Remarks()) as (polling, _):
        configs, plan = polling.configs(), polling.plan()
    if as_json:
        emit(document(configs, plan))
        return
    for line in lines(configs, plan):
        say(line)


@command.command()
@click.argument("symbols", nargs=-1, required=True)
@options
def add(symbols: tuple[str, ...], **wished: Any) -> None:
    """Poll SYMBOLS too. One that is paused is polled again."""
    with polling_for(process_settings(), Remarks()) as (polling, now):
        known = {each.symbol: each for each in polling.configs()}
        # All of them, before anything is changed.
        added = [polling.with_options(symbol) for symbol in symbols]
        for instrument in added:
            before = known.get(instrument.symbol) or polling.usual(instrument)
            _set(polling, now, changed(replace(before, active=True), wished))
        say(plan_line(polling.plan()))


@command.command("set")
@click.argument("symbol")
@options
def set_symbol(symbol: str, **wished: Any) -> None:
    """Change how SYMBOL is polled."""
    with polling_for(process_settings(), Remarks()) as (polling, now):
        _set(polling, now, changed(the_config(polling, symbol), wished))
        say(plan_line(polling.plan()))


@command.command()
@click.argument("symbols", nargs=-1, required=True)
def pause(symbols: tuple[str, ...]) -> None:
    """Poll SYMBOLS no more, until they are added again."""
    with polling_for(process_settings(), Remarks()) as (polling, now):
        for config in [the_config(polling, symbol) for symbol in symbols]:
            _set(polling, now, replace(config, active=False))
        say(plan_line(polling.plan()))


def the_config(polling: Polling, symbol: str) -> SymbolConfig:
    """How *symbol* is polled by now. Raises SetupError when it is not."""
    instrument = polling.named(symbol)
    for config in polling.configs():
        if config.symbol == instrument.symbol:
            return config
    raise SetupError(
        f"{instrument.symbol} is not polled", hint=f"Add it: data-fetch symbols add '{symbol}'"
    )


def changed(config: SymbolConfig, wished: dict[str, Any]) -> SymbolConfig:
    """*config* with what was said on the command line."""
    names = {"refresh": "refresh_seconds", "expiries": "expiries", "pinned": "pinned"}
    said = {names[name]: value for name, value in wished.items() if name in names}
    kept = {name: value for name, value in said.items() if value is not None}
    if wished.get("strikes") is not None:
        kept["strikes"] = _strikes(wished["strikes"])
    return replace(config, **kept)


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
        "requests_per_minute": {"wished": round(plan.wished, 2), "budget": round(plan.budget, 2)},
        "feasible": plan.feasible,
    }


def lines(configs: list[SymbolConfig], plan: PollingPlan) -> list[str]:
    told = [f"{'symbol':<14}{'every':>8}{'possible':>10}{'expiries':>10}{'strikes':>9}"]
    for each in configs:
        feasible = _feasible(each, plan)
        possible = "paused" if feasible is None else f"{feasible:.0f} s"
        strikes = "all" if each.strikes is None else str(each.strikes)
        pinned = "  pinned" if each.pinned else ""
        told.append(
            f"{each.symbol:<14}{each.refresh_seconds:>6} s{possible:>10}{each.expiries:>10}"
            f"{strikes:>9}{pinned}"
        )
    return [*told, plan_line(plan)]


def _feasible(config: SymbolConfig, plan: PollingPlan) -> float | None:
    cadence = plan.of(config.symbol)
    return None if cadence is None else round(cadence.planned, 1)


def _strikes(said: str) -> int | None:
    if said == "all":
        return None
    if not said.isdecimal() or not 1 <= int(said) <= MOST_STRIKES:
        raise click.BadParameter(
            f"{said!r} is neither 'all' nor from 1 to {MOST_STRIKES}", param_hint="--strikes"
        )
    return int(said)


def _set(polling: Polling, now: datetime, config: SymbolConfig) -> None:
    SymbolConfigs(polling.store).set(config, now)
