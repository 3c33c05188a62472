"""Polling option chains on a schedule."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from chain_env import SYMBOLS, ChainEnv, chain_env
from sqlalchemy import insert

from data_fetch.core.chains.chains import ChainSource
from data_fetch.core.chains.symbol_config import default_config
from data_fetch.core.clock import IST, MINUTE
from data_fetch.core.errors import SetupError
from data_fetch.core.ports import Lane
from data_fetch.core.timetable import CHAINS
from data_fetch.reading.chain_status import chain_status
from data_fetch.services.chain_jobs import WORKERS, ChainPoller
from data_fetch.storage.chains.symbol_config import SymbolConfigs
from data_fetch.storage.database.tables import (
    ChainReceiptRow,
    ChainSnapshotRow,
    InstrumentLineage,
    table,
)
from data_fetch.storage.instruments.instruments import save_master
from data_fetch.storage.runs import recent_runs

OPEN = datetime(2026, 9, 16, 9, 15, tzinfo=IST)
TICK_EVERY = timedelta(seconds=5)


@pytest.fixture
def env(sqlite_url: str, tmp_path: Path) -> Iterator[ChainEnv]:
    with chain_env(sqlite_url, tmp_path, OPEN) as env:
        yield env


def tick_for(env: ChainEnv, poller: ChainPoller, lasting: timedelta) -> None:
    """Tick every five seconds, as the timetable does, and wait for the last polls."""
    end = env.clock.now() + lasting
    while env.clock.now() < end:
        poller.tick()
        env.clock.sleep(TICK_EVERY)


def receipts(env: ChainEnv) -> Counter[str]:
    return Counter(row["underlying"] for row in env.rows(ChainReceiptRow))


def decided(env: ChainEnv, symbol: str, **how: Any) -> None:
    config = replace(default_config(env.instrument(symbol)), **how)
    SymbolConfigs(env.store).set(config, env.clock.now())


def test_indices_are_polled_every_half_minute_by_default(env: ChainEnv) -> None:
    poller = env.poller()

    tick_for(env, poller, timedelta(minutes=5))
    poller.close()

    assert receipts(env) == {"NIFTY": 10, "BANKNIFTY": 10}
    # Each minute has one audit row.
    runs = sorted(recent_runs(env.store, job=CHAINS), key=attrgetter("due_slot"))
    assert [(run.due_slot, run.stored) for run in runs] == [
        (OPEN + n * MINUTE, 4) for n in range(5)
    ]
    assert env.remarks == [
        "Polling 2 symbols needs 4 requests/min; the limit allows 60. "
        "All run at their configured interval."
    ]


def test_a_changed_configuration_applies_within_a_minute(env: ChainEnv) -> None:
    poller = env.poller()
    tick_for(env, poller, timedelta(minutes=2))
    before = receipts(env)
    decided(env, "BANKNIFTY", active=False)
    decided(env, "RELIANCE", refresh_seconds=60)

    tick_for(env, poller, timedelta(minutes=4))
    poller.close()

    after = receipts(env)
    assert after["BANKNIFTY"] - before["BANKNIFTY"] <= 2
    assert 3 <= after["RELIANCE"] <= 4
    assert after["NIFTY"] == 12


@pytest.mark.parametrize(
    ("setting", "receipts_of_nifty"),
    [
        pytest.param({}, 10, id="30 s by default"),
        pytest.param({"REFRESH_INTERVAL": "60"}, 5, id="REFRESH_INTERVAL"),
    ],
)
def test_the_default_cadence(
    sqlite_url: str, tmp_path: Path, setting: dict[str, str], receipts_of_nifty: int
) -> None:
    with chain_env(sqlite_url, tmp_path, OPEN, **setting) as env:
        poller = env.poller()
        tick_for(env, poller, timedelta(minutes=5))
        poller.close()

        assert receipts(env)["NIFTY"] == receipts_of_nifty


def test_named_symbols_are_polled_beside_the_indices(sqlite_url: str, tmp_path: Path) -> None:
    with chain_env(sqlite_url, tmp_path, OPEN, NSE_SYMBOLS="reliance, M&M") as env:
        poller = env.poller()
        tick_for(env, poller, timedelta(minutes=6))
        poller.close()

        assert receipts(env) == {"NIFTY": 12, "BANKNIFTY": 12, "RELIANCE": 2, "M&M": 2}


def test_a_symbol_that_fails_delays_no_other(env: ChainEnv) -> None:
    """Every answer about BANKNIFTY is an error, and is asked for again and again."""
    trouble = {"kind": "server-error", "api": "option-chain"}
    env.faults({**trouble, "instruments": [env.instrument("BANKNIFTY").instrument_key]})
    poller = env.poller()

    tick_for(env, poller, timedelta(minutes=5))
    poller.close()

    sources = Counter((row["underlying"], row["source"]) for row in env.rows(ChainReceiptRow))
    assert sources["NIFTY", "upstox"] == 10
    assert sources["BANKNIFTY", "nse"] >= 8
    assert sources["BANKNIFTY", "upstox"] == sources["NIFTY", "nse"] == 0
    assert env.remarks[1:] == [
        "BANKNIFTY: chain received from nse (upstox returned a server error)"
    ]


def test_a_failing_symbol_is_reported_once_and_again_when_it_works(env: ChainEnv) -> None:
    env.faults(
        {"kind": "server-error", "api": "option-chain"}, {"kind": "nse-403", "api": "nse-chain"}
    )
    poller = env.poller()
    tick_for(env, poller, timedelta(minutes=3))
    env.faults()
    tick_for(env, poller, timedelta(minutes=3))
    poller.close()

    first, *between, last = [line for line in env.remarks if line.startswith("NIFTY:")]
    assert first.startswith("NIFTY: no chain available")
    # While Upstox is in its back-off, the website may be the first that works again.
    assert all(line.startswith("NIFTY: chain received from nse") for line in between)
    assert len(between) <= 1
    assert last == "NIFTY: works again"


def test_an_error_of_a_worker_is_raised_at_the_next_tick(env: ChainEnv) -> None:
    poller = env.poller()
    with env.store.writing() as connection:
        connection.exec_driver_sql("DROP TABLE chain_receipts")
    poller.tick()
    env.clock.sleep(TICK_EVERY)

    with pytest.raises(SetupError, match="chain_receipts"):
        poller.tick()
    poller.close()


def test_a_plan_beyond_the_limit_is_reported_first(sqlite_url: str, tmp_path: Path) -> None:
    with chain_env(sqlite_url, tmp_path, OPEN) as env:
        decided(env, "NIFTY", refresh_seconds=5, expiries=4)
        decided(env, "BANKNIFTY", refresh_seconds=5, expiries=3)
        poller = env.poller()

        plan = poller.follow()
        poller.close()

        assert not plan.feasible
        assert env.remarks == [
            "Polling 2 symbols needs 84 requests/min; the limit allows 60. "
            "2 of them run less often: BANKNIFTY every 7 s instead of 5 s."
        ]


def test_chains_leave_the_rate_limit_of_quotes_free(env: ChainEnv) -> None:
    """Chains spend from a budget of their own: the quotes' windows stay free."""
    decided(env, "NIFTY", refresh_seconds=5, expiries=7)
    poller = env.poller()
    tick_for(env, poller, timedelta(minutes=2))
    before = env.clock.now()

    answer = env.api.ltp([env.instrument("NIFTY").instrument_key], env.api.context(Lane.LIVE))
    poller.close()

    assert len(answer.data) == 1
    assert env.clock.now() == before
    assert env.requests()["option-chain"] <= 2 * 60 + 7
    assert all(run.outcome == "completed" for run in recent_runs(env.store, job="chains"))


def test_a_stop_lets_workers_finish_the_current_poll(sqlite_url: str, tmp_path: Path) -> None:
    with chain_env(sqlite_url, tmp_path, OPEN) as env:
        poller = env.poller()
        poller.tick()
        env.context.stop.set()

        poller.close()

        assert set(receipts(env)) <= {"NIFTY", "BANKNIFTY"}
        assert all(row["source"] == ChainSource.UPSTOX for row in env.rows(ChainReceiptRow))


def test_polls_end_with_the_ticks_however_many_are_due(env: ChainEnv) -> None:
    """Upstox fails them all, NSE's site answers one in 2.5 s, and each is due every 5 s."""
    env.faults({"kind": "server-error", "api": "option-chain"})
    for symbol in SYMBOLS:
        decided(env, symbol, refresh_seconds=5)
    poller = env.poller()
    tick_for(env, poller, timedelta(minutes=2))
    last = env.clock.now()

    env.clock.sleep(timedelta(minutes=5))

    begun = [row["received_at"] for row in env.rows(ChainReceiptRow)]
    assert sum(at > last for at in begun) <= len(SYMBOLS)
    poller.close()


def test_closing_waits_only_for_polls_in_progress(env: ChainEnv) -> None:
    env.faults({"kind": "server-error", "api": "option-chain"})
    for symbol in SYMBOLS:
        decided(env, symbol, refresh_seconds=5)
    poller = env.poller()
    tick_for(env, poller, timedelta(minutes=1))
    poller.tick()
    before = poller.polls

    poller.close()

    assert poller.polls - before <= WORKERS
    after = env.count(ChainReceiptRow)
    env.clock.sleep(timedelta(minutes=1))
    assert env.count(ChainReceiptRow) == after


def test_a_shorter_interval_applies_within_a_minute(env: ChainEnv) -> None:
    decided(env, "RELIANCE", refresh_seconds=3600)
    poller = env.poller()
    tick_for(env, poller, timedelta(minutes=2))
    decided(env, "RELIANCE", refresh_seconds=30)

    tick_for(env, poller, timedelta(minutes=3))
    poller.close()

    assert receipts(env)["RELIANCE"] >= 1 + 4


def test_an_unknown_symbol_is_reported_and_stops_no_other(sqlite_url: str, tmp_path: Path) -> None:
    with chain_env(sqlite_url, tmp_path, OPEN, NSE_SYMBOLS="M&M, NOSUCH") as env:
        poller = env.poller()
        tick_for(env, poller, timedelta(minutes=2))
        poller.close()

        assert receipts(env)["M&M"] == 1
        [reported] = [line for line in env.remarks if "NOSUCH" in line]
        assert reported.startswith("Not polled: the store knows no instrument named NOSUCH.")


def test_a_stock_with_a_new_isin_is_still_polled(env: ChainEnv) -> None:
    """It was added under the key that it had then."""
    decided(env, "RELIANCE", refresh_seconds=60, instrument_key="NSE_EQ|INE000OLD018")
    lineage = {
        "old_key": "NSE_EQ|INE000OLD018",
        "new_key": env.instrument("RELIANCE").instrument_key,
        "valid_from": OPEN.date(),
        "reason": "new ISIN",
        "recorded": OPEN,
    }
    with env.store.writing() as connection:
        connection.execute(insert(table(InstrumentLineage)), [lineage])
    poller = env.poller()

    tick_for(env, poller, timedelta(minutes=2))
    poller.close()

    assert receipts(env)["RELIANCE"] == 2


@pytest.mark.parametrize("named_by", ["the settings", "the user"])
def test_a_renamed_stock_is_still_polled(sqlite_url: str, tmp_path: Path, named_by: str) -> None:
    """It was named before; what is received then is one history with what was received before."""
    named = {"NSE_SYMBOLS": "RELIANCE"} if named_by == "the settings" else {}
    with chain_env(sqlite_url, tmp_path, OPEN, **named) as env:
        if named_by == "the user":
            decided(env, "RELIANCE", refresh_seconds=60)
        underlying = env.instrument("RELIANCE")
        poller = env.poller()
        tick_for(env, poller, timedelta(minutes=1))
        save_master(
            env.store,
            [replace(underlying, symbol="RIL")],
            OPEN.date() + timedelta(days=1),
            env.clock.now(),
        )
        tick_for(env, poller, timedelta(minutes=6))
        poller.close()

        assert receipts(env)["RELIANCE"] >= 1
        assert receipts(env)["RIL"] >= 1
        status = chain_status(env.context.settings, env.store)
        held = status.holding("RIL")
        assert held is not None
        assert status.holding("RELIANCE") is None
        whole = env.chains.of("RELIANCE").heads_of(held.expiry, OPEN, env.clock.now())
        assert {head.underlying for head in whole} == {"RIL"}
        assert {row["underlying"] for row in env.rows(ChainSnapshotRow)} >= {"RELIANCE", "RIL"}
        assert whole[0].timestamp < whole[-1].timestamp


def test_after_closing_polling_continues_at_the_next_tick(env: ChainEnv) -> None:
    """A scheduler may run the same collector again."""
    poller = env.poller()
    tick_for(env, poller, timedelta(minutes=1))
    poller.close()
    tick_for(env, poller, timedelta(minutes=1))
    poller.close()

    assert receipts(env) == {"NIFTY": 4, "BANKNIFTY": 4}


INDICES = ("NIFTY", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY", "NIFTYNXT50", "INDIA VIX")
STOCKS = (
    *("AXISBANK", "BHARTIARTL", "HDFCBANK", "ICICIBANK", "INFY", "ITC", "KOTAKBANK", "LT"),
    *("MARUTI", "RELIANCE", "SBIN", "SUNPHARMA", "TATASTEEL", "TCS", "TITAN", "WIPRO"),
)
OUTAGE = {"kind": "cloudflare-403", "api": "option-chain"}


def polled_from_nse(env: ChainEnv, since: datetime) -> dict[str, list[datetime]]:
    """When each symbol was received from NSE's site from *since* on."""
    found: dict[str, list[datetime]] = {}
    for row in env.rows(ChainReceiptRow):
        if row["source"] == ChainSource.NSE and row["received_at"] >= since:
            found.setdefault(row["underlying"], []).append(row["received_at"])
    return {symbol: sorted(instants) for symbol, instants in found.items()}


def test_indices_keep_their_cadence_when_the_slower_source_answers(
    sqlite_url: str, tmp_path: Path
) -> None:
    """NSE's site allows 24 requests a minute, and Upstox's plan would need 30."""
    with chain_env(sqlite_url, tmp_path, OPEN, symbols=(*INDICES, *STOCKS)) as env:
        for symbol in STOCKS:
            decided(env, symbol, refresh_seconds=45)
        poller = env.poller()
        tick_for(env, poller, timedelta(minutes=1))
        env.faults(OUTAGE)
        tick_for(env, poller, timedelta(minutes=3))
        settled = env.clock.now()
        tick_for(env, poller, timedelta(minutes=8))
        poller.close()

        polled = polled_from_nse(env, settled)
        indices = [symbol for symbol in INDICES if symbol != "INDIA VIX"]
        for symbol in indices:
            gaps = [later - one for one, later in pairwise(polled[symbol])]
            assert len(polled[symbol]) >= 15, symbol
            assert max(gaps) <= timedelta(seconds=45), symbol
        counts = [len(polled.get(symbol, ())) for symbol in STOCKS]
        assert min(counts) >= 2
        assert max(counts) - min(counts) <= 2
        [reported] = [line for line in env.remarks if line.startswith("Chains come from nse")]
        assert "the limit allows 22" in reported
        in_force = chain_status(env.context.settings, env.store)
        assert in_force.answering is ChainSource.NSE
        assert not in_force.plan.feasible


def test_the_plan_follows_the_first_source_again_when_it_works(env: ChainEnv) -> None:
    env.faults(OUTAGE)
    poller = env.poller()
    tick_for(env, poller, timedelta(minutes=2))
    during = env.requests()["option-chain"]
    env.faults()
    tick_for(env, poller, timedelta(minutes=2))
    poller.close()

    # One poll a minute finds out whether Upstox works again; a refusal is not repeated.
    assert during <= 4
    plans = [line for line in env.remarks if "requests/min" in line]
    assert [line.split()[0] for line in plans] == ["Polling", "Chains", "Polling"]
    last = max(env.rows(ChainReceiptRow), key=lambda row: row["received_at"])
    assert last["source"] == ChainSource.UPSTOX
