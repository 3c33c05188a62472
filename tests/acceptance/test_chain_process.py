"""Option chains as their users get them: real processes, both providers, real signals.

`CHAOS=1` (`make chaos`) kills thirty times as often.
"""

import gzip
import json
import random
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from effort import times
from programs import Desk, behave, end, order, paper_exchange
from sqlalchemy import func, select

from data_fetch.core.world import World
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.database.tables import (
    Base,
    ChainReceiptRow,
    ChainSnapshotRow,
    ChainSummaryRow,
    OptionChainData,
    SyncRunRow,
    table,
)

CAPTURE = "upstox/responses/v2_option_chain_NIFTY_exp2024-06-27_captured2024-06-24.json.gz"
OF_THE_SITE = "nse_option_chain_v3/NIFTY_2026-06-19_exp2026-06-23_capture1.json.gz"
NIFTY_KEY, TOKEN = "NSE_INDEX|Nifty 50", "tok-4711"
KILLS = times(2, 60)


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "exchange"
    folder.mkdir()
    with paper_exchange(folder, "2026-09-16T10:00:00", 30) as url:
        yield url


def desk_at(folder: Path, exchange: str, store: str) -> Desk:
    (place := folder / "collector").mkdir()
    return Desk.at(place, DATA_SOURCE="paper", UPSTOX_BASE_URL=exchange, DATABASE_URL=store)


@pytest.fixture
def desk(tmp_path: Path, exchange: str) -> Desk:
    return desk_at(tmp_path, exchange, f"sqlite:///{tmp_path / 'store.db'}")


@pytest.fixture(params=["sqlite", "postgres"])
def either_desk(request: pytest.FixtureRequest, tmp_path: Path, exchange: str) -> Desk:
    """On each kind of database."""
    if request.param == "sqlite":
        return desk_at(tmp_path, exchange, f"sqlite:///{tmp_path / 'store.db'}")
    return desk_at(tmp_path, exchange, request.getfixturevalue("empty_postgres_url"))


def store_of(desk: Desk, world: World = World.PAPER) -> Store:
    return open_store(desk.environment["DATABASE_URL"], world)


def test_from_nothing_to_a_ladder_figures_and_a_picture(desk: Desk) -> None:
    collected = desk.json("chain", "collect", "--once", "--symbols", "NIFTY,RELIANCE")
    shown = desk.json("chain", "show", "NIFTY")
    ladder = desk.run("chain", "show", "NIFTY").stdout
    figures = desk.json("chain", "metrics", "NIFTY")
    drawn = desk.run("chain", "surface", "NIFTY", "--png", "smile.png")

    assert [poll["symbol"] for poll in collected["polls"]] == ["NIFTY", "RELIANCE"]
    assert all(poll["error"] is None and poll["stored"] == 1 for poll in collected["polls"])
    assert (shown["underlying"], shown["source"]) == ("NIFTY", "upstox")
    priced = [leg for leg in shown["legs"] if leg["iv"] is not None]
    assert len(priced) > 0.9 * len(shown["legs"])
    assert all(leg["reason"] for leg in shown["legs"] if leg["iv"] is None)
    assert "NIFTY" in ladder
    assert figures["metrics"]
    assert drawn.returncode == 0, drawn.stderr
    assert (desk.folder / "smile.png").read_bytes().startswith(b"\x89PNG")


def test_when_upstox_fails_the_website_takes_over_and_the_row_says_so(
    desk: Desk, exchange: str
) -> None:
    order(exchange, {"kind": "server-error", "api": "option-chain"})
    told = desk.json("chain", "collect", "--once", "--symbols", "NIFTY")
    behave(exchange)
    again = desk.json("chain", "collect", "--once", "--symbols", "NIFTY")

    [poll] = told["polls"]
    assert poll["faults"] == {"upstox": "server_error"}
    assert [chain["source"] for chain in poll["chains"]] == ["nse"]
    assert [chain["source"] for chain in again["polls"][0]["chains"]] == ["upstox"]


@pytest.mark.long
def test_killed_again_and_again_no_snapshot_is_torn_and_the_vault_tells_the_same(
    either_desk: Desk,
) -> None:
    desk = either_desk
    chance = random.Random(20260916)
    for _ in range(KILLS):
        process = desk.start("run")
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=chance.uniform(0.5, 2.5))
        end(process, signal.SIGKILL)
    last = desk.run("run", "--minutes", "2")
    assert last.returncode == 0, last.stderr

    store = store_of(desk)
    whole, legs = _snapshots(store), _legs(store)
    before = _count(store, ChainReceiptRow)
    store.close()
    assert whole
    assert whole == legs
    anew = desk.json("chain", "rederive")
    store = store_of(desk)
    # A body may have been kept and the program killed before it was stored: now it is.
    assert anew["bodies"] == _count(store, ChainReceiptRow) >= before
    assert anew["faults"] == {}
    assert {key: _snapshots(store)[key] for key in whole} == whole
    assert _count(store, ChainSummaryRow) == _count(store, ChainSnapshotRow) == len(_legs(store))
    store.close()


Key = tuple[Any, ...]
PLACE = ("underlying", "expiry", "timestamp", "source")


def _snapshots(store: Store) -> dict[Key, int]:
    """How many legs each snapshot is said to have."""
    of = table(ChainSnapshotRow)
    with store.reading() as connection:
        rows = connection.execute(select(*(of.c[name] for name in PLACE), of.c.legs))
        return {tuple(row)[:-1]: row.legs for row in rows}


def _legs(store: Store) -> dict[Key, int]:
    """How many legs of each snapshot there are."""
    columns = [table(OptionChainData).c[name] for name in PLACE]
    with store.reading() as connection:
        rows = connection.execute(select(*columns, func.count()).group_by(*columns))
        return {tuple(row)[:-1]: row[-1] for row in rows}


def _count(store: Store, of: type[Base]) -> int:
    with store.reading() as connection:
        return connection.scalar(select(func.count()).select_from(table(of))) or 0


@pytest.mark.long
def test_the_polls_of_a_minute_have_one_audit_row(desk: Desk) -> None:
    ran = desk.run("run", "--minutes", "3")

    assert ran.returncode == 0, ran.stderr
    assert "Polling 2 symbols needs 4 requests/min; the limit allows 60" in ran.stderr
    store = store_of(desk)
    query = select(SyncRunRow.due_slot, SyncRunRow.stored, SyncRunRow.outcome)
    with store.reading() as connection:
        chains = query.where(SyncRunRow.job == "chains").order_by(SyncRunRow.due_slot)
        runs = connection.execute(chains).all()
    slots = [run.due_slot for run in runs]
    assert slots == sorted(set(slots))
    # Twice a minute each; a machine that is slow at thirty times the speed may leave out some.
    assert sum(run.stored for run in runs) == _count(store, ChainSnapshotRow) >= 2 * 3
    assert {run.outcome for run in runs} == {"completed"}
    store.close()
    told = desk.json("status")["chains"]
    assert {each["symbol"] for each in told["symbols"]} == {"NIFTY", "BANKNIFTY"}
    assert all(each["status"] == "ok" for each in told["symbols"])


# ------------------------------------------------------------------------- the live world


class Upstox(BaseHTTPRequestHandler):
    """Tells NIFTY's options of a day in 2024, as Upstox did, and nothing else."""

    chain: bytes
    status = 200

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        query = parse_qs(asked.query)
        if asked.path == "/NSE.json.gz":
            return self._send(200, self.master())
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._send(401, refused("UDAPI100050"))
        if asked.path == "/v2/option/contract":
            return self._send(200, json.dumps({"status": "success", "data": self.rows()}).encode())
        if asked.path == "/v2/option/chain" and query["expiry_date"] == ["2024-06-27"]:
            return self._send(self.status, self.chain)
        return self._send(404, refused("UDAPI100060"))

    def do_HEAD(self) -> None:
        self._send(200, b"")

    def rows(self) -> list[dict[str, Any]]:
        """Its contracts, as the endpoint lists them."""
        told = json.loads(self.chain)["data"]
        return [
            {
                "segment": "NSE_FO",
                "name": "NIFTY",
                "exchange": "NSE",
                "expiry": row["expiry"],
                "instrument_type": side,
                "underlying_symbol": "NIFTY",
                "instrument_key": row[leg]["instrument_key"],
                "lot_size": 25,
                "freeze_quantity": 1800.0,
                "exchange_token": row[leg]["instrument_key"].split("|")[1],
                "minimum_lot": 25,
                "tick_size": 5.0,
                "underlying_type": "INDEX",
                "underlying_key": NIFTY_KEY,
                "trading_symbol": f"NIFTY {row['strike_price']} {side} 27 JUN 24",
                "strike_price": float(row["strike_price"]),
                "weekly": False,
            }
            for row in told
            for side, leg in (("CE", "call_options"), ("PE", "put_options"))
        ]

    def master(self) -> bytes:
        midnight = datetime.fromisoformat("2024-06-27T00:00:00+05:30").timestamp() * 1000
        index = {
            "segment": "NSE_INDEX",
            "name": "Nifty 50",
            "exchange": "NSE",
            "instrument_type": "INDEX",
            "instrument_key": NIFTY_KEY,
            "exchange_token": "26000",
            "trading_symbol": "NIFTY",
        }
        options = [{**row, "expiry": int(midnight)} for row in self.rows()]
        return gzip.compress(json.dumps([index, *options]).encode())

    def _send(self, status: int, body: bytes, more: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return None


class Website(Upstox):
    """NSE's site on an evening in 2026: a page with cookies, then what its own pages ask for."""

    visit = "nseappid=visit1"
    site: bytes

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/NSE.json.gz":
            return self._send(200, self.master())
        if path == "/option-chain":
            return self._send(200, b"<html></html>", {"Set-Cookie": f"{self.visit}; path=/"})
        if self.headers.get("Cookie") != self.visit:
            return self._send(401, b"{}")
        if path == "/api/option-chain-contract-info":
            return self._send(200, b'{"expiryDates": ["23-Jun-2026"], "strikePrice": []}')
        return self._send(200, self.site)


def refused(code: str) -> bytes:
    told = {"status": "error", "errors": [{"errorCode": code, "message": "refused"}]}
    return json.dumps(told).encode()


@contextmanager
def live_desk(
    folder: Path, shared_data: Path, kind: type[Upstox] = Upstox, **how: Any
) -> Iterator[Desk]:
    capture, site = (
        gzip.decompress((shared_data / name).read_bytes()) for name in (CAPTURE, OF_THE_SITE)
    )
    handler = type("Told", (kind,), {"chain": capture, "site": site, **how})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        yield Desk.at(
            folder,
            DATA_SOURCE="upstox",
            UPSTOX_ACCESS_TOKEN=TOKEN,
            UPSTOX_BASE_URL=url,
            UPSTOX_INSTRUMENTS_URL=f"{url}/NSE.json.gz",
            NSE_ENABLED="false",
            DATABASE_URL=f"sqlite:///{folder / 'live.db'}",
        )
        server.shutdown()


def test_a_real_answer_of_upstox_is_stored_leg_by_leg(tmp_path: Path, shared_data: Path) -> None:
    with live_desk(tmp_path, shared_data) as desk:
        told = desk.json("chain", "collect", "--once", "--symbols", "NIFTY")
        shown = desk.json("chain", "show", "NIFTY")

    [poll] = told["polls"]
    assert (poll["stored"], poll["rejected"], poll["error"]) == (1, 0, None)
    rows = json.loads(gzip.decompress((shared_data / CAPTURE).read_bytes()))["data"]
    assert len(shown["legs"]) == 2 * len(rows)
    by_key = {(leg["strike"], leg["option_type"]): leg for leg in shown["legs"]}
    for row in rows:
        leg, market = by_key[row["strike_price"], "CE"], row["call_options"]["market_data"]
        assert (leg["oi"], leg["volume"]) == (market["oi"], market["volume"])
        assert leg["ltp"] == (market["ltp"] or None)
        # It was over years ago, by the clock of whoever asks now.
        assert (leg["iv"], leg["reason"]) == (None, "expired")


def test_the_website_alone_needs_no_account(tmp_path: Path, shared_data: Path) -> None:
    with live_desk(tmp_path, shared_data, Website) as desk:
        alone = {
            "DATA_SOURCE": "nse",
            "NSE_ENABLED": "true",
            "NSE_BASE_URL": desk.environment["UPSTOX_BASE_URL"],
            "UPSTOX_ACCESS_TOKEN": "",
        }
        told = desk.json("chain", "collect", "--once", "--symbols", "NIFTY", **alone)
        shown = desk.json("chain", "show", "NIFTY", **alone)

    [poll] = told["polls"]
    assert (poll["stored"], poll["error"], poll["faults"]) == (1, None, {})
    assert (shown["source"], shown["expiry"]) == ("nse", "2026-06-23")
    # Stamped by the exchange before the expiry, and priced as of then.
    assert shown["exchange_time"] == "2026-06-19T15:30:00+05:30"
    assert sum(leg["iv"] is not None for leg in shown["legs"]) > 100


def test_an_answer_that_is_none_is_named_and_the_exit_status_says_so(
    tmp_path: Path, shared_data: Path
) -> None:
    with live_desk(tmp_path, shared_data, status=403) as desk:
        told = desk.json("chain", "collect", "--once", "--symbols", "NIFTY", status=4)
        status = desk.json("status")["chains"]

    assert told["polls"][0]["faults"] == {"upstox": "forbidden"}
    assert status["snapshots"] == 0
