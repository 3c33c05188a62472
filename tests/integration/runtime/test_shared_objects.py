"""The documented calls of the public names, in a working folder with a paper exchange."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pytest

from data_fetch.backfill_service import backfill_service
from data_fetch.cli.main import main
from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.clock import IST, VirtualClock
from data_fetch.core.errors import SetupError
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.runs import Outcome
from data_fetch.core.world import World
from data_fetch.data_scheduler import Status, data_scheduler
from data_fetch.fo_stocks_loader import fo_stocks_loader
from data_fetch.ltp_service import ltp_service
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.runtime import one_off
from data_fetch.sources.instruments import rows
from data_fetch.storage.candles.coverage import candle_holdings
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.quotes import QuoteStore

NOON = datetime(2026, 9, 16, 12, 0, 30, tzinfo=IST)
YESTERDAY = date(2026, 9, 15)
SYMBOLS = ["NIFTY", "TCS", "M&M"]


@dataclass
class Folder:
    """A working folder with a symbols file, a store, and the address of an exchange."""

    path: Path
    store: Store

    @property
    def quoted(self) -> set[str]:
        return set(QuoteStore(self.store).latest())


@pytest.fixture
def folder(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    (tmp_path / "nse_fo_stock_symbols.txt").write_text("\n".join(SYMBOLS))
    clock = VirtualClock(NOON)
    hold = clock.hold()
    with PaperExchange(clock, symbols=SYMBOLS, calendar=MarketCalendar.reviewed()) as exchange:
        for name in os.environ.keys() & {"UPSTOX_ACCESS_TOKEN", "REDIS_URL"}:
            monkeypatch.delenv(name)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        monkeypatch.setenv("DATA_SOURCE", "paper")
        monkeypatch.setenv("UPSTOX_BASE_URL", exchange.url)
        monkeypatch.setenv("DATABASE_URL", database_url)
        monkeypatch.chdir(tmp_path)
        store = open_store(database_url, World.PAPER)
        yield Folder(tmp_path, store)
        store.close()
    hold.release()


def test_ltp_service_collects_the_configured_universe(folder: Folder) -> None:
    run = ltp_service.collect_now()

    assert (run.outcome, run.requested, run.stored) == (Outcome.COMPLETED, 3, 3)
    assert folder.quoted == set(SYMBOLS)


def test_backfill_service_fetches_the_missing_candles_of_a_symbol(folder: Folder) -> None:
    report = backfill_service.run(["TCS"], days=1, last=YESTERDAY)

    assert (report.outcome, report.missed) == (Outcome.COMPLETED, 0)
    assert candle_holdings(folder.store, YESTERDAY).candles == 360


def test_without_symbols_backfill_service_fetches_the_whole_universe(folder: Folder) -> None:
    report = backfill_service.run(days=1, last=YESTERDAY, interval=CandleInterval.DAY)

    assert report.inserted == len(SYMBOLS)


def test_backfill_service_rejects_a_symbol_that_the_master_lacks(folder: Folder) -> None:
    with pytest.raises(SetupError, match="no instrument named NOSUCH"):
        backfill_service.run(["NOSUCH"])


@pytest.mark.parametrize(
    ("also", "status", "stored", "unresolved"),
    [("", 0, 1, []), (",NOSUCH", 3, 1, ["NOSUCH"])],
    ids=["all are known", "one is not"],
)
def test_the_command_fetches_the_known_symbols_and_names_the_others(
    folder: Folder,
    capsys: pytest.CaptureFixture[str],
    also: str,
    status: int,
    stored: int,
    unresolved: list[str],
) -> None:
    span = ["--from", str(YESTERDAY), "--to", str(YESTERDAY), "--interval", "day"]

    with pytest.raises(SystemExit) as ended:
        main(["backfill", "--symbols", SYMBOLS[0] + also, *span, "--json"])

    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert (document["stored"], document["unresolved"]) == (stored, unresolved)
    assert ended.value.code == status
    assert ("NOSUCH is left out" in printed.err) is bool(unresolved)


def test_the_command_refuses_symbols_of_which_none_is_known(folder: Folder) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["backfill", "--symbols", "NOSUCH,NEITHER"])

    assert ended.value.code == 2


def test_fo_stocks_loader_reads_the_symbols_file(folder: Folder) -> None:
    assert list(fo_stocks_loader.load_fo_stocks_from_file().symbols) == SYMBOLS


def test_the_scheduler_is_idle_until_it_is_started(folder: Folder) -> None:
    assert data_scheduler.get_status() == Status(running=False)


# --- each call builds only what it needs -------------------------------------------------------


def test_a_known_master_is_neither_parsed_nor_fetched_again(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ltp_service.collect_now()

    def parsed(*_: object) -> None:
        raise AssertionError("the instrument master was parsed again")

    monkeypatch.setattr(rows.ijson, "items", parsed)
    (folder.path / "data" / "instruments").rename(folder.path / "elsewhere")

    assert ltp_service.collect_now().stored == 3


def test_a_new_master_is_parsed_once(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    parse, parsed = rows.ijson.items, list[object]()

    def counted(*arguments: object) -> object:
        parsed.append(arguments)
        return parse(*arguments)

    monkeypatch.setattr(rows.ijson, "items", counted)
    ltp_service.collect_now()

    assert len(parsed) == 1


def test_a_backfill_builds_no_quote_service(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def built(*_: object) -> None:
        raise AssertionError("a quote service was built")

    monkeypatch.setattr(one_off, "quotes_at", built)

    assert backfill_service.run(["TCS"], days=1, last=YESTERDAY).missed == 0
