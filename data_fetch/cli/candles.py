"""`data-fetch candles`: stored candles exported, and those that were corrected."""

import csv
import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from data_fetch.cli.shared.calendar_lines import remark_on_provisional
from data_fetch.cli.shared.output import (
    INCOMPLETE,
    counted,
    emit,
    json_option,
    print_out,
    remark,
)
from data_fetch.cli.shared.range_options import interval_option, symbols_option
from data_fetch.core.candles.candles import CandleInterval, Kind
from data_fetch.core.candles.intervals import Interval
from data_fetch.core.clock import IST
from data_fetch.reading.candle_corrections import (
    NamedCorrection,
    candle_corrections,
    changed_columns,
    corrections_document,
)
from data_fetch.reading.candle_ranges import CandleRange, candle_range
from data_fetch.reading.frames import described
from data_fetch.reading.instants import exact_text, instant, ist_text
from data_fetch.runtime.settings import process_settings

DATE = click.DateTime(["%Y-%m-%d"])


@click.group()
def command() -> None:
    """Stored candles: export them, or list the corrected ones."""


@command.command()
@click.argument("symbol")
@click.option("--from", "first", type=DATE, required=True, help="First trading date, included.")
@click.option("--to", "last", type=DATE, required=True, help="Last trading date, included.")
@click.option(
    "--interval",
    type=click.Choice([interval.value for interval in Interval]),
    default=Interval.MINUTE.value,
    show_default=True,
    help="Stored candles, or candles made of the minutes of each trading window.",
)
@click.option("--as-of", metavar="ISO", help="As stored at this instant (with an offset).")
@click.option(
    "--kind",
    "kinds",
    type=click.Choice([kind.value for kind in Kind]),
    multiple=True,
    default=[Kind.TRADED.value],
    show_default=True,
    help="Continuous trading, the auction's row, rows the provider filled in. Repeatable.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "json", "parquet"]),
    required=True,
    help="Parquet to a file or a pipe.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file instead of standard output.",
)
def export(
    symbol: str,
    first: datetime,
    last: datetime,
    interval: str,
    as_of: str | None,
    kinds: tuple[str, ...],
    form: str,
    output: Path | None,
) -> None:
    """Write the stored candles of SYMBOL, oldest first. Times are IST; Parquet has UTC.

    A former symbol is followed to the present one; days before a new ISIN are those of the old
    one. Exit status 3 when anything in the range is missed.
    """
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise click.UsageError("Parquet is not for a terminal: name --output FILE, or use a pipe.")
    with candle_range(
        process_settings(),
        symbol,
        first.date(),
        last.date(),
        Interval(interval),
        instant(as_of),
    ) as found:
        WRITERS[form](found, [Kind(kind) for kind in kinds], output)
    remark(completeness_text(found))
    remark_on_provisional(found.provisional_sessions)
    if found.completeness.missed:
        raise SystemExit(INCOMPLETE)


@command.command()
@click.option("--date", "day", type=DATE, required=True, help="The trading date of the candles.")
@symbols_option
@interval_option
@json_option
def diff(day: datetime, symbols: tuple[str, ...], interval: str, as_json: bool) -> None:
    """Show which candles of a trading date were corrected: the old and the new values."""
    of = CandleInterval(interval)
    found = candle_corrections(process_settings(), day.date(), symbols, of)
    if as_json:
        emit(corrections_document(day.date(), of, found))
        return
    for each in found:
        print_out(_correction_line(each))
    print_out(f"{day:%Y-%m-%d}, {interval}: {counted(len(found), 'correction')}")


def completeness_text(found: CandleRange) -> str:
    """How complete the range is, and the command that completes it."""
    counts = found.completeness
    unknown = (
        f"{counts.unknown_instrument} under a key that the source no longer knows, "
        if counts.unknown_instrument
        else ""
    )
    absent = (
        f"{counts.no_trade} without a trade, {counts.source_empty} the source does not have, "
        f"{unknown}"
        f"{counts.missed} missed, {counts.pending} pending"
    )
    text = (
        f"{found.symbol} {found.first} to {found.last}: {counts.present} of {counts.expected} "
        f"expected {found.unit} are present; {absent}; {counts.provisional} provisional."
    )
    return f"{text} {found.hint}".rstrip()


def _write_csv(found: CandleRange, kinds: Collection[Kind], output: Path | None) -> None:
    with click.open_file(str(output or "-"), "w", encoding="utf-8", atomic=True) as file:
        writer = csv.writer(file, lineterminator="\n")
        for number, table in enumerate(found.tables(kinds)):
            columns = _texts(table)
            columns["is_final"] = ["true" if final else "false" for final in columns["is_final"]]
            if number == 0:
                writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))


def _write_json(found: CandleRange, kinds: Collection[Kind], output: Path | None) -> None:
    document = {
        "symbol": found.symbol,
        "instrument_keys": found.instrument_keys,
        "interval": found.interval,
        "candles": [row for table in found.tables(kinds) for row in _rows(table)],
        "completeness": found.completeness.document(),
    }
    with click.open_file(str(output or "-"), "w", encoding="utf-8", atomic=True) as file:
        file.write(json.dumps(document, ensure_ascii=False) + "\n")


def _write_parquet(found: CandleRange, kinds: Collection[Kind], output: Path | None) -> None:
    # Loading them takes long, and the other formats do without.
    from pyarrow import BufferOutputStream, parquet

    table, written = found.table(kinds), BufferOutputStream()
    facts = {
        "completeness": found.completeness.document(),
        "freshness": found.freshness(table).document(),
    }
    parquet.write_table(described(table, facts), written)
    with click.open_file(str(output or "-"), "wb", atomic=True) as file:
        file.write(written.getvalue())


WRITERS: Mapping[str, Callable[[CandleRange, Collection[Kind], Path | None], None]] = {
    "csv": _write_csv,
    "json": _write_json,
    "parquet": _write_parquet,
}


def _texts(table: Any) -> dict[str, Any]:
    """The columns of a table, the timestamps as ISO text in IST."""
    columns: dict[str, Any] = table.to_pydict()
    starts = [exact_text(at) for at in columns["timestamp"]]
    return {**columns, "timestamp": starts}


def _rows(table: Any) -> Iterator[dict[str, Any]]:
    columns = _texts(table)
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _correction_line(named: NamedCorrection) -> str:
    symbol, found = named
    changes = ", ".join(f"{name} {old} -> {new}" for name, old, new in changed_columns(found))
    return (
        f"{symbol:<12} {found.timestamp.astimezone(IST):%H:%M}  revision {found.revision}  "
        f"{changes}  superseded {ist_text(found.superseded_at)}"
    )
