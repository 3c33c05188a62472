"""`data-fetch chain` and `symbols`, from the command line, on captured responses."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from candle_shelf import environment_for, stock
from sqlalchemy import func, select

from data_fetch.archive.raw_responses import RawResponseStore, StoredResponse
from data_fetch.cli.main import main
from data_fetch.core.chains.chains import RawResponse
from data_fetch.core.chains.symbol_config import SymbolConfig
from data_fetch.core.clock import IST
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.reading.chain_metrics import opening_of
from data_fetch.storage.chains.symbol_config import SymbolConfigs
from data_fetch.storage.database.store import open_store
from data_fetch.storage.database.tables import Base, ChainSnapshotRow, OptionChainData, table
from data_fetch.storage.instruments.instruments import save_master
from data_fetch.storage.runs import recent_runs

V3 = "nse_option_chain_v3/NIFTY_2026-06-19_exp2026-06-23_capture{}.json.gz"
UPSTOX = "upstox/responses/v2_option_chain_NIFTY_exp2024-06-27_captured2024-06-24.json.gz"
FRIDAY = "2024-06-21T15:30"
NUMBERS = ("iv", "delta", "gamma", "theta", "vega", "rho")


@dataclass(frozen=True)
class Ended:
    status: int
    printed: str
    remarked: str

    @property
    def document(self) -> Any:
        return json.loads(self.printed)


Run = Callable[..., Ended]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a command in an empty folder, with nothing configured."""
    for field in Settings.model_fields.values():
        for name in getattr(field.validation_alias, "choices", ()):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Ended:
        status = 0
        try:
            main([str(each) for each in arguments])
        except SystemExit as ended:
            status = int(ended.code or 0)
        response = capsys.readouterr()
        return Ended(status, response.out, response.err)

    return run


@pytest.fixture
def polling(run: Run, tmp_path: Path) -> Run:
    """The same with a short symbols list: a whole instrument master takes a second to read."""
    listed = [
        "NIFTY",
        "BANKNIFTY",
        "FINNIFTY",
        "MIDCPNIFTY",
        "NIFTYFPI",
        "NIFTYNXT50",
        "RELIANCE",
        "M&M",
    ]
    (tmp_path / "nse_fo_stock_symbols.txt").write_text("\n".join(listed))
    return run


@pytest.fixture
def stored(run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same with a store of each kind."""
    for name, value in environment_for(database_url).items():
        monkeypatch.setenv(name, value)
    return run


def counted(database_url: str, of: type[Base]) -> int:
    store = open_store(database_url, World.LIVE)
    with store.reading() as connection:
        number = connection.scalar(select(func.count()).select_from(table(of)))
    store.close()
    return number or 0


def body(shared_data: Path, name: str) -> dict[str, Any]:
    response: dict[str, Any] = json.loads(gzip.decompress((shared_data / name).read_bytes()))
    return response


# ---------------------------------------------------------------------------------- price


def test_price_lists_every_leg_once(run: Run, shared_data: Path) -> None:
    done = run("chain", "price", shared_data / V3.format(2), "--json")

    assert done.status == 0
    document = done.document
    assert (document["underlying"], document["captured_at"]) == (
        "NIFTY",
        "2026-06-19T15:30:00+05:30",
    )
    legs = document["legs"]
    assert len(legs) == len({(leg["strike"], leg["option_type"]) for leg in legs}) == 206
    for leg in legs:
        assert (leg["iv"] is None) is (leg["reason"] is not None)
        assert all((leg[name] is None) is (leg["iv"] is None) for name in NUMBERS)
        assert leg["oi"] is None
        assert leg["oi_reason"] == "lot_unknown"
        assert leg["oi_contracts"] is not None
    [metrics] = document["metrics"]
    assert metrics["max_pain"] == 24000
    assert metrics["inputs"]["pcr_oi"] == {"used": 206, "of": 206, "reason": None}
    assert json.dumps(document).count("NaN") == 0


def test_price_lists_rejected_legs_too(run: Run, shared_data: Path, tmp_path: Path) -> None:
    whole = run("chain", "price", shared_data / V3.format(1), "--json").document["legs"]
    file = with_a_torn_leg(shared_data, tmp_path)

    document = run("chain", "price", file, "--json").document

    legs = document["legs"]
    assert [_contract(leg) for leg in legs] == [_contract(leg) for leg in whole]
    [torn] = [leg for leg in legs if leg["reason"] == "rejected"]
    assert (torn["strike"], torn["option_type"], torn["oi"], torn["iv"]) == (
        24000,
        "CE",
        None,
        None,
    )
    assert document["rejected"][0]["leg"] == "2026-06-23 24000 CE"


def with_a_torn_leg(shared_data: Path, tmp_path: Path) -> Path:
    """A captured response in which one leg cannot be true."""
    response = body(shared_data, V3.format(1))
    row = next(row for row in response["records"]["data"] if row["strikePrice"] == 24000)
    row["CE"]["underlying"] = "BANKNIFTY"
    file = tmp_path / "torn.json"
    file.write_text(json.dumps(response))
    return file


def _contract(leg: dict[str, Any]) -> tuple[Any, ...]:
    return leg["expiry"], leg["strike"], leg["option_type"]


@pytest.mark.parametrize("convention", ["own", "nse", "upstox"])
def test_price_in_each_convention(run: Run, shared_data: Path, convention: str) -> None:
    document = run(
        "chain", "price", shared_data / V3.format(2), "--convention", convention, "--json"
    ).document

    at_money = next(
        leg for leg in document["legs"] if leg["strike"] == 24000 and leg["option_type"] == "CE"
    )
    assert document["convention"] == convention
    assert 0.05 < at_money["iv"] < 0.15
    if convention == "nse":
        assert at_money["iv"] == pytest.approx(at_money["provider_iv"], abs=0.0002)


def test_price_of_a_body_without_a_time_needs_one(run: Run, shared_data: Path) -> None:
    without_a_time = run("chain", "price", shared_data / UPSTOX, "--json")
    named = run("chain", "price", shared_data / UPSTOX, "--at", FRIDAY, "--json")

    assert without_a_time.status == 3
    assert {leg["reason"] for leg in without_a_time.document["legs"]} == {"no_capture_time"}
    assert "--at" in without_a_time.remarked
    assert named.status == 0
    assert named.document["captured_at"] == "2024-06-21T15:30:00+05:30"
    assert sum(leg["iv"] is not None for leg in named.document["legs"]) > 150


def test_price_of_all_expiries_in_one_body(run: Run, shared_data: Path) -> None:
    document = run(
        "chain", "price", shared_data / "nse_option_chain_old/NIFTY_2025-07-17.json.gz", "--json"
    ).document

    assert len(document["legs"]) == 1395
    assert len(document["metrics"]) == 18
    expired = [leg for leg in document["legs"] if leg["expiry"] == "2025-07-17"]
    assert {leg["reason"] for leg in expired} == {"expired"}
    assert {each["provisional"] for each in document["metrics"] if each["expiry"] > "2027"} == {
        True
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param("{}", "empty_object", id="an empty object"),
        pytest.param("<html><body>Access Denied</body></html>", "html", id="a page"),
        pytest.param("", "empty_body", id="nothing"),
        pytest.param('{"records": {"data": [', "not_json", id="half of it"),
        pytest.param('{"status": "success", "data": []}', "empty_list", id="an empty list"),
        pytest.param('{"status": "success", "data": {"candles": []}}', "not_a_chain", id="candles"),
    ],
)
def test_price_names_what_is_no_chain(run: Run, tmp_path: Path, text: str, fault: str) -> None:
    file = tmp_path / "body.json"
    file.write_text(text)

    done = run("chain", "price", file, "--json")

    assert (done.status, done.printed) == (4, "")
    assert fault in done.remarked


def test_price_for_people_is_a_ladder(run: Run, shared_data: Path) -> None:
    printed = run("chain", "price", shared_data / V3.format(2)).printed

    assert "NIFTY 23 Jun 2026, spot 24,013.10, forward 24,048.01" in printed
    assert "*24050" in printed
    assert "max pain 24,000" in printed
    assert "…" not in printed


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_ladder_is_printed_in_any_encoding(
    tmp_path: Path, shared_data: Path, encoding: str
) -> None:
    """The headings have a sign that these encodings lack; on Windows a redirected file does."""
    environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "data_fetch", "chain", "price", shared_data / V3.format(2)]

    ended = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment)

    assert (ended.returncode, ended.stderr) == (0, b"")
    assert "dOI" in ended.stdout.decode(encoding)


# --------------------------------------------------------------------------------- import


def test_import_twice_changes_nothing(stored: Run, database_url: str, shared_data: Path) -> None:
    files = [shared_data / V3.format(1), shared_data / V3.format(2)]

    first = stored("chain", "import", *files, "--json")
    again = stored("chain", "import", *files, "--json")

    assert (first.status, again.status) == (0, 0)
    assert (first.document["snapshots"], first.document["legs"]) == (2, 412)
    assert (again.document["snapshots"], again.document["repeated"]) == (0, 2)
    assert counted(database_url, ChainSnapshotRow) == 2
    assert counted(database_url, OptionChainData) == 412


def test_captures_of_one_stamp_that_differ_are_two_snapshots(
    stored: Run, shared_data: Path
) -> None:
    stored("chain", "import", shared_data / V3.format(1), shared_data / V3.format(2))

    shown = stored("chain", "show", "NIFTY", "--json").document

    assert shown["exchange_time"] == "2026-06-19T15:30:00+05:30"
    assert shown["received_at"] == "2026-06-19T15:30:00.000001+05:30"


def test_a_line_is_a_receipt(stored: Run, shared_data: Path, tmp_path: Path) -> None:
    """A collector's log of 36 receipts of a chain that did not change."""
    line = json.dumps(body(shared_data, V3.format(1)))
    file = tmp_path / "receipts.jsonl"
    file.write_text("\n".join([line] * 36))

    done = stored("chain", "import", file, "--json")
    again = stored("chain", "import", file, "--json")

    assert (done.document["snapshots"], done.document["confirmed"]) == (1, 35)
    assert again.document["repeated"] == 36
    assert stored("chain", "show", "NIFTY", "--json").document["confirmations"] == 36


def test_a_past_instant_counts_the_receipts_until_then(
    stored: Run, shared_data: Path, tmp_path: Path
) -> None:
    """Receipts without a time of their own are a microsecond apart."""
    file = tmp_path / "receipts.jsonl"
    file.write_text("\n".join([json.dumps(body(shared_data, V3.format(1)))] * 36))
    stored("chain", "import", file)
    fifth = "2026-06-19T15:30:00.000004"

    document = stored("chain", "show", "NIFTY", "--at", fifth, "--json").document
    printed = stored("chain", "show", "NIFTY", "--at", fifth).printed

    assert (document["confirmations"], document["last_confirmed"]) == (5, f"{fifth}+05:30")
    assert "unchanged in 5 receipts until 15:30:00" in printed


def test_show_counts_rejected_legs(stored: Run, shared_data: Path, tmp_path: Path) -> None:
    stored("chain", "import", with_a_torn_leg(shared_data, tmp_path))

    document = stored("chain", "show", "NIFTY", "--json").document

    assert (document["rejected"], len(document["legs"])) == (1, 205)


def test_bad_documents_cost_themselves_only(stored: Run, shared_data: Path, tmp_path: Path) -> None:
    good = json.dumps(body(shared_data, V3.format(1)))
    file = tmp_path / "mixed.jsonl"
    file.write_text("\n".join(["{}", good, "<html></html>", '{"data": {"candles": []}}']))

    done = stored("chain", "import", file, "--json")

    assert done.status == 3
    assert (done.document["documents"], done.document["snapshots"]) == (4, 1)
    assert [each["fault"] for each in done.document["refused"]] == [
        "empty_object",
        "html",
        "not_a_chain",
    ]


def test_a_damaged_file_ends_where_it_is_damaged_and_the_next_one_is_read(
    stored: Run, shared_data: Path, tmp_path: Path
) -> None:
    lines = [json.dumps(body(shared_data, V3.format(1)))] * 3
    whole = gzip.compress("\n".join(lines).encode())
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(whole[:-20])

    done = stored("chain", "import", cut, shared_data / V3.format(2), "--json")

    assert done.status == 3
    [refused] = done.document["refused"]
    assert (refused["file"], refused["fault"]) == (str(cut), "not_json")
    assert "truncated or damaged" in refused["why"]
    assert done.document["snapshots"] == 2


def test_the_audit_counts_documents_and_snapshots(
    stored: Run, database_url: str, shared_data: Path
) -> None:
    for _ in range(2):
        stored("chain", "import", shared_data / V3.format(1))

    store = open_store(database_url, World.LIVE)
    again, first = recent_runs(store, job="chain-import")
    store.close()

    assert (first.requested, first.stored, first.details["repeated"]) == (1, 1, 0)
    assert (again.requested, again.stored, again.details["repeated"]) == (1, 0, 1)
    assert stored("chain", "import", shared_data / V3.format(1), "--json").document["legs"] == 0


def test_a_body_without_a_time_is_refused_without_one(stored: Run, shared_data: Path) -> None:
    refused = stored("chain", "import", shared_data / UPSTOX, "--json")
    taken = stored("chain", "import", shared_data / UPSTOX, "--at", FRIDAY, "--json")

    assert (refused.status, refused.document["refused"][0]["fault"]) == (3, "no_capture_time")
    assert (taken.status, taken.document["snapshots"]) == (0, 1)


def test_a_whole_market_is_imported(stored: Run, database_url: str, shared_data: Path) -> None:
    archive = shared_data / "nse_option_chain_old/universe_2025-07-17.tar.gz"

    done = stored("chain", "import", archive, "--json")

    assert done.status == 0
    assert (done.document["documents"], done.document["legs"]) == (229, 27812)
    assert counted(database_url, OptionChainData) == 27812
    shown = stored("chain", "show", "M&M", "--json").document
    assert (shown["underlying"], shown["expiry"]) == ("M&M", "2025-07-31")


# --------------------------------------------------------------------- show, metrics, surface


@pytest.fixture
def market(stored: Run, shared_data: Path) -> Run:
    """NIFTY of one evening in 2025, all its expiries, and two captures of 2026."""
    old = shared_data / "nse_option_chain_old/NIFTY_2025-07-17.json.gz"
    assert stored("chain", "import", old, *(shared_data / V3.format(n) for n in (1, 2))).status == 0
    return stored


@pytest.mark.parametrize(
    ("options", "expiry", "received_at"),
    [
        pytest.param([], "2026-06-23", "2026-06-19T15:30:00.000001+05:30", id="the newest"),
        pytest.param(
            ["--at", "2026-06-19T15:30:00"],
            "2026-06-23",
            "2026-06-19T15:30:00+05:30",
            id="as of the first capture",
        ),
        pytest.param(
            ["--at", "2026-01-01"], "2026-03-26", "2025-07-17T15:30:00+05:30", id="months later"
        ),
        pytest.param(
            ["--at", "2025-07-17T15:30:00"],
            "2025-07-24",
            "2025-07-17T15:30:00+05:30",
            id="the expiry of that day is over at its close",
        ),
        pytest.param(
            ["--expiry", "2025-12-24"], "2025-12-24", "2025-07-17T15:30:00+05:30", id="named"
        ),
    ],
)
def test_show_as_of_any_instant(
    market: Run, options: list[str], expiry: str, received_at: str
) -> None:
    shown = market("chain", "show", "nifty", *options, "--json").document

    assert (shown["expiry"], shown["received_at"]) == (expiry, received_at)


@pytest.mark.parametrize(
    ("kept", "options", "rows"),
    [
        pytest.param(None, [], 25, id="twelve on each side"),
        pytest.param(3, [], 7, id="as many as are configured"),
        pytest.param(3, ["--strikes", "2"], 5, id="as many as are named"),
    ],
)
def test_show_prints_strikes_around_the_money(
    market: Run, database_url: str, kept: int | None, options: list[str], rows: int
) -> None:
    store = open_store(database_url, World.LIVE)
    nifty = SymbolConfig(symbol="NIFTY", instrument_key="NSE_INDEX|Nifty 50", strikes=kept)
    SymbolConfigs(store).set(nifty, datetime.now(IST))
    store.close()

    ladder = market("chain", "show", "nifty", *options).printed.splitlines()

    first = next(n for n, line in enumerate(ladder) if "strike" in line.split())
    end = next(n for n, line in enumerate(ladder) if line.startswith("PCR"))
    assert end - first - 1 == rows
    assert len(market("chain", "show", "nifty", *options, "--json").document["legs"]) == 206


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        pytest.param(["TCS"], "no chain of TCS is stored", id="nothing of it"),
        pytest.param(["NIFTY", "--at", "2020-01-01"], "as of 2020-01-01", id="nothing by then"),
        pytest.param(["NIFTY", "--expiry", "2026-06-30"], "There are: 2026-06-23", id="no such"),
    ],
)
def test_a_missing_chain_is_reported_with_the_stored_ones(
    market: Run, arguments: list[str], printed: str
) -> None:
    done = market("chain", "show", *arguments)

    assert done.status == 2
    assert printed in done.remarked


def test_metrics_against_the_previous_close(market: Run) -> None:
    document = market("chain", "metrics", "NIFTY", "--json").document

    assert document["baseline"] == {"name": "previous-close", "since": None}
    assert len(document["by_strike"]) == 206
    assert sum(document["build_up"].values()) > 100
    lowest = min(document["payout_curve"], key=lambda point: point["payout"])
    assert lowest["strike"] == document["metrics"]["max_pain"]


def test_metrics_against_an_earlier_snapshot(market: Run) -> None:
    """Between the two captures 132 legs changed their open interest."""
    document = market("chain", "metrics", "NIFTY", "--baseline", "day-open", "--json").document

    changed = [each for each in document["by_strike"] if each["oi_change"]]
    assert document["baseline"]["since"] == "2026-06-19T15:30:00+05:30"
    assert len(changed) == 132


@pytest.mark.parametrize("baseline", ["yesterday", "m", "-5m", "5"])
def test_a_baseline_that_is_none(market: Run, baseline: str) -> None:
    done = market("chain", "metrics", "NIFTY", "--baseline", baseline)

    assert done.status == 2
    assert "minutes like 15m" in done.remarked


@pytest.mark.parametrize(
    ("day", "opening"),
    [
        pytest.param("2026-09-16", "09:15", id="as usual"),
        pytest.param("2025-10-21", "13:45", id="an hour of Muhurat trading"),
        pytest.param("2026-09-13", "09:15", id="a Sunday"),
        pytest.param("2031-01-01", "09:15", id="beyond the calendar"),
    ],
)
def test_the_day_opens_when_derivatives_begin_to_trade(day: str, opening: str) -> None:
    at = opening_of(MarketCalendar.reviewed(), date.fromisoformat(day))

    assert f"{at.astimezone(IST):%Y-%m-%d %H:%M}" == f"{day} {opening}"


def test_the_surface_of_an_evening(market: Run, tmp_path: Path) -> None:
    picture = tmp_path / "surface.png"

    document = market(
        "chain", "surface", "NIFTY", "--at", "2025-07-17T15:30:00", "--png", picture, "--json"
    ).document

    near = document["expiries"][0]
    assert near["expiry"] == "2025-07-24"
    assert near["risk_reversal"] < 0
    assert len(document["expiries"]) >= 8
    assert picture.read_bytes().startswith(b"\x89PNG")


# ------------------------------------------------------------------------------ reprocess


def keep(
    folder: Path, at: datetime, response: bytes, status: int = 200, underlying: str = "NIFTY"
) -> None:
    raw_store = RawResponseStore(folder / "data" / "vault" / "live", 7)
    raw_store.append(
        [StoredResponse("nse", underlying, date(2026, 6, 23), RawResponse(at, status, response))]
    )


def test_reprocessing_adds_what_was_not_parsed_and_keeps_the_rest(
    stored: Run, database_url: str, shared_data: Path, tmp_path: Path
) -> None:
    response = json.dumps(body(shared_data, V3.format(1))).encode()
    other = json.dumps(body(shared_data, V3.format(2))).encode()
    noon = datetime(2026, 6, 19, 12, 0, tzinfo=IST)
    for minute, kept in enumerate((response, response, b"<html></html>", other)):
        keep(tmp_path, noon.replace(minute=minute), kept)

    first = stored("chain", "reprocess", "--json").document
    again = stored("chain", "reprocess", "--json").document

    assert first == {
        "bodies": 4,
        "renewed": 0,
        "added": 2,
        "unchanged": 0,
        "confirming": 1,
        "faults": {"html": 1},
    }
    assert again == first | {"added": 0, "unchanged": 2}
    assert counted(database_url, ChainSnapshotRow) == 2
    before = stored("chain", "show", "NIFTY", "--at", "2026-06-19T12:02", "--json").document
    assert before["confirmations"] == 2


def test_reprocessing_stores_the_strikes_that_are_configured_of_a_renamed_stock(
    stored: Run, database_url: str, shared_data: Path, tmp_path: Path
) -> None:
    noon = datetime(2026, 6, 19, 12, 0, tzinfo=IST)
    before = stock("NIFTY", "INE000000019")
    store = open_store(database_url, World.LIVE)
    save_master(store, [before], date(2026, 6, 19), noon)
    save_master(store, [replace(before, symbol="FIFTY")], date(2026, 6, 20), noon)
    config = SymbolConfig(symbol="FIFTY", instrument_key=before.instrument_key, strikes=2)
    SymbolConfigs(store).set(config, noon)
    store.close()
    keep(tmp_path, noon, json.dumps(body(shared_data, V3.format(1))).encode())

    stored("chain", "reprocess", "--json")

    document = stored("chain", "show", "FIFTY", "--json").document
    assert document["underlying"] == "FIFTY"
    assert len({leg["strike"] for leg in document["legs"]}) == 5


@pytest.mark.parametrize(
    ("underlying", "status", "change", "fault"),
    [
        pytest.param("BANKNIFTY", 200, None, "other_chain", id="another underlying's"),
        pytest.param("NIFTY", 403, None, "forbidden", id="refused, though it looks like one"),
        pytest.param("NIFTY", 503, None, "server_error", id="an error of the site"),
        pytest.param("NIFTY", 200, {"records": {}, "filtered": {}}, "empty_object", id="empty"),
    ],
)
def test_reprocessing_rejects_what_polling_rejects(
    stored: Run,
    database_url: str,
    shared_data: Path,
    tmp_path: Path,
    underlying: str,
    status: int,
    change: dict[str, Any] | None,
    fault: str,
) -> None:
    response = json.dumps(body(shared_data, V3.format(1)) if change is None else change).encode()
    noon = datetime(2026, 6, 19, 12, 0, tzinfo=IST)
    keep(tmp_path, noon, response, status, underlying=underlying)

    done = stored("chain", "reprocess", "--json")

    assert (done.status, done.document["faults"]) == (3, {fault: 1})
    assert counted(database_url, ChainSnapshotRow) == 0
    store = open_store(database_url, World.LIVE)
    [run] = recent_runs(store, job="chain-rederive")
    store.close()
    assert (run.outcome, run.requested, run.stored, run.absent) == ("incomplete", 1, 0, 1)


@pytest.mark.parametrize(
    ("response", "added", "fault"),
    [
        pytest.param({}, 1, {}, id="a good answer"),
        pytest.param({"status": "partial_success"}, 0, {"not_a_chain": 1}, id="a part of one"),
        pytest.param({"status": "error", "errors": [{"errorCode": "UDAPI100050"}]}, 0,
                     {"unauthorised": 1}, id="an error"),
    ],
)  # fmt: skip
def test_answers_of_upstox_are_read_with_their_envelope(
    stored: Run,
    shared_data: Path,
    tmp_path: Path,
    response: dict[str, Any],
    added: int,
    fault: dict[str, int],
) -> None:
    answer = json.dumps(body(shared_data, UPSTOX) | response).encode()
    at = datetime(2024, 6, 24, 12, 0, tzinfo=IST)
    raw_store = RawResponseStore(tmp_path / "data" / "vault" / "live", 7)
    raw_store.append(
        [StoredResponse("upstox", "NIFTY", date(2024, 6, 27), RawResponse(at, 200, answer))]
    )

    document = stored("chain", "reprocess", "--json").document

    assert (document["added"], document["faults"]) == (added, fault)


def test_the_former_name_of_reprocess_still_works_and_is_not_listed(stored: Run) -> None:
    assert stored("chain", "rederive", "--json").document["bodies"] == 0
    assert "rederive" not in stored("chain", "--help").printed


# -------------------------------------------------------------------------------- symbols


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        pytest.param(["set", "NIFTY", "--refresh", "1"], "--refresh", id="too soon"),
        pytest.param(["set", "NIFTY", "--expiries", "0"], "--expiries", id="no expiry"),
        pytest.param(["set", "NIFTY", "--strikes", "few"], "neither 'all'", id="no number"),
        pytest.param(["add", "NOBODY"], "no instrument named NOBODY", id="an unknown symbol"),
        pytest.param(["pause", "RELIANCE"], "RELIANCE is not polled", id="not polled"),
    ],
)
def test_wrong_use_of_symbols(polling: Run, arguments: list[str], printed: str) -> None:
    done = polling("symbols", *arguments)

    assert done.status == 2
    assert printed in done.remarked


def test_symbols_from_defaults_to_decisions(polling: Run) -> None:
    polling("symbols", "add", "RELIANCE", "M&M", "--refresh", "60", "--pin")
    polling("symbols", "set", "NIFTY", "--expiries", "3", "--strikes", "20")
    polling("symbols", "pause", "FINNIFTY")

    document = polling("symbols", "list", "--json").document

    by_symbol = {each["symbol"]: each for each in document["symbols"]}
    assert [by_symbol["NIFTY"][name] for name in ("expiries", "strikes", "active")] == [3, 20, True]
    assert by_symbol["FINNIFTY"]["active"] is False
    assert by_symbol["M&M"]["refresh_seconds"] == 60
    assert [each["symbol"] for each in document["symbols"]][:2] == ["M&M", "RELIANCE"]
    assert document["requests_per_minute"]["requested"] == 4 * 2 + 3 * 2 + 2
    assert document["feasible"] is True


@pytest.mark.parametrize(
    ("wrong", "printed"),
    [
        pytest.param("NOBODY", "no instrument named NOBODY", id="an unknown symbol"),
        pytest.param("INDIA VIX", "no option on INDIA VIX is listed", id="it has no options"),
    ],
)
def test_symbols_are_added_all_or_none(polling: Run, wrong: str, printed: str) -> None:
    done = polling("symbols", "add", "RELIANCE", wrong)

    assert (done.status, printed in done.remarked) == (2, True)
    listed = polling("symbols", "list", "--json").document["symbols"]
    assert "RELIANCE" not in {each["symbol"] for each in listed}


def test_collecting_without_a_polled_symbol_is_wrong_use(polling: Run) -> None:
    listed = polling("symbols", "list", "--json").document["symbols"]
    polling("symbols", "pause", *(each["symbol"] for each in listed))

    done = polling("chain", "collect", "--once")

    assert done.status == 2
    assert "nothing is polled" in done.remarked


def test_collecting_one_expiry_and_several_is_wrong_use(polling: Run) -> None:
    done = polling("chain", "collect", "--expiry", "2026-09-29", "--expiries", "2")

    assert (done.status, "--expiry or --expiries" in done.remarked) == (2, True)


def test_a_paused_symbol_is_polled_again_when_it_is_added(polling: Run) -> None:
    polling("symbols", "set", "NIFTY", "--expiries", "2")
    polling("symbols", "pause", "NIFTY")
    polling("symbols", "add", "NIFTY")

    [nifty] = [
        each
        for each in polling("symbols", "list", "--json").document["symbols"]
        if each["symbol"] == "NIFTY"
    ]

    assert (nifty["active"], nifty["expiries"]) == (True, 2)


def test_status_reports_an_interval_that_is_too_short(
    polling: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    polling("symbols", "list")
    monkeypatch.setenv("NSE_FETCH_INTERVAL", "5")

    document = polling("status", "--json").document["chains"]
    printed = polling("status").printed

    assert document["nse_fetch_interval"] == {"requested": 5.0, "feasible": 16.7, "actual": None}
    assert (
        "NSE_FETCH_INTERVAL=5 is too short for 6 symbols: the minimum is 16.7 s (actual: none yet)."
        in printed
    )


DOWNLOAD = "cases/nse_download_option_chain.csv"


def test_a_table_downloaded_from_nse_is_priced(run: Run, shared_data: Path) -> None:
    named = ("--symbol", "nifty", "--expiry", "2024-06-27", "--at", "2024-06-24T12:00")

    document = run("chain", "price", shared_data / DOWNLOAD, *named, "--json").document

    first = next(leg for leg in document["legs"] if leg["option_type"] == "PE")
    assert (document["underlying"], first["strike"], first["oi_contracts"]) == (
        "NIFTY",
        22950,
        46139,
    )
    assert any(leg["iv"] is not None for leg in document["legs"])


def test_a_downloaded_table_needs_its_underlying_and_expiry(run: Run, shared_data: Path) -> None:
    done = run("chain", "price", shared_data / DOWNLOAD)

    assert done.status != 0
    assert "a table downloaded from NSE's page" in done.remarked
    assert "--symbol" in done.remarked
