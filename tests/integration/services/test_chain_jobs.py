"""The chains that a collector polls by itself."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from chain_desk import SYMBOLS, Shop, chain_shop
from sqlalchemy import insert

from data_fetch.core.chains.chains import ChainSource
from data_fetch.core.chains.symbol_config import default_config
from data_fetch.core.clock import IST
from data_fetch.core.errors import StoreUnreachable
from data_fetch.core.ports import Lane
from data_fetch.services.chain_jobs import WORKERS, ChainPoller
from data_fetch.storage.chains.symbol_config import SymbolConfigs
from data_fetch.storage.database.tables import ChainReceiptRow, InstrumentLineage, table
from data_fetch.storage.runs import recent_runs

OPEN = datetime(2026, 9, 16, 9, 15, tzinfo=IST)
BEAT = timedelta(seconds=5)


@pytest.fixture
def shop(sqlite_url: str, tmp_path: Path) -> Iterator[Shop]:
    with chain_shop(sqlite_url, tmp_path, OPEN) as shop:
        yield shop


def beaten(shop: Shop, rounds: ChainPoller, lasting: timedelta) -> None:
    """Beat every five seconds, as the timetable does, and wait for the last polls."""
    end = shop.clock.now() + lasting
    while shop.clock.now() < end:
        rounds.tick()
        shop.clock.sleep(BEAT)


def receipts(shop: Shop) -> Counter[str]:
    return Counter(row["underlying"] for row in shop.rows(ChainReceiptRow))


def decided(shop: Shop, symbol: str, **how: Any) -> None:
    config = replace(default_config(shop.instrument(symbol)), **how)
    SymbolConfigs(shop.store).set(config, shop.clock.now())


def test_indices_are_polled_every_half_minute_by_default(shop: Shop) -> None:
    rounds = shop.rounds()

    beaten(shop, rounds, timedelta(minutes=5))
    rounds.close()

    assert receipts(shop) == {"NIFTY": 10, "BANKNIFTY": 10}
    assert shop.remarks == [
        "Polling 2 symbols needs 4 requests/min; the limit allows 60. "
        "All run at their configured interval."
    ]


def test_what_is_decided_meanwhile_counts_within_a_minute(shop: Shop) -> None:
    rounds = shop.rounds()
    beaten(shop, rounds, timedelta(minutes=2))
    before = receipts(shop)
    decided(shop, "BANKNIFTY", active=False)
    decided(shop, "RELIANCE", refresh_seconds=60)

    beaten(shop, rounds, timedelta(minutes=4))
    rounds.close()

    after = receipts(shop)
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
    with chain_shop(sqlite_url, tmp_path, OPEN, **setting) as shop:
        rounds = shop.rounds()
        beaten(shop, rounds, timedelta(minutes=5))
        rounds.close()

        assert receipts(shop)["NIFTY"] == receipts_of_nifty


def test_named_symbols_are_polled_beside_the_indices(sqlite_url: str, tmp_path: Path) -> None:
    with chain_shop(sqlite_url, tmp_path, OPEN, NSE_SYMBOLS="reliance, M&M") as shop:
        rounds = shop.rounds()
        beaten(shop, rounds, timedelta(minutes=6))
        rounds.close()

        assert receipts(shop) == {"NIFTY": 12, "BANKNIFTY": 12, "RELIANCE": 2, "M&M": 2}


def test_a_symbol_that_fails_delays_no_other(shop: Shop) -> None:
    """Every answer about BANKNIFTY is an error, and is asked for again and again."""
    trouble = {"kind": "server-error", "api": "option-chain"}
    shop.faults({**trouble, "instruments": [shop.instrument("BANKNIFTY").instrument_key]})
    rounds = shop.rounds()

    beaten(shop, rounds, timedelta(minutes=5))
    rounds.close()

    sources = Counter((row["underlying"], row["source"]) for row in shop.rows(ChainReceiptRow))
    assert sources["NIFTY", "upstox"] == 10
    assert sources["BANKNIFTY", "nse"] >= 8
    assert sources["BANKNIFTY", "upstox"] == sources["NIFTY", "nse"] == 0
    assert shop.remarks[1:] == [
        "BANKNIFTY: chain received from nse (upstox returned a server error)"
    ]


def test_a_failing_symbol_is_told_once_and_again_when_it_is_well(shop: Shop) -> None:
    shop.faults(
        {"kind": "server-error", "api": "option-chain"}, {"kind": "nse-403", "api": "nse-chain"}
    )
    rounds = shop.rounds()
    beaten(shop, rounds, timedelta(minutes=3))
    shop.faults()
    beaten(shop, rounds, timedelta(minutes=3))
    rounds.close()

    told = [line for line in shop.remarks if "NIFTY" in line and "BANK" not in line]
    assert len(told) == 2
    assert "NIFTY: no chain available" in told[0]
    assert told[1] == "NIFTY: works again"


def test_what_a_worker_runs_into_is_raised_at_the_next_beat(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = shop.service()
    rounds = shop.rounds()

    def gone(*_: object) -> None:
        raise StoreUnreachable("the disk is full")

    monkeypatch.setattr(rounds._service._chains, "record", gone)
    rounds.tick()
    shop.clock.sleep(BEAT)

    with pytest.raises(StoreUnreachable, match="disk is full"):
        rounds.tick()
    rounds.close()
    assert service is not None


def test_the_plan_says_before_it_starts_what_cannot_be(sqlite_url: str, tmp_path: Path) -> None:
    with chain_shop(sqlite_url, tmp_path, OPEN) as shop:
        decided(shop, "NIFTY", refresh_seconds=5, expiries=4)
        decided(shop, "BANKNIFTY", refresh_seconds=5, expiries=3)
        rounds = shop.rounds()

        plan = rounds.follow()
        rounds.close()

        assert not plan.feasible
        assert shop.remarks == [
            "Polling 2 symbols needs 84 requests/min; the limit allows 60. "
            "2 of them run less often: BANKNIFTY every 7 s instead of 5 s."
        ]


def test_quotes_go_first_when_chains_want_everything(shop: Shop) -> None:
    """Chains spend from a budget of their own: the quotes' windows stay free."""
    decided(shop, "NIFTY", refresh_seconds=5, expiries=7)
    rounds = shop.rounds()
    beaten(shop, rounds, timedelta(minutes=2))
    before = shop.clock.now()

    answer = shop.desk.api.ltp(
        [shop.instrument("NIFTY").instrument_key], shop.desk.api.context(Lane.LIVE)
    )
    rounds.close()

    assert len(answer.data) == 1
    assert shop.clock.now() == before
    assert shop.requests()["option-chain"] <= 2 * 60 + 7
    assert all(run.outcome == "completed" for run in recent_runs(shop.store, job="chains"))


def test_told_to_stop_workers_finish_what_is_in_hand(sqlite_url: str, tmp_path: Path) -> None:
    with chain_shop(sqlite_url, tmp_path, OPEN) as shop:
        rounds = shop.rounds()
        rounds.tick()
        shop.desk.stop.set()

        rounds.close()

        assert set(receipts(shop)) <= {"NIFTY", "BANKNIFTY"}
        assert all(row["source"] == ChainSource.UPSTOX for row in shop.rows(ChainReceiptRow))


def test_polls_end_with_the_beats_however_much_is_due(shop: Shop) -> None:
    """Upstox fails them all, NSE's site answers one in 2.5 s, and each is due every 5 s."""
    shop.faults({"kind": "server-error", "api": "option-chain"})
    for symbol in SYMBOLS:
        decided(shop, symbol, refresh_seconds=5)
    rounds = shop.rounds()
    beaten(shop, rounds, timedelta(minutes=2))
    last = shop.clock.now()

    shop.clock.sleep(timedelta(minutes=5))

    begun = [row["received_at"] for row in shop.rows(ChainReceiptRow)]
    assert sum(at > last for at in begun) <= len(SYMBOLS)
    rounds.close()


def test_closing_waits_for_no_more_than_what_is_in_hand(shop: Shop) -> None:
    shop.faults({"kind": "server-error", "api": "option-chain"})
    for symbol in SYMBOLS:
        decided(shop, symbol, refresh_seconds=5)
    rounds = shop.rounds()
    beaten(shop, rounds, timedelta(minutes=1))
    rounds.tick()
    before = rounds.polls

    rounds.close()

    assert rounds.polls - before <= WORKERS
    after = shop.count(ChainReceiptRow)
    shop.clock.sleep(timedelta(minutes=1))
    assert shop.count(ChainReceiptRow) == after


def test_a_shortened_cadence_is_followed_within_a_minute(shop: Shop) -> None:
    decided(shop, "RELIANCE", refresh_seconds=3600)
    rounds = shop.rounds()
    beaten(shop, rounds, timedelta(minutes=2))
    decided(shop, "RELIANCE", refresh_seconds=30)

    beaten(shop, rounds, timedelta(minutes=3))
    rounds.close()

    assert receipts(shop)["RELIANCE"] >= 1 + 4


def test_what_is_not_known_is_told_and_stops_nothing(sqlite_url: str, tmp_path: Path) -> None:
    with chain_shop(sqlite_url, tmp_path, OPEN, NSE_SYMBOLS="M&M, NOSUCH") as shop:
        rounds = shop.rounds()
        beaten(shop, rounds, timedelta(minutes=2))
        rounds.close()

        assert receipts(shop)["M&M"] == 1
        [told] = [line for line in shop.remarks if "NOSUCH" in line]
        assert told.startswith("Not polled: the store knows no instrument named NOSUCH.")


def test_a_stock_with_a_new_isin_is_polled_on(shop: Shop) -> None:
    """It was added under the key that it had then."""
    decided(shop, "RELIANCE", refresh_seconds=60, instrument_key="NSE_EQ|INE000OLD018")
    lineage = {
        "old_key": "NSE_EQ|INE000OLD018",
        "new_key": shop.instrument("RELIANCE").instrument_key,
        "valid_from": OPEN.date(),
        "reason": "new ISIN",
        "recorded": OPEN,
    }
    with shop.store.writing() as connection:
        connection.execute(insert(table(InstrumentLineage)), [lineage])
    rounds = shop.rounds()

    beaten(shop, rounds, timedelta(minutes=2))
    rounds.close()

    assert receipts(shop)["RELIANCE"] == 2


def test_after_closing_it_goes_on_at_the_next_beat(shop: Shop) -> None:
    """A scheduler may run the same collector again."""
    rounds = shop.rounds()
    beaten(shop, rounds, timedelta(minutes=1))
    rounds.close()
    beaten(shop, rounds, timedelta(minutes=1))
    rounds.close()

    assert receipts(shop) == {"NIFTY": 4, "BANKNIFTY": 4}
