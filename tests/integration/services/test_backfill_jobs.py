"""The recurring backfills of a collector: their days, their reports, and how they end."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from threading import Event, Thread

import pytest

from data_fetch.core.candles.candles import CandleReply, no_candles
from data_fetch.core.candles.request_planner import CandleEndpoint, Window
from data_fetch.core.clock import IST, ScaledClock
from data_fetch.core.errors import AccessDenied, DataFetchError, Stopped, TokenRejected
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.services.backfill import BackfillService
from data_fetch.services.backfill_jobs import BackfillJobs, fetched_by
from data_fetch.sources.upstox.candle_endpoints import HISTORICAL, INTRADAY, UpstoxCandleEndpoints
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS
from data_fetch.storage.candles.repository import CandleRepository
from data_fetch.storage.database.store import Store
from data_fetch.storage.runs import recent_runs

TODAY = date(2026, 9, 16)
SOON_ENOUGH_SECONDS = 300
NAMES = ("A", "B")


def instrument(symbol: str) -> Instrument:
    key = f"NSE_EQ|ZZP00000{symbol}01"
    return Instrument(
        instrument_key=key,
        symbol=symbol,
        segment="NSE_EQ",
        instrument_type="EQ",
        cas_eligible=True,
        live_key=key,
    )


@dataclass
class Provider(UpstoxCandleEndpoints):
    """Answers every window in the same way, and remembers what it was asked."""

    clock: ScaledClock
    answer: Callable[[Window, Event], DataFetchError | None]
    asked: list[Window] = field(default_factory=list)

    def candles(self, window: Window, stop: Event) -> CandleReply:
        self.asked.append(window)
        problem = self.answer(window, stop)
        return CandleReply(
            block=no_candles(window.instrument.instrument_key, window.interval),
            complete=problem is None,
            problem=problem,
            requests=1,
            received_at=self.clock.now(),
        )


def nothing(_: Window, __: Event) -> DataFetchError | None:
    return None


@dataclass
class CollectorEnv:
    store: Store
    clock: ScaledClock
    provider: Provider
    backfill_jobs: BackfillJobs
    stop: Event
    lines: list[str]

    def do(self, job: str, time: str = "12:00:40") -> None:
        self.clock.set(datetime.fromisoformat(f"{TODAY} {time}").replace(tzinfo=IST))
        self.backfill_jobs.run(job)


@pytest.fixture
def env(store: Store) -> CollectorEnv:
    clock = ScaledClock(datetime(2026, 9, 16, 12, 0, 40, tzinfo=IST))
    provider, stop, lines = Provider(clock, nothing), Event(), []
    service = BackfillService(
        source=provider,
        source_name="paper",
        repository=CandleRepository(store),
        calendar=MarketCalendar.reviewed(),
        clock=clock,
        limits=UPSTOX_LIMITS,
        spending=lambda _: (),
        stop=stop,
    )
    backfill_jobs = BackfillJobs(
        service=service,
        complete=fetched_by(service),
        instruments=[instrument(name) for name in NAMES],
        listed={},
        clock=clock,
        stop=stop,
        report=lines.append,
    )
    return CollectorEnv(store, clock, provider, backfill_jobs, stop, lines)


@pytest.mark.parametrize(
    ("job", "time", "first", "doors"),
    [
        pytest.param("coverage", "12:00:40", TODAY, {INTRADAY}, id="today, while it runs"),
        pytest.param("daily", "16:00:00", TODAY, {INTRADAY}, id="today, when it is over"),
        pytest.param(
            "finalise",
            "20:00:00",
            TODAY - timedelta(days=6),
            {INTRADAY, HISTORICAL},
            id="a week",
        ),
        pytest.param(
            "weekly",
            "10:00:00",
            date(2026, 7, 20),
            {INTRADAY, HISTORICAL},
            id="two months, from a Monday on",
        ),
    ],
)
def test_each_job_requests_its_days(
    env: CollectorEnv, job: str, time: str, first: date, doors: set[CandleEndpoint]
) -> None:
    env.do(job, time)

    asked = env.provider.asked
    assert {window.instrument.symbol for window in asked} == set(NAMES)
    assert min(window.first for window in asked) == first
    assert max(window.last for window in asked) == TODAY
    assert {window.endpoint for window in asked} == doors


def test_each_job_leaves_one_audit_row_with_or_without_requests(env: CollectorEnv) -> None:
    env.do("coverage")
    env.do("coverage")
    env.do("daily", "12:01:40")

    runs = recent_runs(env.store)
    assert sorted((run.job, run.requests) for run in runs) == [
        ("coverage", 0),
        ("coverage", 2),
        ("daily", 0),
    ]


def test_the_result_of_a_backfill_is_reported_once(
    env: CollectorEnv,
) -> None:
    for time in ("12:00:40", "12:00:45", "12:00:50"):
        env.do("coverage", time)
    env.do("finalise", "20:00:00")

    missing = 2 * 165
    assert env.lines == [
        f"12:00 coverage: 2 requests, 0 minutes stored, {missing} still missing",
        f"12:00 coverage: 0 requests, 0 minutes stored, {missing} still missing",
        "20:00 finalise: 4 requests, 0 minutes stored, 0 still missing",
    ]


def test_the_problem_that_stops_backfills_is_raised_once_until_one_succeeds(
    env: CollectorEnv,
) -> None:
    env.provider.answer = lambda *_: AccessDenied("denied")
    with pytest.raises(AccessDenied):
        env.do("coverage")
    env.do("coverage", "12:05:40")
    env.provider.answer = lambda *_: TokenRejected("rejected")
    with pytest.raises(TokenRejected):
        env.do("coverage", "12:10:40")
    env.provider.answer = nothing
    env.do("coverage", "12:15:40")
    env.provider.answer = lambda *_: TokenRejected("rejected")
    with pytest.raises(TokenRejected):
        env.do("weekly", "13:00:00")

    assert [run.outcome for run in recent_runs(env.store)] == [
        "failed",
        "incomplete",
        "failed",
        "failed",
        "failed",
    ]


def test_a_stop_ends_a_backfill_whose_requests_wait_for_the_rate_limit(env: CollectorEnv) -> None:
    waiting = Event()

    def wait_for_a_turn(_: Window, stop: Event) -> DataFetchError:
        waiting.set()
        stop.wait()
        return Stopped("called off")

    env.provider.answer = wait_for_a_turn
    weekly = Thread(target=env.do, args=("weekly",), daemon=True)
    weekly.start()
    assert waiting.wait(SOON_ENOUGH_SECONDS)
    env.stop.set()
    weekly.join(SOON_ENOUGH_SECONDS)

    assert not weekly.is_alive()
    [run] = recent_runs(env.store)
    assert (run.job, run.outcome) == ("weekly", "incomplete")


def test_after_a_stop_no_request_is_sent(env: CollectorEnv) -> None:
    env.stop.set()
    env.do("weekly")

    assert env.provider.asked == []
    assert recent_runs(env.store) == []


def test_two_jobs_at_once_request_nothing_twice(env: CollectorEnv) -> None:
    first_is_asking, go_on = Event(), Event()

    def slowly(_: Window, __: Event) -> None:
        first_is_asking.set()
        go_on.wait(SOON_ENOUGH_SECONDS)

    env.provider.answer = slowly
    jobs = [
        Thread(target=env.backfill_jobs.run, args=[job], daemon=True)
        for job in ("daily", "finalise")
    ]
    jobs[0].start()
    assert first_is_asking.wait(SOON_ENOUGH_SECONDS)
    jobs[1].start()
    go_on.set()
    for job in jobs:
        job.join(SOON_ENOUGH_SECONDS)

    asked = [(window.instrument.symbol, str(window.endpoint)) for window in env.provider.asked]
    assert sorted(asked) == [
        (name, endpoint) for name in NAMES for endpoint in ("historical", "intraday")
    ]
