"""A store belongs to one world for good."""

from pathlib import Path
from threading import Barrier, Thread

import pytest
from sqlalchemy import select

from data_fetch.core.errors import SetupError, WrongWorld
from data_fetch.core.world import World
from data_fetch.storage.database.store import Store, open_store, refuse_invented, stamped_world
from data_fetch.storage.database.tables import StoreMeta, table
from data_fetch.storage.database.upsert import upsert
from data_fetch.storage.merge import merge

INVENTED, REAL = "NSE_EQ|ZZP000000001", "NSE_EQ|INE002A01018"
META = table(StoreMeta)


def write_something(store: Store) -> None:
    with store.writing() as connection:
        upsert(connection, META, ("name", "value"), [(f"written by {store.world}", "")])


def stamp(store: Store) -> World | None:
    with store.reading() as connection:
        return stamped_world(connection)


def test_opening_a_store_does_not_stamp_it(database_url: str) -> None:
    for world in World:
        store = open_store(database_url, world)
        assert stamp(store) is None
        store.close()


@pytest.mark.parametrize("world", World)
def test_the_first_write_stamps_the_store(database_url: str, world: World) -> None:
    store = open_store(database_url, world)

    write_something(store)

    assert stamp(store) is world
    store.close()


def test_a_write_that_fails_does_not_stamp(store: Store) -> None:
    with pytest.raises(RuntimeError, match="on the way"), store.writing():
        raise RuntimeError("on the way")

    assert stamp(store) is None


@pytest.mark.parametrize(
    ("first", "second"), [(World.PAPER, World.LIVE), (World.LIVE, World.PAPER)]
)
def test_the_other_world_is_rejected_at_opening(
    database_url: str, first: World, second: World
) -> None:
    store = open_store(database_url, first)
    write_something(store)
    store.close()

    with pytest.raises(WrongWorld) as refusal:
        open_store(database_url, second)

    message = str(refusal.value)
    assert f"is a {first} store" in message
    assert f"{second} prices cannot be stored in it" in message
    assert "DATA_SOURCE" in message


def test_a_store_stamped_after_opening_rejects_the_write(database_url: str) -> None:
    """Both opened the store while it had no stamp."""
    paper, live = open_store(database_url, World.PAPER), open_store(database_url, World.LIVE)
    write_something(paper)

    with pytest.raises(WrongWorld):
        write_something(live)

    with paper.reading() as connection:
        assert "written by live" not in connection.scalars(select(META.c.name)).all()
    paper.close()
    live.close()


def test_of_two_first_writers_exactly_one_wins(database_url: str) -> None:
    stores = [open_store(database_url, world) for world in World]
    barrier = Barrier(len(stores))
    refused: list[World] = []

    def write(store: Store) -> None:
        barrier.wait()
        try:
            write_something(store)
        except WrongWorld:
            refused.append(store.world)

    writers = [Thread(target=write, args=(store,)) for store in stores]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    [loser] = refused
    assert {stamp(store) for store in stores} == set(World) - {loser}
    for store in stores:
        store.close()


def test_a_live_store_refuses_invented_instruments(database_url: str) -> None:
    store = open_store(database_url, World.LIVE)

    with store.writing() as connection:
        refuse_invented(connection, [REAL, None, "NSE_INDEX|Nifty 50"])
        with pytest.raises(WrongWorld, match="ZZP000000001"):
            refuse_invented(connection, [REAL, INVENTED])
    store.close()


def test_a_paper_store_accepts_invented_instruments(store: Store) -> None:
    with store.writing() as connection:
        refuse_invented(connection, [INVENTED])


def test_stores_of_different_worlds_do_not_merge(sqlite_url: str, postgres_url: str) -> None:
    for url, world in ((sqlite_url, World.PAPER), (postgres_url, World.LIVE)):
        store = open_store(url, world)
        write_something(store)
        store.close()

    with pytest.raises(WrongWorld):
        merge(sqlite_url, postgres_url)


def test_a_store_that_was_never_written_has_nothing_to_merge(
    sqlite_url: str, postgres_url: str
) -> None:
    with pytest.raises(SetupError, match="is empty"):
        merge(postgres_url, sqlite_url)


def test_merging_does_not_create_a_missing_store(tmp_path: Path, sqlite_url: str) -> None:
    missing = tmp_path / "missing.db"

    with pytest.raises(SetupError, match="there is no store"):
        merge(f"sqlite:///{missing}", sqlite_url)
    assert not missing.exists()


def test_a_store_is_not_merged_into_itself(sqlite_url: str) -> None:
    with pytest.raises(SetupError, match="into itself"):
        merge(sqlite_url, sqlite_url)
