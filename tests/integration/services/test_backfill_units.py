"""Backfills by workers: the same candles and the same ledger, whatever is delivered twice."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from backfill_env import BackfillEnv, backfill_env, ist
from unit_desk import UnitDesk

from data_fetch.core.work import UnitFailure, UnitKind, UnitState
from data_fetch.services.backfill_units import BackfillUnits
from data_fetch.services.work import UnitWork
from data_fetch.storage.instruments.instruments import save_master
from data_fetch.storage.runs import recent_runs

FIRST, LAST = date(2026, 9, 14), date(2026, 9, 16)
SYMBOLS = ("NIFTY", "RELIANCE", "TCS")
MASTER_DAY = date(2026, 9, 1)


@contextmanager
def shared(
    database_url: str, folder: Path, symbols_listed: Sequence[str] = SYMBOLS
) -> Iterator[tuple[BackfillEnv, UnitDesk, BackfillUnits]]:
    with backfill_env(database_url, folder, ist(LAST, "20:30"), SYMBOLS) as env:
        listed = [one for one in env.instruments if one.symbol in symbols_listed]
        save_master(env.store, iter(listed), MASTER_DAY, ist(MASTER_DAY, "08:00"))
        work: dict[UnitKind, UnitWork] = {}
        desk = UnitDesk(env.store, work)
        units = BackfillUnits(env.service, env.store, desk.clock)
        work[UnitKind.BACKFILL] = units.do
        yield env, desk, units


def requests_of(env: BackfillEnv) -> int:
    return len(env.source.received)


def test_workers_fetch_every_window_of_a_plan_once(database_url: str, tmp_path: Path) -> None:
    with shared(database_url, tmp_path) as (env, desk, units):
        order = env.order(FIRST, LAST)
        plan = env.service.plan(order)
        assert units.offer(plan) == len(plan.windows) > 0
        assert units.offer(plan) == 0

        desk.dispatch.run()
        desk.queue.keys *= 2
        desk.deliver()

        assert requests_of(env) == len(plan.windows)
        assert env.service.missed_minutes(order) == 0
        assert not env.service.plan(order).windows
        runs = recent_runs(env.store, job="backfill")
        assert [run.requests for run in runs].count(1) == len(plan.windows)


def test_a_window_that_was_fetched_meanwhile_takes_no_request(
    database_url: str, tmp_path: Path
) -> None:
    with shared(database_url, tmp_path) as (env, desk, units):
        order = env.order(FIRST, LAST)
        units.offer(env.service.plan(order))
        env.backfill(order)
        sent = requests_of(env)

        desk.work_off()

        assert requests_of(env) == sent
        assert {each.state for each in desk.units.counts()} == {UnitState.DONE}


def test_a_rejected_account_holds_a_window_until_it_is_accepted(
    database_url: str, tmp_path: Path
) -> None:
    with shared(database_url, tmp_path) as (env, desk, units):
        order = env.order(FIRST, LAST, symbols=("TCS",))
        env.faults({"kind": "cloudflare-403", "api": "candles"})
        units.offer(env.service.plan(order))

        failures = {each.failed.reason for each in desk.work_off() if each and each.failed}
        assert failures == {UnitFailure.AUTH}

        env.faults()
        desk.go_on(timedelta(minutes=6))
        desk.work_off()
        assert env.service.missed_minutes(order) == 0


def test_an_instrument_that_the_store_lacks_is_refused_with_a_hint(
    database_url: str, tmp_path: Path
) -> None:
    with shared(database_url, tmp_path, symbols_listed=()) as (env, desk, units):
        units.offer(env.service.plan(env.order(FIRST, LAST, symbols=("TCS",))))

        desk.work_off()

        [dead, _] = desk.units.dead(UnitFailure.REFUSED)
        assert "same DATABASE_URL" in (dead.error or "")
