"""Candles of a range as a table, and how complete the range is."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache
from shlex import quote
from typing import Any

from sqlalchemy import Connection

from data_fetch.core.candles.candles import Kind
from data_fetch.core.candles.completeness import Completeness, completeness_of
from data_fetch.core.candles.coverage import State
from data_fetch.core.candles.day_counts import DayCounts, summed
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.candles.intervals import Interval
from data_fetch.core.errors import IncompleteRange, SetupError, StillToCome
from data_fetch.core.instruments.lineage import KeyPeriod
from data_fetch.core.market.session import (
    MINUTES_OF_DAY,
    day_of,
    instant_of,
    midnight_number,
    minute_number,
)
from data_fetch.core.settings import Settings
from data_fetch.reading.candle_days import CandleDay, history_of, known_days, minutes_of
from data_fetch.reading.frames import DataAge, arrow_table, converted, form_named, one_of
from data_fetch.reading.instants import date_of, instant
from data_fetch.reading.records import records_for
from data_fetch.reading.seam import pinned
from data_fetch.runtime.settings import process_settings
from data_fetch.storage.database.store import Store

# In minutes of the calendar: a month, which has about 8,000 of trading.
READ_AT_ONCE = 31 * MINUTES_OF_DAY
COLUMNS = {
    "timestamp": "instant",
    **dict.fromkeys(("open", "high", "low", "close"), "float"),
    **dict.fromkeys(("volume", "oi"), "int"),
    "kind": "text",
    "is_final": "bool",
    "instrument_key": "text",
    "source": "text",
}
BUCKET_COLUMNS = {
    **COLUMNS,
    **dict.fromkeys(("minutes", "minutes_expected", "minutes_missing"), "int"),
}


@dataclass(frozen=True, slots=True)
class Candles:
    """A *table* of candles, oldest first, and the *completeness* of its range.

    The table is a `pyarrow.Table`, a `pandas.DataFrame` or a `polars.DataFrame` with the columns
    timestamp (the start, aware, UTC), open, high, low, close (rupees), volume, oi (units), kind,
    is_final, instrument_key and source. Candles made of minutes also have their number: minutes
    (with a candle), minutes_expected, and minutes_missing (that are missed or still to come).

    *instrument_keys*: under which keys it was stored; more than one when the ISIN changed.
    *freshness* has the instant of the completeness and the start of the newest candle.
    """

    symbol: str
    instrument_keys: tuple[str, ...]
    interval: Interval
    table: Any
    completeness: Completeness
    freshness: DataAge


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleRange:
    """A range of one stock's candles in an open store; nothing of it is in memory yet.

    *expectation* is of the instant that its completeness is judged at, *days* are its trading
    days, oldest first, *counts* are those of all its days.
    """

    symbol: str
    interval: Interval
    key_periods: tuple[KeyPeriod, ...]
    as_of: datetime | None
    expectation: Expectation
    days: Sequence[CandleDay]
    counts: DayCounts
    settings: Settings
    store: Store

    @property
    def now(self) -> datetime:
        """The instant that its completeness is judged at."""
        return self.expectation.now

    @property
    def completeness(self) -> Completeness:
        return completeness_of((day.session, day.coverage) for day in self.days)

    @property
    def provisional_sessions(self) -> Sequence[date]:
        """Its days whose hours are not reviewed."""
        return self.expectation.provisional_sessions(self.first, self.last)

    @property
    def complete(self) -> bool:
        """Whether nothing is missed and nothing is pending."""
        return not (self.counts.missed or self.counts.pending)

    @property
    def instrument_keys(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(period.instrument_key for period in self.key_periods))

    @property
    def first(self) -> date:
        return self.key_periods[0].first

    @property
    def last(self) -> date:
        return self.key_periods[-1].last

    @property
    def hint(self) -> str:
        """The command that completes it; empty when it is complete."""
        if self.complete:
            return ""
        if self.as_of is not None:
            return "Name a later instant."
        if self.counts.missed:
            span = f"--from {self.first} --to {self.last} --interval {self.interval.stored}"
            return f"Fetch them: data-fetch backfill --symbols {quote(self.symbol)} {span}"
        return "Wait until the day is over, or end the range a day earlier."

    @property
    def unit(self) -> str:
        """What its completeness counts."""
        return unit_of(self.interval)

    @property
    def no_table(self) -> Any:
        """A table of it without rows."""
        return no_candles_table(self.interval)

    @property
    def newest(self) -> datetime | None:
        """The start of its newest candle of continuous trading, by the ledger."""
        present = (day.coverage.spans(State.PRESENT) for day in reversed(self.days))
        return next((instant_of(spans[-1][1] - 1) for spans in present if spans), None)

    def tables(
        self, kinds: Collection[Kind], after: datetime | None = None, limit: int | None = None
    ) -> Iterator[Any]:
        """The candles of *kinds* that start later than *after*, oldest first, as Arrow tables of
        a month or less. No connection stays open between two of them.

        At least the first *limit* candles are among them, if so many are stored. Raises
        SetupError for *kinds* that the interval does not have.
        """
        refuse_kinds(self.interval, kinds)
        begin = 0 if after is None else minute_number(after) + 1
        for key_period in self.key_periods:
            for first, end in _portions(key_period):
                if end > begin:
                    part = _Part(key_period.instrument_key, first, end, begin)
                    yield self._portion(part, kinds, limit)

    def table(self, kinds: Collection[Kind]) -> Any:
        """All of them in one Arrow table."""
        import pyarrow as pa

        return pa.concat_tables(self.tables(kinds))

    def page(
        self, kinds: Collection[Kind], after: datetime | None, limit: int | None
    ) -> tuple[Any, bool]:
        """The first *limit* candles that start later than *after* in one Arrow table, and whether
        there are more; all of them without a limit."""
        import pyarrow as pa

        found, rows = [self.no_table], 0
        one_more = None if limit is None else limit + 1
        for table in self.tables(kinds, after, one_more):
            found.append(table)
            rows += len(table)
            if one_more is not None and rows >= one_more:
                return pa.concat_tables(found).slice(0, limit), True
        return pa.concat_tables(found), False

    def _portion(self, part: "_Part", kinds: Collection[Kind], limit: int | None) -> Any:
        """The candles of *part*. Its libraries are loaded when a table is made."""
        import pyarrow as pa

        from data_fetch.reading.candle_buckets import bucket_table
        from data_fetch.storage.candles.tables import candle_table

        size, key = self.interval.bucket_minutes, part.instrument_key
        # The minutes of a bucket are of one day.
        since = part.begin if size is None else midnight_number(day_of(part.begin))
        first = max(part.first, since)
        with self.reading(key, first, part.end) as connection:
            stored = candle_table(
                connection,
                key,
                self.interval.stored,
                first,
                part.end,
                kinds,
                as_of=self.as_of,
                limit=limit if size is None else None,
            )
        keys = pa.repeat(key, len(stored))
        table = stored.append_column("instrument_key", keys).select(list(COLUMNS))
        if size is None:
            return table
        days = [day for day in self.days if day.instrument_key == key]
        return bucket_table(table, days, size, part.begin)

    @contextmanager
    def reading(self, instrument_key: str, first: int, end: int) -> Iterator[Connection]:
        """Queries of the connection find the candles of that key in [first, end), minutes since
        1970 UTC, in the store or in files."""
        with pinned(self.settings, self.store) as asked:
            asked.recall_candles([instrument_key], instant_of(first), instant_of(end))
            yield asked.connection

    def freshness(self, table: Any) -> DataAge:
        """How recent *table* is, one of this range."""
        newest = table["timestamp"][-1].as_py() if len(table) else None
        return DataAge(as_of=self.now, newest=newest)

    def refuse_incomplete(self) -> None:
        """Raises IncompleteRange when a candle is missed or still to come."""
        if self.complete:
            return
        known = self.counts
        raise IncompleteRange(
            f"{self.symbol} from {self.first} to {self.last} is incomplete: of "
            f"{known.expected} {self.unit}, {known.missed} are missed and {known.pending} still to "
            "come",
            hint=self.hint,
        )


def candles(
    symbol: str,
    first: date | str,
    last: date | str,
    *,
    interval: str = "1minute",
    as_of: datetime | str | None = None,
    kinds: Sequence[str] = ("traded",),
    form: str = "arrow",
    complete: bool = False,
    settings: Settings | None = None,
) -> Candles:
    """The stored candles of *symbol* from the trading date *first* to *last*, both included.

    Days to come are left out. *interval* is "1minute", "day", or made of the stored minutes of
    each trading window: "5minute", "15minute", "60minute"; *form* "arrow", "pandas" or
    "polars". *kinds*: "traded" rows are continuous trading; "auction" (the closing auction in
    one row) and "carried" (flat rows the provider fills in around it) are included when they are
    named. *as_of*, an aware instant or ISO text with an offset, gives the candles and their
    completeness as stored at that instant. With *complete* a range is rejected when it lacks a
    candle that could still arrive. A former symbol is followed to the present one; days before a
    new ISIN are those of the old one. *settings* are those of this process and its working
    folder unless given.

    For Arrow the completeness and freshness are in the schema's metadata as well, for pandas in
    `.attrs`.

    Raises IncompleteRange, SetupError for an invalid argument or a symbol that the store does
    not know, CalendarUnknown, StoreUnreachable.
    """
    convert = form_named(form)
    chosen = [Kind(one_of(kind, [*Kind], "kind")) for kind in kinds]
    with candle_range(
        settings or process_settings(),
        symbol,
        date_of(first),
        date_of(last),
        Interval(one_of(interval, [*Interval], "interval")),
        instant(as_of),
    ) as found:
        if complete:
            found.refuse_incomplete()
        table = found.table(chosen)
        freshness = found.freshness(table)
        return Candles(
            symbol=found.symbol,
            instrument_keys=found.instrument_keys,
            interval=found.interval,
            table=converted(convert, table, found.completeness, freshness),
            completeness=found.completeness,
            freshness=freshness,
        )


def unit_of(interval: Interval) -> str:
    """What the completeness of candles of *interval* counts."""
    return "days" if interval is Interval.DAY else "minutes"


@cache
def no_candles_table(interval: Interval) -> Any:
    """A table of candles without rows."""
    columns = COLUMNS if interval.bucket_minutes is None else BUCKET_COLUMNS
    return arrow_table(dict.fromkeys(columns, ()), columns)


def refuse_kinds(interval: Interval, kinds: Collection[Kind]) -> None:
    """Raises SetupError for *kinds* that *interval* does not have."""
    if interval.bucket_minutes is not None and set(kinds) != {Kind.TRADED}:
        raise SetupError(
            f"candles of {interval} are made of continuous trading alone",
            hint=f"The other kinds are among those of {Interval.MINUTE}.",
        )


@contextmanager
def candle_range(
    settings: Settings,
    symbol: str,
    first: date,
    last: date,
    interval: Interval,
    as_of: datetime | None,
) -> Iterator[CandleRange]:
    """The range in its open store, closed at the end. Raises as `candles` does."""
    if first > last:
        raise SetupError(f"{first} is later than {last}", hint="Name the earlier date first.")
    with records_for(settings, [symbol]) as records:
        expectation = records.expectation
        if as_of is not None:
            as_of = min(as_of, expectation.now)
            expectation = replace(expectation, now=as_of)
        last = min(last, expectation.today)
        if first > last:
            raise StillToCome(f"{first} was still to come on {last}", hint="Name an earlier date.")
        (stock,) = records.instruments
        with pinned(settings, records.store) as asked:
            connection = asked.connection
            history = history_of(connection, stock, interval.stored, first, last, as_of)
            if as_of is not None:
                for period in history.periods:
                    begin, end = map(instant_of, minutes_of(period))
                    asked.recall_candles([period.instrument_key], begin, end)
            # The ledger is read before the candles, which are never deleted: it cannot count
            # candles that the table lacks.
            days = known_days(connection, expectation, history, interval.stored, as_of)
        yield CandleRange(
            symbol=stock.symbol,
            interval=interval,
            key_periods=tuple(history.periods),
            as_of=as_of,
            expectation=expectation,
            days=days,
            counts=summed([DayCounts(), *(day.counts for day in days)]),
            settings=settings,
            store=records.store,
        )


@dataclass(frozen=True, slots=True)
class _Part:
    """The candles of a key that start from *first* to *end* (not included), not before *begin*:
    minutes since 1970 UTC."""

    instrument_key: str
    first: int
    end: int
    begin: int


def _portions(key_period: KeyPeriod) -> Iterator[tuple[int, int]]:
    """The minutes of *key_period* in portions that are read at once."""
    first, end = minutes_of(key_period)
    for start in range(first, end, READ_AT_ONCE):
        yield start, min(start + READ_AT_ONCE, end)
