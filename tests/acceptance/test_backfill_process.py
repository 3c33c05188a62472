"""The backfill as a process: killed at any moment, interrupted, refused, it ends the same.

Provisional minutes of the day before await the history's word, which corrects some of them;
others are lost, one name is unknown: so every table has something in it to be spoilt.
`CHAOS=1` (`make chaos`) kills thirty times as often.
"""

import random
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
import urllib3
from effort import PATIENCE_SECONDS, times
from programs import SYMBOLS, Desk, behave, end, order, paper_exchange
from servers import DatabaseCopies
from sqlalchemy import select

from data_fetch.core.world import World
from data_fetch.services.backfill_run import WORKERS
from data_fetch.storage.database.store import open_store
from data_fetch.storage.database.tables import (
    Base,
    CandleRevision,
    CandleRow,
    CoverageRow,
    InstrumentRow,
)

KILLS = times(3, 100)

YESTERDAY, TODAY = "2026-09-15", "2026-09-16"
WHEN_AND_WHO = {"run_id", "fetched_at", "superseded_at", "changed_at", "last_attempt",
                "next_attempt"}  # fmt: skip
SPAN = ("--from", "2026-07-01", "--to", YESTERDAY)


pytestmark = pytest.mark.long


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[str]:
    """After yesterday's close; thirty times as fast as a real one."""
    folder = tmp_path / "exchange"
    folder.mkdir()
    quiet = ("--illiquid", "0.4", "--quiet", "left-out")
    with paper_exchange(folder, f"{YESTERDAY}T15:45:00", 30, *quiet) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def desks(request: pytest.FixtureRequest, tmp_path: Path, exchange: str) -> Iterator[list[Desk]]:
    """Two desks of the same kind at one exchange, both with yesterday's provisional minutes."""
    with ExitStack() as stack:
        found = []
        for name in ("undisturbed", "disturbed"):
            folder = tmp_path / name
            folder.mkdir()
            if request.param == "postgres":
                copies: DatabaseCopies = request.getfixturevalue("postgres_copies")
                url = stack.enter_context(copies.one())
            else:
                url = f"sqlite:///{folder / 'store.db'}"
            desk = Desk.at(folder, DATA_SOURCE="paper", UPSTOX_BASE_URL=exchange, DATABASE_URL=url)
            # The exchange goes on to the next morning at 16:05, which is soon on a slow machine.
            _set_time(exchange, f"{YESTERDAY}T15:45:00+05:30")
            desk.json("backfill", "--from", YESTERDAY, "--to", YESTERDAY)
            found.append(desk)
        _set_time(exchange, f"{TODAY}T09:30:00+05:30")
        _order_trouble(exchange, found[0])
        yield found


def _set_time(exchange: str, now: str) -> None:
    answer = urllib3.request("POST", f"{exchange}/paper/clock", body=orjson.dumps({"now": now}))
    assert answer.status == 200, answer.data


def _order_trouble(exchange: str, desk: Desk) -> None:
    keys = _keys(desk)
    of_bars = [
        ("corrected-candles", "RELIANCE", f"{YESTERDAY}T10:00", f"{YESTERDAY}T10:20"),
        ("lost-minutes", "TCS", "2026-07-01T00:00", "2026-07-03T00:00"),
        ("lost-minutes", "LT", "2026-08-10T11:00", "2026-08-10T13:07"),
        # A share that was listed in July.
        ("lost-minutes", "SBIN", "2026-01-01T00:00", "2026-07-13T00:00"),
    ]
    for kind, symbol, first, until in of_bars:
        what = {"bars_from": first, "bars_until": until}
        order(exchange, {"kind": kind, "api": "candles", "instruments": [keys[symbol]], **what})
    order(exchange, {"kind": "unknown-key", "api": "candles", "instruments": [keys["ITC"]]})


def _keys(desk: Desk) -> dict[str, str]:
    query = select(InstrumentRow.symbol, InstrumentRow.instrument_key).where(
        InstrumentRow.symbol.in_(SYMBOLS), InstrumentRow.expiry.is_(None)
    )
    store = open_store(desk.environment["DATABASE_URL"], World.PAPER)
    with store.reading() as connection:
        found = {row.symbol: row.instrument_key for row in connection.execute(query)}
    store.close()
    return found


def requests_that_came(exchange: str) -> int:
    """How many requests for candles the exchange has seen."""
    state = orjson.loads(urllib3.request("GET", f"{exchange}/paper/state").data)
    return int(state["requests"].get("candles", 0))


def contents(desk: Desk, model: type[Base]) -> Counter[tuple[Any, ...]]:
    """The rows of a table, without instants and runs."""
    columns = [column for column in model.__table__.columns if column.name not in WHEN_AND_WHO]
    store = open_store(desk.environment["DATABASE_URL"], World.PAPER)
    with store.reading() as connection:
        rows = Counter(tuple(map(_plain, row)) for row in connection.execute(select(*columns)))
    store.close()
    return rows


def _plain(value: Any) -> Any:
    """Stretches with who proved them, but not in which run and when."""
    if isinstance(value, list):
        return tuple(tuple(stretch[:4]) for stretch in value)
    return value


def wait_for_requests(process: "subprocess.Popen[str]", exchange: str, came: int) -> None:
    """Return when so many requests have come, or the process has nothing more to ask."""
    while process.poll() is None and requests_that_came(exchange) < came:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)


def test_killed_again_and_again_it_ends_as_an_undisturbed_run(
    desks: list[Desk], exchange: str
) -> None:
    undisturbed, disturbed = desks
    before = requests_that_came(exchange)
    whole = undisturbed.json("backfill", *SPAN, status=3)
    needed = requests_that_came(exchange) - before
    assert whole["missed"] > 0  # of the unknown name

    chance = random.Random(20260916)
    # Half of it at first, so that something is stored whenever the others are killed.
    for share in [needed // 2, *(chance.randint(0, 16) for _ in range(KILLS - 1))]:
        came = requests_that_came(exchange)
        process = disturbed.start("backfill", *SPAN, "--json")
        wait_for_requests(process, exchange, came + share)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=chance.uniform(0, 0.1))
        end(process, signal.SIGKILL)
    last = disturbed.json("backfill", *SPAN, status=3)

    sent = requests_that_came(exchange) - before - needed
    assert last["requests"] < needed
    assert needed <= sent <= needed + KILLS * WORKERS
    assert last["missed"] == whole["missed"]
    for model in (CandleRow, CandleRevision, CoverageRow):
        expected = contents(undisturbed, model)
        assert expected, model.__tablename__
        assert contents(disturbed, model) == expected, model.__tablename__
    shown = disturbed.json("candles", "diff", "--date", YESTERDAY)["revisions"]
    assert Counter(one["symbol"] for one in shown) == {"RELIANCE": 20}
    again = disturbed.json("backfill", *SPAN, status=3)
    assert again["requests"] == 0


def test_two_side_by_side_send_each_request_once(desks: list[Desk], exchange: str) -> None:
    alone, shared = desks
    before = requests_that_came(exchange)
    alone.json("backfill", *SPAN, status=3)
    needed = requests_that_came(exchange) - before

    both = [shared.start("backfill", *SPAN, "--json") for _ in range(2)]
    reports = [orjson.loads(process.communicate(timeout=PATIENCE_SECONDS)[0]) for process in both]

    assert requests_that_came(exchange) == before + 2 * needed
    assert sum(report["requests"] for report in reports) == needed
    for model in (CandleRow, CoverageRow):
        assert contents(shared, model) == contents(alone, model), model.__tablename__


@pytest.fixture
def desk(tmp_path: Path, exchange: str) -> Desk:
    folder = tmp_path / "alone"
    folder.mkdir()
    _set_time(exchange, f"{TODAY}T09:30:00+05:30")
    return Desk.at(
        folder,
        DATA_SOURCE="paper",
        UPSTOX_BASE_URL=exchange,
        DATABASE_URL=f"sqlite:///{folder / 'store.db'}",
    )


def test_ctrl_c_keeps_what_came_and_the_next_run_goes_on(desk: Desk, exchange: str) -> None:
    process = desk.start("backfill", *SPAN, "--json")
    wait_for_requests(process, exchange, 20)
    said, remarks = end(process, signal.SIGINT)

    assert process.returncode == 3, remarks
    interrupted = orjson.loads(said)
    assert interrupted["outcome"] == "incomplete"
    assert interrupted["stored"] > 0
    rest = desk.json("backfill", *SPAN)
    assert rest["windows"] + interrupted["requests"] == interrupted["windows"]
    assert rest["missed"] == 0


def test_refused_at_the_door_it_says_so_and_holds_nothing_back(desk: Desk, exchange: str) -> None:
    order(exchange, {"kind": "cloudflare-403", "api": "candles"})

    refused = desk.json("backfill", *SPAN, status=4)

    assert (refused["outcome"], refused["stored"]) == ("failed", 0)
    assert "403" in refused["stopped_by"]
    gaps = desk.json("gaps", *SPAN, "--cause", "missed", status=3)["gaps"]
    assert {gap["attempts"] for gap in gaps} == {0, 1}
    behave(exchange)
    assert desk.json("backfill", *SPAN)["windows"] == refused["windows"]
