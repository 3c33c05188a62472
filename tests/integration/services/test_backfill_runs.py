"""Runs that meet an outage, another run, a bad row, or the end of a minute."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import pytest
from backfill_env import CALENDAR, BackfillEnv, backfill_env, ist
from effort import PATIENCE_SECONDS
from living import living

from data_fetch.core.candles.candles import CandleInterval, CandleReply, no_candles
from data_fetch.core.candles.coverage import State
from data_fetch.core.candles.request_planner import Window
from data_fetch.core.clock import ScaledClock
from data_fetch.core.errors import TransientError, Unavailable
from data_fetch.core.failures import FailureGroup
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.runs import Outcome
from data_fetch.services.backfill import BackfillService
from data_fetch.services.backfill_report import BackfillReport, Outage, Progress
from data_fetch.services.backfill_run import WORKERS
from data_fetch.services.missing_days import BackfillOrder
from data_fetch.services.outage import USUAL_PATIENCE
from data_fetch.sources.upstox.candle_client import UpstoxCandleClient
from data_fetch.sources.upstox.candle_endpoints import UpstoxCandleEndpoints
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS
from data_fetch.storage.candles.leases import LASTS, RENEWALS
from data_fetch.storage.candles.repository import CandleRepository
from data_fetch.storage.database.lives import forget
from data_fetch.storage.database.store import Store
from data_fetch.storage.runs import recent_runs

SYMBOLS = ("NIFTY", "TCS", "RELIANCE", "INFY", "SBIN")
MINUTES = CandleInterval.MINUTE
TODAY = date(2026, 9, 16)
FIRST, LAST = date(2026, 4, 1), date(2026, 9, 15)
SOON_ENOUGH_SECONDS = 300


@pytest.fixture
def env(database_url: str, tmp_path: Path) -> Iterator[BackfillEnv]:
    """At eleven on an ordinary day; the service waits as long as usual in an outage."""
    with backfill_env(
        database_url, tmp_path, ist(TODAY, "11:00:08"), SYMBOLS, patience=USUAL_PATIENCE
    ) as env:
        yield env


# --- an outage --------------------------------------------------------------------------------


def outage_of(env: BackfillEnv, seconds: int, after: int) -> tuple[Any, list[Outage]]:
    """A function that follows a run, and lets the provider fail for a time after some windows."""
    seen: list[Outage] = []
    begun: list[datetime] = []

    def advance(far: Progress) -> None:
        if far.outage is not None:
            seen.append(far.outage)
        if far.done >= after and not begun:
            begun.append(env.clock.now())
            until = env.clock.now() + timedelta(seconds=seconds)
            env.faults({"kind": "server-error", "api": "candles", "until": until.isoformat()})

    return advance, seen


@pytest.mark.parametrize("seconds", [8, 60, 240])
def test_an_outage_of_seconds_or_minutes_is_waited_out(env: BackfillEnv, seconds: int) -> None:
    order = env.order(FIRST, LAST)
    plan = env.service.plan(order)
    advance, outages = outage_of(env, seconds, after=WORKERS)

    report = env.service.run(plan, advance=advance)

    assert (report.outcome, report.done, report.missed) == (
        Outcome.COMPLETED,
        len(plan.windows),
        0,
    )
    assert report.failed_windows == 0
    assert outages
    assert all(isinstance(one.problem, TransientError) for one in outages)
    assert env.service.plan(order).windows == []


def test_during_an_outage_one_request_at_a_time_is_tried(env: BackfillEnv) -> None:
    advance, outages = outage_of(env, 10**6, after=WORKERS)
    plan = env.service.plan(env.order(FIRST, LAST))

    report = env.service.run(plan, advance=advance)

    assert isinstance(report.stopped_by, Unavailable)
    assert report.outcome is Outcome.INCOMPLETE
    assert len(outages) == len(USUAL_PATIENCE.long)
    waits = [one.next_attempt for one in outages]
    assert waits == sorted(waits)
    # The requests under way, and one after each pause, each tried four times.
    assert report.failed_windows <= WORKERS + len(outages)


def test_a_provider_that_never_answers_is_given_up_soon(env: BackfillEnv) -> None:
    env.faults({"kind": "server-error", "api": "candles"})
    order = env.order(FIRST, LAST)

    report = env.backfill(order)

    assert (report.outcome, report.answered) == (Outcome.FAILED, 0)
    assert env.clock.now() - ist(TODAY, "11:00:08") < timedelta(minutes=2)
    env.faults()
    again = env.service.plan(order)
    assert (len(again.windows), again.held_back) == (report.windows, 0)


def test_after_an_outage_the_next_run_goes_on_at_once(env: BackfillEnv) -> None:
    advance, _ = outage_of(env, 10**6, after=WORKERS)
    order = env.order(FIRST, LAST)
    first = env.service.run(env.service.plan(order), advance=advance)
    env.faults()

    rest = env.service.plan(order)

    assert len(rest.windows) == first.windows - (first.done - first.failed_windows)
    assert env.service.run(rest).outcome is Outcome.COMPLETED


def test_a_request_that_fails_on_its_own_is_held_back_alone(env: BackfillEnv) -> None:
    key = env.instrument("SBIN").instrument_key
    env.faults({"kind": "server-error", "api": "candles", "instruments": [key]})
    order = env.order(date(2026, 9, 7), LAST, symbols=["NIFTY", "RELIANCE", "SBIN"])

    report = env.backfill(order)

    assert (report.outcome, report.stopped_by) == (Outcome.INCOMPLETE, None)
    assert report.failures[FailureGroup.NETWORK] == report.failed_windows == 1
    assert list(report.reasons) == ["SBIN"]
    env.faults()
    days = {day for (symbol, day) in env.ledger(order) if symbol == "SBIN"}
    assert (env.service.plan(order).windows, env.service.plan(order).held_back) == ([], len(days))


def test_one_refusal_of_a_key_is_the_response_to_all_its_windows(env: BackfillEnv) -> None:
    """Some of the windows are not sent; their days are accounted for as well."""
    key = env.instrument("SBIN").instrument_key
    env.faults({"kind": "unknown-key", "api": "candles", "instruments": [key]})
    order = env.order(date(2025, 6, 2), LAST, symbols=["SBIN"])
    plan = env.service.plan(order)

    report = env.service.run(plan)

    assert WORKERS <= report.requests < len(plan.windows)
    assert report.reasons.keys() == {"SBIN"}
    days = env.ledger(order).values()
    assert {known.attempts for known in days} == {1}
    assert {known.last_error is not None for known in days} == {True}


def test_after_the_clock_was_set_back_nothing_is_held_back(env: BackfillEnv) -> None:
    """The next attempt was due a day later than it is now."""
    key = env.instrument("SBIN").instrument_key
    env.faults({"kind": "unknown-key", "api": "candles", "instruments": [key]})
    order = env.order(date(2026, 9, 7), date(2026, 9, 10), symbols=["SBIN"])
    env.backfill(order)
    assert env.service.plan(order).windows == []

    yesterday = ScaledClock(ist("2026-09-15", "11:00:08"))
    earlier = service_over(env.store, Counting(), yesterday)

    assert len(earlier.plan(order).windows) == 1


# --- one bad row ------------------------------------------------------------------------------


def test_one_bad_row_costs_its_day_alone(env: BackfillEnv) -> None:
    """A month with a bad row on one day and nothing at all on another."""
    first, bad, empty = date(2026, 8, 17), date(2026, 9, 3), date(2026, 8, 25)
    order = env.order(first, LAST, symbols=["RELIANCE"])
    key = env.instrument("RELIANCE").instrument_key
    of_empty = {"bars_from": f"{empty}T00:00:00+05:30", "bars_until": f"{empty}T23:59:00+05:30"}
    one = {"api": "candles", "instruments": [key]}
    source = OneBadRow(UpstoxCandleClient(env.api, env.clock), bad)
    env.faults({"kind": "lost-minutes", **one, **of_empty})
    service = service_over(env.store, source, env.clock)

    report = service.run(service.plan(order))

    ledger = {day: known for (_, day), known in env.ledger(order).items()}
    assert ledger[empty].minutes(State.SOURCE_EMPTY) == ledger[empty].expected
    assert [day for day, known in ledger.items() if known.last_error] == [bad]
    assert report.rejected_rows.total() == 1
    assert report.requests <= 2 * 6


# --- the end of a minute ----------------------------------------------------------------------


def test_minutes_that_become_due_meanwhile_are_no_part_of_the_order(env: BackfillEnv) -> None:
    """The provider answers at once, but the clock goes on by five minutes in between."""
    liquid = ["NIFTY", "RELIANCE"]
    order = env.order(TODAY, TODAY, symbols=liquid)
    plan = env.service.plan(order)
    source = Slow(UpstoxCandleClient(env.api, env.clock), env, timedelta(minutes=5))

    report = service_over(env.store, source, env.clock).run(plan)

    assert (report.outcome, report.missed) == (Outcome.COMPLETED, 0)
    # The response has one of those minutes already.
    assert report.became_due == 4 * len(liquid)
    [run] = recent_runs(env.store)
    assert run.outcome is Outcome.COMPLETED
    assert run.details["became_due"] == report.became_due


# --- another run ------------------------------------------------------------------------------


def test_two_runs_of_one_order_send_each_request_once(database_url: str, store: Store) -> None:
    source = Counting()
    services = [service_over(store, source, ScaledClock(ist(TODAY, "11:00:08"))) for _ in range(2)]
    order = BackfillOrder(
        instruments=[instrument(number) for number in range(12)],
        interval=MINUTES,
        first=date(2026, 6, 1),
        last=LAST,
    )
    plans = [service.plan(order) for service in services]
    reports: list[BackfillReport] = []
    runs = [
        Thread(target=lambda one=service, plan=plan: reports.append(one.run(plan)), daemon=True)
        for service, plan in zip(services, plans, strict=True)
    ]

    for run in runs:
        run.start()
    for run in runs:
        run.join(SOON_ENOUGH_SECONDS)

    windows = [(one.instrument.symbol, one.first) for one in source.requested]
    assert sorted(windows) == sorted((one.instrument.symbol, one.first) for one in plans[0].windows)
    assert [report.outcome for report in reports] == [Outcome.COMPLETED] * 2
    assert sum(report.requests for report in reports) == len(plans[0].windows)
    assert sum(report.elsewhere for report in reports) == len(plans[0].windows)


def test_the_days_of_a_run_that_was_killed_elsewhere_are_requested_soon(env: BackfillEnv) -> None:
    order = env.order(date(2026, 9, 7), LAST)
    plan = env.service.plan(order)
    run_id = uuid4().hex
    killed = CandleRepository(env.store).leases(run_id)
    assert killed.taken(plan.windows[:2], env.clock.now()) == [True, True]
    # This machine knows nothing of its process.
    forget(run_id)

    report = env.service.run(plan)

    assert (report.outcome, report.requests) == (Outcome.COMPLETED, len(plan.windows))
    assert LASTS <= env.clock.now() - plan.made_at < 2 * LASTS


@pytest.mark.parametrize(
    ("later", "taken"),
    [
        pytest.param(timedelta(0), False, id="at once"),
        pytest.param(LASTS - timedelta(seconds=1), False, id="before it expires"),
        pytest.param(LASTS, True, id="when it has expired"),
        pytest.param(timedelta(days=-1), True, id="after the clock was set back by a day"),
    ],
)
def test_days_are_leased_for_a_while(env: BackfillEnv, later: timedelta, taken: bool) -> None:
    repository, now = CandleRepository(env.store), env.clock.now()
    [window, *_] = env.service.plan(env.order(date(2026, 9, 7), LAST)).windows
    one, other = repository.leases(uuid4().hex), repository.leases(uuid4().hex)
    assert one.taken([window], now) == [True]

    assert other.taken([window], now + later) == [taken]
    one.release_all()
    other.release_all()


def test_days_of_a_process_that_has_ended_on_this_machine_are_free_at_once(
    env: BackfillEnv,
) -> None:
    repository, now = CandleRepository(env.store), env.clock.now()
    [window, *_] = env.service.plan(env.order(date(2026, 9, 7), LAST)).windows
    ended, other = uuid4().hex, repository.leases(uuid4().hex)
    assert repository.leases(ended).taken([window], now) == [True]
    forget(ended)
    with living(ended) as process:
        assert other.taken([window], now) == [False]
        process.kill()
        process.wait(PATIENCE_SECONDS)

        assert other.taken([window], now) == [True]
    other.release_all()


def test_a_lease_that_is_renewed_goes_on(env: BackfillEnv) -> None:
    repository, now = CandleRepository(env.store), env.clock.now()
    [window, *_] = env.service.plan(env.order(date(2026, 9, 7), LAST)).windows
    one, other = repository.leases(uuid4().hex), repository.leases(uuid4().hex)
    one.taken([window], now)
    one.renew(now + LASTS / RENEWALS)

    assert other.taken([window], now + LASTS) == [False]
    one.release(window)
    assert other.taken([window], now + LASTS) == [True]
    one.release_all()
    other.release_all()


def instrument(number: int) -> Instrument:
    key = f"NSE_EQ|ZZP0000{number:02}01"
    return Instrument(
        instrument_key=key,
        live_key=key,
        symbol=f"S{number}",
        segment="NSE_EQ",
        instrument_type="EQ",
        cas_eligible=True,
    )


class Counting(UpstoxCandleEndpoints):
    """Has no candles, and takes down what was requested."""

    def __init__(self) -> None:
        self.requested: list[Window] = []

    def candles(self, window: Window, stop: Event) -> CandleReply:
        self.requested.append(window)
        return CandleReply(
            block=no_candles(window.instrument.instrument_key, window.interval),
            complete=True,
            requests=1,
            received_at=ist(TODAY, "11:00:30"),
        )


@dataclass
class OneBadRow(UpstoxCandleEndpoints):
    """A provider one of whose rows, at noon of the day *bad*, cannot be read."""

    source: UpstoxCandleClient
    bad: date

    def candles(self, window: Window, stop: Event) -> CandleReply:
        reply = self.source.candles(window, stop)
        if not window.first <= self.bad <= window.last:
            return reply
        noon = int(ist(self.bad, "12:00:00").timestamp()) // 60
        good = [place for place, start in enumerate(reply.block.starts) if start != noon]
        bad_row = {"a price that cannot be": 1}
        return replace(reply, block=reply.block.chosen(good), complete=False, rejected_rows=bad_row)


@dataclass
class Slow(UpstoxCandleEndpoints):
    """A provider whose response reflects the market, and reaches us *late*."""

    source: UpstoxCandleClient
    env: BackfillEnv
    late: timedelta

    def candles(self, window: Window, stop: Event) -> CandleReply:
        reply = self.source.candles(window, stop)
        self.env.clock.sleep(self.late)
        return replace(reply, received_at=self.env.clock.now())


def service_over(store: Store, source: Any, clock: Any) -> BackfillService:
    return BackfillService(
        source=source,
        source_name="paper",
        repository=CandleRepository(store),
        calendar=CALENDAR,
        clock=clock,
        limits=UPSTOX_LIMITS,
        spending=lambda _: (),
        stop=Event(),
    )
