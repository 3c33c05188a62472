"""What each command prints for programs, its exit status, and where it leaves files."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from effort import PATIENCE_SECONDS
from programs import SYMBOLS, Desk, paper_exchange
from sqlalchemy import select

from data_fetch.cli.main import main
from data_fetch.core.runs import Outcome
from data_fetch.core.world import World
from data_fetch.storage.database.store import open_store
from data_fetch.storage.database.tables import LtpData

ALL = len(SYMBOLS)
COLLECTED = ["slot", "requested", "stored", "absent", "quarantined", "requests"]
ALSO_COLLECTED = ["listed", "unresolved", "rejected", "failed", "error", "details"]
CHECKS = {
    "settings", "token", "budget", "database", "layout", "master", "calendar", "disk", "clock"
}  # fmt: skip


def numbers_in(document: Any) -> Iterator[float]:
    """Every number at any depth; true and false are none."""
    if isinstance(document, Mapping):
        for value in document.values():
            yield from numbers_in(value)
    elif isinstance(document, list):
        for value in document:
            yield from numbers_in(value)
    elif isinstance(document, int | float) and not isinstance(document, bool):
        yield document


@pytest.fixture(scope="module")
def trading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An exchange in the middle of a trading day."""
    with paper_exchange(tmp_path_factory.mktemp("day"), "2026-09-16T10:00:30", speed=1) as url:
        yield url


@pytest.fixture(scope="module")
def at_night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with paper_exchange(tmp_path_factory.mktemp("night"), "2026-09-16T03:00:00", speed=1) as url:
        yield url


@pytest.fixture
def desk(tmp_path: Path, trading: str) -> Desk:
    return Desk.at(tmp_path, UPSTOX_BASE_URL=trading)


@pytest.fixture(scope="module")
def collected(
    tmp_path_factory: pytest.TempPathFactory, trading: str
) -> tuple[Desk, dict[str, Any]]:
    """A desk where `collect --once` was the first command, and what that printed."""
    desk = Desk.at(tmp_path_factory.mktemp("collected"), UPSTOX_BASE_URL=trading)
    return desk, desk.json("collect", "--once")


def quotes_of(desk: Desk) -> list[tuple[str, bool]]:
    store = open_store(f"sqlite:///{desk.folder / 'data' / 'paper.db'}", World.PAPER)
    with store.reading() as connection:
        query = select(LtpData.symbol, LtpData.off_session)
        rows = [tuple(row) for row in connection.execute(query)]
    store.close()
    return rows


# --- collect ----------------------------------------------------------------------------------


def test_collect_says_what_became_of_every_symbol(collected: tuple[Desk, dict[str, Any]]) -> None:
    desk, told = collected

    assert list(told) == [*COLLECTED, *ALSO_COLLECTED]
    assert [told[name] for name in COLLECTED[1:]] == [ALL, ALL, 0, 0, 1]
    assert all(type(told[name]) is int for name in COLLECTED[1:])
    slot = datetime.fromisoformat(told["slot"])
    assert f"{slot:%Y-%m-%d %H %S %z}" == "2026-09-16 10 00 +0530"
    assert sorted(quotes_of(desk)) == [(symbol, False) for symbol in sorted(SYMBOLS)]


def test_collect_at_night_is_done_and_marked(tmp_path: Path, at_night: str) -> None:
    desk = Desk.at(tmp_path, UPSTOX_BASE_URL=at_night)

    told = desk.json("collect", "--once")

    assert (told["slot"][:13], told["stored"]) == ("2026-09-16T03", ALL)
    assert {off_session for _, off_session in quotes_of(desk)} == {True}


def test_collect_with_a_symbol_that_is_not_listed_warns_beside_its_one_document(
    desk: Desk,
) -> None:
    (desk.folder / "nse_fo_stock_symbols.txt").write_text("NIFTY\nTCSS\nTCS\n")

    done = desk.run("collect", "--once", "--json", MONGODB_URI="mongodb://h/db")

    assert done.stdout.count("\n") == 1
    assert json.loads(done.stdout)["stored"] == 2
    assert "TCSS is not in the instrument master. Near: TCS" in done.stderr


# --- status, freshness ------------------------------------------------------------------------


def test_status_of_a_new_folder_is_an_empty_store(desk: Desk) -> None:
    told = desk.json("status")

    assert list(told) == [
        "world",
        "store",
        "layout",
        "state",
        "degraded",
        "quotes",
        "candles",
        "slots",
        "last_runs",
        "failing",
        "chains",
        "calendar",
        "token",
        "readiness",
        "pauses",
        "rate_windows",
        "alerts",
        "units",
        "feed",
    ]
    assert told["alerts"] == {"open": [], "unsent": []}
    assert told["quotes"] == {"rows": 0, "symbols": 0, "first_slot": None, "last_slot": None}
    assert told["candles"] == {
        "minutes": 0,
        "provisional": 0,
        "first_day": None,
        "last_day": None,
        "missed_on_last_day": 0,
    }
    assert (told["world"], told["state"], told["last_runs"]) == ("paper", "ok", [])
    assert (desk.folder / "data" / "paper.db").is_file()


def test_status_shows_what_was_collected(collected: tuple[Desk, dict[str, Any]]) -> None:
    desk, run = collected

    told = desk.json("status")

    assert told["quotes"] == {
        "rows": ALL,
        "symbols": ALL,
        "first_slot": run["slot"],
        "last_slot": run["slot"],
    }
    assert set(told["slots"].values()) == {0}
    assert list(told["slots"]) == [outcome.value for outcome in Outcome]
    assert told["last_runs"] == [
        {
            "job": "collect-once",
            "slot": run["slot"],
            "outcome": "completed",
            "requested": ALL,
            "stored": ALL,
            "error": None,
        }
    ]
    told.pop("chains")  # cadences are no whole numbers
    assert all(isinstance(number, int) for number in numbers_in(told))


def test_freshness_names_each_symbol_and_counts_the_states(desk: Desk) -> None:
    desk.json("collect", "--once")
    desk.json("chain", "collect")

    told = desk.json("freshness", STALE_AFTER_MINUTES="60")  # however slow the machine is

    assert list(told) == ["at", "counts", "symbols", "chains"]
    assert told["counts"] == {
        "fresh": ALL,
        "never_seen": 0,
        "stopped": 0,
        "frozen": 0,
        "market_closed": 0,
    }
    assert [row["symbol"] for row in told["symbols"]] == list(SYMBOLS)
    assert list(told["symbols"][0]) == [
        "symbol",
        "state",
        "last_quote",
        "trading_minutes",
        "last_tick",
        "tick_age_seconds",
    ]
    assert told["symbols"][0]["last_tick"] is told["symbols"][0]["tick_age_seconds"] is None
    assert told["chains"]["counts"]["fresh"] == 2
    assert [row["symbol"] for row in told["chains"]["symbols"]] == ["BANKNIFTY", "NIFTY"]


def test_chains_that_were_never_received_are_named_beside_fresh_quotes(
    collected: tuple[Desk, dict[str, Any]],
) -> None:
    desk, _ = collected

    told = desk.json("freshness", STALE_AFTER_MINUTES="60")

    assert (told["counts"]["fresh"], told["chains"]["counts"]["never_seen"]) == (ALL, 2)


def test_freshness_of_what_was_never_collected_is_incomplete(desk: Desk) -> None:
    told = desk.json("freshness", status=3)

    assert told["counts"]["never_seen"] == ALL


def test_at_night_nothing_is_stale(tmp_path: Path, at_night: str) -> None:
    told = Desk.at(tmp_path, UPSTOX_BASE_URL=at_night).json("freshness")

    assert told["counts"]["market_closed"] == ALL


# --- universe, calendar -----------------------------------------------------------------------


def test_universe_resolves_the_list(desk: Desk) -> None:
    assert desk.json("universe") == {
        "listed": ALL,
        "resolved": ALL,
        "unresolved": [],
        "followed": [],
    }


def test_universe_names_what_it_could_not_resolve(desk: Desk) -> None:
    (desk.folder / "nse_fo_stock_symbols.txt").write_text("TCS, 'TCSS', #\nB@D S?MBOL\nTCS\n")

    done = desk.run("universe", "--json")

    told = json.loads(done.stdout)
    assert (done.returncode, done.stdout.count("\n")) == (3, 1)
    assert (told["listed"], told["resolved"]) == (3, 1)
    assert all(list(lost) == ["symbol", "near"] for lost in told["unresolved"])
    near = {lost["symbol"]: lost["near"] for lost in told["unresolved"]}
    assert near.keys() == {"TCSS", "B@D S?MBOL"}, "never silently dropped"
    assert "TCS" in near["TCSS"]
    assert "line 2: 'B@D S?MBOL' is malformed" in done.stderr


def test_universe_of_the_master_counts_stocks_and_indices(desk: Desk) -> None:
    told = desk.json("universe", "--from-master")

    assert list(told) == ["stocks", "indices", "symbols"]
    assert told["stocks"] + told["indices"] == len(told["symbols"])
    assert {"NIFTY", "RELIANCE", "M&M"} <= set(told["symbols"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(
            ("2026-09-16", "--segment", "cash"),
            {
                "open": True,
                "windows": [["09:15", "15:15"]],
                "auction": ["15:15", "15:35"],
                "expected_minutes": 360,
            },
            id="a closing auction",
        ),
        pytest.param(
            ("2026-10-02", "--segment", "fo"),
            {"open": False, "windows": [], "auction": None, "expected_minutes": 0},
            id="a holiday",
        ),
    ],
)
def test_calendar_shows_a_day(
    desk: Desk, arguments: tuple[str, ...], expected: dict[str, Any]
) -> None:
    told = desk.json("calendar", "show", *arguments)

    assert list(told) == [
        "date",
        "segment",
        "open",
        "windows",
        "auction",
        "expected_minutes",
        "note",
        "provisional",
    ]
    assert {name: told[name] for name in expected} == expected


def test_calendar_next_is_read_off_the_markets_own_clock(desk: Desk) -> None:
    told = desk.json("calendar", "next")

    assert told["open_now"] is True
    assert told["next_open"] == "2026-09-17T09:15:00+05:30"


# --- doctor, db -------------------------------------------------------------------------------


def test_doctor_finds_a_new_folder_in_order(desk: Desk) -> None:
    told = desk.json("doctor")

    assert told["ok"] is True
    assert {check["name"] for check in told["checks"]} == CHECKS
    assert all(list(check) == ["name", "state", "message", "hint"] for check in told["checks"])
    assert "failed" not in {check["state"] for check in told["checks"]}


def test_doctor_warns_of_a_document_database_with_a_hint(desk: Desk) -> None:
    told = desk.json("doctor", MONGODB_URI="mongodb://user:pw-4711@h/db")

    [settings] = [check for check in told["checks"] if check["name"] == "settings"]
    assert settings["state"] == "warning"
    assert "MONGODB_URI" in settings["message"]
    assert "coming-from-the-scripts" in settings["hint"]
    assert "4711" not in json.dumps(told)


def test_doctor_outlives_settings_that_make_no_sense(desk: Desk) -> None:
    told = desk.json("doctor", status=2, STALE_AFTER_MINUTES="soon")

    [check] = told["checks"]
    assert (told["ok"], check["name"], check["state"]) == (False, "settings", "failed")
    assert "STALE_AFTER_MINUTES" in check["message"]


def test_a_store_is_created_upgraded_and_asked_for_its_revision(desk: Desk) -> None:
    before = desk.json("db", "current")
    first = desk.json("db", "upgrade")
    again = desk.json("db", "upgrade")

    assert list(before) == ["store", "revision", "head", "up_to_date", "layout"]
    assert (before["revision"], before["up_to_date"]) == (None, False)
    assert list(first) == ["store", "created", "from", "to"]
    assert (first["from"], first["to"]) == (None, before["head"])
    assert (again["from"], again["to"], again["created"]) == (first["to"], first["to"], False)


def test_stores_are_merged_once(collected: tuple[Desk, dict[str, Any]], tmp_path: Path) -> None:
    desk, _ = collected
    src = f"sqlite:///{desk.folder / 'data' / 'paper.db'}"
    dst = f"sqlite:///{tmp_path / 'merged.db'}"

    first = desk.json("db", "merge", src, dst)
    again = desk.json("db", "merge", src, dst)

    assert list(first) == ["src", "dst", "changed"]
    assert first["changed"]["ltp_data"] == ALL
    assert set(again["changed"].values()) == {0}


# --- any folder, any way in -------------------------------------------------------------------


@pytest.fixture
def empty_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def test_a_command_in_an_empty_folder_leaves_only_data_behind(
    tmp_path: Path, empty_folder: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    desk = Desk(empty_folder, {"PATH": "/usr/bin:/bin", "HOME": str(home)})

    told = desk.json("collect", "--once")

    assert told["stored"] == 214, "the list that comes with the product"
    assert {path.name for path in empty_folder.iterdir()} == {"data"}
    assert list(home.iterdir()) == [], "an exchange of its own spends nobody's allowance"


def test_a_run_keeps_its_logs_in_the_working_folder(tmp_path: Path, empty_folder: Path) -> None:
    with paper_exchange(tmp_path, "2026-09-16T10:00:50", speed=30) as url:
        desk = Desk.at(empty_folder, UPSTOX_BASE_URL=url)
        done = desk.run("run", "--minutes", "2")

    assert done.returncode == 0, done.stderr
    made = {path.name for path in empty_folder.iterdir()}
    assert made == {"nse_fo_stock_symbols.txt", "state", "data", "logs"}
    logged = (empty_folder / "logs" / "ltp_service.log").read_text().splitlines()
    assert any(json.loads(line)["event"] == "slot" for line in logged)


@pytest.mark.parametrize("arguments", [("--help",), ("calendar", "show", "2026-09-16", "--json")])
def test_both_ways_in_are_one_program(desk: Desk, arguments: tuple[str, ...]) -> None:
    script = subprocess.run(
        [str(Path(sys.executable).with_name("data-fetch")), *arguments],
        cwd=desk.folder,
        env=desk.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )

    module = desk.run(*arguments)

    assert (module.returncode, module.stdout) == (0, script.stdout)
    assert module.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("colect",), id="no such command"),
        pytest.param(("status", "--jsn"), id="no such option"),
        pytest.param(("run", "--minutes", "0"), id="no minutes"),
        pytest.param(("rehearse",), id="no day"),
        pytest.param(("rehearse", "--date", "16.09.2026"), id="no such day"),
        pytest.param(("calendar", "show", "2020-12-31", "--json"), id="before the calendar"),
        pytest.param(("calendar", "show", "2026-09-16", "--segment", "mcx"), id="no segment"),
        pytest.param(("universe", "--write"), id="half an option"),
        pytest.param(("db", "merge", "one.db"), id="an argument left out"),
    ],
)
def test_wrong_use_is_exit_2_and_prints_no_result(
    tmp_path: Path,
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as left:
        main(arguments)

    printed = capsys.readouterr()
    assert (left.value.code, printed.out) == (2, "")
    assert printed.err
