"""Chains of two stores together are what one store would have collected."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from chain_shelf import (
    INVENTED,
    OPENS,
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
    rows,
    snapshot,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from data_fetch.core.chains.chains import ChainLeg, ChainSource, OptionType
from data_fetch.core.errors import WrongWorld
from data_fetch.core.world import World
from data_fetch.storage.chains.merge import merge_chains
from data_fetch.storage.chains.snapshots import ChainStore
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.merge import merge, no_progress

Pair = tuple[Store, Store]


@pytest.fixture(
    params=[
        "sqlite to postgres",
        "sqlite to partitioned",
        "postgres to sqlite",
        "sqlite to sqlite",
    ]
)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """A source and a destination."""
    src, _, dst = str(request.param).split()
    first = request.getfixturevalue(f"{src}_url")
    other = f"sqlite:///{tmp_path / 'other.db'}"
    second = other if src == dst else request.getfixturevalue(f"{dst}_url")
    stores = open_store(first, World.PAPER), open_store(second, World.PAPER)
    yield stores
    for store in stores:
        store.close()


def merged(pair: Pair) -> dict[str, int]:
    src, dst = (store.engine.url.render_as_string(hide_password=False) for store in pair)
    changed = merge(src, dst)
    return {name: changed[name] for name in sorted(changed) if "chain" in name}


def test_every_row_is_merged_and_a_second_merge_changes_nothing(pair: Pair) -> None:
    src, dst = pair
    legs = [ChainLeg(strike=Decimal(n), option_type=OptionType.CALL, ltp=1.0) for n in (1, 2, 3)]
    of = received(chain(1.0, *legs, source=ChainSource.NSE), minute(0), lot_size=75, rejected=2)
    of = replace(of, instrument_keys={legs[0].key: "NSE_FO|7|22-09-2026"})
    keep(src, of, replace(of, received_at=minute(1)))

    assert merged(pair) == {
        "chain_receipts": 2,
        "chain_snapshots": 1,
        "chain_summary": 1,
        "option_chain_data": 3,
    }

    assert snapshot(dst, minute(9), of.chain) == snapshot(src, minute(9), of.chain)
    assert rows(dst) == rows(src)
    assert set(merged(pair).values()) == {0}


@settings(max_examples=15)
@given(data=st.data(), history=histories)
def test_receipts_of_both_stores_are_merged_in_order_of_time(
    pair: Pair, data: st.DataObject, history: list[ParsedResponse]
) -> None:
    for store in pair:
        emptied(store)
    for one in history:
        for store in data.draw(st.sampled_from([pair[:1], pair[1:], pair])):
            keep(store, one.received)

    merged(pair)

    assert heads(pair[1]) == expected_heads(history)
    assert rows(pair[1])["option_chain_data"] == len(heads(pair[1]))
    assert set(merged(pair).values()) == {0}


def test_of_two_contents_of_one_receipt_the_destinations_remains(pair: Pair) -> None:
    src, dst = pair
    for store in pair:
        keep(store, received(chain(1.0), minute(0)))
    ChainStore(src).renew(received(chain(2.0), minute(0)), a_run("anew"))

    assert set(merged(pair).values()) == {0}
    assert [spot for _, spot, _, _ in heads(dst)] == [1.0]


def test_documents_with_one_exchange_time_are_both_merged(pair: Pair) -> None:
    src, dst = pair
    for store, spot in zip(pair, (1.0, 2.0), strict=True):
        keep(store, received(chain(spot, exchange_time=OPENS), OPENS))

    merged(pair)

    found = [(at, spot) for at, spot, _, _ in heads(dst)]
    assert found == [(OPENS, 2.0), (OPENS + timedelta(microseconds=1), 1.0)]
    assert set(merged(pair).values()) == {0}
    assert len(heads(src)) == 1


def test_an_invented_underlying_is_not_merged_into_a_live_store(pair: Pair) -> None:
    src, dst = pair
    keep(src, received(chain(underlying=INVENTED.symbol), minute(0)))
    for store in pair:
        mislabelled(store)
    live = tuple(replace(store, world=World.LIVE) for store in pair)

    with pytest.raises(WrongWorld, match="ZZP"):
        merge_chains(*live, no_progress)

    assert set(rows(dst).values()) == {0}


def test_more_legs_than_one_portion_are_merged(pair: Pair) -> None:
    src, dst = pair
    legs = [
        ChainLeg(strike=Decimal(n), option_type=OptionType.PUT, oi=75.0) for n in range(1, 1_500)
    ]
    several = [received(chain(float(at), *legs), minute(at)) for at in range(6)]
    keep(src, *several)

    assert merged(pair)["option_chain_data"] == 6 * len(legs)
    assert snapshot(dst, minute(3)).chain == several[3].chain
