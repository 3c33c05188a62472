"""A rehearsed day: the real scheduler and all its jobs on the paper exchange, from the shell.

`CHAOS=1` (`make chaos`) takes the whole universe through a whole day, otherwise through an hour;
and it compares the rows of a whole day, otherwise those of an hour.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from effort import CHAOS
from programs import SYMBOLS, Desk
from sqlalchemy import select

from data_fetch.core.timetable import LOOKS_AFTER_CLOSE
from data_fetch.core.world import World
from data_fetch.storage.database.store import open_store
from data_fetch.storage.database.tables import (
    Base,
    CandleRow,
    CoverageRow,
    LtpData,
    OptionChainData,
    table,
)
from data_fetch.storage.feed import disconnects_since, feed_report

AUCTION_DAY = "2026-09-16"
MUHURAT = "2025-10-21"
KEYS = [
    "slots_due",
    "slots_collected",
    "slots_missed",
    "rows",
    "requests",
    "errors",
    "seconds",
    "peak_memory_mb",
    "candles",
    "missed_minutes",
    "chain_snapshots",
    "chain_legs",
    "chain_polls",
    "unexplained_minutes",
]
COUNTS = [name for name in KEYS if name != "seconds"]
# A second rehearsal in the same store finds everything settled, so it has less to ask.
REPEATABLE = [name for name in COUNTS if name not in {"requests", "peak_memory_mb"}]
RUN_SPECIFIC = {"run_id", "received_at", "fetched_at", "changed_at", "last_attempt", "next_attempt"}
EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
LISTED, INDICES = 214, 6
# Chains are looked at as often as usual where the whole universe is rehearsed.
SELDOM = {"REFRESH_INTERVAL": "600"}
MUCH_MEMORY_MB = 250


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk.at(tmp_path)


def rows_in(url: str, of: type[Base]) -> list[tuple[Any, ...]]:
    """All rows of a table but what tells one run from another."""
    rows = table(of)
    columns = [column for column in rows.columns if column.name not in RUN_SPECIFIC]
    store = open_store(url, World.PAPER)
    with store.reading() as connection:
        found = connection.execute(select(*columns).order_by(*rows.primary_key.columns))
        told = [tuple(map(without_proof, row)) for row in found]
    store.close()
    return told


def without_proof(value: Any) -> Any:
    """The stretches of a day without the run that proved them, and when; others as they are."""
    return [stretch[:4] for stretch in value] if isinstance(value, list) else value


def contents(url: str) -> dict[type[Base], list[tuple[Any, ...]]]:
    return {of: rows_in(url, of) for of in (LtpData, CandleRow, CoverageRow, OptionChainData)}


@pytest.mark.long
def test_rehearsals_of_a_day_leave_the_same_rows(desk: Desk, empty_postgres_url: str) -> None:
    """In stores of each kind, and when it is rehearsed again in them."""
    day, slots = (AUCTION_DAY, 361) if CHAOS else (MUHURAT, 60)
    stores = f"sqlite:///{desk.folder / 'first'}.db", empty_postgres_url
    first = [desk.rehearse("--date", day, DATABASE_URL=url, **SELDOM) for url in stores]
    held = [contents(url) for url in stores]
    again = [desk.rehearse("--date", day, DATABASE_URL=url, **SELDOM) for url in stores]

    assert len(held[0][LtpData]) == slots * len(SYMBOLS)
    assert all(len(rows) >= len(SYMBOLS) for rows in held[0].values())
    assert held[1] == held[0]
    assert [contents(url) for url in stores] == held
    told = [[each[name] for name in REPEATABLE] for each in (*first, *again)]
    assert told == [told[0]] * len(told)
    assert all(one["requests"] > other["requests"] for one, other in zip(first, again, strict=True))


@pytest.mark.long
def test_a_day_with_the_feed_leaves_the_rows_of_a_day_without_it(desk: Desk) -> None:
    day, slots = (AUCTION_DAY, 361) if CHAOS else (MUHURAT, 60)
    if CHAOS:
        (desk.folder / "nse_fo_stock_symbols.txt").unlink()
    stores = {feed: f"sqlite:///{desk.folder / feed}.db" for feed in ("false", "true")}
    alone, beside = (
        desk.rehearse("--date", day, DATABASE_URL=url, FEED_ENABLED=feed, **SELDOM)
        for feed, url in stores.items()
    )

    assert (beside["slots_collected"], beside["slots_missed"], beside["errors"]) == (slots, 0, 0)
    counts = [name for name in REPEATABLE if name != "peak_memory_mb"]
    assert [beside[name] for name in counts] == [alone[name] for name in counts]
    assert contents(stores["true"]) == contents(stores["false"])
    store = open_store(stores["true"], World.PAPER)
    report, disconnects = feed_report(store), disconnects_since(store, EARLIEST)
    store.close()
    assert report is not None
    assert (report.state, disconnects) == ("stopped", [])


@pytest.fixture(params=["sqlite", "empty_postgres"])
def named_store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'named.db'}"
    url: str = request.getfixturevalue("empty_postgres_url")
    return url


@dataclass(frozen=True, kw_only=True)
class WholeUniverse:
    """What is expected of a day of all listed instruments.

    *chain_minutes* from the open on chains are looked at, every half minute and once at the
    close itself. *others* is the range of requests that are not for chains.
    """

    day: str
    slots: int
    chain_minutes: int
    others: range
    candles: int


# Quotes and bars of each minute, a week of each instrument in the evening, and few holes.
WHOLE_DAY = WholeUniverse(
    day=AUCTION_DAY,
    slots=361,
    chain_minutes=385,
    others=range(361 + 360 + LISTED, 361 + 375 + LISTED + 100),
    candles=int(0.9 * LISTED * 360),
)
# The daily check comes before the open: it asks for the week, too.
AN_HOUR = WholeUniverse(
    day=MUHURAT,
    slots=60,
    chain_minutes=60,
    others=range(60 + 60 + 2 * LISTED, 60 + 60 + 2 * LISTED + 100),
    candles=int(0.9 * LISTED * 60),
)


@pytest.mark.long
def test_the_whole_universe_passes_through_trading_and_every_slot_is_collected(
    tmp_path: Path,
) -> None:
    expected = WHOLE_DAY if CHAOS else AN_HOUR
    desk = Desk.at(tmp_path)
    (tmp_path / "nse_fo_stock_symbols.txt").unlink()  # the list that comes with the product

    told = desk.rehearse("--date", expected.day)

    assert list(told) == KEYS
    assert all(type(told[name]) is int for name in COUNTS), told
    assert (told["slots_due"], told["slots_missed"]) == (expected.slots, 0)
    assert told["slots_collected"] == expected.slots
    assert (told["errors"], told["missed_minutes"]) == (0, 0)
    looks = 2 * expected.chain_minutes + 1
    assert told["chain_polls"] == INDICES * (looks + len(LOOKS_AFTER_CLOSE))
    # After the close the chain may be the one that is stored already.
    assert INDICES * looks <= told["chain_snapshots"] <= told["chain_polls"]
    assert told["chain_legs"] > 60 * told["chain_snapshots"]
    assert told["requests"] - told["chain_polls"] - INDICES in expected.others
    assert told["candles"] > expected.candles
    assert told["rows"] == expected.slots * LISTED
    assert told["peak_memory_mb"] < MUCH_MEMORY_MB


@pytest.mark.long
@pytest.mark.parametrize(
    ("day", "slots", "looks"),
    [
        pytest.param(MUHURAT, 60, 8, id="an hour of Muhurat trading"),
        pytest.param("2024-03-02", 105, 13, id="a drill day of two windows"),
        pytest.param(
            "2026-07-31",
            375,
            40,
            marks=pytest.mark.skipif(not CHAOS, reason="takes a minute: make chaos"),
            id="a full day before closing auctions",
        ),
    ],
)
def test_each_kind_of_trading_day_has_its_slots(
    desk: Desk, day: str, slots: int, looks: int
) -> None:
    (temporary := desk.folder / "temporary").mkdir()
    before = files_under(desk.folder)

    done = desk.run("rehearse", "--date", day, "--json", TMPDIR=str(temporary), **SELDOM)

    told = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert list(told) == KEYS
    assert (told["slots_due"], told["slots_collected"], told["slots_missed"]) == (slots, slots, 0)
    assert (told["errors"], told["rows"]) == (0, slots * len(SYMBOLS))
    assert (told["missed_minutes"], told["candles"] > 0) == (0, True)
    # Of NIFTY and BANKNIFTY, at the opening of each window, every ten minutes, and some minutes
    # after the last close, if they were not polled just before.
    assert told["chain_polls"] == 2 * looks
    # After the close the chain may be the one that is stored already.
    assert 2 * (looks - 2) <= told["chain_snapshots"] <= 2 * looks
    assert files_under(desk.folder) == before, "without DATABASE_URL nothing is left behind"


def files_under(folder: Path) -> list[Path]:
    """Of the working folder; the user's state folder and the temporary files lie in it too."""
    return sorted(folder.rglob("*"))


@pytest.mark.long
def test_days_across_new_year_leave_no_minute_unexplained(desk: Desk) -> None:
    """The reviewed calendar ends between them. `CHAOS=1` takes a fortnight."""
    (desk.folder / "nse_fo_stock_symbols.txt").write_text("NIFTY\n")
    first, last, days = (
        ("2026-12-24", "2027-01-08", 11) if CHAOS else ("2026-12-31", "2027-01-01", 2)
    )

    told = desk.rehearse("--from", first, "--to", last, **SELDOM)

    assert told["slots_due"] == told["slots_collected"] == told["rows"] == days * 361
    assert (told["missed_minutes"], told["unexplained_minutes"], told["errors"]) == (0, 0, 0)
    assert told["candles"] == days * 360


def test_a_rehearsal_is_paper_whatever_is_configured(desk: Desk) -> None:
    """Neither the token nor the address of a live configuration is touched."""
    live = {
        "DATA_SOURCE": "upstox",
        "UPSTOX_ACCESS_TOKEN": "tok-4711",
        "UPSTOX_BASE_URL": "http://127.0.0.1:1",
        "UPSTOX_INSTRUMENTS_URL": "http://127.0.0.1:1/NSE.json.gz",
    }

    told = desk.rehearse("--date", MUHURAT, **live, **SELDOM)

    assert (told["slots_collected"], told["rows"]) == (60, 60 * len(SYMBOLS))
    assert not (desk.folder / "state").exists()


def test_a_holiday_is_refused_with_the_cure(desk: Desk) -> None:
    refused = desk.run("rehearse", "--date", "2026-10-02", "--json")

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "the market is closed on 2026-10-02" in refused.stderr
    assert "data-fetch calendar next" in refused.stderr


def test_a_day_before_the_calendar_is_refused(desk: Desk) -> None:
    refused = desk.run("rehearse", "--date", "2020-12-31", "--json")

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "2020-12-31" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_live_store_is_refused_and_left_as_it_was(desk: Desk, named_store: str) -> None:
    live = open_store(named_store, World.LIVE)
    with live.writing():
        pass  # the first write stamps it
    live.close()

    refused = desk.run("rehearse", "--date", MUHURAT, "--json", DATABASE_URL=named_store)

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "live" in refused.stderr
    live = open_store(named_store, World.LIVE)
    with live.reading() as connection:
        assert connection.execute(select(table(LtpData))).all() == []
    live.close()


def test_a_database_that_cannot_be_reached_refuses_the_rehearsal(desk: Desk) -> None:
    nowhere = "postgresql://me:pw-4711@127.0.0.1:1/market"

    refused = desk.run("rehearse", "--date", MUHURAT, "--json", DATABASE_URL=nowhere)

    assert (refused.returncode, refused.stdout) == (4, "")
    assert "4711" not in refused.stderr
