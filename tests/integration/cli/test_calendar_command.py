"""`data-fetch calendar`, as a person or a script sees it."""

import json
from collections.abc import Iterator
from datetime import date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from data_fetch.cli.main import main
from data_fetch.core.clock import IST

HOLIDAY = "2026-12-15"


class Outcome:
    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.out)
        return document


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("UPSTOX_ACCESS_TOKEN", "DATA_SOURCE", "UPSTOX_BASE_URL", "CALENDAR_OVERRIDE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> Outcome:
        status = 0
        try:
            main(["calendar", *arguments])
        except SystemExit as left:
            status = int(left.code or 0)
        ended = capsys.readouterr()
        return Outcome(status, ended.out, ended.err)

    return run


@pytest.mark.parametrize(
    ("day", "segment", "windows", "auction", "minutes"),
    [
        pytest.param("2026-07-31", "cash", [["09:15", "15:30"]], None, 375, id="old day"),
        pytest.param(
            "2026-09-16", "cash", [["09:15", "15:15"]], ["15:15", "15:35"], 360, id="auction"
        ),
        pytest.param(
            "2026-09-16", "index", [["09:15", "15:15"]], ["15:15", "15:35"], 360, id="index"
        ),
        pytest.param("2026-09-16", "fo", [["09:15", "15:40"]], None, 385, id="F&O"),
        pytest.param(
            "2021-02-24", "fo", [["09:15", "11:43"], ["15:45", "17:00"]], None, 223, id="outage"
        ),
        pytest.param("2026-09-14", "cash", [], None, 0, id="holiday"),
    ],
)
def test_show(
    run: Any,
    day: str,
    segment: str,
    windows: list[list[str]],
    auction: list[str] | None,
    minutes: int,
) -> None:
    shown = run("show", day, "--segment", segment, "--json")
    note = shown.document["note"]

    assert shown.status == 0
    assert isinstance(note, str)
    assert shown.document == {
        "date": day,
        "segment": segment,
        "open": bool(windows),
        "windows": windows,
        "auction": auction,
        "expected_minutes": minutes,
        "note": note,
        "provisional": False,
    }


def test_show_for_people(run: Any) -> None:
    assert run("show", "2026-09-14").out == (
        "Mon 2026-09-14 cash: closed, 0 minutes  (Ganesh Chaturthi)\n"
    )
    assert run("show", "2026-09-16").out == (
        "Wed 2026-09-16 cash: 09:15-15:15, closing auction 15:15-15:35, 360 minutes\n"
    )


def test_a_provisional_day_is_marked_on_standard_error(run: Any) -> None:
    shown = run("show", "2026-11-08", "--json")

    assert shown.document["open"] is False
    assert "provisional" in shown.err


@pytest.mark.parametrize("day", ["16-09-2026", "2026-13-01", "tomorrow"])
def test_a_bad_date_is_wrong_use(run: Any, day: str) -> None:
    shown = run("show", day)

    assert shown.status == 2
    assert day in shown.err


def test_a_date_beyond_the_table_is_provisional(run: Any) -> None:
    shown = run("show", "2031-01-06", "--json")

    assert shown.status == 0
    assert (shown.document["expected_minutes"], shown.document["provisional"]) == (360, True)
    assert "provisional" in shown.err


def test_a_date_before_the_table_says_what_to_do(run: Any) -> None:
    shown = run("show", "2020-12-31", "--json")

    assert (shown.status, shown.out) == (2, "")
    assert "override" in shown.err


def test_an_override_is_followed_and_a_malformed_one_is_wrong_use(
    run: Any, working_folder: Path
) -> None:
    override = working_folder / "calendar_override.toml"
    override.write_text('[[day]]\ndate = 2026-11-08\nhours = ["18:00-19:00"]\nnote = "circular"\n')
    assert run("show", "2026-11-08", "--json").document["expected_minutes"] == 60

    override.write_text("[[day]]\ndate = 2026-11-08\n")
    shown = run("show", "2026-11-08", "--json")
    assert (shown.status, shown.out) == (2, "")
    assert str(override) in shown.err


def epoch(day: str, moment: str) -> int:
    return int(datetime.fromisoformat(f"{day} {moment}").replace(tzinfo=IST).timestamp() * 1000)


class Upstox(BaseHTTPRequestHandler):
    """Holidays and timings in Upstox's wire format."""

    empty = False

    def do_GET(self) -> None:
        day = self.path.rsplit("/", 1)[-1]
        answer: list[dict[str, Any]] = []
        if self.path == "/v2/market/holidays" and not self.empty:
            answer = [
                {
                    "date": HOLIDAY,
                    "description": "State mourning",
                    "holiday_type": "TRADING_HOLIDAY",
                    "closed_exchanges": ["NSE", "NFO"],
                    "open_exchanges": [],
                },
                {"date": "soon"},
            ]
        elif "/timings/" in self.path and not self.empty and date.fromisoformat(day).weekday() < 5:
            answer = [
                {
                    "exchange": exchange,
                    "start_time": epoch(day, "09:15"),
                    "end_time": epoch(day, end),
                }
                for exchange, end in (("NSE", "15:30"), ("NFO", "15:40"))
            ]
        body = json.dumps({"status": "success", "data": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def upstox(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Upstox]]:
    class Answering(Upstox):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("DATA_SOURCE", "upstox")
    monkeypatch.setenv("UPSTOX_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    yield Answering
    server.shutdown()
    server.server_close()


def test_refresh_adds_what_the_provider_knows_and_keeps_it(run: Any, upstox: type[Upstox]) -> None:
    refreshed = run("refresh", "--json")
    changed = {
        (change["segment"], str(change["after"]))
        for change in refreshed.document["changes"]
        if change["date"] == HOLIDAY
    }

    assert refreshed.status == 0
    assert changed == {("cash", "[]"), ("fo", "[]"), ("index", "[]")}
    assert refreshed.document["rejected"] == 1
    assert "soon" in refreshed.err
    shown = run("show", HOLIDAY, "--json")
    assert (shown.document["open"], shown.document["note"]) == (False, "State mourning")

    upstox.empty = True
    assert run("refresh", "--json").document["changes"] == []
    assert run("show", HOLIDAY, "--json").document["open"] is False


def test_refresh_leaves_the_closing_auction(run: Any, upstox: type[Upstox]) -> None:
    """The provider's timings end at 15:30 and know no auction."""
    week = run("refresh", "--json").document
    changed_open_days = {change["date"] for change in week["changes"] if change["before"]}

    assert changed_open_days == {HOLIDAY}
    assert week["kept"] == []


def test_refresh_for_people(run: Any, upstox: type[Upstox]) -> None:
    ended = run("refresh").out

    assert ended.startswith("The provider reported ")
    assert f"{HOLIDAY} cash: 09:15-15:30 -> closed  State mourning" in ended


def test_next_is_told_without_asking_the_provider(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_SOURCE", "upstox")
    monkeypatch.setenv("UPSTOX_BASE_URL", "http://127.0.0.1:1")
    ended = run("next", "--segment", "fo", "--json")

    assert ended.status == 0
    assert ended.document["next_open"] > ended.document["now"]
    assert ended.document["next_open"][11:16] == ended.document["windows"][0][0]
