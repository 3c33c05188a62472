"""The live world, against a stand-in that answers as Upstox does for real-looking keys."""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest
from programs import SYMBOLS, Desk, paper_exchange

INDICES = {"NIFTY": "Nifty 50", "BANKNIFTY": "Nifty Bank"}
TOKEN = "tok-4711"


def key_of(symbol: str) -> str:
    if symbol in INDICES:
        return f"NSE_INDEX|{INDICES[symbol]}"
    return f"NSE_EQ|INE{SYMBOLS.index(symbol):06d}A017"[:19]


def master() -> bytes:
    """An instrument master of the listed symbols, one future each."""
    rows: list[dict[str, object]] = []
    for symbol in SYMBOLS:
        segment, code = key_of(symbol).split("|")
        row: dict[str, object] = {
            "segment": segment,
            "name": symbol,
            "exchange": "NSE",
            "instrument_type": "INDEX" if segment == "NSE_INDEX" else "EQ",
            "instrument_key": key_of(symbol),
            "exchange_token": str(len(rows)),
            "trading_symbol": symbol,
        }
        if segment == "NSE_EQ":
            row |= {"isin": code, "lot_size": 1, "tick_size": 5.0, "cas_eligible": True}
        rows.append(row)
    return gzip.compress(json.dumps(rows).encode())


class Upstox(BaseHTTPRequestHandler):
    """Answers LTP requests of our token for the keys it knows; refuses everything else."""

    unknown: frozenset[str] = frozenset()

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if asked.path == "/NSE.json.gz":
            return self._send(200, master())
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._refuse(401, "UDAPI100050")
        keys = parse_qs(asked.query).get("instrument_key", [""])[0].split(",")
        if self.unknown.intersection(keys):
            return self._refuse(400, "UDAPI1087")
        data = {
            f"X:{key[-4:]}": {
                "instrument_token": key,
                "last_price": 100.05,
                "ltq": 1,
                "volume": 10,
                "cp": 99.5,
            }
            for key in keys
        }
        return self._send(200, json.dumps({"status": "success", "data": data}).encode())

    def do_HEAD(self) -> None:
        self._send(200, b"")

    def _refuse(self, status: int, code: str) -> None:
        body = {"status": "error", "errors": [{"errorCode": code, "message": "refused"}]}
        self._send(status, json.dumps(body).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return None


@contextmanager
def serving(handler: type[Upstox]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def live_desk(folder: Path, url: str, **more: str) -> Desk:
    return Desk.at(
        folder,
        UPSTOX_ACCESS_TOKEN=TOKEN,
        UPSTOX_BASE_URL=url,
        UPSTOX_INSTRUMENTS_URL=f"{url}/NSE.json.gz",
        **more,
    )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with serving(Upstox) as url:
        yield live_desk(tmp_path, url)


def test_a_token_is_enough_to_collect_from_upstox(desk: Desk) -> None:
    told = desk.json("collect", "--once")

    assert {name: value for name, value in told.items() if name != "slot"} == {
        "requested": len(SYMBOLS),
        "stored": len(SYMBOLS),
        "absent": 0,
        "quarantined": 0,
        "requests": 1,
        "listed": len(SYMBOLS),
        "unresolved": [],
        "rejected": 0,
        "failed": 0,
        "error": None,
        "details": {},
    }
    assert (desk.folder / "data" / "market.db").is_file()


def test_a_key_that_upstox_does_not_know_costs_the_others_nothing(tmp_path: Path) -> None:
    class Forgetful(Upstox):
        unknown = frozenset({key_of("TCS")})

    with serving(Forgetful) as url:
        told = live_desk(tmp_path, url).json("collect", "--once", status=3)

    assert (told["stored"], told["quarantined"], told["absent"]) == (len(SYMBOLS) - 1, 1, 0)


class Refusing(Upstox):
    """Refuses every request for quotes."""

    status, code = 423, "UDAPI100074"

    def do_GET(self) -> None:
        if urlsplit(self.path).path == "/NSE.json.gz":
            return self._send(200, master())
        return self._refuse(self.status, self.code)


class Locked(Refusing):
    """A token that is refused."""

    status, code = 401, "UDAPI100050"


@pytest.mark.parametrize(
    ("provider", "reason"),
    [
        pytest.param(Refusing, "Upstox rejected the request (423): UDAPI100074", id="423"),
        pytest.param(Locked, "Upstox rejects the access token", id="401"),
    ],
)
def test_why_nothing_was_stored_is_on_the_screen_and_in_the_document(
    tmp_path: Path, provider: type[Upstox], reason: str
) -> None:
    with serving(provider) as url:
        desk = live_desk(tmp_path, url)
        told = desk.json("collect", status=4)
        shown = desk.run("collect")

    everything = len(SYMBOLS)
    assert (told["stored"], told["failed"], told["absent"]) == (0, everything, 0)
    assert reason in told["error"]
    assert sum(told["details"]["failure_kinds"].values()) == everything
    assert shown.returncode == 4
    assert reason in shown.stdout + shown.stderr


@pytest.mark.parametrize("first", ["upstox", "paper"])
def test_a_store_belongs_to_one_world(desk: Desk, first: str) -> None:
    store = {"DATABASE_URL": f"sqlite:///{desk.folder / 'one.db'}"}
    worlds = {"upstox": {}, "paper": {"DATA_SOURCE": "paper", "UPSTOX_BASE_URL": ""}}
    second = "paper" if first == "upstox" else "upstox"
    desk.json("collect", "--once", **store, **worlds[first])

    refused = desk.run("collect", "--once", **store, **worlds[second])

    assert refused.returncode == 2
    assert "is a " in refused.stderr
    assert "Set DATA_SOURCE to fit" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_refused_token_is_the_outside_worlds_no(desk: Desk) -> None:
    refused = desk.run("collect", "--once", "--json", UPSTOX_ACCESS_TOKEN="tok-0815")

    document = json.loads(refused.stdout)
    assert refused.returncode == 4
    assert (document["stored"], document["failed"]) == (0, document["requested"])
    assert "UPSTOX_ACCESS_TOKEN" in document["error"]
    assert "0815" not in refused.stdout + refused.stderr


def test_a_provider_that_cannot_be_reached_is_said_plainly(desk: Desk) -> None:
    refused = desk.run("collect", "--once", UPSTOX_BASE_URL="http://127.0.0.1:1")

    assert refused.returncode == 4
    assert "Traceback" not in refused.stderr


def test_a_database_that_cannot_be_reached_stops_a_one_off_command(desk: Desk) -> None:
    nowhere = "postgresql://me:pw-4711@127.0.0.1:1/market"

    refused = desk.run("collect", "--once", DATABASE_URL=nowhere)

    assert refused.returncode == 4
    assert "4711" not in refused.stderr


def test_run_goes_on_in_sqlite_when_postgresql_cannot_be_reached(tmp_path: Path) -> None:
    nowhere = "postgresql://me:pw-4711@127.0.0.1:1/market"
    folder = tmp_path / "collector"
    folder.mkdir()
    with paper_exchange(tmp_path, "2026-09-16T09:15:50", speed=30) as url:
        desk = Desk.at(folder, DATA_SOURCE="paper", UPSTOX_BASE_URL=url, DATABASE_URL=nowhere)
        ran = desk.run("run", "--minutes", "2")
        status = desk.json("status")

    assert ran.returncode == 0, ran.stderr
    assert "WARNING" in ran.stderr
    assert "4711" not in ran.stderr
    assert (status["state"], status["quotes"]["symbols"]) == ("degraded", len(SYMBOLS))


def test_doctor_has_a_hint_for_each_failure(desk: Desk) -> None:
    told = desk.json("doctor", status=4, UPSTOX_ACCESS_TOKEN="tok-0815")

    checks = {check["name"]: check for check in told["checks"]}
    assert told["ok"] is False
    assert set(checks) == {
        "settings", "token", "budget", "database", "layout", "master", "calendar", "disk", "clock",
    }  # fmt: skip
    assert checks["token"]["state"] == "failed"
    assert "UPSTOX_ACCESS_TOKEN" in checks["token"]["hint"]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        pytest.param({"UPSTOX_BASE_URL": "not an address"}, "UPSTOX_BASE_URL", id="address"),
        pytest.param({"DATA_SOURCE": "yahoo"}, "DATA_SOURCE", id="source"),
        pytest.param({"DATA_SOURCE": "nse"}, "DATA_SOURCE", id="a source without quotes"),
        pytest.param({"DATABASE_URL": "mongodb://h/db"}, "postgresql://", id="no such database"),
        pytest.param({"FNO_SYMBOLS_FILE": "nowhere.txt"}, "nowhere.txt", id="no such list"),
    ],
)
def test_wrong_use_is_exit_2_with_a_hint(desk: Desk, wrong: dict[str, str], named: str) -> None:
    refused = desk.run("collect", "--once", **wrong)

    assert refused.returncode == 2, refused.stderr
    assert named in refused.stderr
    assert "Traceback" not in refused.stderr
