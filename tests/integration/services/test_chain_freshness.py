"""Stored chains are judged: by the collector's check, by queries and on the command line."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from chain_env import CALENDAR, SYMBOLS, ChainEnv, chain_env

from data_fetch.cli.main import main
from data_fetch.core.chains.chains import ChainSource
from data_fetch.core.chains.freshness import ChainJudgement
from data_fetch.core.chains.symbol_config import default_config
from data_fetch.core.clock import IST
from data_fetch.core.market.members import Members
from data_fetch.core.runs import SyncRun
from data_fetch.core.settings import Settings
from data_fetch.reading.chain_freshness import ChainFreshness, chain_freshness
from data_fetch.reading.records import listed_instruments
from data_fetch.services.chain_freshness import judge_polled
from data_fetch.services.chain_jobs import ChainPoller
from data_fetch.services.freshness import FreshnessMonitor
from data_fetch.storage.chains.symbol_config import SymbolConfigs
from data_fetch.storage.quotes import QuoteStore
from data_fetch.storage.runs import recent_runs

START = datetime(2026, 9, 16, 11, 0, tzinfo=IST)
TICK_EVERY = timedelta(seconds=5)
UPSTOX_CHAIN, NSE_CHAIN = "option-chain", "nse-chain"
# The name of NIFTY at each source.
NIFTY = {UPSTOX_CHAIN: "NSE_INDEX|Nifty 50", NSE_CHAIN: "NIFTY"}


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


@dataclass
class Watch:
    """A poller, and what is said about the chains that it stores."""

    env: ChainEnv
    poller: ChainPoller

    def poll_for(self, lasting: timedelta) -> None:
        end = self.env.clock.now() + lasting
        while self.env.clock.now() < end:
            self.poller.tick()
            self.env.clock.sleep(TICK_EVERY)

    def judgements(self) -> list[ChainJudgement]:
        return judge_polled(
            self.env.store,
            self.poller.plan,
            CALENDAR,
            self.env.context.settings.freshness_rules,
            self.env.clock.now(),
        )

    def queried(self) -> ChainFreshness:
        """What a process beside the collector says."""
        env = self.env
        with env.store.reading() as connection:
            listed = listed_instruments(connection, env.context.settings)
        return chain_freshness(env.context.settings, env.store, CALENDAR, env.clock.now(), listed)

    def states(self) -> dict[str, str]:
        return {each.symbol: str(each.state) for each in self.queried().judgements}

    def monitor(self) -> FreshnessMonitor:
        """One that finds no symbol whose quotes it should judge."""
        env = self.env
        return FreshnessMonitor(
            quotes_repository=QuoteStore(env.store),
            members=Members.as_of([env.instrument("NIFTY")], env.clock.now()),
            calendar=CALENDAR,
            clock=env.clock,
            rules=env.context.settings.freshness_rules,
            repair=lambda _: None,
            chains=self.judgements,
        )

    @property
    def last_check(self) -> SyncRun:
        [run] = recent_runs(self.env.store, 1, "freshness")
        return run


@pytest.fixture
def watch(database_url: str, tmp_path: Path) -> Iterator[Watch]:
    (tmp_path / "nse_fo_stock_symbols.txt").write_text("\n".join(SYMBOLS))
    with chain_env(database_url, tmp_path, START) as env:
        poller = env.poller()
        poller.prepare()
        yield Watch(env, poller)
        poller.close()


def fault(kind: str, api: str, **how: Any) -> dict[str, Any]:
    return {"kind": kind, "api": api, **how}


def nifty_fault(kind: str, api: str, **how: Any) -> dict[str, Any]:
    return fault(kind, api, instruments=[NIFTY[api]], **how)


def frozen(api: str) -> dict[str, Any]:
    """The response for NIFTY at START is repeated."""
    return nifty_fault("frozen-chain", api, **{"from": f"{START:%Y-%m-%dT%H:%M:%S}"})


def test_polled_chains_are_fresh_and_others_are_not_judged(watch: Watch) -> None:
    watch.poll_for(minutes(3))

    assert watch.states() == {"NIFTY": "fresh", "BANKNIFTY": "fresh"}
    assert watch.judgements() == watch.queried().judgements, "the collector says the same"


def test_a_judgement_has_the_last_receipt(watch: Watch) -> None:
    watch.poll_for(minutes(3))

    [nifty] = [each for each in watch.judgements() if each.symbol == "NIFTY"]

    assert nifty.last is not None
    assert (nifty.last.expiry, nifty.last.source) == (date(2026, 9, 22), ChainSource.UPSTOX)
    assert timedelta() <= watch.env.clock.now() - nifty.last.received_at <= minutes(1)
    assert (nifty.last.exchange_time, nifty.standing) == (None, 0)


def test_a_chain_that_is_no_longer_received_has_stopped(watch: Watch) -> None:
    watch.poll_for(minutes(2))
    assert watch.env.chains.of("NIFTY").snapshot_at() is not None
    watch.env.faults(
        nifty_fault("server-error", UPSTOX_CHAIN), nifty_fault("server-error", NSE_CHAIN)
    )

    watch.poll_for(minutes(8))

    assert watch.states() == {"NIFTY": "stopped", "BANKNIFTY": "fresh"}


def test_a_stamp_that_stands_still_is_frozen_though_the_chain_is_confirmed(watch: Watch) -> None:
    """NSE's documents are stamped."""
    watch.env.faults(fault("server-error", UPSTOX_CHAIN), frozen(NSE_CHAIN))

    watch.poll_for(minutes(10))
    assert watch.states() == {"NIFTY": "fresh", "BANKNIFTY": "fresh"}
    watch.poll_for(minutes(3))

    [nifty] = watch.queried().notable
    assert (nifty.symbol, nifty.state) == ("NIFTY", "frozen")
    assert nifty.last is not None
    assert nifty.last.source is ChainSource.NSE
    assert nifty.last.exchange_time == START.replace(second=0)
    held = watch.env.chains.of("NIFTY").snapshot_at()
    assert held is not None
    assert watch.env.clock.now() - held.last_confirmed <= minutes(1), "it looks fresh by this"


def test_content_without_stamps_that_stands_still_alone_is_frozen(watch: Watch) -> None:
    """Upstox's chains have no stamp."""
    watch.env.faults(frozen(UPSTOX_CHAIN))

    watch.poll_for(minutes(10))
    assert watch.states() == {"NIFTY": "fresh", "BANKNIFTY": "fresh"}
    watch.poll_for(minutes(3))

    assert watch.states() == {"NIFTY": "frozen", "BANKNIFTY": "fresh"}


def test_the_newest_receipt_of_any_expiry_counts(watch: Watch) -> None:
    for expiries in (2, 1):
        config = replace(default_config(watch.env.instrument("NIFTY")), expiries=expiries)
        SymbolConfigs(watch.env.store).set(config, watch.env.clock.now())
        watch.poll_for(minutes(8))

    assert watch.states()["NIFTY"] == "fresh", "the second expiry is not polled any more"


def test_a_paused_symbol_is_not_judged(watch: Watch) -> None:
    for symbol in ("NIFTY", "BANKNIFTY"):
        config = replace(default_config(watch.env.instrument(symbol)), active=False)
        SymbolConfigs(watch.env.store).set(config, watch.env.clock.now())

    assert watch.queried() == ChainFreshness([])


def test_a_check_counts_chains_and_logs_each_change_once(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="data_fetch.ltp_service")
    monitor = watch.monitor()
    watch.env.faults(frozen(UPSTOX_CHAIN))
    watch.poll_for(minutes(12))

    monitor.check()
    monitor.check()

    counts = {"fresh": 1, "never_seen": 0, "stopped": 0, "frozen": 1, "market_closed": 0}
    stale = {"count": 1, "sample": ["NIFTY"]}
    assert watch.last_check.details["chains"] == {**counts, "stale": stale}
    watch.env.faults()
    watch.poll_for(minutes(1))
    monitor.check()
    reported = [each for each in caplog.records if each.message == "chain_freshness_changed"]
    assert [(each.levelname, each.state, each.symbols) for each in reported] == [
        ("WARNING", "frozen", ["NIFTY"]),
        ("INFO", "fresh", ["NIFTY"]),
    ]


# --- on the command line ----------------------------------------------------------------------


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(
    watch: Watch,
    database_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Runs a command beside the poller; its exit status and what it prints."""
    for field in Settings.model_fields.values():
        for name in getattr(field.validation_alias, "choices", ()):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("UPSTOX_BASE_URL", watch.env.exchange.url)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        status = 0
        try:
            main(list(arguments))
        except SystemExit as ended:
            status = int(ended.code or 0)
        return status, capsys.readouterr().out

    return run


def test_fresh_quotes_and_chains_end_with_status_0(watch: Watch, run: Run) -> None:
    watch.poll_for(minutes(1))
    run("collect", "--once")

    status, printed = run("freshness")

    assert (status, printed.splitlines()) == (
        0,
        ["2026-09-16T11:01:00+05:30: 4 fresh", "Option chains: 2 fresh"],
    )


def test_a_frozen_chain_is_named_beside_fresh_quotes(watch: Watch, run: Run) -> None:
    watch.env.faults(frozen(UPSTOX_CHAIN))
    watch.poll_for(minutes(12))
    run("collect", "--once")

    status, printed = run("freshness")

    _, chains, nifty = printed.splitlines()
    assert (status, chains) == (0, "Option chains: 1 fresh, 1 frozen")
    assert nifty.startswith("  NIFTY        frozen      last chain from upstox 2026-09-16T11:1")
    assert "unchanged since 2026-09-16T11:00:0" in nifty


def test_a_chain_never_seen_is_named_beside_fresh_quotes(run: Run) -> None:
    run("collect", "--once")

    status, printed = run("freshness")

    assert status == 0
    assert "  NIFTY        never_seen  no chain stored yet: collect with data-fetch run" in printed


def test_the_document_has_every_polled_chain(watch: Watch, run: Run) -> None:
    watch.env.faults(fault("server-error", UPSTOX_CHAIN))
    watch.poll_for(minutes(1))

    _, printed = run("freshness", "--json")

    document = json.loads(printed)
    assert list(document) == ["at", "counts", "symbols", "chains"]
    chains = document["chains"]
    assert chains["counts"]["fresh"] == 2
    assert [each["symbol"] for each in chains["symbols"]] == ["BANKNIFTY", "NIFTY"]
    nifty = chains["symbols"][1]
    instants = [nifty.pop(name) for name in ("last_receipt", "exchange_time", "unchanged_since")]
    assert all(each.startswith("2026-09-16T11:00:") for each in instants)
    assert nifty == {
        "symbol": "NIFTY",
        "state": "fresh",
        "trading_minutes": 0,
        "expiry": "2026-09-22",
        "source": "nse",
        "standing_minutes": 0,
        "last_tick": None,
        "tick_age_seconds": None,
    }


def test_nothing_polled_prints_no_line(watch: Watch, run: Run) -> None:
    for symbol in ("NIFTY", "BANKNIFTY"):
        run("symbols", "pause", symbol)
    run("collect", "--once")

    status, printed = run("freshness")

    assert (status, printed) == (0, "2026-09-16T11:00:00+05:30: 4 fresh\n")


def test_after_the_close_nothing_is_stale(watch: Watch, run: Run) -> None:
    watch.env.until(START.replace(hour=18))

    status, printed = run("freshness")

    assert (status, printed.splitlines()[1]) == (0, "Option chains: 2 market_closed")
