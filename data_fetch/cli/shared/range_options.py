"""Options that several commands share: which symbols, which days, which interval."""

from collections.abc import Callable
from datetime import date, datetime
from functools import wraps
from shlex import quote
from typing import Any

import click

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.text import listed_names, symbol_form
from data_fetch.reading.coverage_days import DayRange

_DATE = click.DateTime(["%Y-%m-%d"])


def _symbols(_context: click.Context, _option: click.Parameter, listed: str | None) -> Any:
    """The symbols of a comma-separated list, each once.

    An empty list is refused: an unset variable of the shell must not mean every symbol.
    """
    if listed is None:
        return ()
    named = tuple(dict.fromkeys(filter(None, map(symbol_form, listed_names(listed)))))
    if not named:
        raise click.BadParameter("names no symbol")
    return named


symbols_option = click.option(
    "--symbols", metavar="A,B", callback=_symbols, help="Only these symbols."
)
interval_option = click.option(
    "--interval",
    type=click.Choice([interval.value for interval in CandleInterval]),
    default=CandleInterval.MINUTE.value,
    show_default=True,
    help="Which candles.",
)


def range_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --symbols, --from, --to and --interval; the command gets them as *wanted*."""

    @symbols_option
    @click.option(
        "--from", "first", type=_DATE, metavar="DATE", help="First trading date, included."
    )
    @click.option("--to", "last", type=_DATE, metavar="DATE", help="Last trading date, included.")
    @interval_option
    @wraps(command)
    def with_range(
        *args: Any,
        symbols: tuple[str, ...],
        first: datetime | None,
        last: datetime | None,
        interval: str,
        **others: Any,
    ) -> Any:
        wanted = DayRange(
            symbols=symbols,
            interval=CandleInterval(interval),
            first=first.date() if first else None,
            last=last.date() if last else None,
        )
        if wanted.first and wanted.last and wanted.first > wanted.last:
            raise click.BadParameter(
                f"{wanted.first} is later than {wanted.last}", param_hint="--from"
            )
        return command(*args, wanted=wanted, **others)

    return with_range


def options_text(wanted: DayRange, first: date, last: date) -> str:
    """The options of another command for the same symbols and interval, *first* to *last*."""
    options = f"--from {first} --to {last}"
    if wanted.symbols:
        options = f"--symbols {quote(','.join(wanted.symbols))} {options}"
    if wanted.interval is not CandleInterval.MINUTE:
        options += f" --interval {wanted.interval}"
    return options
