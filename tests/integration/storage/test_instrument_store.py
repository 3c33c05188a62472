"""How one master after another is stored, on each kind of database."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import repeat
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from data_fetch.core.errors import LostLeadership, StoreUnreachable, WrongWorld
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.lineage import KeyChange
from data_fetch.core.instruments.universe import Followed
from data_fetch.core.world import World
from data_fetch.sources.instruments.rows import read_instruments
from data_fetch.storage.database.store import Guard, Store, open_store
from data_fetch.storage.instruments.instruments import (
    FIELDS,
    instruments_named,
    instruments_table,
    last_master_date,
    lineage_of,
    listed_instruments,
    save_master,
    saved_digest,
    see_again,
)

NOW = datetime(2026, 8, 14, 3, 0, tzinfo=UTC)
THURSDAY, FRIDAY, MONDAY = date(2026, 8, 13), date(2026, 8, 14), date(2026, 8, 17)
RELIANCE = Instrument(
    instrument_key="NSE_EQ|INE002A01018",
    live_key="NSE_EQ|INE002A01018",
    symbol="RELIANCE",
    segment="NSE_EQ",
    instrument_type="EQ",
    name="RELIANCE INDUSTRIES LTD",
    isin="INE002A01018",
    lot_size=1,
    tick_size=Decimal("0.1"),
    cas_eligible=True,
)
CALL = Instrument(
    instrument_key="NSE_FO|50918|27-10-2026",
    live_key="NSE_FO|50918",
    symbol="RELIANCE 1743.75 CE 27 OCT 26",
    segment="NSE_FO",
    instrument_type="CE",
    underlying_key="NSE_EQ|INE002A01018",
    underlying_symbol="RELIANCE",
    expiry=date(2026, 10, 27),
    strike=Decimal("1743.75"),
    lot_size=500,
    tick_size=Decimal("0.05"),
)
LTIM = replace(
    RELIANCE,
    instrument_key="NSE_EQ|INE214T01019",
    live_key="NSE_EQ|INE214T01019",
    isin="INE214T01019",
    symbol="LTIM",
)
LTM = replace(LTIM, symbol="LTM")
SPLIT = replace(
    RELIANCE,
    instrument_key="NSE_EQ|INE002A01026",
    live_key="NSE_EQ|INE002A01026",
    isin="INE002A01026",
)
TCS = replace(
    RELIANCE,
    instrument_key="NSE_EQ|INE467B01029",
    live_key="NSE_EQ|INE467B01029",
    isin="INE467B01029",
    symbol="TCS",
)
INVENTED = replace(
    RELIANCE, instrument_key="NSE_EQ|ZZP000000001", live_key="NSE_EQ|ZZP000000001", isin="ZZP"
)
INVENTED_CALL = replace(CALL, underlying_key="NSE_EQ|ZZP000000001")
RENAMED = KeyChange(LTIM.instrument_key, LTM.instrument_key, FRIDAY, "renamed from LTIM to LTM")


def save(store: Store, seen_on: date, *instruments: Instrument) -> tuple[KeyChange, ...]:
    return save_master(store, iter(instruments), seen_on, NOW).lineage


def seen(store: Store) -> dict[str, tuple[date, date]]:
    columns = instruments_table.c
    with store.reading() as connection:
        rows = connection.execute(select(columns.symbol, columns.first_seen, columns.last_seen))
        return {row.symbol: (row.first_seen, row.last_seen) for row in rows}


def stored(store: Store) -> dict[str, Instrument]:
    columns = [instruments_table.c[name] for name in FIELDS]
    with store.reading() as connection:
        rows = connection.execute(select(*columns)).mappings()
        return {row["instrument_key"]: Instrument(**row) for row in rows}


def test_a_saved_master_is_read_back(store: Store) -> None:
    save(store, FRIDAY, RELIANCE, CALL)

    assert stored(store) == {RELIANCE.instrument_key: RELIANCE, CALL.instrument_key: CALL}
    with store.reading() as connection:
        assert last_master_date(connection) == FRIDAY


def test_an_empty_store_knows_no_master(store: Store) -> None:
    with store.reading() as connection:
        assert last_master_date(connection) is None


def test_first_seen_remains_and_last_seen_is_updated(store: Store) -> None:
    save(store, THURSDAY, RELIANCE, CALL)
    save(store, FRIDAY, RELIANCE)

    assert seen(store) == {
        "RELIANCE": (THURSDAY, FRIDAY),
        CALL.symbol: (THURSDAY, THURSDAY),
    }


def test_saving_the_same_master_again_changes_nothing(store: Store) -> None:
    save(store, FRIDAY, RELIANCE, CALL)

    again = save_master(store, [RELIANCE, CALL], FRIDAY, NOW)

    assert (again.changed, again.lineage) == (0, ())


def test_an_older_master_does_not_overwrite_a_newer_one(store: Store) -> None:
    save(store, FRIDAY, LTM)
    save(store, THURSDAY, LTIM, RELIANCE)

    assert seen(store) == {"LTM": (THURSDAY, FRIDAY), "RELIANCE": (THURSDAY, THURSDAY)}
    with store.reading() as connection:
        assert lineage_of(connection, LTM.instrument_key) == []


def test_a_rename_is_recorded_once(store: Store) -> None:
    save(store, THURSDAY, LTIM)

    assert save(store, FRIDAY, LTM) == (RENAMED,)
    assert save(store, FRIDAY, LTM) == ()
    assert save(store, MONDAY, LTM) == ()
    with store.reading() as connection:
        assert lineage_of(connection, LTM.instrument_key) == [RENAMED]


def test_a_new_isin_is_recorded_under_both_keys(store: Store) -> None:
    save(store, THURSDAY, RELIANCE)
    save(store, FRIDAY, SPLIT)

    with store.reading() as connection:
        [found] = lineage_of(connection, RELIANCE.instrument_key)
        assert lineage_of(connection, SPLIT.instrument_key) == [found]
        assert found.reason == "new ISIN of RELIANCE"


def test_a_symbol_long_free_is_not_linked_to_a_new_stock(store: Store) -> None:
    save(store, date(2026, 5, 1), RELIANCE, LTM)
    save(store, THURSDAY, LTM)

    assert save(store, FRIDAY, SPLIT, LTM) == ()


@dataclass(frozen=True)
class InterruptedStore(Store):
    """Write transactions come about only as long as *granted* lasts."""

    granted: Iterator[None]

    @contextmanager
    def writing(self, guard: Guard | None = None) -> Iterator[Connection]:
        for _ in self.granted:
            with Store.writing(self, guard) as connection:
                yield connection
            return
        raise StoreUnreachable("the plug was pulled")


def test_stopped_between_the_lineage_and_the_names_it_is_still_recorded_once(store: Store) -> None:
    save(store, THURSDAY, LTIM)
    with pytest.raises(StoreUnreachable):
        save(InterruptedStore(store.engine, store.world, store.name, repeat(None, 1)), FRIDAY, LTM)

    save(store, MONDAY, LTM)

    with store.reading() as connection:
        assert lineage_of(connection, LTM.instrument_key) == [RENAMED]
    assert "LTM" in seen(store)


def test_the_digest_of_a_whole_master_is_stored(store: Store) -> None:
    save_master(store, [RELIANCE, CALL], THURSDAY, NOW, digest="of Thursday")
    assert saved_digest(store) == "of Thursday"

    half = InterruptedStore(store.engine, store.world, store.name, repeat(None, 1))
    with pytest.raises(StoreUnreachable):
        save_master(half, [RELIANCE, CALL], FRIDAY, NOW, digest="of Friday")
    assert saved_digest(store) == "of Thursday"

    save_master(store, [RELIANCE, CALL], FRIDAY, NOW, digest="of Friday")
    assert saved_digest(store) == "of Friday"


def test_a_master_with_the_content_of_the_last_one_changes_dates_only(store: Store) -> None:
    save(store, THURSDAY, RELIANCE, TCS)
    save_master(store, [RELIANCE, CALL], FRIDAY, NOW, digest="of Friday")

    assert see_again(store, FRIDAY, MONDAY, "of Monday")

    assert seen(store) == {
        RELIANCE.symbol: (THURSDAY, MONDAY),
        CALL.symbol: (FRIDAY, MONDAY),
        TCS.symbol: (THURSDAY, THURSDAY),
    }
    assert saved_digest(store) == "of Monday"


def test_it_is_saved_as_a_whole_when_another_one_was_stored_since(store: Store) -> None:
    save_master(store, [RELIANCE], THURSDAY, NOW, digest="of Thursday")
    save(store, FRIDAY, RELIANCE, CALL)

    assert not see_again(store, THURSDAY, MONDAY, "of Monday")

    assert seen(store)[CALL.symbol] == (FRIDAY, FRIDAY)
    assert saved_digest(store) == "of Thursday"


def test_without_a_digest_none_is_stored(store: Store) -> None:
    save(store, FRIDAY, RELIANCE)

    assert saved_digest(store) is None


class Replaced:
    """The fence of a scheduler that another one replaced after *granted* writes."""

    def __init__(self, granted: int) -> None:
        self.granted = granted

    def check_here(self) -> None:
        pass

    def check(self, connection: Connection) -> None:
        self.granted -= 1
        if self.granted < 0:
            raise LostLeadership("another scheduler collects into this store now")


# The contracts, the lineage, the cash segment and the digest.
@pytest.mark.parametrize("granted", range(4))
def test_every_write_of_a_master_is_guarded(store: Store, granted: int) -> None:
    save(store, THURSDAY, LTIM)

    with pytest.raises(LostLeadership):
        save_master(store, [LTM, CALL], FRIDAY, NOW, digest="Friday", guard=Replaced(granted))

    assert saved_digest(store) is None
    assert (CALL.instrument_key in stored(store)) is (granted > 0)
    with store.reading() as connection:
        assert bool(lineage_of(connection, LTM.instrument_key)) is (granted > 1)
    assert ("LTM" in seen(store)) is (granted > 2)


@pytest.mark.parametrize("instrument", [INVENTED, INVENTED_CALL], ids=["a stock", "a contract"])
def test_a_live_store_refuses_invented_instruments(
    database_url: str, instrument: Instrument
) -> None:
    live = open_store(database_url, World.LIVE)

    with pytest.raises(WrongWorld, match="ZZP"):
        save(live, FRIDAY, instrument, RELIANCE)

    assert seen(live) == {}
    live.close()


def test_a_paper_store_accepts_them(store: Store) -> None:
    save(store, FRIDAY, INVENTED, INVENTED_CALL)

    assert len(seen(store)) == 2


@pytest.fixture(scope="module")
def real_masters(shared_data: Path) -> list[list[Instrument]]:
    """February 2025 and August 2026 without the options: all that lineage is about."""
    masters = shared_data / "upstox" / "instruments"
    return [
        [row for row in read_instruments(masters / f"NSE_{day}.json.gz") if row.strike is None]
        for day in ("2025-02-08", "2026-08-14")
    ]


def test_both_real_masters_one_after_the_other(
    store: Store, real_masters: list[list[Instrument]]
) -> None:
    older, newer = real_masters
    save_master(store, older, date(2025, 2, 8), NOW)

    saved = save_master(store, newer, date(2026, 8, 14), NOW)

    assert saved.changed == 9507 + 640 + 139
    assert {
        "renamed from ZOMATO to ETERNAL",
        "renamed from LTIM to LTM",
        "renamed from TATAMOTORS to TMPV",
    } <= {each.reason for each in saved.lineage}
    first_seen = [first for first, last in seen(store).values() if last == date(2026, 8, 14)]
    assert first_seen.count(date(2025, 2, 8)) > 3000


def test_a_list_of_former_symbols_is_collected_whole_under_the_real_new_ones(
    store: Store, shared_data: Path
) -> None:
    masters = shared_data / "cases"
    listed = ["RELIANCE", "TATAMOTORS", "ZOMATO", "NIFTY"]
    for day, name in ((THURSDAY, "before"), (FRIDAY, "after")):
        save_master(store, read_instruments(masters / f"rename_master_{name}.json.gz"), day, NOW)

    with store.reading() as connection:
        found = listed_instruments(connection, listed)

    assert [one.symbol for one in found.members] == ["RELIANCE", "TMPV", "ETERNAL", "NIFTY"]
    assert list(map(str, found.followed)) == ["TATAMOTORS is TMPV now", "ZOMATO is ETERNAL now"]
    assert not found.unresolved


@pytest.mark.parametrize("symbol", ["LTIM", "ltim", "LTM"])
def test_a_former_symbol_resolves_to_the_current_instrument(store: Store, symbol: str) -> None:
    reissued = replace(
        LTM,
        instrument_key="NSE_EQ|INE214T01027",
        live_key="NSE_EQ|INE214T01027",
        isin="INE214T01027",
    )
    save(store, THURSDAY, LTIM)
    save(store, FRIDAY, LTM)
    save(store, MONDAY, reissued)

    with store.reading() as connection:
        found = instruments_named(connection, [symbol])

    assert found.members == (reissued,)
    assert found.unresolved == ()


def test_a_stock_named_by_both_its_symbols_is_one(store: Store) -> None:
    save(store, THURSDAY, LTIM)
    save(store, FRIDAY, LTM)

    with store.reading() as connection:
        found = instruments_named(connection, ["LTM", "LTIM", "UNKNOWN"])

    assert found.members == (LTM,)
    assert [unknown.symbol for unknown in found.unresolved] == ["UNKNOWN"]


def test_an_instrument_key_names_its_instrument_and_a_former_one_what_it_has_become(
    store: Store,
) -> None:
    save_master(store, [RELIANCE, CALL], THURSDAY, NOW)
    save_master(store, [SPLIT], FRIDAY, NOW)
    keys = [RELIANCE.instrument_key, CALL.instrument_key]

    with store.reading() as connection:
        found = instruments_named(connection, ["RELIANCE", *keys])

    assert [one.instrument_key for one in found.members] == [SPLIT.instrument_key, keys[1]]
    assert found.followed == (Followed(keys[0], SPLIT),)
    assert not found.unresolved


@pytest.mark.parametrize(
    ("masters", "symbol", "becomes"),
    [
        pytest.param([[LTIM], [LTM]], "LTIM", LTM, id="a rename"),
        pytest.param([[LTIM], [LTM], [LTIM]], "LTM", LTIM, id="a rename taken back"),
        pytest.param([[RELIANCE], [SPLIT]], RELIANCE.instrument_key, SPLIT, id="a new ISIN"),
        pytest.param(
            [[RELIANCE], [replace(SPLIT, instrument_type="BE")]],
            "RELIANCE",
            replace(SPLIT, instrument_type="BE"),
            id="a new ISIN in another series",
        ),
        pytest.param(
            [[LTIM], [LTM], [LTM, replace(RELIANCE, symbol="LTIM")]],
            "LTIM",
            replace(RELIANCE, symbol="LTIM"),
            id="taken by another company",
        ),
        pytest.param(
            [[replace(RELIANCE, symbol="LTIM")], [LTIM], [LTM]],
            "LTIM",
            LTM,
            id="of two that had it, the later one",
        ),
        pytest.param([[LTIM, RELIANCE], [RELIANCE]], "LTIM", None, id="delisted"),
        pytest.param([[LTIM], [LTM], [RELIANCE]], "LTIM", None, id="renamed, then delisted"),
        pytest.param([[CALL], [CALL]], CALL.symbol, CALL, id="a contract"),
        pytest.param([[CALL], [CALL]], CALL.instrument_key, CALL, id="the key of a contract"),
    ],
)
def test_a_listed_symbol_is_collected_as_what_it_has_become(
    store: Store, masters: list[list[Instrument]], symbol: str, becomes: Instrument | None
) -> None:
    for number, listed in enumerate(masters):
        save(store, THURSDAY + timedelta(days=number), *listed, TCS)

    with store.reading() as connection:
        found = listed_instruments(connection, [symbol, "TCS"])

    assert found.members == tuple(one for one in (becomes, TCS) if one is not None)
    assert found.listed == 2
