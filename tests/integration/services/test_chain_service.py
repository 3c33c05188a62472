"""Polling chains: two sources, one record; what is unchanged is confirmed, what fails is named."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from chain_env import CALENDAR, SYMBOLS, ChainEnv, chain_env

from data_fetch.analytics.chain_pricing import price_chains
from data_fetch.analytics.conventions import OWN
from data_fetch.analytics.leg_prices import TICK
from data_fetch.core.chains.chains import ChainReply, ChainSource, ListedExpiries, QuantityUnit
from data_fetch.core.chains.polls import Poll
from data_fetch.core.clock import IST
from data_fetch.core.errors import Stopped, Unavailable
from data_fetch.core.failures import FailureKind
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.runs import Outcome, SyncState
from data_fetch.core.settings import Settings
from data_fetch.runtime.sources import chain_providers
from data_fetch.sources.transport.file_windows import FileWindows
from data_fetch.sources.upstox.chain_client import upstox_chain_client
from data_fetch.storage.database.tables import ChainReceiptRow, ChainSnapshotRow, OptionChainData
from data_fetch.storage.runs import recent_runs, statuses

MORNING = datetime(2026, 9, 16, 11, 0, 7, tzinfo=IST)
NEAREST = date(2026, 9, 22)
UPSTOX_CHAIN, NSE_CHAIN = "option-chain", "nse-chain"


@pytest.fixture
def env(database_url: str, tmp_path: Path) -> Iterator[ChainEnv]:
    with chain_env(database_url, tmp_path, MORNING) as env:
        yield env


def fault(kind: str, api: str = UPSTOX_CHAIN, **how: Any) -> dict[str, Any]:
    return {"kind": kind, "api": api, **how}


def test_a_chain_is_stored_priced_and_with_its_lot(env: ChainEnv) -> None:
    poll = env.service().poll(env.target())

    assert (poll.requested, poll.stored, poll.confirmed, poll.error) == (1, 1, 0, None)
    found = env.chains.of("NIFTY").snapshot_at()
    assert found is not None
    assert (found.chain.expiry, found.chain.source) == (NEAREST, ChainSource.UPSTOX)
    assert found.lot_size == 65
    assert all(numbers.iv is not None for numbers in found.summary.priced.numbers)
    assert len(found.instrument_keys) == len(found.chain.legs)
    assert all(key.endswith("|22-09-2026") for key in found.instrument_keys.values())


def test_our_volatilities_are_those_of_the_smile_that_made_the_prices(env: ChainEnv) -> None:
    """Against the exchange's own truth, whose premiums are not discounted. What is left is a
    tick of the book over vega."""
    env.service().poll(env.target())
    found = env.chains.of("NIFTY").snapshot_at()
    assert found is not None
    priced_at = found.summary.priced.priced_at
    [priced] = price_chains([found.chain], priced_at, replace(OWN, rate=0.0), CALENDAR)
    truth = env.exchange_truth("NIFTY", NEAREST)

    assert priced.forward.value == pytest.approx(env.true_forward("NIFTY", NEAREST), abs=0.05)
    for leg, numbers in zip(found.chain.legs, priced.numbers, strict=True):
        truth_of_leg = truth[float(leg.strike), leg.option_type.value]
        if numbers.iv is not None and truth_of_leg["premium"] > 1:
            tick = TICK / (truth_of_leg["vega"] * 100)
            assert numbers.iv == pytest.approx(truth_of_leg["iv"], abs=tick + 1e-4)
            assert numbers.delta == pytest.approx(truth_of_leg["delta"], abs=0.01)


@pytest.mark.parametrize("symbol", ["NIFTY", "BANKNIFTY", "RELIANCE", "M&M"])
def test_both_sources_have_the_same_chain(env: ChainEnv, symbol: str) -> None:
    env.service().poll(env.target(symbol))
    env.faults(fault("server-error"))
    env.service().poll(env.target(symbol))

    upstox, nse = (
        env.chains.of(symbol).snapshot_at(source=source)
        for source in (ChainSource.UPSTOX, ChainSource.NSE)
    )

    assert upstox is not None
    assert nse is not None
    assert nse.chain.unit is QuantityUnit.CONTRACTS
    assert nse.lot_size == upstox.lot_size
    assert nse.instrument_keys == upstox.instrument_keys
    assert [leg.key for leg in nse.chain.legs] == [leg.key for leg in upstox.chain.legs]


def test_nse_legs_are_stored_in_contracts_and_in_shares(env: ChainEnv) -> None:
    env.faults(fault("server-error"))
    env.service().poll(env.target())

    rows = [row for row in env.rows(OptionChainData) if row["source"] == "nse"]

    assert rows
    for row in rows:
        assert row["oi"] == row["oi_contracts"] * 65
        assert row["oi_reason"] is None


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        pytest.param("server-error", FailureKind.SERVER_ERROR, id="500"),
        pytest.param("cloudflare-403", FailureKind.FORBIDDEN, id="403 from the guard in front"),
        pytest.param("token-expired", FailureKind.UNAUTHORISED, id="401"),
        pytest.param("html-in-200", FailureKind.HTML, id="a page with 200"),
        pytest.param("truncated-json", FailureKind.NOT_JSON, id="half a body"),
        pytest.param("empty-data", FailureKind.EMPTY_LIST, id="an empty list"),
        pytest.param("rate-limited", FailureKind.RATE_LIMITED, id="429"),
        pytest.param("renamed-fields", FailureKind.RENAMED_FIELD, id="ltp under another name"),
        pytest.param("retyped-fields", FailureKind.RETYPED_FIELD, id="numbers as text"),
        pytest.param("unit-changed", FailureKind.UNIT_CHANGED, id="open interest in lots"),
        pytest.param("partial-success", FailureKind.NOT_A_CHAIN, id="a part of the chain"),
        pytest.param("all-zero", FailureKind.NO_NUMBERS, id="every number is 0"),
    ],
)
def test_a_chain_that_one_source_lacks_comes_from_the_other(
    env: ChainEnv, kind: str, named: FailureKind
) -> None:
    env.faults(fault(kind))

    poll = env.service().poll(env.target())

    assert (poll.complete, poll.failures) == (True, {ChainSource.UPSTOX: named})
    assert [row["source"] for row in env.rows(ChainSnapshotRow)] == ["nse"]
    [run] = recent_runs(env.store)
    assert run.outcome is Outcome.COMPLETED
    assert run.details["faults"] == {"NIFTY": {"upstox": named.value}}
    assert run.details["sources"] == {"nse": 1}


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        pytest.param("empty-object", FailureKind.EMPTY_OBJECT, id="200 and {}"),
        pytest.param("nse-401", FailureKind.UNAUTHORISED, id="401"),
        pytest.param("nse-403", FailureKind.FORBIDDEN, id="403"),
        pytest.param("misdirected-421", FailureKind.MISDIRECTED, id="421"),
        pytest.param("html-in-200", FailureKind.HTML, id="a page with 200"),
        pytest.param("renamed-fields", FailureKind.RENAMED_FIELD, id="renamed"),
        pytest.param("unit-changed", FailureKind.UNIT_CHANGED, id="shares for contracts"),
        pytest.param("all-zero", FailureKind.NO_NUMBERS, id="every number is 0"),
    ],
)
def test_when_both_fail_nothing_is_stored_and_both_are_named(
    env: ChainEnv, kind: str, named: FailureKind
) -> None:
    env.faults(fault("server-error"), fault(kind, NSE_CHAIN))

    poll = env.service().poll(env.target())

    assert poll.failures == {ChainSource.UPSTOX: FailureKind.SERVER_ERROR, ChainSource.NSE: named}
    assert env.count(ChainSnapshotRow) == env.count(OptionChainData) == 0
    [run] = recent_runs(env.store)
    assert (run.outcome, run.requested, run.absent) == (Outcome.FAILED, 1, 1)
    status = statuses(env.store, "chains")["NIFTY"]
    assert (status.status, status.consecutive_failures) == (SyncState.FAILED, 1)


def test_a_chain_of_zeros_does_not_hide_the_good_one(env: ChainEnv) -> None:
    service = env.service()
    service.poll(env.target())
    good = env.chains.of("NIFTY").snapshot_at()
    env.clock.sleep(timedelta(minutes=2))
    env.faults(fault("all-zero"), fault("all-zero", NSE_CHAIN))

    service.poll(env.target())

    assert env.chains.of("NIFTY").snapshot_at() == good
    assert env.count(ChainSnapshotRow) == 1


def test_a_source_that_is_down_is_skipped_while_the_other_works(env: ChainEnv) -> None:
    service = env.service()
    env.faults(fault("cloudflare-403"))
    service.poll(env.target())
    asked = env.requests()[UPSTOX_CHAIN]

    env.clock.sleep(timedelta(seconds=30))
    service.poll(env.target())
    assert env.requests()[UPSTOX_CHAIN] == asked

    env.faults()
    env.clock.sleep(timedelta(seconds=31))
    poll = service.poll(env.target())
    assert env.requests()[UPSTOX_CHAIN] == asked + 1
    assert [reply.source for reply in poll.replies] == [ChainSource.UPSTOX]


def test_a_single_failing_source_is_tried_again_soon_but_not_every_time(
    database_url: str, tmp_path: Path
) -> None:
    with chain_env(database_url, tmp_path, MORNING, NSE_ENABLED="false") as env:
        service = env.service()
        env.faults(fault("cloudflare-403"), fault("cloudflare-403", "option-contract"))
        for symbol in SYMBOLS:
            poll = service.poll(env.target(symbol))
            assert poll.failures == {ChainSource.UPSTOX: FailureKind.FORBIDDEN}
            assert poll.error is not None
            assert "denies access" in poll.error
        assert sum(env.requests().get(api, 0) for api in (UPSTOX_CHAIN, "option-contract")) == 1

        env.faults()
        env.clock.sleep(timedelta(seconds=10))
        assert service.poll(env.target()).complete


class Website:
    """A stand-in for NSE's site that lists nothing itself; *chain* says what is done there."""

    source = ChainSource.NSE

    def __init__(self, chain: Callable[[Instrument], ChainReply]) -> None:
        self._chain = chain

    def expiries(self, underlying: Instrument, stop: Event) -> ListedExpiries:
        return ListedExpiries(source=self.source, problem=Unavailable("the master lists them"))

    def chain(self, underlying: Instrument, expiry: date, stop: Event) -> ChainReply:
        return self._chain(underlying)


def nothing(env: ChainEnv) -> ChainReply:
    return ChainReply(
        source=ChainSource.NSE,
        parsed=None,
        problem=Unavailable("it answers nothing"),
        raw_responses=(),
        requests=1,
        received_at=env.clock.now(),
    )


def test_symbols_that_fail_leave_a_worker_for_the_others(env: ChainEnv) -> None:
    """Upstox fails each of them, and the site answers one after the other: whoever finds three
    waiting there goes on without it."""
    polls: list[Poll] = []
    after = dict(pairwise(SYMBOLS))

    def crowded(underlying: Instrument) -> ChainReply:
        """While this one waits, the next one comes."""
        polls.append(service.poll(env.target(after[underlying.symbol])))
        return nothing(env)

    service = env.service_of([upstox_chain_client(env.api, env.clock), Website(crowded)])
    env.faults(fault("server-error"))
    service.poll(env.target(SYMBOLS[0]))

    assert [poll.failures[ChainSource.NSE] for poll in polls] == [
        FailureKind.RATE_LIMITED,
        FailureKind.SERVER_ERROR,
        FailureKind.SERVER_ERROR,
    ]


def test_a_minute_has_one_audit_row_however_long_its_polls_take(env: ChainEnv) -> None:
    """A poll of the next minute comes to an end before one of this minute does."""

    def slow(underlying: Instrument) -> ChainReply:
        env.clock.sleep(timedelta(minutes=1))
        service.poll(env.target("BANKNIFTY"))
        return nothing(env)

    service = env.service_of([upstox_chain_client(env.api, env.clock), Website(slow)])
    nifty = env.instrument("NIFTY").instrument_key
    env.faults(fault("server-error", instruments=[nifty]))
    service.poll(env.target("NIFTY"))
    service.poll(env.target("RELIANCE"))

    later, first = recent_runs(env.store)

    assert first.details["polls"] == {"NIFTY": 1}
    assert later.details["polls"] == {"BANKNIFTY": 1, "RELIANCE": 1}


def test_chains_received_before_a_stop_are_stored(env: ChainEnv) -> None:
    upstox = upstox_chain_client(env.api, env.clock)
    replies: list[ChainReply] = []

    class StopsAfterOne(Website):
        source = ChainSource.UPSTOX

        def chain(self, underlying: Instrument, expiry: date, stop: Event) -> ChainReply:
            reply = upstox.chain(underlying, expiry, stop)
            stopped = replace(nothing(env), problem=Stopped("stopped"))
            replies.append(stopped if replies else reply)
            return replies[-1]

    service = env.service_of([StopsAfterOne(lambda _: nothing(env))])
    poll = service.poll(env.target(expiries=3))

    assert (poll.requested, len(poll.replies), poll.absent) == (3, 1, 2)
    assert poll.error == "stopped"
    assert env.count(ChainSnapshotRow) == 1
    env.clock.sleep(timedelta(minutes=1))
    with pytest.raises(Stopped):
        service.poll(env.target())


def test_a_failure_to_store_raw_responses_stops_nothing(env: ChainEnv) -> None:
    folder = env.context.settings.raw_folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("where a folder should be")
    service = env.service()

    polls = [service.poll(env.target(symbol)) for symbol in ("NIFTY", "BANKNIFTY")]
    folder.unlink()
    service.poll(env.target("RELIANCE"))

    assert all(poll.complete for poll in polls)
    assert env.count(ChainReceiptRow) == 3
    assert "raw responses are not stored: " in polls[0].remarks[0]
    reported = [line for line in env.remarks if "Raw chain responses" in line]
    assert [line.split(" (")[0] for line in reported] == [
        "Raw chain responses are not stored",
        "Raw chain responses are stored again.",
    ]
    assert {each.underlying for each in env.raw_store.raw_responses(date.min, date.max)} == {
        "RELIANCE"
    }


def test_the_kill_switch_disables_nse(database_url: str, tmp_path: Path) -> None:
    with chain_env(database_url, tmp_path, MORNING, NSE_ENABLED="false") as env:
        env.faults(fault("server-error"))

        poll = env.service().poll(env.target())

        assert poll.failures == {ChainSource.UPSTOX: FailureKind.SERVER_ERROR}
        assert not any(name.startswith("nse") for name in env.requests())


def test_nse_receives_one_request_in_two_and_a_half_seconds(env: ChainEnv) -> None:
    """Pages for cookies, expiries, chains: whatever it is, one after the other."""
    env.faults(fault("token-expired"), fault("token-expired", "option-contract"))
    service, began = env.service(), env.clock.now()
    for symbol in ("NIFTY", "BANKNIFTY", "RELIANCE"):
        service.poll(env.target(symbol))

    asked = sum(count for name, count in env.requests().items() if name.startswith("nse"))
    assert asked >= 7
    assert env.clock.now() - began >= (asked - 1) * timedelta(seconds=2.5)


def test_36_polls_of_an_unchanged_chain_are_one_snapshot(env: ChainEnv) -> None:
    """After the close nothing moves, whatever the fetch time says."""
    service = env.service()
    env.until(datetime(2026, 9, 16, 15, 41, tzinfo=IST))

    for _ in range(36):
        service.poll(env.target())
        env.clock.sleep(timedelta(seconds=30))

    [row] = env.rows(ChainSnapshotRow)
    assert row["confirmations"] == 36
    assert row["last_confirmed"] - row["timestamp"] >= 35 * timedelta(seconds=30)


def test_a_change_under_the_same_timestamp_is_a_snapshot_of_its_own(env: ChainEnv) -> None:
    """NSE corrects open interest after the close without moving its stamp."""
    service = env.service()
    env.faults(fault("server-error"))
    env.until(datetime(2026, 9, 16, 15, 41, tzinfo=IST))
    service.poll(env.target())
    env.faults(fault("server-error"), fault("missing-put", NSE_CHAIN))
    service.poll(env.target())

    first, second = env.rows(ChainSnapshotRow)

    assert first["exchange_time"] == second["exchange_time"]
    assert first["content_hash"] != second["content_hash"]


def test_in_a_moving_market_each_poll_is_a_snapshot(env: ChainEnv) -> None:
    service = env.service()
    for _ in range(5):
        service.poll(env.target())
        env.clock.sleep(timedelta(seconds=30))

    assert [row["confirmations"] for row in env.rows(ChainSnapshotRow)] == [1] * 5


def test_a_minute_has_one_audit_row_that_grows(env: ChainEnv) -> None:
    service = env.service()
    for symbol in ("NIFTY", "BANKNIFTY", "NIFTY"):
        service.poll(env.target(symbol))
    env.clock.sleep(timedelta(minutes=1))
    service.poll(env.target())

    later, first = recent_runs(env.store)

    assert (first.requested, first.stored, first.details["repeated"]) == (3, 2, 1)
    assert first.details["polls"] == {"NIFTY": 2, "BANKNIFTY": 1}
    assert (later.requested, later.stored) == (1, 1)
    assert later.due_slot == first.due_slot + timedelta(minutes=1)  # type: ignore[operator]


def test_several_expiries_nearest_first(env: ChainEnv) -> None:
    poll = env.service().poll(env.target(expiries=3))

    assert [chain.expiry for chain in poll.chains] == [
        NEAREST,
        date(2026, 9, 29),
        date(2026, 10, 6),
    ]


def test_one_expiry_is_one_request(env: ChainEnv) -> None:
    poll = env.service().poll(env.target(expiry=date(2026, 10, 6)))

    assert [chain.expiry for chain in poll.chains] == [date(2026, 10, 6)]
    assert (poll.complete, poll.requests) == (True, 1)


@pytest.mark.parametrize(
    ("at", "expiry"),
    [
        pytest.param("2026-09-22 15:39:59", date(2026, 9, 22), id="to its last second"),
        pytest.param("2026-09-22 15:40:04", date(2026, 9, 22), id="at its close, still"),
        pytest.param("2026-09-22 15:41:00", date(2026, 9, 29), id="the next one after the close"),
    ],
)
def test_an_expiry_is_polled_until_its_close(env: ChainEnv, at: str, expiry: date) -> None:
    env.until(datetime.fromisoformat(at).replace(tzinfo=IST))

    poll = env.service().poll(env.target())

    assert [chain.expiry for chain in poll.chains] == [expiry]


def test_only_strikes_around_the_money_are_stored_when_configured(env: ChainEnv) -> None:
    service = env.service()
    service.poll(env.target())
    whole = env.chains.of("NIFTY").snapshot_at()
    env.clock.sleep(timedelta(seconds=1))
    service.poll(env.target(strikes=2))
    some = env.chains.of("NIFTY").snapshot_at()

    assert whole is not None
    assert some is not None
    assert len(some.chain.legs) == 10
    spot = some.chain.spot or 0
    nearest = sorted({leg.strike for leg in whole.chain.legs}, key=lambda k: abs(float(k) - spot))
    assert {leg.strike for leg in some.chain.legs} >= set(nearest[:3])
    calls = sum(leg.oi or 0 for leg in some.chain.legs if leg.option_type == "CE")
    assert some.summary.metrics["call_oi"].value == calls
    assert some.summary.metrics["call_oi"].of == 5


def test_expiries_of_the_master_replace_those_a_source_cannot_list(env: ChainEnv) -> None:
    env.faults(fault("empty-data", "option-contract"))

    poll = env.service().poll(env.target())

    assert [reply.source for reply in poll.replies] == [ChainSource.UPSTOX]
    assert poll.complete
    assert poll.requests == sum(env.requests()[api] for api in ("option-contract", UPSTOX_CHAIN))
    day = MORNING.date()
    assert [each.expiry for each in env.raw_store.raw_responses(day, day)] == [None, NEAREST]


def test_every_raw_response_is_stored_unchanged(env: ChainEnv) -> None:
    env.faults(fault("html-in-200"))
    env.service().poll(env.target())

    day = MORNING.date()
    kept = list(env.raw_store.raw_responses(day, day))

    assert [each.source for each in kept][-1] == "nse"
    assert any(b"<html" in each.raw_response.body for each in kept if each.source == "upstox")
    assert b'"records"' in kept[-1].raw_response.body


def test_with_zero_days_no_raw_response_is_stored(database_url: str, tmp_path: Path) -> None:
    with chain_env(database_url, tmp_path, MORNING, RAW_VAULT_DAYS="0") as env:
        env.service().poll(env.target())

        assert list(env.raw_store.raw_responses(date.min, date.max)) == []


@pytest.mark.parametrize(
    ("settings", "sources"),
    [
        pytest.param({"UPSTOX_ACCESS_TOKEN": "x"}, ["upstox", "nse"], id="a token"),
        pytest.param(
            {"UPSTOX_ACCESS_TOKEN": "x", "NSE_ENABLED": "false"}, ["upstox"], id="without the site"
        ),
        pytest.param(
            {"UPSTOX_ACCESS_TOKEN": "x", "DATA_SOURCE": "nse"}, ["nse", "upstox"], id="site first"
        ),
        pytest.param({"DATA_SOURCE": "nse"}, ["nse"], id="no token"),
    ],
)
def test_the_sources_in_their_order(
    env: ChainEnv, tmp_path: Path, settings: dict[str, str], sources: list[str]
) -> None:
    """Without a token Upstox's failures would hide those of the chosen site."""
    loaded = Settings.load(settings, tmp_path)

    windows = FileWindows(tmp_path, env.clock)
    providers = chain_providers(loaded, env.api, env.clock, env.exchange.url, windows)

    assert [each.source.value for each in providers] == sources
