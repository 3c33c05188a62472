"""Polling chains: two sources, one record; what is unchanged is confirmed, what fails is named."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from chain_desk import CALENDAR, SYMBOLS, Shop, chain_shop

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
from data_fetch.sources.upstox.chain_client import upstox_chain_client
from data_fetch.storage.database.tables import ChainReceiptRow, ChainSnapshotRow, OptionChainData
from data_fetch.storage.runs import recent_runs, statuses

MORNING = datetime(2026, 9, 16, 11, 0, 7, tzinfo=IST)
NEAREST = date(2026, 9, 22)
UPSTOX_CHAIN, NSE_CHAIN = "option-chain", "nse-chain"


@pytest.fixture
def shop(database_url: str, tmp_path: Path) -> Iterator[Shop]:
    with chain_shop(database_url, tmp_path, MORNING) as shop:
        yield shop


def fault(kind: str, api: str = UPSTOX_CHAIN, **how: Any) -> dict[str, Any]:
    return {"kind": kind, "api": api, **how}


def test_a_chain_comes_priced_and_with_its_lot(shop: Shop) -> None:
    poll = shop.service().poll(shop.target())

    assert (poll.requested, poll.stored, poll.confirmed, poll.error) == (1, 1, 0, None)
    found = shop.chains.snapshot_at("NIFTY")
    assert found is not None
    assert (found.chain.expiry, found.chain.source) == (NEAREST, ChainSource.UPSTOX)
    assert found.lot_size == 65
    assert all(numbers.iv is not None for numbers in found.summary.priced.numbers)
    assert len(found.instrument_keys) == len(found.chain.legs)
    assert all(key.endswith("|22-09-2026") for key in found.instrument_keys.values())


def test_our_volatilities_are_those_of_the_smile_that_made_the_prices(shop: Shop) -> None:
    """Against the exchange's own truth, whose premiums are not discounted. What is left is a
    tick of the book over vega."""
    shop.service().poll(shop.target())
    found = shop.chains.snapshot_at("NIFTY")
    assert found is not None
    priced_at = found.summary.priced.priced_at
    [priced] = price_chains([found.chain], priced_at, replace(OWN, rate=0.0), CALENDAR)
    truth = shop.exchange_truth("NIFTY", NEAREST)

    assert priced.forward.value == pytest.approx(shop.true_forward("NIFTY", NEAREST), abs=0.05)
    for leg, numbers in zip(found.chain.legs, priced.numbers, strict=True):
        told = truth[float(leg.strike), leg.option_type.value]
        if numbers.iv is not None and told["premium"] > 1:
            tick = TICK / (told["vega"] * 100)
            assert numbers.iv == pytest.approx(told["iv"], abs=tick + 1e-4)
            assert numbers.delta == pytest.approx(told["delta"], abs=0.01)


@pytest.mark.parametrize("symbol", ["NIFTY", "BANKNIFTY", "RELIANCE", "M&M"])
def test_both_sources_tell_the_same_chain(shop: Shop, symbol: str) -> None:
    shop.service().poll(shop.target(symbol))
    shop.faults(fault("server-error"))
    shop.service().poll(shop.target(symbol))

    upstox, nse = (
        shop.chains.snapshot_at(symbol, source=source)
        for source in (ChainSource.UPSTOX, ChainSource.NSE)
    )

    assert upstox is not None
    assert nse is not None
    assert nse.chain.unit is QuantityUnit.CONTRACTS
    assert nse.lot_size == upstox.lot_size
    assert nse.instrument_keys == upstox.instrument_keys
    assert [leg.key for leg in nse.chain.legs] == [leg.key for leg in upstox.chain.legs]


def test_nse_legs_are_kept_in_contracts_and_in_shares(shop: Shop) -> None:
    shop.faults(fault("server-error"))
    shop.service().poll(shop.target())

    rows = [row for row in shop.rows(OptionChainData) if row["source"] == "nse"]

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
    ],
)
def test_what_one_source_cannot_tell_the_other_does(
    shop: Shop, kind: str, named: FailureKind
) -> None:
    shop.faults(fault(kind))

    poll = shop.service().poll(shop.target())

    assert (poll.complete, poll.failures) == (True, {ChainSource.UPSTOX: named})
    assert [row["source"] for row in shop.rows(ChainSnapshotRow)] == ["nse"]
    [run] = recent_runs(shop.store)
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
    ],
)
def test_when_both_fail_nothing_is_stored_and_both_are_named(
    shop: Shop, kind: str, named: FailureKind
) -> None:
    shop.faults(fault("server-error"), fault(kind, NSE_CHAIN))

    poll = shop.service().poll(shop.target())

    assert poll.failures == {ChainSource.UPSTOX: FailureKind.SERVER_ERROR, ChainSource.NSE: named}
    assert shop.count(ChainSnapshotRow) == shop.count(OptionChainData) == 0
    [run] = recent_runs(shop.store)
    assert (run.outcome, run.requested, run.absent) == (Outcome.FAILED, 1, 1)
    status = statuses(shop.store, "chains")["NIFTY"]
    assert (status.status, status.consecutive_failures) == (SyncState.FAILED, 1)


def test_a_source_that_is_out_rests_while_the_other_answers(shop: Shop) -> None:
    service = shop.service()
    shop.faults(fault("cloudflare-403"))
    service.poll(shop.target())
    asked = shop.requests()[UPSTOX_CHAIN]

    shop.clock.sleep(timedelta(seconds=30))
    service.poll(shop.target())
    assert shop.requests()[UPSTOX_CHAIN] == asked

    shop.faults()
    shop.clock.sleep(timedelta(seconds=31))
    poll = service.poll(shop.target())
    assert shop.requests()[UPSTOX_CHAIN] == asked + 1
    assert [reply.source for reply in poll.replies] == [ChainSource.UPSTOX]


def test_a_source_without_another_is_asked_again_soon_but_not_every_time(
    database_url: str, tmp_path: Path
) -> None:
    with chain_shop(database_url, tmp_path, MORNING, NSE_ENABLED="false") as shop:
        service = shop.service()
        shop.faults(fault("cloudflare-403"), fault("cloudflare-403", "option-contract"))
        for symbol in SYMBOLS:
            poll = service.poll(shop.target(symbol))
            assert poll.failures == {ChainSource.UPSTOX: FailureKind.FORBIDDEN}
            assert poll.error is not None
            assert "denies access" in poll.error
        assert sum(shop.requests().get(api, 0) for api in (UPSTOX_CHAIN, "option-contract")) == 1

        shop.faults()
        shop.clock.sleep(timedelta(seconds=10))
        assert service.poll(shop.target()).complete


class Website:
    """A stand-in for NSE's site that lists nothing itself; *chain* says what is done there."""

    source = ChainSource.NSE

    def __init__(self, chain: Callable[[Instrument], ChainReply]) -> None:
        self._chain = chain

    def expiries(self, underlying: Instrument, stop: Event) -> ListedExpiries:
        return ListedExpiries(source=self.source, problem=Unavailable("the master lists them"))

    def chain(self, underlying: Instrument, expiry: date, stop: Event) -> ChainReply:
        return self._chain(underlying)


def nothing(shop: Shop) -> ChainReply:
    return ChainReply(
        source=ChainSource.NSE,
        parsed=None,
        problem=Unavailable("it answers nothing"),
        raw_responses=(),
        requests=1,
        received_at=shop.clock.now(),
    )


def test_symbols_that_fail_leave_somebody_to_poll_the_others(shop: Shop) -> None:
    """Upstox fails each of them, and the site answers one after the other: whoever finds three
    waiting there goes on without it."""
    polls: list[Poll] = []
    after = dict(pairwise(SYMBOLS))

    def crowded(underlying: Instrument) -> ChainReply:
        """While this one waits, the next one comes."""
        polls.append(service.poll(shop.target(after[underlying.symbol])))
        return nothing(shop)

    service = shop.service_of([upstox_chain_client(shop.desk.api, shop.clock), Website(crowded)])
    shop.faults(fault("server-error"))
    service.poll(shop.target(SYMBOLS[0]))

    assert [poll.failures[ChainSource.NSE] for poll in polls] == [
        FailureKind.RATE_LIMITED,
        FailureKind.SERVER_ERROR,
        FailureKind.SERVER_ERROR,
    ]


def test_a_minute_has_one_audit_row_however_long_its_polls_take(shop: Shop) -> None:
    """A poll of the next minute comes to an end before one of this minute does."""

    def slow(underlying: Instrument) -> ChainReply:
        shop.clock.sleep(timedelta(minutes=1))
        service.poll(shop.target("BANKNIFTY"))
        return nothing(shop)

    service = shop.service_of([upstox_chain_client(shop.desk.api, shop.clock), Website(slow)])
    nifty = shop.instrument("NIFTY").instrument_key
    shop.faults(fault("server-error", instruments=[nifty]))
    service.poll(shop.target("NIFTY"))
    service.poll(shop.target("RELIANCE"))

    later, first = recent_runs(shop.store)

    assert first.details["polls"] == {"NIFTY": 1}
    assert later.details["polls"] == {"BANKNIFTY": 1, "RELIANCE": 1}


def test_told_to_stop_what_came_is_stored(shop: Shop) -> None:
    upstox = upstox_chain_client(shop.desk.api, shop.clock)
    replies: list[ChainReply] = []

    class StopsAfterOne(Website):
        source = ChainSource.UPSTOX

        def chain(self, underlying: Instrument, expiry: date, stop: Event) -> ChainReply:
            reply = upstox.chain(underlying, expiry, stop)
            stopped = replace(nothing(shop), problem=Stopped("told to stop"))
            replies.append(stopped if replies else reply)
            return replies[-1]

    service = shop.service_of([StopsAfterOne(lambda _: nothing(shop))])
    poll = service.poll(shop.target(expiries=3))

    assert (poll.requested, len(poll.replies), poll.absent) == (3, 1, 2)
    assert poll.error == "told to stop"
    assert shop.count(ChainSnapshotRow) == 1
    shop.clock.sleep(timedelta(minutes=1))
    with pytest.raises(Stopped):
        service.poll(shop.target())


def test_a_vault_that_cannot_be_written_stops_nothing(shop: Shop) -> None:
    folder = shop.desk.settings.raw_folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("where a folder should be")
    service = shop.service()

    polls = [service.poll(shop.target(symbol)) for symbol in ("NIFTY", "BANKNIFTY")]
    folder.unlink()
    service.poll(shop.target("RELIANCE"))

    assert all(poll.complete for poll in polls)
    assert shop.count(ChainReceiptRow) == 3
    assert "raw responses are not stored: " in polls[0].remarks[0]
    told = [line for line in shop.remarks if "Raw chain responses" in line]
    assert [line.split(" (")[0] for line in told] == [
        "Raw chain responses are not stored",
        "Raw chain responses are stored again.",
    ]
    assert {each.underlying for each in shop.raw_store.raw_responses(date.min, date.max)} == {
        "RELIANCE"
    }


def test_the_kill_switch_keeps_nse_out(database_url: str, tmp_path: Path) -> None:
    with chain_shop(database_url, tmp_path, MORNING, NSE_ENABLED="false") as shop:
        shop.faults(fault("server-error"))

        poll = shop.service().poll(shop.target())

        assert poll.failures == {ChainSource.UPSTOX: FailureKind.SERVER_ERROR}
        assert not any(name.startswith("nse") for name in shop.requests())


def test_nse_is_asked_once_in_two_and_a_half_seconds(shop: Shop) -> None:
    """Pages for cookies, expiries, chains: whatever it is, one after the other."""
    shop.faults(fault("token-expired"), fault("token-expired", "option-contract"))
    service, began = shop.service(), shop.clock.now()
    for symbol in ("NIFTY", "BANKNIFTY", "RELIANCE"):
        service.poll(shop.target(symbol))

    asked = sum(count for name, count in shop.requests().items() if name.startswith("nse"))
    assert asked >= 7
    assert shop.clock.now() - began >= (asked - 1) * timedelta(seconds=2.5)


def test_36_looks_at_an_unchanged_chain_are_one_snapshot(shop: Shop) -> None:
    """After the close nothing moves, whatever the fetch time says."""
    service = shop.service()
    shop.until(datetime(2026, 9, 16, 15, 41, tzinfo=IST))

    for _ in range(36):
        service.poll(shop.target())
        shop.clock.sleep(timedelta(seconds=30))

    [row] = shop.rows(ChainSnapshotRow)
    assert row["confirmations"] == 36
    assert row["last_confirmed"] - row["timestamp"] >= 35 * timedelta(seconds=30)


def test_a_change_under_the_same_stamp_is_a_snapshot_of_its_own(shop: Shop) -> None:
    """NSE corrects open interest after the close without moving its stamp."""
    service = shop.service()
    shop.faults(fault("server-error"))
    shop.until(datetime(2026, 9, 16, 15, 41, tzinfo=IST))
    service.poll(shop.target())
    shop.faults(fault("server-error"), fault("missing-put", NSE_CHAIN))
    service.poll(shop.target())

    first, second = shop.rows(ChainSnapshotRow)

    assert first["exchange_time"] == second["exchange_time"]
    assert first["content_hash"] != second["content_hash"]


def test_a_moving_market_makes_a_snapshot_a_look(shop: Shop) -> None:
    service = shop.service()
    for _ in range(5):
        service.poll(shop.target())
        shop.clock.sleep(timedelta(seconds=30))

    assert [row["confirmations"] for row in shop.rows(ChainSnapshotRow)] == [1] * 5


def test_a_minute_has_one_audit_row_that_grows(shop: Shop) -> None:
    service = shop.service()
    for symbol in ("NIFTY", "BANKNIFTY", "NIFTY"):
        service.poll(shop.target(symbol))
    shop.clock.sleep(timedelta(minutes=1))
    service.poll(shop.target())

    later, first = recent_runs(shop.store)

    assert (first.requested, first.stored, first.details["repeated"]) == (3, 2, 1)
    assert first.details["polls"] == {"NIFTY": 2, "BANKNIFTY": 1}
    assert (later.requested, later.stored) == (1, 1)
    assert later.due_slot == first.due_slot + timedelta(minutes=1)  # type: ignore[operator]


def test_several_expiries_nearest_first(shop: Shop) -> None:
    poll = shop.service().poll(shop.target(expiries=3))

    assert [chain.expiry for chain in poll.chains] == [
        NEAREST,
        date(2026, 9, 29),
        date(2026, 10, 6),
    ]


@pytest.mark.parametrize(
    ("at", "expiry"),
    [
        pytest.param("2026-09-22 15:39:59", date(2026, 9, 22), id="to its last second"),
        pytest.param("2026-09-22 15:40:04", date(2026, 9, 22), id="at its close, still"),
        pytest.param("2026-09-22 15:41:00", date(2026, 9, 29), id="the next one after the close"),
    ],
)
def test_on_expiry_day(shop: Shop, at: str, expiry: date) -> None:
    shop.until(datetime.fromisoformat(at).replace(tzinfo=IST))

    poll = shop.service().poll(shop.target())

    assert [chain.expiry for chain in poll.chains] == [expiry]


def test_of_strikes_around_the_money_everything_is_told(shop: Shop) -> None:
    service = shop.service()
    service.poll(shop.target())
    whole = shop.chains.snapshot_at("NIFTY")
    shop.clock.sleep(timedelta(seconds=1))
    service.poll(shop.target(strikes=2))
    some = shop.chains.snapshot_at("NIFTY")

    assert whole is not None
    assert some is not None
    assert len(some.chain.legs) == 10
    spot = some.chain.spot or 0
    nearest = sorted({leg.strike for leg in whole.chain.legs}, key=lambda k: abs(float(k) - spot))
    assert {leg.strike for leg in some.chain.legs} >= set(nearest[:3])
    calls = sum(leg.oi or 0 for leg in some.chain.legs if leg.option_type == "CE")
    assert some.summary.metrics["call_oi"].value == calls
    assert some.summary.metrics["call_oi"].of == 5


def test_expiries_of_the_master_stand_in_where_a_source_cannot_list_them(shop: Shop) -> None:
    shop.faults(fault("empty-data", "option-contract"))

    poll = shop.service().poll(shop.target())

    assert [reply.source for reply in poll.replies] == [ChainSource.UPSTOX]
    assert poll.complete
    assert poll.requests == sum(shop.requests()[api] for api in ("option-contract", UPSTOX_CHAIN))
    day = MORNING.date()
    assert [each.expiry for each in shop.raw_store.raw_responses(day, day)] == [None, NEAREST]


def test_every_answer_is_kept_as_it_came(shop: Shop) -> None:
    shop.faults(fault("html-in-200"))
    shop.service().poll(shop.target())

    day = MORNING.date()
    kept = list(shop.raw_store.raw_responses(day, day))

    assert [each.source for each in kept][-1] == "nse"
    assert any(b"<html" in each.raw_response.body for each in kept if each.source == "upstox")
    assert b'"records"' in kept[-1].raw_response.body


def test_a_vault_of_no_days_keeps_nothing(database_url: str, tmp_path: Path) -> None:
    with chain_shop(database_url, tmp_path, MORNING, RAW_VAULT_DAYS="0") as shop:
        shop.service().poll(shop.target())

        assert list(shop.raw_store.raw_responses(date.min, date.max)) == []
