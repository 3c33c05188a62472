"""Option chains over time: the figures of an expiry, or one contract.

A row is a snapshot: content that was received several times in succession is one row. With a
step (*every*) a row is the snapshot in force at that step.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_fetch.core.chains.chain_lineage import ChainLineage
from data_fetch.core.chains.chains import ChainSource, OptionType
from data_fetch.core.clock import IST, MINUTE
from data_fetch.core.errors import SetupError
from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS, MarketCalendar
from data_fetch.core.market.session import instant_of, minute_number
from data_fetch.core.settings import Settings
from data_fetch.core.spans import Span, joined
from data_fetch.core.text import presentable
from data_fetch.reading.chain_rows import figure_rows
from data_fetch.reading.chain_snapshots import nothing_stored, source_named
from data_fetch.reading.frames import DataAge, arrow_table, converted, form_named, one_of
from data_fetch.reading.instants import (
    DAY,
    MICROSECOND,
    Period,
    date_of,
    exact_text,
    instant,
    microseconds,
    period,
)
from data_fetch.reading.records import clock_of
from data_fetch.reading.seam import Question, question
from data_fetch.reading.underlyings import underlying_named
from data_fetch.runtime.calendars import calendar_for
from data_fetch.runtime.settings import process_settings
from data_fetch.storage.chains.history import LEG_COLUMNS as OF_LEGS
from data_fetch.storage.chains.history import (
    ChainRows,
    Microseconds,
    StoredChains,
    legs,
    ranges_within,
    series_ranges,
)
from data_fetch.storage.chains.rows import METRICS
from data_fetch.storage.chains.snapshots import StoredSnapshot, UnderlyingChains

STEP_UNITS = {"s": timedelta(seconds=1), "m": MINUTE, "h": timedelta(hours=1)}
SHORTEST_STEP, LONGEST_STEP = timedelta(seconds=1), timedelta(days=1)
SHOWN_STRIKES = 4
# More digits than this a store does not hold.
HIGHEST_STRIKE = Decimal(10) ** 12

RECEIPT_COLUMNS = {
    "at": "instant",
    "timestamp": "instant",
    "expiry": "date",
    "source": "text",
    "last_confirmed": "instant",
    "unconfirmed_seconds": "float",
    "confirmations": "int",
}
HEAD_COLUMNS = {
    **RECEIPT_COLUMNS,
    "exchange_time": "instant",
    "spot": "float",
    "lot_size": "int",
    "unit": "text",
    "rejected": "int",
}
FIGURE_COLUMNS = {
    **HEAD_COLUMNS,
    **dict.fromkeys(METRICS, "float"),
    "forward": "float",
    "forward_method": "text",
    "forward_strikes": "int",
    **dict.fromkeys(("forward_spread", "years", "rate"), "float"),
    "convention": "text",
    "priced_at": "instant",
    "expires_at": "instant",
    "provisional": "bool",
    "legs": "int",
    "priced": "int",
    "age_seconds": "float",
}
_TEXT = {"instrument_key", "oi_reason", "reason"}
_WHOLE = {"bid_qty", "ask_qty", "total_buy_qty", "total_sell_qty", "volume", "oi", "prev_oi"}
LEG_COLUMNS = {
    **HEAD_COLUMNS,
    **{
        name: "text" if name in _TEXT else "int" if name in _WHOLE else "float"
        for name in OF_LEGS
        if name != "run_id"
    },
}

# Columns that depend on the step.
OF_STEP = {"at", "unconfirmed_seconds"}
MICROSECONDS, MICROSECONDS_PER_MINUTE = 1_000_000, 60_000_000
NO_RECEIPTS: Microseconds = np.array([], np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryReceipts:
    """How often the chain of one *expiry* was received in a range, and from which source.

    *minutes_due* are the minutes in which derivatives traded, up to now and the expiry's close;
    in *minutes_received* of them the chain was received at least once.
    """

    expiry: date
    source: str | None
    receipts: int
    minutes_due: int
    minutes_received: int

    def document(self) -> dict[str, Any]:
        return {
            "expiry": self.expiry.isoformat(),
            "source": self.source,
            "receipts": self.receipts,
            "minutes_due": self.minutes_due,
            "minutes_received": self.minutes_received,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesCompleteness:
    """How many *snapshots* a table is from, and in which minutes they were received."""

    snapshots: int
    expiries: tuple[ExpiryReceipts, ...]

    @property
    def complete(self) -> bool:
        """The chain was received in every trading minute of the range."""
        return all(each.minutes_received == each.minutes_due for each in self.expiries)

    def document(self) -> dict[str, Any]:
        return {
            "complete": self.complete,
            "snapshots": self.snapshots,
            "expiries": [each.document() for each in self.expiries],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFreshness(DataAge):
    """How recent a series is: *newest* is the last receipt of its last row.

    *sources* are the sources of its rows, one for each expiry.
    """

    sources: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        return {
            "as_of": exact_text(self.as_of),
            "newest": exact_text(self.newest),
            "age_seconds": self.age_seconds,
            "sources": list(self.sources),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSeries:
    """A *table* of a chain, or of one contract, over time: oldest first.

    Every table has the columns at (the instant of the row: its step, or its first receipt),
    timestamp (when the snapshot was received first), expiry, source, last_confirmed,
    unconfirmed_seconds (from the last receipt to *at*), confirmations, exchange_time, spot,
    lot_size, unit and rejected.
    """

    underlying: str
    first: datetime
    last: datetime
    table: Any
    completeness: SeriesCompleteness
    freshness: SeriesFreshness


def chain_history(
    underlying: str,
    expiry: date | str | None,
    first: date | str,
    last: date | str,
    *,
    every: timedelta | str | None = None,
    as_of: datetime | str | None = None,
    source: str | None = None,
    columns: Sequence[str] = (),
    form: str = "arrow",
    settings: Settings | None = None,
) -> ChainSeries:
    """The figures of a chain from *first* to *last*: PCR, max pain, ATM IV, straddle, walls.

    Beside the columns of every series: call_oi, put_oi, call_volume, put_volume (in `unit`),
    pcr_oi, pcr_volume, max_pain, atm_strike, straddle, atm_iv, support, resistance,
    gamma_exposure, forward and its method, years, rate, priced_at, expires_at, legs, priced and
    age_seconds (of the prices at their receipt). Of these, and of the facts of the snapshot
    (exchange_time, spot, lot_size, unit, rejected), only *columns* if any are named: a year of one
    is read several times as fast. Without *expiry* all of them.

    Each end is an IST date or an aware instant (or its ISO text), both included. *every*, a
    `timedelta` or text like "30s", "15m", "1h", gives one row for each such step of the IST
    clock within trading hours: the last snapshot at or before it. *as_of*, an aware instant or
    ISO text, gives what was received by then. Without *source* ("upstox",
    "nse") an expiry's rows are from the source with the most receipts in the range. The other
    arguments are those of `candles`. Raises SetupError for an invalid argument and for a chain
    that was never stored, CalendarUnknown, StoreUnreachable.
    """
    convert, step, of = form_named(form), _step(every), source_named(source)
    settings, wanted = settings or process_settings(), period(first, last)
    expires, seen = None if expiry is None else date_of(expiry), instant(as_of)
    types = _types_of(columns)
    read = [name for name in types if name not in OF_STEP]
    clock = clock_of(settings)
    with question(settings) as asked:
        connection = asked.connection
        lineage = underlying_named(connection, underlying)
        context = _Context(lineage, calendar_for(settings), clock.now(), wanted, seen)
        begin, until = wanted.begin, context.until
        with figure_rows(asked, lineage, begin, until, read) as chains:
            ranges = series_ranges(chains, lineage, expires, begin, until, of)
            rows = chains.figures(ranges)
            if expires is not None and rows.num_rows:
                # They prove that it is stored.
                shown = [lineage.in_force(expires)]
            else:
                shown = _shown_expiries(asked, context, expires)
            return _series(context, chains, shown, rows, types, step, convert)


def leg_history(
    underlying: str,
    expiry: date | str,
    strike: Decimal | float | str,
    option_type: str,
    first: date | str,
    last: date | str,
    *,
    every: timedelta | str | None = None,
    as_of: datetime | str | None = None,
    source: str | None = None,
    form: str = "arrow",
    settings: Settings | None = None,
) -> ChainSeries:
    """One contract from *first* to *last*: its prices, book, open interest, IV and Greeks.

    *option_type* is "CE" or "PE". Beside the columns of every series: instrument_key, ltp,
    prev_close, bid, bid_qty, ask, ask_qty, total_buy_qty, total_sell_qty, volume, oi, prev_oi
    (shares), the last three in contracts where the source counts those, oi_reason, the
    provider's and our own numbers, and the reason where there are none. The other arguments are
    those of `chain_history`. Raises as it does, and SetupError for a contract that was never
    stored.
    """
    convert, step, of = form_named(form), _step(every), source_named(source)
    settings, wanted = settings or process_settings(), period(first, last)
    expires, price, seen = date_of(expiry), _strike(strike), instant(as_of)
    side = OptionType(one_of(option_type.upper(), [*OptionType], "option type"))
    clock = clock_of(settings)
    with question(settings) as asked:
        connection = asked.connection
        lineage = underlying_named(connection, underlying)
        context = _Context(lineage, calendar_for(settings), clock.now(), wanted, seen)
        asked.recall_heads(lineage, expires, seen)
        asked.recall_contract(lineage, expires, price, side, wanted.begin, context.until)
        [shown] = _shown_expiries(asked, context, expires)
        columns = legs(connection, lineage, shown, price, side, wanted.begin, context.until, of)
        if not columns["timestamp"]:
            # Another question: this one has rows of single contracts.
            with question(settings) as whole:
                whole.recall_chain(lineage, shown, seen, of)
                newest = UnderlyingChains(whole.store, lineage).snapshot_at(shown, seen, of)
            _refuse_unknown_contract(newest, price, side)
        of_rows = {name: kind for name, kind in LEG_COLUMNS.items() if name not in OF_STEP}
        rows = arrow_table(columns, of_rows)
        return _series(context, StoredChains(connection), [shown], rows, LEG_COLUMNS, step, convert)


@dataclass(frozen=True, slots=True)
class _Context:
    """An underlying, the calendar and the present instant, for one range.

    With *seen* nothing that was received later counts.
    """

    lineage: ChainLineage
    calendar: MarketCalendar
    present: datetime
    wanted: Period
    seen: datetime | None

    @property
    def now(self) -> datetime:
        return self.present if self.seen is None else min(self.seen, self.present)

    @property
    def until(self) -> datetime:
        """The end of the range, or now if that is earlier."""
        return min(self.wanted.end, self.now)


def _series(
    context: _Context,
    chains: ChainRows,
    shown: Sequence[date],
    rows: Any,
    types: Mapping[str, str],
    step: timedelta | None,
    convert: Any,
) -> ChainSeries:
    sources = _sources(rows)
    received, trading = _received(context, chains, shown, sources), _trading(context)
    completeness = SeriesCompleteness(
        snapshots=len(rows),
        expiries=tuple(
            _receipts_of(context, expiry, sources.get(expiry), received[expiry], trading)
            for expiry in shown
        ),
    )
    rows = _as_seen(context, rows, received)
    freshness = SeriesFreshness(
        as_of=context.now,
        newest=pc.max(rows["last_confirmed"]).as_py(),
        sources=tuple(sorted(set(sources.values()))),
    )
    instants = rows["timestamp"]
    if step is not None:
        rows, instants = _sampled(rows, _steps(context, trading, step))
    waits = pc.max_element_wise(0, _seconds_between(rows["last_confirmed"], instants))
    rows = rows.append_column("at", instants).append_column("unconfirmed_seconds", waits)
    return ChainSeries(
        underlying=context.lineage.symbol,
        first=context.wanted.begin,
        last=context.wanted.end,
        table=converted(convert, rows.select(list(types)), completeness, freshness),
        completeness=completeness,
        freshness=freshness,
    )


def _sources(rows: Any) -> dict[date, str]:
    """The source of the rows of each expiry."""
    # To group by both columns takes ten times as long.
    named = pc.binary_join_element_wise(rows["expiry"].cast(pa.string()), rows["source"], " ")
    pairs = (each.split(" ", 1) for each in pc.unique(named).to_pylist())
    return {date.fromisoformat(expiry): source for expiry, source in pairs}


def _seconds_between(earlier: Any, later: Any) -> Any:
    elapsed = pc.subtract(later, earlier).cast(pa.int64())
    return pc.divide(elapsed.cast(pa.float64()), MICROSECONDS)


def _sampled(rows: Any, steps: Sequence[datetime]) -> tuple[Any, Any]:
    """For each step the newest row of each expiry at or before it, and the steps of the rows."""
    places: dict[date, list[int]] = {}
    for place, expiry in enumerate(rows["expiry"].to_pylist()):
        places.setdefault(expiry, []).append(place)
    timestamps = rows["timestamp"].to_pylist()
    received = {expiry: [timestamps[place] for place in of] for expiry, of in places.items()}
    chosen = [
        (step, places[expiry][until - 1])
        for step in steps
        for expiry in sorted(places)
        if (until := bisect_right(received[expiry], step))
    ]
    instants = pa.array([step for step, _ in chosen], rows["timestamp"].type)
    return rows.take(pa.array([place for _, place in chosen], pa.int64())), instants


def _steps(context: _Context, trading: NDArray[np.int64], step: timedelta) -> list[datetime]:
    """The multiples of *step* from each IST midnight that lie within trading hours."""
    found = []
    for first, last in trading.tolist():
        begin, end = instant_of(first), instant_of(last)
        midnight = begin.astimezone(IST).replace(hour=0, minute=0, second=0, microsecond=0)
        at = midnight + -((midnight - begin) // step) * step
        while at <= min(end, context.until):
            if at >= context.wanted.begin:
                found.append(at)
            at += step
    return found


def _trading(context: _Context) -> NDArray[np.int64]:
    """The spans of minutes in which derivatives trade, on the days of the range up to now."""
    found: list[Span] = []
    day, last = context.wanted.first, context.until.astimezone(IST).date()
    while day <= last:
        found += context.calendar.session(day, FUTURES_AND_OPTIONS).spans
        day += DAY
    return np.array(joined(found), np.int64).reshape(-1, 2)


def _received(
    context: _Context, chains: ChainRows, shown: Sequence[date], sources: Mapping[date, str]
) -> dict[date, Microseconds]:
    """When the chain of each expiry was received from its source: oldest first."""
    ends = context.wanted.begin, context.until
    ranges = [
        each
        for expiry in shown
        if expiry in sources
        for each in ranges_within(
            context.lineage.parts(expiry), [ChainSource(sources[expiry])], *ends
        )
    ]
    found: dict[date, list[Microseconds]] = {expiry: [NO_RECEIPTS] for expiry in shown}
    for each, instants in zip(ranges, chains.received(ranges), strict=True):
        found[each.part.expiry].append(instants)
    return {expiry: np.sort(np.concatenate(parts)) for expiry, parts in found.items()}


def _as_seen(context: _Context, rows: Any, received: Mapping[date, Microseconds]) -> Any:
    """*rows* without the receipts that came after the instant *seen*.

    How often a snapshot had been received is None where its first receipts are before the range.
    """
    late = pc.indices_nonzero(pc.greater(rows["last_confirmed"], context.now)).to_pylist()
    if not late:
        return rows
    firsts, confirmed = (
        rows[name].cast(pa.int64()).to_pylist() for name in ("timestamp", "last_confirmed")
    )
    counts, begin = rows["confirmations"].to_pylist(), microseconds(context.wanted.begin)
    for row in late:
        all_receipts = received[rows["expiry"][row].as_py()]
        own = all_receipts[all_receipts.searchsorted(firsts[row]) :].tolist()
        confirmed[row] = own[-1] if own else firsts[row]
        counts[row] = len(own) if firsts[row] >= begin else None
    for name, values in (("last_confirmed", confirmed), ("confirmations", counts)):
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, name, pa.array(values, rows.schema.field(name).type))
    return rows


def _receipts_of(
    context: _Context,
    expiry: date,
    source: str | None,
    received: Microseconds,
    trading: NDArray[np.int64],
) -> ExpiryReceipts:
    wanted, calendar = context.wanted, context.calendar
    # Whole minutes: those that begin in the range and have ended.
    begin = minute_number(wanted.begin + MINUTE - MICROSECOND)
    over = minute_number(min(context.until, _close_of(calendar, expiry)))
    due = trading.clip(begin, max(begin, over))
    minutes = received // MICROSECONDS_PER_MINUTE
    minutes = minutes[np.flatnonzero(np.diff(minutes, prepend=-1))]
    return ExpiryReceipts(
        expiry=expiry,
        source=source,
        receipts=len(received),
        minutes_due=_lengths(due),
        minutes_received=_lengths(minutes.searchsorted(due)),
    )


def _lengths(spans: NDArray[np.int64]) -> int:
    """How many are in *spans* together."""
    return int(np.diff(spans).sum())


def _close_of(calendar: MarketCalendar, expiry: date) -> datetime:
    return calendar.expiry_close(expiry).at


def _shown_expiries(asked: Question, context: _Context, expiry: date | None) -> list[date]:
    """Every stored expiry; the one in force of *expiry* if it is named.

    Raises SetupError without any, and for an *expiry* that is not stored.
    """
    lineage, seen = context.lineage, context.seen
    if expiry is not None and asked.has_chain(lineage, expiry, seen):
        return [lineage.in_force(expiry)]
    stored = asked.expiries(lineage, seen)
    if not stored:
        raise nothing_stored(asked, lineage, seen)
    if expiry is None:
        return stored
    days = ", ".join(day.isoformat() for day in stored)
    raise SetupError(f"no chain of {lineage.symbol} {expiry} is stored", hint=f"There are: {days}.")


def _refuse_unknown_contract(
    newest: StoredSnapshot | None, strike: Decimal, option_type: OptionType
) -> None:
    """Raises SetupError when *newest*, a snapshot of an expiry, has no such contract."""
    if newest is None or (strike, option_type) in {leg.key for leg in newest.chain.legs}:
        return
    listed = {leg.strike for leg in newest.chain.legs if leg.option_type is option_type}
    near = sorted(sorted(listed, key=lambda one: abs(one - strike))[:SHOWN_STRIKES])
    raise SetupError(
        f"no {option_type} of {newest.head.underlying} {newest.head.expiry} at strike "
        f"{strike.normalize():f} is stored",
        hint=f"Near: {', '.join(f'{one.normalize():f}' for one in near)}.",
    )


def _strike(strike: Decimal | float | str) -> Decimal:
    try:
        found = Decimal(str(strike))
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or not 0 <= found <= HIGHEST_STRIKE:
        raise SetupError(
            f"{presentable(str(strike))!r} is not a number of rupees",
            hint="Write it like 24000 or 282.5.",
        )
    return found


def _types_of(columns: Sequence[str]) -> dict[str, str]:
    """The named columns beside those of every series, or all. Raises SetupError for another."""
    for name in columns:
        one_of(name, FIGURE_COLUMNS, "column")
    wanted = {*RECEIPT_COLUMNS, *(columns or FIGURE_COLUMNS)}
    return {name: kind for name, kind in FIGURE_COLUMNS.items() if name in wanted}


def _step(every: timedelta | str | None) -> timedelta | None:
    """The step. Raises SetupError unless it is between a second and a day."""
    if every is None:
        return None
    step = every if isinstance(every, timedelta) else _duration(every)
    if step is None or not SHORTEST_STEP <= step <= LONGEST_STEP:
        raise SetupError(
            f"step {every!r} is not between a second and a day",
            hint='Write it like "30s", "15m" or "1h".',
        )
    return step


def _duration(text: str) -> timedelta | None:
    number, unit = text[:-1], text[-1:]
    return int(number) * STEP_UNITS[unit] if number.isdecimal() and unit in STEP_UNITS else None
