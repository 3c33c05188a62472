"""`data-fetch universe`: what it prints, and how it ends."""

import gzip
import json
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from data_fetch.cli.main import main
from data_fetch.core.settings import Settings
from data_fetch.sources.instruments.rows import parse_instrument
from data_fetch.sources.instruments.symbols_file import FILE_NAME
from data_fetch.storage.database.store import open_store
from data_fetch.storage.instruments.instruments import save_master

EXPIRY = 4102424999000  # 2099-12-31: such a master never grows old


@dataclass(frozen=True)
class Ended:
    status: int
    printed: str
    noted: str

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.printed)
        return document


Run = Callable[..., Ended]


def stock(symbol: str, isin: str, name: str) -> dict[str, Any]:
    return {
        "segment": "NSE_EQ",
        "instrument_type": "EQ",
        "instrument_key": f"NSE_EQ|{isin}",
        "isin": isin,
        "trading_symbol": symbol,
        "name": name,
    }


def future(symbol: str, underlying_key: str) -> dict[str, Any]:
    return {
        "segment": "NSE_FO",
        "instrument_type": "FUT",
        "instrument_key": f"NSE_FO|{symbol}",
        "trading_symbol": f"{symbol} FUT",
        "name": symbol,
        "underlying_symbol": symbol,
        "underlying_key": underlying_key,
        "expiry": EXPIRY,
    }


ROWS = [
    stock("RELIANCE", "INE002A01018", "RELIANCE INDUSTRIES LTD"),
    stock("TMPV", "INE155A01022", "TATA MOTORS PASS VEH LTD"),
    stock("PAPERMILL", "INE000000001", "PAPER MILL LTD"),
    stock("011NSETEST", "DUMMYSAN005", "011NSETEST"),
    {
        "segment": "NSE_INDEX",
        "instrument_type": "INDEX",
        "instrument_key": "NSE_INDEX|Nifty 50",
        "trading_symbol": "NIFTY",
        "name": "Nifty 50",
    },
    future("RELIANCE", "NSE_EQ|INE002A01018"),
    future("TMPV", "NSE_EQ|INE155A01022"),
    future("011NSETEST", "NSE_EQ|DUMMYSAN005"),
    future("NIFTY", "NSE_INDEX|Nifty 50"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a small master, and no setting from elsewhere."""
    for name in ("UPSTOX_ACCESS_TOKEN", "FNO_SYMBOLS_FILE", "DATABASE_URL", "DATA_SOURCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UPSTOX_INSTRUMENTS_URL", "master.json.gz")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "master.json.gz").write_bytes(gzip.compress(json.dumps(ROWS).encode()))
    return tmp_path


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: str) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main(["universe", *arguments])
        captured = capsys.readouterr()
        code = ended.value.code
        return Ended(code if isinstance(code, int) else 0, captured.out, captured.err)

    return command


def listed(folder: Path, text: str) -> Path:
    path = folder / FILE_NAME
    path.write_text(text, encoding="utf-8")
    return path


def test_all_resolved(run: Run, folder: Path) -> None:
    listed(folder, "RELIANCE\nNifty 50\n")

    ended = run("--json")

    assert ended.document == {"listed": 2, "resolved": 2, "unresolved": [], "followed": []}
    assert ended.status == 0


def test_a_former_symbol_resolves_once_the_store_has_seen_it(run: Run, folder: Path) -> None:
    listed(folder, "RELIANCE\nTATAMOTORS\n")
    settings = Settings.load(dict(os.environ), folder)
    with closing(open_store(settings.store_url, settings.world)) as store:
        before = replace(parse_instrument(ROWS[1]), symbol="TATAMOTORS")
        save_master(store, [before], date(2025, 10, 10), datetime(2025, 10, 10, tzinfo=UTC))

    ended = run("--json")

    assert ended.document["followed"] == [{"symbol": "TATAMOTORS", "now": "TMPV"}]
    assert (ended.document["resolved"], ended.status) == (2, 0)
    assert "TATAMOTORS is TMPV now" in run().printed


def test_what_is_not_resolved_is_named_with_near_symbols_and_ends_with_3(
    run: Run, folder: Path
) -> None:
    listed(folder, "RELIANCE, TATAMOTORS\nXQZW, 011NSETEST\nTMPV.NS\n")

    ended = run("--json")

    assert ended.document == {
        "listed": 5,
        "resolved": 1,
        "unresolved": [
            {"symbol": "TATAMOTORS", "near": ["TMPV"]},
            {"symbol": "XQZW", "near": []},
            {"symbol": "011NSETEST", "near": []},
            {"symbol": "TMPV.NS", "near": ["TMPV"]},
        ],
        "followed": [],
    }
    assert ended.status == 3
    assert f"{FILE_NAME}, line 3: 'TMPV.NS' is malformed" in ended.noted


def test_people_are_told_what_to_do_next(run: Run, folder: Path) -> None:
    listed(folder, "RELIANCE\nRELAINCE\nreliance\n")

    ended = run()

    assert "2 symbols, 1 duplicates skipped" in ended.printed
    assert "1 of 2 resolved" in ended.printed
    assert "'RELAINCE' is not in the master: did you mean RELIANCE?" in ended.printed
    assert "data-fetch universe --from-master --write" in ended.printed


def test_the_universe_is_derived_from_the_master(run: Run) -> None:
    ended = run("--from-master", "--json")

    assert ended.document == {
        "stocks": 2,
        "indices": 1,
        "symbols": ["NIFTY", "RELIANCE", "TMPV"],
    }
    assert ended.status == 0


def test_written_to_the_file_it_resolves(run: Run, folder: Path) -> None:
    path = listed(folder, "# Our list.\nRELIANCE\nTATAMOTORS\n")

    ended = run("--from-master", "--write", "--json")

    assert ended.document["stocks"] == 2
    assert f"Wrote {path}: 2 added, 1 removed." in ended.noted
    assert "- TATAMOTORS" in ended.noted
    assert "# Our list." in path.read_text(encoding="utf-8")
    document = run("--json").document
    assert (document["resolved"], document["unresolved"]) == (3, [])


def test_written_again_there_is_nothing_to_do(run: Run) -> None:
    run("--from-master", "--write")

    assert "nothing was written" in run("--from-master", "--write").noted


def test_a_master_without_futures_does_not_empty_the_file(run: Run, folder: Path) -> None:
    path = listed(folder, "RELIANCE\n")
    (folder / "master.json.gz").write_bytes(gzip.compress(json.dumps(ROWS[:1]).encode()))

    ended = run("--from-master", "--write")

    assert ended.status == 4
    assert "no futures" in ended.noted
    assert path.read_text(encoding="utf-8") == "RELIANCE\n"


def test_writing_without_deriving_is_wrong_use(run: Run) -> None:
    ended = run("--write")

    assert ended.status == 2
    assert "--from-master" in ended.noted


def test_without_any_master_the_outside_world_has_refused(run: Run, folder: Path) -> None:
    (folder / "master.json.gz").unlink()

    ended = run("--json")

    assert ended.status == 4
    assert ended.printed == ""
    assert "UPSTOX_INSTRUMENTS_URL" in ended.noted


def test_a_truncated_master_is_not_used_and_the_kept_one_is(run: Run, folder: Path) -> None:
    listed(folder, "RELIANCE\n")
    run("--json")
    (folder / "master.json.gz").write_bytes(b"\x1f\x8b\x08")

    ended = run("--json")

    assert ended.document["resolved"] == 1
    assert "is used instead" in ended.noted


def test_an_empty_symbols_file_is_wrong_use(run: Run, folder: Path) -> None:
    listed(folder, "# nothing yet\n")

    ended = run("--json")

    assert ended.status == 2
    assert "holds no symbol" in ended.noted


def test_the_real_master_with_the_dummies_in_it(
    run: Run, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shared_data / "upstox" / "instruments" / "NSE_2025-02-08.json.gz"
    monkeypatch.setenv("UPSTOX_INSTRUMENTS_URL", path.as_uri())

    ended = run("--from-master", "--json")

    assert (ended.document["stocks"], ended.document["indices"]) == (227, 5)
    assert len(ended.document["symbols"]) == 232
    assert "the master is old" in ended.noted
