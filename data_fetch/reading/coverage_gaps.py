"""Gaps: intervals that are expected and not present, each with its cause."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from operator import attrgetter
from typing import Any

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.coverage import GAPS, Proof, State
from data_fetch.core.candles.gaps import BeforeFirstCandle, Gap
from data_fetch.core.clock import IST
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.session import instant_of
from data_fetch.core.settings import Settings
from data_fetch.reading.coverage_days import DayRange, coverage_query, day_range, ledger_changed
from data_fetch.reading.frames import DataAge, converted, form_named, one_of, rows_table
from data_fetch.reading.instants import ist_text
from data_fetch.reading.records import Symbols, records_for
from data_fetch.runtime.settings import process_settings
from data_fetch.storage.candles.coverage_counts import days_before_first_candle, instrument_gaps

CAUSES = tuple(state.value for state in GAPS)
COLUMNS = {
    **dict.fromkeys(("symbol", "instrument_key", "interval"), "text"),
    "trading_date": "date",
    "first": "instant",
    "end": "instant",
    "minutes": "int",
    "cause": "text",
    "proof": "text",
    "attempts": "int",
    "next_attempt": "instant",
    "last_error": "text",
}


@dataclass(frozen=True, slots=True)
class InstrumentGaps:
    """The gaps of one instrument among its trading days, both oldest first.

    *before_first*: the days that are no gaps because they seem to be before its first candle.
    """

    instrument: Instrument
    trading_days: Sequence[date]
    gaps: Sequence[Gap]
    before_first: BeforeFirstCandle | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GapList:
    """The gaps of *rows* of instruments from *first* to *last*, as of *now*.

    *changed* is when a row of the ledger last changed; None for a ledger without rows.
    """

    interval: CandleInterval
    first: date
    last: date
    now: datetime
    changed: datetime | None
    rows: Sequence[InstrumentGaps]
    provisional_sessions: Sequence[date]

    def with_causes(self, causes: Collection[State]) -> Iterator[tuple[Instrument, Gap]]:
        """The gaps of these causes, each with its instrument."""
        for row in self.rows:
            for gap in row.gaps:
                if gap.cause in causes:
                    yield row.instrument, gap

    @property
    def missed(self) -> list[Gap]:
        """The gaps that a request can still fill."""
        return [gap for _, gap in self.with_causes([State.MISSED])]

    def lacking(self) -> Counter[State]:
        """Minutes (days for the interval `day`) that are not present, by cause."""
        found: Counter[State] = Counter()
        for _, gap in self.with_causes(GAPS):
            found[gap.cause] += gap.candles
        return found

    def document(self, causes: Collection[State] = GAPS) -> dict[str, Any]:
        return {
            "gaps": [_document(one, gap) for one, gap in self.with_causes(causes)],
            "before_first_bar": [
                _before_first_document(row.instrument, row.before_first)
                for row in self.rows
                if row.before_first is not None
            ],
            "provisional_sessions": [day.isoformat() for day in self.provisional_sessions],
        }


@dataclass(frozen=True, slots=True)
class GapTotals:
    """Minutes (days for the interval `day`) that are expected and not present, by cause."""

    lacking: Counter[State]

    @property
    def complete(self) -> bool:
        """No candle is missed and none is still to come."""
        return not (self.lacking[State.MISSED] or self.lacking[State.PENDING])

    def document(self) -> dict[str, Any]:
        return {
            "complete": self.complete,
            **{cause.value: self.lacking[cause] for cause in GAPS},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaps:
    """A *table* with a row per gap, and the sums over all causes.

    Columns: symbol, instrument_key, interval, trading_date, first and end (instants, the end not
    included), minutes, cause, proof, attempts, next_attempt, last_error.
    """

    interval: CandleInterval
    first: date
    last: date
    table: Any
    completeness: GapTotals
    freshness: DataAge


def gaps(
    symbols: Symbols = (),
    first: date | str | None = None,
    last: date | str | None = None,
    *,
    interval: str = "1minute",
    causes: Collection[str] = CAUSES,
    form: str = "arrow",
    settings: Settings | None = None,
) -> Gaps:
    """Every interval of *symbols* (none named: of every listed one) that is not present.

    The table has the gaps of *causes* ("no_trade", "source_empty", "unknown_instrument", "missed",
    "pending"), the completeness counts all. The other arguments are those of `coverage`. Raises
    SetupError for an invalid argument or a symbol that the store does not know, CalendarUnknown,
    StoreUnreachable.
    """
    convert = form_named(form)
    chosen = [State(one_of(cause, CAUSES, "cause")) for cause in causes]
    found = gap_list(settings or process_settings(), day_range(symbols, first, last, interval))
    rows = [
        {
            "symbol": instrument.symbol,
            "instrument_key": gap.instrument_key,
            "interval": gap.interval.value,
            "trading_date": gap.day,
            "first": instant_of(gap.first),
            "end": instant_of(gap.end),
            "minutes": _minutes_in(gap),
            "cause": gap.cause.value,
            "proof": proof_text(gap.proof),
            "attempts": gap.attempts,
            "next_attempt": gap.next_attempt,
            "last_error": gap.last_error,
        }
        for instrument, gap in found.with_causes(chosen)
    ]
    totals, freshness = GapTotals(found.lacking()), DataAge(as_of=found.now, newest=found.changed)
    return Gaps(
        interval=found.interval,
        first=found.first,
        last=found.last,
        table=converted(convert, rows_table(rows, COLUMNS), totals, freshness),
        completeness=totals,
        freshness=freshness,
    )


def gap_list(settings: Settings, of: DayRange) -> GapList:
    """The gaps of the days that *of* names. Raises as `gaps` does."""
    with records_for(settings, of.symbols) as records:
        query = coverage_query(records, of)
        with records.store.reading() as connection:
            before_first = days_before_first_candle(connection, query)
            rows = _by_symbol(instrument_gaps(connection, query), before_first)
            changed = ledger_changed(connection, query)
    return GapList(
        interval=query.interval,
        first=query.first,
        last=query.last,
        now=query.expectation.now,
        changed=changed,
        rows=rows,
        provisional_sessions=query.provisional_sessions,
    )


def minute_text(minute: int) -> str:
    """The IST time of day of a minute number."""
    return f"{instant_of(minute).astimezone(IST):%H:%M}"


def proof_text(proof: Proof | None) -> str | None:
    """The kind of proof, its run and its instant."""
    return None if proof is None else f"{proof.by}, run {proof.run_id}, {ist_text(proof.at)}"


def _by_symbol(
    found: Iterable[tuple[Instrument, list[date], list[Gap]]],
    before_first: Mapping[str, BeforeFirstCandle],
) -> list[InstrumentGaps]:
    """One row per symbol, with the days and gaps of all its keys; the present key comes first.

    Before the first candle of one key are days of the key before it, if there is one.
    """
    rows: dict[str, InstrumentGaps] = {}
    for instrument, days, gaps in found:
        before = rows.get(instrument.symbol, InstrumentGaps(instrument, (), ()))
        rows[instrument.symbol] = replace(
            before,
            trading_days=sorted((*before.trading_days, *days)),
            gaps=sorted((*before.gaps, *gaps), key=attrgetter("first")),
            before_first=before_first.get(instrument.instrument_key),
        )
    return list(rows.values())


def _document(instrument: Instrument, gap: Gap) -> dict[str, Any]:
    return {
        "symbol": instrument.symbol,
        "instrument_key": gap.instrument_key,
        "interval": gap.interval.value,
        "trading_date": gap.day.isoformat(),
        "from": minute_text(gap.first),
        "to": minute_text(gap.end),
        "cause": gap.cause.value,
        "proof": proof_text(gap.proof),
        "attempts": gap.attempts,
        "next_attempt": ist_text(gap.next_attempt),
    }


def _minutes_in(gap: Gap) -> int:
    """The minutes without a candle; of a `day` candle, from open to close."""
    return gap.candles if gap.interval is CandleInterval.MINUTE else gap.end - gap.first


def _before_first_document(instrument: Instrument, found: BeforeFirstCandle) -> dict[str, Any]:
    return {
        "symbol": instrument.symbol,
        "instrument_key": found.instrument_key,
        "from": found.first.isoformat(),
        "to": found.last.isoformat(),
        "days": found.days,
        "last_attempt": ist_text(found.last_attempt),
        "next_attempt": ist_text(found.next_attempt),
    }
