"""What sessions of the dashboard share: a chain is read once for each snapshot."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import streamlit as st
from candle_shelf import environment_for
from chain_shelf import keep, received
from option_chains import CALL, PUT, chain_of, leg

from data_fetch.core.clock import IST
from data_fetch.core.errors import NothingStored, SetupError, UnknownSymbol
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.dashboard.chain_answers import compared, head_of, ladder_table, running, surface_of
from data_fetch.dashboard.desk import Desk, desk, use
from data_fetch.reading.chain_metrics import PREVIOUS_CLOSE
from data_fetch.storage.chains.snapshots import Received
from data_fetch.storage.database.store import Store, open_store

EXPIRY = date(2025, 6, 12)
SESSIONS = 20


def ist(hour: int, minute: int = 0) -> datetime:
    return datetime(2025, 6, 10, hour, minute, tzinfo=IST).astimezone(UTC)


def at(time: datetime, ltp: float) -> Received:
    return received(chain_of([leg(24_000, CALL, ltp=ltp), leg(24_000, PUT)], expiry=EXPIRY), time)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The store of the desk."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    store = open_store(url, World.LIVE)
    before = desk()
    use(Desk(Settings.load(environment_for(url), tmp_path)))
    st.cache_resource.clear()
    yield store
    desk().kept.close()
    use(before)
    store.close()


def table_of(symbol: str) -> str:
    return ladder_table(head_of(symbol, None, None), PREVIOUS_CLOSE, None, ("ltp",))


def test_all_sessions_get_the_one_table_of_a_snapshot(store: Store) -> None:
    keep(store, at(ist(10), 90.0))

    with ThreadPoolExecutor(SESSIONS) as sessions:
        tables = list(sessions.map(table_of, ["NIFTY"] * SESSIONS))

    assert "90.00" in tables[0]
    assert all(each is tables[0] for each in tables)


def test_a_receipt_of_the_same_content_is_no_other_snapshot(store: Store) -> None:
    keep(store, at(ist(10), 90.0))
    before = compared(head_of("NIFTY", None, ist(10)), PREVIOUS_CLOSE)
    keep(store, at(ist(10, 1), 90.0))

    head = head_of("NIFTY", None, ist(10, 1))

    assert head.shown.last_confirmed == ist(10, 1)
    assert compared(head, PREVIOUS_CLOSE) is before


def test_another_snapshot_is_read(store: Store) -> None:
    keep(store, at(ist(10), 90.0), at(ist(11), 91.5))

    newest, earlier = (head_of("NIFTY", None, ist(hour)) for hour in (12, 10))

    assert compared(newest, PREVIOUS_CLOSE).snapshot.chain.legs[0].ltp == 91.5
    assert compared(earlier, PREVIOUS_CLOSE).snapshot.chain.legs[0].ltp == 90.0
    assert compared(newest, "60m").moved[0].price_change == 1.5


def test_an_underlying_without_a_running_expiry_has_no_tabs_and_no_surface(store: Store) -> None:
    keep(store, at(ist(10), 90.0))
    long_after = datetime(2025, 7, 1, tzinfo=UTC)

    assert running("NIFTY", long_after) == []
    with pytest.raises(NothingStored, match="no expiry of NIFTY is running"):
        surface_of("NIFTY", long_after)


def test_a_symbol_that_is_gone_is_an_error_of_ours(store: Store) -> None:
    with pytest.raises(UnknownSymbol, match="GONE"):
        running("GONE", None)


@pytest.mark.parametrize(
    ("baseline", "sentence"),
    [
        pytest.param("soon", "'soon' is not an instant", id="no instant"),
        pytest.param(ist(9).isoformat(), "no chain of NIFTY is stored as of", id="too early"),
    ],
)
def test_a_baseline_that_is_not_there_is_an_error_of_ours(
    store: Store, baseline: str, sentence: str
) -> None:
    keep(store, at(ist(10), 90.0))

    with pytest.raises(SetupError, match=sentence):
        compared(head_of("NIFTY", None, None), baseline)
