"""Options that several commands share: which symbols, which days, which interval."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import wraps
from shlex import quote
from typing import Any

import click

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.runtime.records import Records
from data_fetch.storage.candles.coverage_counts import CoverageQuery

DEFAULT_DAYS = 60
_DATE = click.DateTime(["%Y-%m-%d"])


@dataclass(frozen=True, slots=True)
class RangeOptions:
    """What a command is about. No *symbols*: the whole universe."""

    symbols: tuple[str, ...]
    interval: CandleInterval
    first: date | None
    last: date | None

    def days(self, today: date, default: int = DEFAULT_DAYS) -> tuple[date, date]:
        """From which date to which, both included: the last *default* days unless named.

        Days to come are none that anybody could have.
        """
        last = min(self.last or today, today)
        first = self.first or last - timedelta(days=default - 1)
        if first > last:
            raise click.BadParameter(
                f"{first} is later than {last}" + ("" if self.last else ", the present day"),
                param_hint="--from",
            )
        return first, last

    def named_again(self, first: date, last: date) -> str:
        """The options that ask another command about the same, from *first* to *last*."""
        options = f"--from {first} --to {last}"
        if self.symbols:
            options = f"--symbols {quote(','.join(self.symbols))} {options}"
        if self.interval is not CandleInterval.MINUTE:
            options += f" --interval {self.interval}"
        return options


def _symbols(_context: click.Context, _option: click.Parameter, listed: str | None) -> Any:
    """The symbols of a comma-separated list, each once.

    An empty list is refused: a variable of the shell that is not set must not mean all.
    """
    if listed is None:
        return ()
    named = tuple(dict.fromkeys(name.strip() for name in listed.split(",") if name.strip()))
    if not named:
        raise click.BadParameter("names no symbol")
    return named


symbols_option = click.option(
    "--symbols", metavar="A,B", callback=_symbols, help="Only these symbols."
)


def span_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --symbols, --from, --to and --interval; the command gets them as *span*."""

    @symbols_option
    @click.option(
        "--from", "first", type=_DATE, metavar="DATE", help="First trading date, included."
    )
    @click.option("--to", "last", type=_DATE, metavar="DATE", help="Last trading date, included.")
    @click.option(
        "--interval",
        type=click.Choice([interval.value for interval in CandleInterval]),
        default=CandleInterval.MINUTE.value,
        show_default=True,
        help="Which candles.",
    )
    @wraps(command)
    def with_span(
        *args: Any,
        symbols: tuple[str, ...],
        first: datetime | None,
        last: datetime | None,
        interval: str,
        **others: Any,
    ) -> Any:
        span = RangeOptions(
            symbols=symbols,
            interval=CandleInterval(interval),
            first=first.date() if first else None,
            last=last.date() if last else None,
        )
        if span.first and span.last and span.first > span.last:
            raise click.BadParameter(f"{span.first} is later than {span.last}", param_hint="--from")
        return command(*args, span=span, **others)

    return with_span


def criteria_of(records: Records, span: RangeOptions) -> CoverageQuery:
    """What *span* asks of *records*: of their instruments, the last 60 days unless named."""
    first, last = span.days(records.expectation.today)
    return CoverageQuery(
        instruments=records.instruments,
        interval=span.interval,
        first=first,
        last=last,
        expectation=records.expectation,
    )
