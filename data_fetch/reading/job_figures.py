"""The jobs of a collector: what their runs of today did, and when each is due next."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from data_fetch.core.settings import Settings
from data_fetch.core.timetable import next_due, standard_timetable
from data_fetch.reading.collector_facts import RunFigures, run_figures
from data_fetch.reading.market_day import trading_groups
from data_fetch.reading.records import clock_of, store_of
from data_fetch.runtime.calendars import calendar_for
from data_fetch.storage.database.leadership import Leadership, is_led


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFigures:
    """One job. *outcomes* counts its runs that began today; *last_ended* is of its newest run of
    the last days. *next_due* is None for a job that users start, or that is not due for long."""

    name: str
    outcomes: Mapping[str, int]
    stored: int
    requests: int
    last_ended: datetime | None
    next_due: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorState:
    """The jobs at the instant *at*, and whether a collector *runs*; *leader* is the process that
    collected last, None before the first."""

    at: datetime
    runs: bool
    leader: str | None
    jobs: Sequence[JobFigures]


def collector_state(settings: Settings) -> CollectorState:
    """The jobs of the configured store's collector now. Raises CalendarUnknown, SymbolsFileBad,
    StoreUnreachable."""
    now, calendar = clock_of(settings).now(), calendar_for(settings)
    with store_of(settings) as store:
        groups = trading_groups(settings, store, now)
        runs, leader = is_led(store), Leadership(store).leader()
        figures = run_figures(store, now)
    timetable = standard_timetable(calendar, groups, settings.finalise_at)
    due = {name: next_due(rule, now) for name, rule in timetable.rules.items()}
    return CollectorState(
        at=now,
        runs=runs,
        leader=leader,
        jobs=job_figures(figures, due),
    )


def job_figures(runs: Sequence[RunFigures], due: Mapping[str, datetime | None]) -> list[JobFigures]:
    """Every job that is *due* or has *runs*, those of the timetable first."""
    by_job: dict[str, list[RunFigures]] = defaultdict(list)
    for each in runs:
        by_job[each.job].append(each)
    return [_figures(name, by_job[name], due.get(name)) for name in dict.fromkeys([*due, *by_job])]


def _figures(name: str, runs: Sequence[RunFigures], due: datetime | None) -> JobFigures:
    return JobFigures(
        name=name,
        outcomes={each.outcome: each.today for each in runs if each.today},
        stored=sum(each.stored for each in runs),
        requests=sum(each.requests for each in runs),
        last_ended=max((each.last_ended for each in runs), default=None),
        next_due=due,
    )
