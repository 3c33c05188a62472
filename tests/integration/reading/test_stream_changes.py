"""What has changed in a store since the last look."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from stream_shelf import NIFTY, TCS, LiveStore

from data_fetch.reading.stream_changes import ChangeFollower


@pytest.fixture
def live(database_url: str) -> Iterator[LiveStore]:
    live = LiveStore.at(database_url)
    yield live
    live.store.close()


@pytest.fixture
def follower(live: LiveStore, tmp_path: Path) -> ChangeFollower:
    return ChangeFollower(live.settings(tmp_path))


def seen(follower: ChangeFollower, *followed: str) -> tuple[dict[str, float], list[float | None]]:
    """The new prices by product, and the spots of the new chains."""
    found = follower.changes(followed)
    return {each.product: each.value for each in found.prices}, [
        each.head.spot for each in found.chains
    ]


def test_each_change_is_seen_once(live: LiveStore, follower: ChangeFollower) -> None:
    assert seen(follower, "NIFTY") == ({}, [])
    live.price(NIFTY, 24_000.5, 1)
    live.price(TCS, 3_000.0, 1)
    live.chain(24_010.0, 70)
    assert seen(follower, "NIFTY") == ({"NIFTY": 24_000.5, "TCS": 3_000.0}, [24_010.0])
    assert seen(follower, "NIFTY") == ({}, [])

    # The same content again is no change; neither is a look at everything.
    live.chain(24_010.0, 80)
    follower.look_again()
    assert seen(follower, "NIFTY") == ({}, [])
    live.price(TCS, 3_001.0, 2)
    live.chain(24_020.0, 90)
    assert seen(follower, "NIFTY") == ({"TCS": 3_001.0}, [24_020.0])


def test_a_quote_that_is_replaced_and_one_of_the_slot_before_are_changes(
    live: LiveStore, follower: ChangeFollower
) -> None:
    live.price(TCS, 3_000.0, 2)
    assert seen(follower) == ({"TCS": 3_000.0}, [])
    live.price(NIFTY, 24_000.0, 1)
    live.price(TCS, 2_999.0, 3)
    assert seen(follower) == ({"NIFTY": 24_000.0, "TCS": 2_999.0}, [])


def test_a_chain_that_is_stored_late_is_seen(live: LiveStore, follower: ChangeFollower) -> None:
    live.chain(24_010.0, 600)
    seen(follower, "NIFTY", "TCS")
    live.chain(3_000.0, 300, underlying="TCS")
    assert seen(follower, "NIFTY", "TCS")[1] == [3_000.0]


def test_without_quotes_the_spot_of_a_chain_is_the_price(
    live: LiveStore, follower: ChangeFollower
) -> None:
    live.price(NIFTY, 24_000.5, 1)
    live.chain(24_010.0, 70)
    live.chain(3_000.0, 70, underlying="TCS")
    assert seen(follower) == ({"NIFTY": 24_000.5, "TCS": 3_000.0}, [])


def test_a_product_that_is_followed_anew_is_returned_anew(
    live: LiveStore, follower: ChangeFollower
) -> None:
    live.chain(24_010.0, 70)
    assert [seen(follower, *each)[1] for each in (["NIFTY"], [], ["NIFTY"])] == [
        [24_010.0],
        [],
        [24_010.0],
    ]


def test_after_a_start_over_everything_is_returned(
    live: LiveStore, follower: ChangeFollower
) -> None:
    live.price(TCS, 3_000.0, 1)
    live.chain(24_010.0, 70)
    first = seen(follower, "NIFTY")
    follower.start_over()
    assert seen(follower, "NIFTY") == first
