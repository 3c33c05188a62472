"""What the chain collector has stored and how it goes, in the figures of the older backends."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from data_fetch.core.chains.chains import OptionType
from data_fetch.core.runs import Outcome
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import CHAINS
from data_fetch.reading.records import store_of
from data_fetch.reading.seam import Question, pinned, question
from data_fetch.reading.underlyings import polled_symbols
from data_fetch.storage.chains.counts import TypeCount, legs_by_type, legs_by_underlying
from data_fetch.storage.chains.lineage import chain_lineages
from data_fetch.storage.chains.rows import snapshots
from data_fetch.storage.database.leadership import is_led
from data_fetch.storage.runs import sync_runs

# Types are counted leg by leg: so many take a second or two.
MOST_COUNTED = 2_000_000
HEADS_AND_LEGS = ("chain_snapshots", "option_chain_data")
STILL_TO_END = {Outcome.RUNNING, Outcome.NOT_DUE}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainCounts:
    """The stored legs by present symbol and by type, and the last receipt.

    *types* is None in a store of more than MOST_COUNTED legs.
    """

    symbols: Mapping[str, int]
    types: Mapping[OptionType, TypeCount] | None
    newest: datetime | None

    @property
    def legs(self) -> int:
        return sum(self.symbols.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The recorded runs of the chain collector. *running*: a collector has the lead of the store.

    *interval* is the shortest configured one, in seconds; None when nothing is polled.
    """

    running: bool
    completed: int
    failed: int
    last_completed: datetime | None
    symbols: tuple[str, ...]
    interval: int | None
    counts: ChainCounts

    @property
    def success_rate(self) -> float | None:
        """Completed runs in percent of all; None before the first."""
        total = self.completed + self.failed
        return round(100 * self.completed / total, 2) if total else None


def chain_counts(settings: Settings) -> ChainCounts:
    """The counts of the store and of its files. Raises StoreUnreachable, and SetupError where a
    file is missing or damaged."""
    with question(settings) as asked:
        return _counts(asked)


def pipeline(settings: Settings) -> Pipeline:
    """How collecting chains goes. Raises SymbolsFileBad, StoreUnreachable."""
    ended = (
        select(sync_runs.c.outcome, func.count(), func.max(sync_runs.c.finished_at))
        .where(sync_runs.c.job == CHAINS)
        .group_by(sync_runs.c.outcome)
    )
    with store_of(settings) as store:
        with store.reading() as connection:
            runs = {
                Outcome(outcome): (count, last)
                for outcome, count, last in connection.execute(ended)
            }
        polled = polled_symbols(settings, store)
        completed, last = runs.get(Outcome.COMPLETED, (0, None))
        with pinned(settings, store) as asked:
            counts = _counts(asked)
        return Pipeline(
            running=is_led(store),
            completed=completed,
            failed=sum(
                count
                for outcome, (count, _) in runs.items()
                if outcome not in {Outcome.COMPLETED, *STILL_TO_END}
            ),
            last_completed=last,
            symbols=tuple(each.symbol for each in polled),
            interval=min((each.refresh_seconds for each in polled), default=None),
            counts=counts,
        )


def _counts(asked: Question) -> ChainCounts:
    # While a day is dropped or restored, some of its rows are in both.
    asked.leave_void_out(HEADS_AND_LEGS)
    connection = asked.connection
    stored = legs_by_underlying(connection)
    newest = connection.scalar(select(func.max(snapshots.c.last_confirmed)))
    present = {
        name.label: lineage.symbol
        for lineage in chain_lineages(connection, stored)
        for name in lineage.names
    }
    few = sum(stored.values()) <= MOST_COUNTED
    symbols: dict[str, int] = {}
    for name, legs in stored.items():
        symbol = present.get(name, name)
        symbols[symbol] = symbols.get(symbol, 0) + legs
    return ChainCounts(
        symbols=dict(sorted(symbols.items())),
        types=_by_type(asked) if few else None,
        newest=newest,
    )


def _by_type(asked: Question) -> dict[OptionType, TypeCount]:
    stored = legs_by_type(asked.connection)
    if not asked.days_of_chains:
        return stored
    # DuckDB takes long to load.
    from data_fetch.archive.leg_counts import legs_of_files

    paths = (asked.paths(table, asked.days_of_chains) for table in HEADS_AND_LEGS)
    in_files = legs_of_files(*paths)
    return {
        kind: TypeCount(
            *(one + other for one, other in zip(counted, in_files.get(kind, (0, 0)), strict=True))
        )
        for kind, counted in stored.items()
    }
