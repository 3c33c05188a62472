"""The calls of an older collector that configured which option chains are polled."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from checkout import CHECKOUT

from data_fetch.reading import instruments


@pytest.fixture(scope="module")
def database() -> ModuleType:
    """The example as a script imports it that it lies beside."""
    spec = importlib.util.spec_from_file_location("database", CHECKOUT / "examples" / "database.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without settings: a paper store, with a short symbols list."""
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "POSTGRES_HOST", "DB_HOST", "UPSTOX_ACCESS_TOKEN", "NSE_SYMBOLS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "nse_fo_stock_symbols.txt").write_text("NIFTY\nRELIANCE\n")


def test_a_symbol_is_inserted_and_then_updated(database: ModuleType) -> None:
    manager = database.TimescaleDBManager()
    assert {each["symbol"] for each in manager.get_available_symbols()} == {"NIFTY"}
    [key] = instruments("RELIANCE").table["instrument_key"].to_pylist()

    assert manager.update_symbol_config("RELIANCE", key, 60)
    assert manager.update_symbol_config("NIFTY", "NSE_INDEX|Nifty 50") is True
    assert manager.update_symbol_config("RELIANCE", key, refresh_interval=90)

    assert manager.get_available_symbols() == [
        {
            "symbol": "NIFTY",
            "instrument_key": "NSE_INDEX|Nifty 50",
            "is_active": True,
            "refresh_interval": 30,
        },
        {
            "symbol": "RELIANCE",
            "instrument_key": key,
            "is_active": True,
            "refresh_interval": 90,
        },
    ]


@pytest.mark.parametrize(
    ("symbol", "key", "seconds", "reason"),
    [
        ("NOBODY", "NSE_EQ|INE002A01018", 30, "no instrument named NOBODY"),
        ("RELIANCE", "NSE_EQ|RELIANCE", 30, "no instrument named NSE_EQ|RELIANCE"),
        ("RELIANCE", "NSE_INDEX|Nifty 50", 30, "NSE_INDEX|Nifty 50 is the key of NIFTY"),
        ("NIFTY", "NSE_INDEX|Nifty 50", 1, "a refresh interval of 1 s is out of bounds"),
        ("INDIA VIX", "NSE_INDEX|India VIX", 30, "no option on INDIA VIX is listed"),
    ],
    ids=["unknown symbol", "no key", "another's key", "too often", "no options"],
)
def test_a_refused_configuration_is_false_with_the_reason_in_the_log(
    database: ModuleType,
    caplog: pytest.LogCaptureFixture,
    symbol: str,
    key: str,
    seconds: int,
    reason: str,
) -> None:
    manager = database.TimescaleDBManager()
    before = manager.get_available_symbols()

    assert manager.update_symbol_config(symbol, key, seconds) is False

    assert reason in caplog.text
    assert manager.get_available_symbols() == before
