"""How option chains are stored, on each kind of database."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from threading import Barrier, Thread
from typing import Any

import pytest
from chain_shelf import (
    CLOSES,
    EXPIRY,
    INVENTED,
    LEGS,
    NEXT_EXPIRY,
    OPENS,
    STRIKE,
    ParsedResponse,
    a_run,
    chain,
    emptied,
    expected_heads,
    heads,
    histories,
    keep,
    minute,
    mislabelled,
    received,
    renewed,
    rows,
    snapshot,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from data_fetch.core.chains.chains import (
    Chain,
    ChainLeg,
    ChainSource,
    OptionType,
    QuantityUnit,
    content_hash,
    in_shares,
)
from data_fetch.core.chains.valuation import Forward, ForwardMethod, LegValuation, Metric, Reason
from data_fetch.core.errors import BadRecord, LostLeadership, WrongWorld
from data_fetch.core.runs import SyncAttempt, SyncState
from data_fetch.core.world import World
from data_fetch.storage.chains.snapshots import ChainStore, ReceiptResult, Received, chain_holdings
from data_fetch.storage.database.leadership import Fence, Leadership
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.database.tables import ChainSummaryRow, table
from data_fetch.storage.instruments.instruments import save_master
from data_fetch.storage.runs import recent_runs, statuses

pytestmark = pytest.mark.layouts

CALL, PUT = OptionType.CALL, OptionType.PUT

on_the_same_database = settings(max_examples=25)


# What goes in comes out.

prices = st.none() | st.floats(0.05, 1e6)
# SQLite knows no negative zero.
fractions = st.none() | st.floats(-1e4, 1e4).map(lambda value: value + 0.0)
whole = st.none() | st.integers(0, 10**13)
quantities = st.none() | st.integers(0, 10**12).map(float)
strikes = st.decimals(Decimal("0.05"), Decimal(250_000), places=4)
NAMES = ("NSE_FO|1", "NSE_FO|98918", None)


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    source = draw(st.sampled_from(ChainSource))
    unit = draw(st.sampled_from(QuantityUnit))
    counted = quantities if unit is QuantityUnit.SHARES else st.none() | st.floats(0, 1e9)
    keys = draw(
        st.sets(st.tuples(strikes, st.sampled_from(OptionType)), min_size=1, max_size=8).map(sorted)
    )
    legs = [
        ChainLeg(
            strike=strike,
            option_type=side,
            live_key=draw(st.sampled_from(NAMES)) if source is ChainSource.UPSTOX else None,
            ltp=draw(prices),
            prev_close=draw(prices),
            bid=draw(prices),
            bid_qty=draw(whole),
            ask=draw(prices),
            ask_qty=draw(whole),
            total_buy_qty=draw(whole),
            total_sell_qty=draw(whole),
            volume=draw(counted),
            oi=draw(counted),
            prev_oi=draw(counted),
            provider_iv=draw(fractions),
            provider_delta=draw(fractions),
            provider_gamma=draw(fractions),
            provider_theta=draw(fractions),
            provider_vega=draw(fractions),
        )
        for strike, side in keys
    ]
    return chain(
        draw(prices),
        *legs,
        source=source,
        unit=unit,
        exchange_time=draw(st.none() | st.just(OPENS)),
        underlying=draw(st.sampled_from(["NIFTY", "M&M", "NSE_INDEX|Nifty 50", "ÜÑ\t\\N"])),
    )


@st.composite
def priced_chains(draw: st.DrawFn) -> Received:
    of = draw(chains())
    numbers = tuple(
        LegValuation(
            draw(prices),
            *(draw(fractions) for _ in range(6)),
            draw(st.none() | st.sampled_from(Reason)),
        )
        for _ in of.legs
    )
    blank = received(of, minute(0))
    metric = st.builds(
        Metric,
        value=fractions,
        used=st.integers(0, 9),
        of=st.integers(0, 9),
        reason=st.none() | st.sampled_from(Reason),
    )
    summary = replace(
        blank.summary,
        priced=replace(
            blank.priced,
            numbers=numbers,
            priced_at=draw(st.none() | st.just(minute(-1))),
            years=draw(fractions),
            forward=Forward(
                value=draw(prices),
                method=draw(st.none() | st.sampled_from(ForwardMethod)),
                strikes=draw(st.integers(0, 9)),
                spread=draw(prices),
            ),
        ),
        age_seconds=draw(fractions),
        metrics=draw(
            st.dictionaries(st.sampled_from(["pcr_oi", "max_pain", "of_tomorrow"]), metric)
        ),
        build_up=draw(st.dictionaries(st.sampled_from(["long_build_up"]), st.integers(0, 9))),
    )
    return replace(
        blank,
        summary=summary,
        lot_size=draw(st.none() | st.integers(1, 9000)),
        rejected=draw(st.integers(0, 9)),
    )


@on_the_same_database
@given(
    several=st.lists(
        priced_chains(), min_size=1, max_size=3, unique_by=lambda r: r.chain.underlying
    )
)
def test_stored_chains_are_read_back(store: Store, several: list[Received]) -> None:
    keep(emptied(store), *several)

    for given_chain in several:
        found = snapshot(store, minute(0), given_chain.chain)
        assert found.chain == given_chain.chain
        assert content_hash(found.chain) == found.head.content_hash
        assert found.summary == given_chain.summary
        assert found.lot_size == given_chain.lot_size
        assert found.head.rejected == given_chain.rejected
        assert found.confirmations == 1
        named = {leg.key: leg.live_key for leg in found.chain.legs if leg.live_key}
        assert found.instrument_keys == {key: f"{live}|22-09-2026" for key, live in named.items()}


@on_the_same_database
@given(of=priced_chains())
def test_contracts_become_shares_or_have_a_reason(store: Store, of: Received) -> None:
    keep(emptied(store), of)

    with store.reading() as connection:
        stored = {(row.strike, row.option_type): row for row in connection.execute(select(LEGS))}
    in_contracts = of.chain.unit is QuantityUnit.CONTRACTS
    lot = of.lot_size if in_contracts else 1
    for leg in of.chain.legs:
        row = stored[leg.key]
        quantities = {"volume": leg.volume, "oi": leg.oi, "prev_oi": leg.prev_oi}
        shares = {
            name: None if lot is None else in_shares(value, lot)
            for name, value in quantities.items()
        }
        assert {name: getattr(row, name) for name in quantities} == shares
        assert {name: getattr(row, f"{name}_contracts") for name in quantities} == (
            quantities if in_contracts else dict.fromkeys(quantities)
        )
        lost = any(quantities[name] is not None and shares[name] is None for name in quantities)
        why = "lot_unknown" if lot is None else "lot_mismatch"
        assert row.oi_reason == (why if lost else None)


def test_legs_of_a_source_without_keys_get_the_given_ones(store: Store) -> None:
    legs = [ChainLeg(strike=STRIKE, option_type=side, ltp=1.0) for side in OptionType]
    of = chain(1.0, *legs, source=ChainSource.NSE)
    keys = {(STRIKE, PUT): "NSE_FO|7|22-09-2026"}

    keep(store, received(of, minute(0), instrument_keys=keys))

    found = snapshot(store, minute(0), of)
    assert found.chain == of
    assert found.instrument_keys == keys


def test_derived_numbers_are_stored_with_the_leg(store: Store) -> None:
    of = received(chain(), minute(0))
    numbers = (LegValuation(100.0, 0.1431, 0.5, 0.001, -9.5, 11.0, 3.0, None),)
    priced = replace(of.priced, numbers=numbers)
    keep(store, replace(of, summary=replace(of.summary, priced=priced)))

    with store.reading() as connection:
        [row] = connection.execute(select(LEGS)).all()
        [line] = connection.execute(select(table(ChainSummaryRow))).all()
    assert (row.price, row.iv, row.theta, row.forward, row.reason) == (
        100.0,
        0.1431,
        -9.5,
        24010.0,
        None,
    )
    assert (line.priced, line.legs, line.pcr_oi, line.max_pain) == (1, 1, 0.8, None)


# Which receipts make one snapshot.


def test_the_same_content_again_confirms_the_snapshot(store: Store) -> None:
    assert keep(store, received(chain(), minute(0))) == [ReceiptResult.STORED]
    assert keep(store, received(chain(), minute(1))) == [ReceiptResult.CONFIRMED]

    assert heads(store) == [(minute(0), 24000.0, 2, minute(1))]
    assert rows(store) == {
        "option_chain_data": 1,
        "chain_snapshots": 1,
        "chain_summary": 1,
        "chain_receipts": 2,
    }


def test_another_content_with_the_same_exchange_time_is_a_snapshot_of_its_own(store: Store) -> None:
    stamped = {"exchange_time": minute(0)}

    keep(store, received(chain(1.0, **stamped), minute(5)))
    keep(store, received(chain(2.0, **stamped), minute(6)))

    assert heads(store) == [(minute(5), 1.0, 1, minute(5)), (minute(6), 2.0, 1, minute(6))]


def test_an_earlier_content_that_returns_is_a_new_snapshot(store: Store) -> None:
    keep(store, *(received(chain(spot), minute(at)) for at, spot in enumerate([1.0, 2.0, 1.0])))

    assert [spot for _, spot, _, _ in heads(store)] == [1.0, 2.0, 1.0]


def test_sources_and_expiries_are_compared_with_themselves_only(store: Store) -> None:
    several = [chain(), chain(expiry=NEXT_EXPIRY), chain(source=ChainSource.NSE)]

    assert (
        keep(store, *(received(each, minute(0)) for each in several)) == [ReceiptResult.STORED] * 3
    )


def test_the_same_receipt_again_changes_nothing(store: Store) -> None:
    several = [received(chain(spot), minute(at)) for at, spot in enumerate([1.0, 1.0, 2.0])]
    keep(store, *several)
    before = heads(store), rows(store)

    assert keep(store, *several) == [ReceiptResult.REPEATED] * 3
    assert (heads(store), rows(store)) == before


def test_documents_that_share_an_instant_take_the_next_free_ones(store: Store) -> None:
    """An archive without receive times has only the exchange time."""
    archive = [received(chain(spot, exchange_time=OPENS), OPENS) for spot in (1.0, 2.0, 3.0)]
    microsecond = timedelta(microseconds=1)

    keep(store, *archive)

    shared = [(OPENS + n * microsecond, float(n + 1)) for n in range(3)]
    assert [(at, spot) for at, spot, _, _ in heads(store)] == shared
    assert keep(store, *archive) == [ReceiptResult.REPEATED] * 3
    assert keep(store, archive[1]) == [ReceiptResult.REPEATED]


def test_an_archived_document_that_was_collected_live_is_a_repetition(store: Store) -> None:
    of = chain(exchange_time=OPENS)
    keep(store, received(of, OPENS + timedelta(seconds=7)))

    assert keep(store, received(of, OPENS)) == [ReceiptResult.REPEATED]
    assert len(heads(store)) == 1


def test_a_receipt_between_two_of_one_snapshot_divides_it(store: Store) -> None:
    keep(store, *(received(chain(1.0), minute(at)) for at in (0, 1, 4, 5)))

    assert keep(store, received(chain(2.0), minute(3))) == [ReceiptResult.STORED]

    assert heads(store) == [
        (minute(0), 1.0, 2, minute(1)),
        (minute(3), 2.0, 1, minute(3)),
        (minute(4), 1.0, 2, minute(5)),
    ]
    assert snapshot(store, minute(9)).chain == chain(1.0)
    assert rows(store)["option_chain_data"] == 3


def test_an_earlier_receipt_of_a_snapshot_sets_its_timestamp(store: Store) -> None:
    keep(store, *(received(chain(1.0), minute(at)) for at in (4, 5)))

    assert keep(store, received(chain(1.0), minute(0))) == [ReceiptResult.STORED]

    assert heads(store) == [(minute(0), 1.0, 3, minute(5))]
    assert rows(store)["option_chain_data"] == 1


@on_the_same_database
@given(data=st.data(), history=histories)
@example(
    data=None,
    history=[
        ParsedResponse(0, 1.0, None),
        ParsedResponse(4, 1.0, None),
        ParsedResponse(2, 2.0, None),
    ],
)
def test_the_snapshots_do_not_depend_on_the_order_of_writing(
    store: Store, data: st.DataObject | None, history: list[ParsedResponse]
) -> None:
    emptied(store)
    order = history if data is None else data.draw(st.permutations(history))
    cuts = [] if data is None else data.draw(st.lists(st.integers(0, len(order)), max_size=3))

    bounds = [0, *sorted(cuts), len(order)]
    for first, end in pairwise(bounds):
        keep(store, *(one.received for one in order[first:end]))

    assert heads(store) == expected_heads(history)
    counts = rows(store)
    assert counts["chain_receipts"] == len(history)
    assert counts["option_chain_data"] == counts["chain_summary"] == len(heads(store))
    for one in history:
        found = snapshot(store, minute(one.at))
        assert found.chain.spot == one.spot

    keep(store, *(one.received for one in order))
    assert heads(store) == expected_heads(history)


def test_the_snapshot_of_a_receipt_can_be_looked_up(store: Store) -> None:
    keep(store, received(chain(1.0), minute(0)), received(chain(1.0), minute(2)))

    def found(at: int) -> datetime | None:
        quotes_repository = ChainStore(store)
        head = quotes_repository.head_of_receipt("NIFTY", EXPIRY, ChainSource.UPSTOX, minute(at))
        return None if head is None else head.timestamp

    assert [found(at) for at in range(4)] == [minute(0), None, minute(0), None]


# Confirmations without numbers.


def test_a_stored_chain_is_confirmed_without_pricing(store: Store) -> None:
    quotes_repository = ChainStore(store)
    keep(store, received(chain(1.0), minute(0)))

    [again, new] = quotes_repository.known([chain(1.0), chain(2.0)], minute(1))
    assert new is None
    assert again is not None
    recorded = quotes_repository.record((), a_run(), (), [again])

    assert (recorded.stored, recorded.confirmed, recorded.superseded) == (0, 1, ())
    assert [each.timestamp for each in recorded.chains] == [minute(0)]
    assert heads(store) == [(minute(0), 1.0, 2, minute(1))]


def test_no_chain_is_known_before_it_was_received(store: Store) -> None:
    keep(store, received(chain(), minute(5)))

    assert ChainStore(store).known([chain()], minute(4)) == [None]


@pytest.mark.parametrize("came_at", [2, 5], ids=["in order", "while a later one was there"])
def test_a_superseded_confirmation_writes_nothing_and_is_reported(
    store: Store, came_at: int
) -> None:
    quotes_repository = ChainStore(store)
    keep(store, received(chain(1.0), minute(0)))
    [again] = quotes_repository.known([chain(1.0)], minute(3))
    assert again is not None
    keep(store, received(chain(2.0), minute(1)), received(chain(3.0), minute(came_at)))
    before = heads(store)

    recorded = quotes_repository.record((), a_run(), (), [again])

    [superseded] = recorded.superseded
    assert superseded.received_at == minute(3)
    assert heads(store) == before
    assert keep(store, received(chain(1.0), minute(3))) == [ReceiptResult.STORED]


# Together with the audit, or not at all.


def attempt(symbol: str = "NIFTY") -> SyncAttempt:
    return SyncAttempt(
        symbol=symbol,
        data_type="chains",
        state=SyncState.OK,
        attempted_at=OPENS,
        records=1,
        error=None,
        run_id="run",
    )


def test_chains_run_and_status_are_written_together(store: Store) -> None:
    ChainStore(store).record([received(chain(), minute(0))], a_run(), [attempt()])

    assert [run.run_id for run in recent_runs(store)] == ["run"]
    assert statuses(store, "chains")["NIFTY"].records == 1


def test_a_run_without_chains_is_recorded(store: Store) -> None:
    recorded = ChainStore(store).record((), a_run(), ())

    assert recorded.chains == ()
    assert [run.run_id for run in recent_runs(store)] == ["run"]


def test_a_failed_write_leaves_no_rows(store: Store) -> None:
    odd = chain(1.0, ChainLeg(strike=Decimal("0.00001"), option_type=CALL))

    with pytest.raises(BadRecord, match="places"):
        keep(store, received(chain(), minute(0)), received(odd, minute(1)))

    assert set(rows(store).values()) == {0}
    assert recent_runs(store) == []


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(BadRecord, match="no time zone"):
        received(chain(), minute(0).replace(tzinfo=None))


@pytest.mark.parametrize("write", [keep, renewed], ids=["new", "anew"])
@pytest.mark.parametrize("name", [INVENTED.instrument_key, INVENTED.symbol])
def test_a_live_store_refuses_an_invented_underlying(
    store: Store, name: str, write: Callable[..., list[ReceiptResult]]
) -> None:
    mislabelled(store)
    live = replace(store, world=World.LIVE)

    with pytest.raises(WrongWorld, match="ZZP"):
        write(live, received(chain(underlying=name), minute(0)))

    assert set(rows(live).values()) == {0}


def test_a_live_store_accepts_a_real_underlying(store: Store) -> None:
    mislabelled(store)

    assert keep(replace(store, world=World.LIVE), received(chain(), minute(0))) == [
        ReceiptResult.STORED
    ]


def test_a_paper_store_accepts_an_invented_underlying(store: Store) -> None:
    save_master(store, [INVENTED], OPENS.date(), OPENS)

    assert keep(store, received(chain(underlying=INVENTED.symbol), minute(0))) == [
        ReceiptResult.STORED
    ]


def test_a_scheduler_that_was_replaced_writes_no_chains(store: Store) -> None:
    leadership = Leadership(store)
    leadership.try_acquire()

    with pytest.raises(LostLeadership):
        ChainStore(store, Fence(0)).record([received(chain(), minute(0))], a_run(), ())
    leadership.release()


def test_two_concurrent_collectors_store_one_content_once_and_lose_no_receipt(
    database_url: str,
) -> None:
    stores = [open_store(database_url, World.PAPER) for _ in range(2)]
    barrier = Barrier(len(stores))
    polls = 12

    def collect(store: Store, second: int) -> None:
        quotes_repository = ChainStore(store)
        for poll in range(polls):
            barrier.wait()
            at = minute(poll) + timedelta(seconds=second)
            of = chain(float(poll // 3))
            [known] = quotes_repository.known([of], at)
            priced = [] if known else [received(of, at)]
            recorded = quotes_repository.record(
                priced, a_run(f"{second}"), (), [known] if known else []
            )
            if recorded.superseded:
                quotes_repository.record([received(of, at)], a_run(f"{second}"), ())

    collectors = [Thread(target=collect, args=each) for each in zip(stores, (1, 2), strict=True)]
    for collector in collectors:
        collector.start()
    for collector in collectors:
        collector.join()

    assert heads(stores[0]) == [
        (
            minute(3 * n) + timedelta(seconds=1),
            float(n),
            6,
            minute(3 * n + 2) + timedelta(seconds=2),
        )
        for n in range(polls // 3)
    ]
    assert rows(stores[0])["chain_receipts"] == 2 * polls
    for store in stores:
        store.close()


# What was known when.


def spot_at(store: Store, *arguments: Any) -> float | None:
    found = ChainStore(store).of("NIFTY").snapshot_at(*arguments)
    return None if found is None else found.chain.spot


def test_a_past_instant_shows_what_was_known_then(store: Store) -> None:
    keep(store, *(received(chain(float(at)), minute(at)) for at in (1, 2)))

    assert [spot_at(store, EXPIRY, minute(at)) for at in range(4)] == [None, 1.0, 2.0, 2.0]
    assert spot_at(store, EXPIRY) == 2.0
    assert spot_at(store, NEXT_EXPIRY) is None


def test_of_two_sources_the_newest_or_the_given_one_is_returned(store: Store) -> None:
    keep(
        store,
        received(chain(1.0), minute(1)),
        received(chain(2.0, source=ChainSource.NSE), minute(2)),
    )

    assert spot_at(store, EXPIRY) == 2.0
    assert spot_at(store, EXPIRY, None, ChainSource.UPSTOX) == 1.0


def test_a_source_that_confirms_is_newer_than_one_that_stopped(store: Store) -> None:
    """Upstox reported new content at 2 and stopped; NSE reported the same from 1 to 9."""
    of_nse = chain(2.0, source=ChainSource.NSE)
    keep(
        store,
        received(chain(1.0), minute(2)),
        *(received(of_nse, minute(at)) for at in (1, 5, 9)),
    )

    assert [spot_at(store, EXPIRY, minute(at)) for at in (1, 2, 4, 5, 20)] == [2, 1, 1, 2, 2]
    assert spot_at(store, EXPIRY) == 2.0


def test_at_a_past_instant_later_confirmations_do_not_count(store: Store) -> None:
    keep(store, *(received(chain(1.0), minute(at)) for at in range(5)))

    hint = ChainStore(store).of("NIFTY").snapshot_at(EXPIRY, minute(2))
    now = ChainStore(store).of("NIFTY").snapshot_at(EXPIRY)

    assert hint is not None
    assert now is not None
    assert (hint.head.confirmations, hint.last_confirmed) == (3, minute(2))
    assert (now.head.confirmations, now.last_confirmed) == (5, minute(4))


@pytest.mark.parametrize(
    ("at", "spot", "expiries"),
    [
        pytest.param(minute(-1), None, [], id="nothing was known"),
        pytest.param(minute(1), 1.0, [EXPIRY, NEXT_EXPIRY], id="the nearest"),
        pytest.param(
            CLOSES - timedelta(seconds=1), 1.0, [EXPIRY, NEXT_EXPIRY], id="until it is over"
        ),
        pytest.param(CLOSES, 2.0, [NEXT_EXPIRY], id="then the next"),
        pytest.param(CLOSES + timedelta(days=7), 2.0, [], id="all over: the newest there is"),
    ],
)
def test_without_an_expiry_the_nearest_running_one_is_returned(
    store: Store, at: datetime, spot: float | None, expiries: list[date]
) -> None:
    keep(
        store,
        received(chain(1.0), minute(0)),
        received(chain(2.0, expiry=NEXT_EXPIRY), minute(1)),
    )

    assert spot_at(store, None, at) == spot
    assert ChainStore(store).of("NIFTY").expiries_at(at) == expiries


# Deriving anew.


def test_a_snapshot_is_rewritten_in_place(store: Store) -> None:
    two = [ChainLeg(strike=STRIKE, option_type=side, ltp=1.0) for side in OptionType]
    of = chain(1.0, *two)
    keep(store, received(of, minute(0)), received(of, minute(1)))
    mended = chain(5.0, two[0])

    fates = renewed(store, received(mended, minute(0), lot_size=75), received(mended, minute(1)))

    assert fates == [ReceiptResult.RENEWED, ReceiptResult.CONFIRMED]
    found = snapshot(store, minute(9))
    assert found.chain == mended
    assert (found.lot_size, found.head.run_id) == (75, "anew")
    assert heads(store) == [(minute(0), 5.0, 2, minute(1))]
    assert rows(store)["option_chain_data"] == 1
    assert keep(store, received(mended, minute(2))) == [ReceiptResult.CONFIRMED]


def test_a_receipt_that_could_not_be_parsed_before_is_added(store: Store) -> None:
    keep(store, received(chain(1.0), minute(0)), received(chain(1.0), minute(2)))

    assert renewed(store, received(chain(2.0), minute(1))) == [ReceiptResult.STORED]

    assert [(at, spot) for at, spot, _, _ in heads(store)] == [
        (minute(0), 1.0),
        (minute(1), 2.0),
        (minute(2), 1.0),
    ]


def test_a_confirmation_may_get_a_content_of_its_own(store: Store) -> None:
    """An earlier version did not see in what they differ."""
    keep(store, *(received(chain(1.0), minute(at)) for at in range(4)))

    fates = renewed(
        store, *(received(chain(spot), minute(at)) for at, spot in enumerate([5.0, 6.0, 5.0, 5.0]))
    )

    # The third one begins a snapshot when the second has divided the first.
    assert fates == [
        ReceiptResult.RENEWED,
        ReceiptResult.STORED,
        ReceiptResult.RENEWED,
        ReceiptResult.CONFIRMED,
    ]
    assert heads(store) == [
        (minute(0), 5.0, 1, minute(0)),
        (minute(1), 6.0, 1, minute(1)),
        (minute(2), 5.0, 2, minute(3)),
    ]


def test_a_snapshot_may_become_a_confirmation(store: Store) -> None:
    keep(store, *(received(chain(spot), minute(at)) for at, spot in enumerate([1.0, 2.0, 3.0])))

    fates = renewed(store, *(received(chain(9.0), minute(at)) for at in range(3)))

    assert fates == [ReceiptResult.RENEWED] * 3
    assert heads(store) == [(minute(0), 9.0, 3, minute(2))]
    assert rows(store)["option_chain_data"] == 1


@on_the_same_database
@given(spots=st.lists(st.tuples(st.sampled_from([1.0, 2.0]), st.sampled_from([7.0, 8.0]))))
def test_reprocessing_everything_equals_storing_it_so_at_first(
    store: Store, spots: list[tuple[float, float]]
) -> None:
    before, after = (
        [received(chain(pair[n]), minute(at)) for at, pair in enumerate(spots)] for n in (0, 1)
    )
    emptied(store)
    keep(store, *after)
    expected = heads(store), rows(store)
    emptied(store)
    keep(store, *before)

    renewed(store, *after)

    assert (heads(store), rows(store)) == expected


# What is held.


def test_an_empty_store_holds_nothing(store: Store) -> None:
    held = chain_holdings(store)

    assert (held.snapshots, held.legs, held.underlyings) == (0, 0, ())


def test_holdings_have_the_newest_snapshot_and_the_actual_cadence(store: Store) -> None:
    keep(store, *(received(chain(1.0), minute(at)) for at in (0, 1, 2, 3, 20)))
    keep(store, received(chain(1.0, underlying="BANKNIFTY"), minute(0)))

    held = chain_holdings(store)

    assert (held.snapshots, held.legs) == (2, 2)
    [bank, nifty] = held.underlyings
    assert (bank.underlying, bank.cadence_seconds) == ("BANKNIFTY", None)
    assert (nifty.last_confirmed, nifty.cadence_seconds) == (minute(20), 60.0)
    assert (nifty.expiry, nifty.timestamp, nifty.source) == (EXPIRY, minute(0), ChainSource.UPSTOX)
