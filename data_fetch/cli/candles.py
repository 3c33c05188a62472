"""`data-fetch candles`: candles out of the store, and what was corrected of them."""

import csv
import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Connection

from data_fetch.cli.shared.output import INCOMPLETE, counted, emit, ist_text, json_option, note, say
from data_fetch.cli.shared.span_options import symbols_option
from data_fetch.core.candles.candles import CandleInterval, Kind
from data_fetch.core.candles.expectation import DAY
from data_fetch.core.clock import IST
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.session import midnight_number
from data_fetch.reading.candle_ranges import (
    CandleRange,
    candle_range,
    history_of,
    instant,
    present_of,
)
from data_fetch.runtime.records import records_for
from data_fetch.runtime.settings import process_settings
from data_fetch.storage.candles.candles import SAID, Correction, Said, revisions_on
from data_fetch.storage.instruments.instruments import instruments_with

DATE = click.DateTime(["%Y-%m-%d"])
# What a correction may change; an instant and a run are other each time.
COMPARED = (*SAID, "source", "is_final")

interval_option = click.option(
    "--interval",
    type=click.Choice([interval.value for interval in CandleInterval]),
    default=CandleInterval.MINUTE.value,
    show_default=True,
    help="Which candles.",
)


@click.group()
def command() -> None:
    """Stored candles: export them, or see which were corrected."""


@command.command()
@click.argument("symbol")
@click.option("--from", "first", type=DATE, required=True, help="First trading date, included.")
@click.option("--to", "last", type=DATE, required=True, help="Last trading date, included.")
@interval_option
@click.option("--as-of", metavar="ISO", help="What was known at this instant (with an offset).")
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
        CandleInterval(interval),
        instant(as_of),
    ) as found:
        WRITERS[form](found, [Kind(kind) for kind in kinds], output)
    note(remark(found))
    if found.completeness.missed:
        raise SystemExit(INCOMPLETE)


@command.command()
@click.option("--date", "day", type=DATE, required=True, help="The trading date of the candles.")
@symbols_option
@interval_option
@json_option
def diff(day: datetime, symbols: tuple[str, ...], interval: str, as_json: bool) -> None:
    """Show which candles of a trading date were corrected: what they said before, and then."""
    with (
        records_for(process_settings(), symbols) as records,
        records.store.reading() as connection,
    ):
        chosen = _keys_on(connection, records.instruments, day.date()) if symbols else None
        found = _corrections(connection, day.date(), interval, chosen)
    if as_json:
        revisions = [_revision(symbol, each) for symbol, each in found]
        emit({"date": f"{day:%Y-%m-%d}", "interval": interval, "revisions": revisions})
        return
    for symbol, each in found:
        say(_line(symbol, each))
    say(f"{day:%Y-%m-%d}, {interval}: {counted(len(found), 'correction')}")


def remark(found: CandleRange) -> str:
    """How complete the range is, and what to do about it, for people."""
    held = found.completeness
    unit = "minutes" if found.interval is CandleInterval.MINUTE else "days"
    absent = (
        f"{held.no_trade} without a trade, {held.source_empty} the source does not have, "
        f"{held.missed} missed, {held.pending} pending"
    )
    said = (
        f"{found.symbol} {found.first} to {found.last}: {held.present} of {held.expected} "
        f"expected {unit} are there; {absent}; {held.provisional} provisional."
    )
    return f"{said} {found.cure}".rstrip()


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
    # They take their time to load, so only now.
    from pyarrow import BufferOutputStream, parquet

    written = BufferOutputStream()
    parquet.write_table(found.table(kinds), written)
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
    starts = [_exactly(at) for at in columns["timestamp"]]
    return {**columns, "timestamp": starts}


def _rows(table: Any) -> Iterator[dict[str, Any]]:
    columns = _texts(table)
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _keys_on(connection: Connection, stocks: Sequence[Instrument], day: date) -> list[str]:
    """Under which keys *stocks* are stored on *day*."""
    return [
        key_period.instrument_key
        for stock in stocks
        for _, key_period in history_of(connection, present_of(connection, stock), day, day)
    ]


def _corrections(
    connection: Connection, day: date, interval: str, keys: Sequence[str] | None
) -> list[tuple[str, Correction]]:
    """Every correction with the symbol of its instrument, by symbol, then as `revisions_on`."""
    first, end = midnight_number(day), midnight_number(day + DAY)
    found = revisions_on(connection, interval, first, end, keys)
    concerned = instruments_with(connection, {each.instrument_key for each in found})
    symbols = {one.instrument_key: one.symbol for one in concerned}
    named = [(symbols[each.instrument_key], each) for each in found]
    return sorted(named, key=itemgetter(0))


def _revision(symbol: str, found: Correction) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "instrument_key": found.instrument_key,
        "timestamp": _exactly(found.timestamp),
        "revision": found.revision,
        "superseded_at": _exactly(found.superseded_at),
        "old": _version(found.old),
        "new": _version(found.new),
    }


def _version(said: Said) -> dict[str, Any]:
    return {**asdict(said), "fetched_at": _exactly(said.fetched_at)}


def _exactly(at: datetime) -> str:
    """ISO text in IST, no second lost: what was known then can be asked for with it."""
    return at.astimezone(IST).isoformat()


def _line(symbol: str, found: Correction) -> str:
    changes = [
        f"{name} {getattr(found.old, name)} -> {getattr(found.new, name)}"
        for name in COMPARED
        if getattr(found.old, name) != getattr(found.new, name)
    ]
    return (
        f"{symbol:<12} {found.timestamp.astimezone(IST):%H:%M}  revision {found.revision}  "
        f"{', '.join(changes)}  superseded {ist_text(found.superseded_at)}"
    )
