"""The minutes of one instrument's day: the state of each, and the run that is its reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from data_fetch.core.candles.candles import CandleInterval, expected_spans
from data_fetch.core.candles.coverage import DayCoverage, Proof, State
from data_fetch.core.candles.intervals import Interval
from data_fetch.core.runs import SyncRun
from data_fetch.core.settings import Settings
from data_fetch.reading.candle_ranges import candle_range
from data_fetch.reading.records import store_of
from data_fetch.storage.candles.origins import Origin, candle_origins
from data_fetch.storage.runs import runs_named


@dataclass(frozen=True, slots=True, kw_only=True)
class MinuteFacts:
    """What is known of one minute: its state, the *origin* of its candle or the *proof* of its
    absence, and the run that has written it; None where nothing is recorded."""

    state: State
    origin: Origin | None
    proof: Proof | None
    run: SyncRun | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DayMinutes:
    """The day of an instrument by the ledger as of *now*; None where it does not trade then.

    *origins* are those of its candles, by minutes since 1970 UTC; *runs* those that wrote
    something of the day, by their identifiers.
    """

    symbol: str
    now: datetime
    coverage: DayCoverage | None
    origins: Mapping[int, Origin]
    runs: Mapping[str, SyncRun]

    def facts(self, minute: int) -> MinuteFacts | None:
        """What is known of *minute*; None for one at which nothing is expected."""
        if self.coverage is None:
            return None
        for one in self.coverage.intervals:
            if one.first <= minute < one.end:
                origin = self.origins.get(minute)
                run_id = origin.run_id if origin else one.proof.run_id if one.proof else ""
                return MinuteFacts(
                    state=one.state, origin=origin, proof=one.proof, run=self.runs.get(run_id)
                )
        return None


def day_minutes(settings: Settings, symbol: str, day: date) -> DayMinutes:
    """The minutes of *symbol* on *day*. Raises as `candles` does."""
    with candle_range(settings, symbol, day, day, Interval.MINUTE, None) as found:
        known = found.days[0] if found.days else None
        origins: Mapping[int, Origin] = {}
        if known is not None:
            spans = expected_spans(known.session, CandleInterval.MINUTE)
            key, first, end = known.instrument_key, spans[0][0], spans[-1][1]
            with found.reading(key, first, end) as connection:
                origins = candle_origins(connection, key, CandleInterval.MINUTE, first, end)
    coverage = known.coverage if known else None
    with store_of(settings) as store:
        runs = runs_named(store, _run_ids(coverage, origins))
    return DayMinutes(
        symbol=found.symbol, now=found.now, coverage=coverage, origins=origins, runs=runs
    )


def _run_ids(coverage: DayCoverage | None, origins: Mapping[int, Origin]) -> Sequence[str]:
    intervals = coverage.intervals if coverage else ()
    proofs = {one.proof.run_id for one in intervals if one.proof}
    return sorted(proofs | {each.run_id for each in origins.values()})
