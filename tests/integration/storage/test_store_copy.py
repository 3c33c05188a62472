"""A store is copied whole between the databases, or not at all."""

import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from effort import PATIENCE_SECONDS, times
from sample_rows import AT, fill
from sqlalchemy import delete, select, update

from data_fetch.core.backups import differences
from data_fetch.core.errors import SetupError, StoreRefused
from data_fetch.core.world import World
from data_fetch.storage import copy as copying
from data_fetch.storage.copy import copy
from data_fetch.storage.database.engine import engine_for, snapshot
from data_fetch.storage.database.leadership import LEADER, Leadership
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.database.table_digests import table_digests
from data_fetch.storage.database.tables import (
    Base,
    ChainSummaryRow,
    LtpData,
    OptionChainData,
    StoreMeta,
    table,
)

PAIRS = ["sqlite to postgres", "postgres to sqlite", "sqlite to sqlite"]
LAYOUTS = ["sqlite to partitioned", "partitioned to sqlite", "sqlite to timescale"]


@pytest.fixture
def opened() -> Iterator[Callable[[str], Store]]:
    stores: list[Store] = []

    def open_paper(url: str) -> Store:
        stores.append(open_store(url, World.PAPER))
        return stores[-1]

    yield open_paper
    for store in stores:
        store.close()


@pytest.fixture(params=PAIRS)
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """A source and an empty destination; one that is a file is not there yet."""
    return pair_of(request, tmp_path)


@pytest.fixture(params=[*PAIRS, *LAYOUTS])
def urls_of_layouts(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """The same, with the large tables in each layout of PostgreSQL."""
    return pair_of(request, tmp_path)


def pair_of(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    src, _, dst = str(request.param).split()
    first: str = request.getfixturevalue(f"{src}_url")
    beside = f"sqlite:///{tmp_path / 'copies' / 'copy.db'}"
    return first, beside if dst == "sqlite" else request.getfixturevalue(f"{dst}_url")


def digests(url: str) -> Any:
    engine = engine_for(url)
    try:
        with snapshot(engine) as connection:
            return table_digests(connection)
    finally:
        engine.dispose()


def rows_by_table(url: str) -> dict[str, dict[Any, Any]]:
    """Every row by its key, as the models read it."""
    store = open_store(url, World.PAPER)
    with store.reading() as connection:
        found = {
            each.name: {
                tuple(row[column] for column in each.primary_key): dict(row)
                for row in connection.execute(select(each)).mappings()
            }
            for each in Base.metadata.sorted_tables
        }
    store.close()
    return found


def is_empty(url: str) -> bool:
    if url.startswith("sqlite") and not Path(url.removeprefix("sqlite:///")).exists():
        return True
    return not any(rows_by_table(url).values())


def test_every_row_of_every_table_is_copied(
    urls_of_layouts: tuple[str, str], opened: Callable[[str], Store]
) -> None:
    fill(opened(urls_of_layouts[0]))
    seen: list[tuple[str, int]] = []

    copied = copy(*urls_of_layouts, lambda name, rows: seen.append((name, rows)))

    before, after = map(rows_by_table, urls_of_layouts)
    # These belong to running processes.
    for name in ("candle_leases", "sent_requests", "waiting_requests", "provider_pauses"):
        assert before.pop(name)
        assert after.pop(name) == {}
    assert after == before
    assert copied == digests(urls_of_layouts[0]) == digests(urls_of_layouts[1])
    assert set(copied) == set(after)
    assert {name: rows for name, rows in seen if name in copied} == {
        name: digest.rows for name, digest in copied.items()
    }


def test_the_lead_of_the_source_is_not_copied(
    urls: tuple[str, str], opened: Callable[[str], Store]
) -> None:
    lead = Leadership(opened(urls[0]))
    assert lead.try_acquire() is not None

    copy(*urls)

    with opened(urls[1]).reading() as connection:
        names = connection.scalars(select(StoreMeta.name)).all()
    lead.release()
    assert LEADER not in names
    assert "world" in names


def test_a_collector_that_writes_meanwhile_is_copied_as_of_the_beginning(
    urls: tuple[str, str], opened: Callable[[str], Store]
) -> None:
    store = opened(urls[0])
    fill(store)
    before = digests(urls[0])
    late = iter([[99]])

    def write_once(_name: str, _rows: int) -> None:
        for numbers in late:
            fill(store, numbers)

    assert copy(*urls, write_once) == before
    assert digests(urls[1]) == before
    assert digests(urls[0]) != before


def test_rows_of_many_portions_are_copied(
    urls_of_layouts: tuple[str, str],
    opened: Callable[[str], Store],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("data_fetch.storage.database.table_contents.ROWS_AT_ONCE", 7)
    monkeypatch.setattr("data_fetch.storage.database.table_contents.BYTES_AT_ONCE", 700)
    fill(opened(urls_of_layouts[0]), range(250))

    assert copy(*urls_of_layouts)["option_chain_data"].rows == 250
    assert digests(urls_of_layouts[1]) == digests(urls_of_layouts[0])


CHANGES = [
    pytest.param(update(table(LtpData)).values(ltp=LtpData.ltp + 1e-9), "ltp_data", id="a digit"),
    pytest.param(
        update(table(LtpData))
        .values(timestamp=AT + timedelta(days=400, microseconds=1))
        .where(LtpData.timestamp == AT),
        "ltp_data",
        id="a microsecond",
    ),
    pytest.param(
        update(table(OptionChainData)).values(reason=None).where(OptionChainData.reason == ""),
        "option_chain_data",
        id="an empty text that is missing",
    ),
    pytest.param(
        update(table(ChainSummaryRow)).values(inputs={"b": 1}), "chain_summary", id="a document"
    ),
    pytest.param(
        delete(table(LtpData)).where(LtpData.timestamp == AT), "ltp_data", id="a row less"
    ),
]


@pytest.mark.parametrize(("change", "where"), CHANGES)
def test_the_digest_of_a_table_shows_any_change(
    store: Store, database_url: str, change: Any, where: str
) -> None:
    fill(store)
    before = digests(database_url)

    with store.writing() as connection:
        assert connection.execute(change).rowcount

    assert [line.split()[0] for line in differences(before, digests(database_url))] == [where]


def test_two_values_that_change_places_change_the_digest(store: Store, database_url: str) -> None:
    fill(store)
    before = digests(database_url)

    with store.writing() as connection:
        connection.execute(update(table(OptionChainData)).values(bid=OptionChainData.ask))
        connection.execute(update(table(OptionChainData)).values(ask=OptionChainData.bid))

    # Bid and ask were alike.
    assert digests(database_url) == before
    with store.writing() as connection:
        connection.execute(update(table(OptionChainData)).values(bid=1.0, ask=2.0))
    one_way = digests(database_url)
    with store.writing() as connection:
        connection.execute(update(table(OptionChainData)).values(bid=2.0, ask=1.0))
    assert differences(one_way, digests(database_url)) == [
        "option_chain_data has other values in its 24 rows"
    ]


@pytest.fixture
def filled(urls: tuple[str, str], opened: Callable[[str], Store]) -> tuple[str, str]:
    fill(opened(urls[0]))
    return urls


def test_a_store_with_rows_is_refused(
    filled: tuple[str, str], opened: Callable[[str], Store]
) -> None:
    fill(opened(filled[1]), [99])
    before = rows_by_table(filled[1])

    with pytest.raises(SetupError, match="has rows already"):
        copy(*filled)
    assert rows_by_table(filled[1]) == before


def test_a_store_in_which_a_collector_is_at_work_is_refused(
    filled: tuple[str, str], opened: Callable[[str], Store]
) -> None:
    lead = Leadership(opened(filled[1]))
    lead.try_acquire()

    with pytest.raises(SetupError, match=r"at work|has rows"):
        copy(*filled)
    lead.release()


@pytest.mark.parametrize(
    ("src", "why"),
    [
        pytest.param("sqlite:///{folder}/none.db", "there is no store", id="no file"),
        pytest.param("sqlite:///{folder}/empty.db", "never been written to", id="an empty store"),
        pytest.param("{dst}", "into itself", id="itself"),
    ],
)
def test_what_is_no_source_is_refused(
    tmp_path: Path, sqlite_template: Path, src: str, why: str
) -> None:
    shutil.copyfile(sqlite_template, tmp_path / "empty.db")
    dst = f"sqlite:///{tmp_path / 'copy.db'}"

    with pytest.raises(SetupError, match=why):
        copy(src.format(folder=tmp_path, dst=dst), dst)
    assert not (tmp_path / "copy.db").exists()


def test_a_store_of_the_other_world_is_refused(
    filled: tuple[str, str], opened: Callable[[str], Store]
) -> None:
    live = open_store(filled[1], World.LIVE)
    with live.writing():
        pass
    live.close()

    with pytest.raises(SetupError, match="live store"):
        copy(*filled)


def test_a_copy_that_differs_is_not_kept(
    filled: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    add = copying.add_portion
    monkeypatch.setattr(copying, "add_portion", lambda *given: add(*given[:2], given[2].slice(1)))

    with pytest.raises(StoreRefused, match="differs"):
        copy(*filled)
    assert is_empty(filled[1])


class Ended(Exception):
    pass


def test_a_copy_that_fails_leaves_nothing_and_can_be_repeated(filled: tuple[str, str]) -> None:
    seen: list[str] = []

    def fail(name: str, _rows: int) -> None:
        seen.append(name)
        if len(seen) == 9:
            raise Ended

    with pytest.raises(Ended):
        copy(*filled, fail)
    assert is_empty(filled[1])
    assert copy(*filled) == digests(filled[1])


PROGRAM = """
import sys
from data_fetch.storage.copy import copy
copy(*sys.argv[1:], lambda *seen: print(*seen, flush=True))
"""


def test_a_copy_that_is_killed_leaves_nothing_and_can_be_repeated(filled: tuple[str, str]) -> None:
    chance = random.Random(13)
    for _ in range(times(1, 20)):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *filled], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(chance.randrange(40)):
            process.stdout.readline()
        process.kill()
        process.wait(PATIENCE_SECONDS)
        process.stdout.close()
        if not is_empty(filled[1]):
            # The kill came late.
            assert digests(filled[1]) == digests(filled[0])
            return

    assert copy(*filled) == digests(filled[1])
