"""Option numbers by workers: stored as received, priced once, the numbers of one process."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from backfill_env import ist
from chain_env import CALENDAR, ChainEnv, chain_env
from unit_desk import UnitDesk

from data_fetch.analytics.chain_pricing import not_priced
from data_fetch.archive.raw_responses import RawResponseStore
from data_fetch.core.chains.chains import content_hash
from data_fetch.core.chains.valuation import NOT_PRICED, Reason
from data_fetch.core.errors import LostUnit
from data_fetch.core.runs import Outcome, SyncRun, new_run_id
from data_fetch.core.work import UnitFailure, UnitKind, UnitOffer, UnitState
from data_fetch.runtime.chains import chain_reprocess_at
from data_fetch.services.chain_enrichment import ChainEnricher, ParsedResponse
from data_fetch.services.chain_units import ChainUnits, offering_to_price
from data_fetch.services.late_days import refuse
from data_fetch.services.reprocess_units import ReprocessUnits, offer_reprocessing
from data_fetch.services.work import UnitWork
from data_fetch.storage.chains.snapshots import ChainStore, StoredSnapshot
from data_fetch.storage.runs import recent_runs

MORNING = ist(date(2026, 9, 16), "10:00:30")
NEEDS_NUMBERS = ("atm_strike", "straddle", "atm_iv", "gamma_exposure")


class Shared:
    """A collector that leaves its chains to workers, and a worker."""

    def __init__(self, env: ChainEnv) -> None:
        work: dict[UnitKind, UnitWork] = {}
        self.env = env
        self.kinds = work
        self.desk = UnitDesk(env.store, work)
        enricher = ChainEnricher(env.store, CALENDAR)
        self.work = ChainUnits(env.store, enricher, self.desk.clock, refuse).do
        work[UnitKind.ENRICHMENT] = self.work
        env.context = replace(env.context, dispatch=self.desk.dispatch)

    def poll(self) -> None:
        self.env.service().poll(self.env.target(expiries=2))

    def states(self) -> dict[UnitState, int]:
        found: Counter[UnitState] = Counter()
        for each in self.desk.units.counts():
            found[each.state] += each.units
        return dict(found)

    def snapshot(self) -> StoredSnapshot:
        found = self.env.chains.of("NIFTY").snapshot_at()
        assert found is not None
        return found


@pytest.fixture
def shared(database_url: str, tmp_path: Path) -> Iterator[Shared]:
    with chain_env(database_url, tmp_path, MORNING, NSE_ENABLED="false") as env:
        yield Shared(env)


def test_a_chain_waits_for_its_numbers_with_that_reason(shared: Shared) -> None:
    shared.poll()

    summary = shared.snapshot().summary
    assert summary.priced.convention == NOT_PRICED
    assert {leg.reason for leg in summary.priced.numbers} == {Reason.NOT_PRICED_YET}
    assert {summary.metrics[name].reason for name in NEEDS_NUMBERS} == {Reason.NOT_PRICED_YET}
    # What needs no valuation is there at once.
    assert summary.metrics["pcr_oi"].value is not None
    assert summary.metrics["max_pain"].value is not None


def test_a_worker_stores_the_numbers_that_one_process_stores(
    shared: Shared,
) -> None:
    shared.poll()
    received = shared.snapshot()
    shared.desk.work_off()
    priced = shared.snapshot()

    [alone] = ChainEnricher(shared.env.store, CALENDAR).received(
        [ParsedResponse(chains=[received.chain], received_at=received.timestamp)]
    )
    assert priced.summary == alone.summary
    assert any(leg.iv is not None for leg in priced.summary.priced.numbers)
    # Only the numbers are new, and the run that they are from.
    assert priced.chain == received.chain
    assert replace(priced.head, run_id="") == replace(received.head, run_id="")
    assert priced.head.content_hash == content_hash(priced.chain)
    assert priced.instrument_keys == received.instrument_keys


def test_the_unit_is_offered_with_its_chain_and_ends_with_its_numbers(shared: Shared) -> None:
    shared.poll()
    assert shared.states() == {UnitState.WAITING: 2}

    shared.desk.dispatch.run()
    shared.desk.queue.keys *= 2
    results = shared.desk.deliver()

    assert [result is not None for result in results].count(True) == 2
    assert shared.states() == {UnitState.DONE: 2}
    runs = recent_runs(shared.env.store, job="enrichment")
    assert [(run.outcome, run.stored) for run in runs] == [(Outcome.COMPLETED, 1)] * 2
    assert shared.snapshot().head.run_id in {run.run_id for run in runs}


def test_a_confirmed_chain_is_no_new_unit(shared: Shared) -> None:
    shared.poll()
    shared.desk.work_off()
    shared.poll()

    assert shared.states() == {UnitState.DONE: 2}


def test_a_worker_that_ends_before_it_has_stored_leaves_no_trace(shared: Shared) -> None:
    shared.poll()
    before = shared.snapshot()
    [first, _] = shared.desk.units.claim(shared.desk.clock.now(), shared.desk.clock.now(), 10)
    lease = shared.desk.units.take(first.key, new_run_id(), shared.desk.clock.now())
    assert lease is not None
    lease.life.end()
    shared.desk.go_on(timedelta(minutes=3))
    shared.desk.units.recover_lost(shared.desk.clock.now())

    # It comes back, and another worker may have the unit.
    with pytest.raises(LostUnit):
        shared.work(lease)
    assert shared.snapshot() == before

    shared.desk.go_on(timedelta(minutes=1))
    shared.desk.work_off()
    assert shared.snapshot().summary.priced.convention != NOT_PRICED


def test_a_chain_that_was_reprocessed_meanwhile_is_left_as_it_is(shared: Shared) -> None:
    shared.poll()
    stored = shared.snapshot()
    enricher = ChainEnricher(shared.env.store, CALENDAR)
    [priced] = enricher.received(
        [ParsedResponse(chains=[stored.chain], received_at=stored.timestamp)]
    )
    run = SyncRun.begin("chain-rederive", MORNING)
    shared.env.chains.renew(priced, run)
    reprocessed = shared.snapshot()

    shared.desk.work_off()

    assert shared.snapshot() == reprocessed
    assert shared.states() == {UnitState.DONE: 2}


def test_a_valuation_keeps_the_hash_of_what_was_received(shared: Shared) -> None:
    """A database returns 100.0 for 100: read and hashed again it would be another content."""
    shared.poll()
    whole = shared.snapshot().chain
    chain = replace(whole, legs=tuple(leg._replace(ltp=100) for leg in whole.legs))
    at = MORNING + timedelta(minutes=1)
    price = ChainEnricher(shared.env.store, CALENDAR, not_priced)
    received = price.received([ParsedResponse(chains=[chain], received_at=at)])
    store = ChainStore(shared.env.store, beside=offering_to_price(shared.desk.clock))
    store.record(received, SyncRun.begin("chains", at), [])

    shared.desk.work_off()

    assert shared.snapshot().summary.priced.convention != NOT_PRICED
    [known] = store.known([chain], at + timedelta(minutes=1))
    assert known is not None


def test_a_store_without_the_chain_is_refused_with_a_hint(shared: Shared) -> None:
    series = ("NIFTY", "2026-09-22", "upstox")
    subject = dict(zip(("underlying", "expiry", "source"), series, strict=True))
    at = MORNING.isoformat()
    offer = UnitOffer(
        kind=UnitKind.ENRICHMENT, content=(*series, at), subject={**subject, "received_at": at}
    )
    now = shared.desk.clock.now()
    shared.desk.units.offer([offer], SyncRun.begin("plan", now), now)

    shared.desk.work_off()

    [dead] = shared.desk.units.dead()
    assert dead.reason is UnitFailure.REFUSED
    assert "same DATABASE_URL" in (dead.error or "")


def test_a_worker_that_cannot_see_the_raw_responses_refuses_the_unit(
    shared: Shared, tmp_path: Path
) -> None:
    env, elsewhere = shared.env, RawResponseStore(tmp_path / "another disk", 0)
    shared.poll()
    shared.desk.work_off()
    reprocess = chain_reprocess_at(env.store, CALENDAR, env.clock)
    shared.kinds[UnitKind.REPROCESSING] = ReprocessUnits(
        env.store, reprocess, elsewhere, shared.desk.clock
    ).do
    days = env.raw_store.underlyings(date.min, date.max)
    offer_reprocessing(shared.desk.units, days, shared.desk.clock.now())

    shared.desk.work_off()

    [dead] = shared.desk.units.dead()
    assert dead.reason is UnitFailure.REFUSED
    assert "another disk has no raw response of NIFTY" in str(dead.error)


def test_workers_reprocess_each_day_of_an_underlying_once(shared: Shared) -> None:
    env = shared.env
    shared.poll()
    shared.desk.work_off()
    before = shared.snapshot()
    reprocess = chain_reprocess_at(env.store, CALENDAR, env.clock)
    shared.kinds[UnitKind.REPROCESSING] = ReprocessUnits(
        env.store, reprocess, env.raw_store, shared.desk.clock
    ).do
    days = env.raw_store.underlyings(date.min, date.max)
    assert days == [(MORNING.date(), "NIFTY")]

    now = shared.desk.clock.now()
    assert offer_reprocessing(shared.desk.units, days, now) == 1
    assert offer_reprocessing(shared.desk.units, days, now) == 0
    shared.desk.work_off()

    assert shared.states() == {UnitState.DONE: 3}
    assert shared.snapshot() == before
    [run] = [each for each in recent_runs(env.store, job="chain-rederive") if each.requested > 1]
    assert run.outcome is Outcome.COMPLETED
    assert run.details["repeated"] == 2
