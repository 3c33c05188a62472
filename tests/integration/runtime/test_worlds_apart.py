"""Commands of one world at a server of the other: refused with exit status 2, nothing stored."""

import gzip
import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import urllib3
from sqlalchemy import func, select
from upstox_stub import Scripted, Stub, quotes_of

from data_fetch.cli.main import main
from data_fetch.core.clock import IST, ScaledClock
from data_fetch.core.world import World
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.storage.database.store import open_store
from data_fetch.storage.database.tables import Base

MASTER_PATH = "/market-quote/instruments/exchange/NSE.json.gz"
SYMBOLS = ("NIFTY", "BANKNIFTY", "RELIANCE")
# What real instruments are called by, and what invented ones have in common with them.
ROWS: list[dict[str, Any]] = [
    {
        "segment": "NSE_INDEX",
        "instrument_type": "INDEX",
        "instrument_key": f"NSE_INDEX|{name}",
        "trading_symbol": symbol,
        "name": name,
    }
    for symbol, name in (("NIFTY", "Nifty 50"), ("BANKNIFTY", "Nifty Bank"))
] + [
    {
        "segment": "NSE_EQ",
        "instrument_type": "EQ",
        "instrument_key": "NSE_EQ|INE002A01018",
        "isin": "INE002A01018",
        "trading_symbol": "RELIANCE",
        "name": "RELIANCE INDUSTRIES LTD",
    }
]
SETTINGS = (
    "DATA_SOURCE",
    "UPSTOX_ACCESS_TOKEN",
    "UPSTOX_BASE_URL",
    "UPSTOX_INSTRUMENTS_URL",
    "NSE_BASE_URL",
    "DATABASE_URL",
    "REDIS_URL",
)
# The instruments are real ones; the other tables are about prices.
NOT_PRICES = {
    "instruments",
    "instrument_lineage",
    "instrument_masters",
    "instrument_terms",
    "auction_days",
    "store_meta",
}

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def exchange() -> Iterator[PaperExchange]:
    clock = ScaledClock(datetime(2026, 9, 16, 11, 0, tzinfo=IST))
    with PaperExchange(clock, symbols=SYMBOLS) as exchange:
        yield exchange


@pytest.fixture
def provider() -> Iterator[Stub]:
    """A server without the mark: it answers everything with an empty success."""
    with Stub() as stub:
        stub.script = lambda _: Scripted(body=b'{"status": "success", "data": {}}')
        yield stub


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in a working folder; its exit status, and what it wrote to standard error."""
    (tmp_path / "nse_fo_stock_symbols.txt").write_text("\n".join(SYMBOLS))
    (tmp_path / "master.json.gz").write_bytes(gzip.compress(json.dumps(ROWS).encode()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)

    def command(line: str, settings: Mapping[str, str]) -> tuple[int, str]:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(line))
        return int(ended.value.code or 0), capsys.readouterr().err

    return command


def stored_prices(folder: Path, world: World) -> dict[str, int]:
    """The rows about prices in the store of *world*, by table."""
    file = folder / "data" / ("paper.db" if world is World.PAPER else "market.db")
    if not file.exists():
        return {}
    store = open_store(f"sqlite:///{file}", world)
    with store.reading() as connection:
        counts = {
            name: connection.scalar(select(func.count()).select_from(table)) or 0
            for name, table in Base.metadata.tables.items()
            if name not in NOT_PRICES
        }
    store.close()
    return {name: count for name, count in counts.items() if count}


@contextmanager
def refusing_chains(url: str) -> Iterator[None]:
    """The exchange's Upstox side denies its chains, so that NSE's side is next."""
    faults = f"{url}/paper/faults"
    fault = json.dumps({"kind": "cloudflare-403", "api": "option-chain"})
    urllib3.request("POST", faults, body=fault)
    yield
    urllib3.request("DELETE", faults)


LIVE = {
    "DATA_SOURCE": "upstox",
    "UPSTOX_ACCESS_TOKEN": "x",
    "UPSTOX_INSTRUMENTS_URL": "master.json.gz",
    "NSE_ENABLED": "false",
}


@pytest.mark.parametrize(
    "line",
    [
        "collect --once --json",
        "collect --once",
        "backfill --symbols NIFTY --from 2026-09-14 --to 2026-09-15",
        "backfill --symbols RELIANCE --from 2026-09-14 --to 2026-09-15 --interval day",
        "backfill --from 2026-09-14 --to 2026-09-15",
        "chain collect --symbols NIFTY --once",
        "calendar refresh",
    ],
)
def test_the_live_world_refuses_the_paper_exchange(
    run: Run, exchange: PaperExchange, tmp_path: Path, line: str
) -> None:
    status, said = run(line, {**LIVE, "UPSTOX_BASE_URL": exchange.url})

    assert status == 2
    assert said.startswith(
        "World     live (real prices): DATA_SOURCE=upstox is set in the environment\n"
    )
    assert f"{exchange.url} is a paper exchange" in said
    assert "UPSTOX_BASE_URL" in said
    assert stored_prices(tmp_path, World.LIVE) == {}


def test_doctor_names_it(run: Run, exchange: PaperExchange) -> None:
    status, _ = run("doctor", {**LIVE, "UPSTOX_BASE_URL": exchange.url})

    assert status == 2


def test_the_live_world_refuses_the_invented_master(
    run: Run, exchange: PaperExchange, provider: Stub, tmp_path: Path
) -> None:
    """Also while an older master is at hand: the address is wrong, not away."""
    base = {**LIVE, "UPSTOX_BASE_URL": provider.url}
    run("collect --once", base)
    (tmp_path / "data" / "market.db").unlink()

    status, said = run(
        "collect --once", {**base, "UPSTOX_INSTRUMENTS_URL": f"{exchange.url}{MASTER_PATH}"}
    )

    assert status == 2
    assert "Unset UPSTOX_INSTRUMENTS_URL" in said
    assert stored_prices(tmp_path, World.LIVE) == {}


def test_the_live_world_refuses_the_invented_nse_site(
    run: Run, exchange: PaperExchange, provider: Stub, tmp_path: Path
) -> None:
    settings = {
        **LIVE,
        "DATA_SOURCE": "nse",
        "NSE_ENABLED": "true",
        "UPSTOX_BASE_URL": provider.url,
        "NSE_BASE_URL": exchange.url,
    }

    status, said = run("chain collect --symbols NIFTY --once", settings)

    assert status == 2
    assert "Unset NSE_BASE_URL" in said
    assert stored_prices(tmp_path, World.LIVE) == {}


@pytest.mark.parametrize("line", ["collect --once", "chain collect --symbols NIFTY --once"])
def test_the_paper_world_refuses_a_server_without_the_mark(
    run: Run, provider: Stub, tmp_path: Path, line: str
) -> None:
    status, said = run(line, {"DATA_SOURCE": "paper", "UPSTOX_BASE_URL": provider.url})

    assert status == 2
    assert f"{provider.url} is no paper exchange" in said
    assert stored_prices(tmp_path, World.PAPER) == {}


def test_the_paper_world_refuses_another_nse_site(
    run: Run, exchange: PaperExchange, provider: Stub, tmp_path: Path
) -> None:
    settings = {
        "DATA_SOURCE": "paper",
        "UPSTOX_BASE_URL": exchange.url,
        "NSE_BASE_URL": provider.url,
    }

    with refusing_chains(exchange.url):
        status, said = run("chain collect --symbols NIFTY --once", settings)

    assert status == 2
    assert "Unset NSE_BASE_URL" in said


@pytest.mark.parametrize(
    "line",
    [
        "collect --once --json",
        "backfill --symbols NIFTY --from 2026-09-14 --to 2026-09-14 --json",
        "chain collect --symbols NIFTY --once --json",
        "universe --from-master --write",
        "calendar refresh --json",
        "symbols add RELIANCE",
        "audit --repair --json",
        "db upgrade --json",
    ],
)
def test_the_first_line_of_a_command_that_stores_is_its_world(
    run: Run, exchange: PaperExchange, line: str
) -> None:
    _, said = run(line, {"DATA_SOURCE": "paper", "UPSTOX_BASE_URL": exchange.url})

    assert said.startswith(
        "World     paper (invented prices): DATA_SOURCE=paper is set in the environment\n"
    )


def test_the_live_world_takes_a_server_without_the_mark(run: Run, provider: Stub) -> None:
    """Any server with Upstox's wire format may be named, not only Upstox's own."""
    provider.script = quotes_of

    status, said = run("collect --once", {**LIVE, "UPSTOX_BASE_URL": provider.url})

    assert status == 0
    assert "paper exchange" not in said
