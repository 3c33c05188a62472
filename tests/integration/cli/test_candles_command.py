"""`data-fetch candles`: exports in three formats, and corrections one by one."""

import csv
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from candle_shelf import (
    EVENING,
    RELIANCE,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    Shelf,
    environment_for,
    shelf_at,
    stock,
    whole_day,
)
from click.testing import CliRunner
from pyarrow import parquet

from data_fetch.cli.candles import command
from data_fetch.cli.main import main
from data_fetch.core.clock import IST
from data_fetch.core.settings import Settings

TCS = stock("TCS", "INE467B01029")
SPAN = ["--from", "2025-06-10", "--to", "2025-06-11"]


@dataclass(frozen=True)
class Outcome:
    status: int
    output: str
    remarked: str


@pytest.fixture
def shelf(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """The store of the working folder: it knows RELIANCE and TCS."""
    (tmp_path / "nse_fo_stock_symbols.txt").write_text("RELIANCE\nTCS\n")
    for field in Settings.model_fields.values():
        for name in getattr(field.validation_alias, "choices", ()):
            monkeypatch.delenv(name, raising=False)
    for name, value in environment_for(database_url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    shelf = shelf_at(database_url, tmp_path)
    shelf.lists(TUESDAY, RELIANCE, TCS)
    yield shelf
    shelf.store.close()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> Outcome:
        status = 0
        try:
            main(["candles", *arguments])
        except SystemExit as ended:
            status = int(ended.code or 0)
        response = capsys.readouterr()
        return Outcome(status, response.out, response.err)

    return run


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2025, 6, 10, hour, minute, tzinfo=IST)


def from_csv(text: str) -> list[dict[str, Any]]:
    kinds: dict[str, Any] = {
        **dict.fromkeys(("open", "high", "low", "close"), float),
        **dict.fromkeys(("volume", "oi"), int),
        "is_final": {"true": True, "false": False}.__getitem__,
    }
    return [
        {name: kinds.get(name, str)(value) for name, value in row.items()}
        for row in csv.DictReader(io.StringIO(text))
    ]


def from_parquet(path: Path) -> list[dict[str, Any]]:
    rows = parquet.read_table(path).to_pylist()
    return [{**row, "timestamp": row["timestamp"].astimezone(IST).isoformat()} for row in rows]


def test_the_formats_say_the_same(shelf: Shelf, run: Any, tmp_path: Path) -> None:
    shelf.keeps(RELIANCE, TUESDAY, {0: 0.1 + 0.2, 1: 1500.05})
    shelf.keeps(RELIANCE, WEDNESDAY, {374: 1501.0}, final=False)
    file = tmp_path / "candles.parquet"

    as_csv = run("export", "RELIANCE", *SPAN, "--format", "csv")
    as_json = run("export", "RELIANCE", *SPAN, "--format", "json")
    as_parquet = run("export", "RELIANCE", *SPAN, "--format", "parquet", "--output", str(file))

    document = json.loads(as_json.output)
    rows = document["candles"]
    assert [row["timestamp"] for row in rows] == [
        "2025-06-10T09:15:00+05:30",
        "2025-06-10T09:16:00+05:30",
        "2025-06-11T15:29:00+05:30",
    ]
    assert [row["close"] for row in rows] == [0.1 + 0.2, 1500.05, 1501.0]
    assert [row["is_final"] for row in rows] == [True, True, False]
    assert from_csv(as_csv.output) == from_parquet(file) == rows
    assert document["symbol"] == "RELIANCE"
    assert document["instrument_keys"] == [RELIANCE.instrument_key]
    assert document["interval"] == "1minute"
    assert (document["completeness"]["present"], document["completeness"]["missed"]) == (3, 747)
    kept = parquet.read_schema(file).metadata[b"completeness"]
    assert json.loads(kept) == document["completeness"]
    assert as_parquet.output == ""


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_file_gets_what_standard_output_would(
    shelf: Shelf, run: Any, tmp_path: Path, form: str
) -> None:
    shelf.keeps(RELIANCE, TUESDAY, whole_day())
    file = tmp_path / "candles.out"

    printed = run("export", "RELIANCE", *SPAN, "--format", form)
    written = run("export", "RELIANCE", *SPAN, "--format", form, "--output", str(file))

    assert file.read_text(encoding="utf-8") == printed.output
    assert written.output == ""


def test_a_missed_minute_ends_in_a_remark_with_the_command_and_status_3(
    shelf: Shelf, run: Any
) -> None:
    shelf.keeps(RELIANCE, TUESDAY, whole_day())

    ended = run("export", "RELIANCE", *SPAN, "--format", "csv")

    assert ended.status == 3
    assert "375 of 750 expected minutes are present" in ended.remarked
    assert "375 missed" in ended.remarked
    assert (
        "data-fetch backfill --symbols RELIANCE --from 2025-06-10 --to 2025-06-11" in ended.remarked
    )


def test_a_range_the_source_has_answered_for_ends_with_status_0(shelf: Shelf, run: Any) -> None:
    shelf.keeps(RELIANCE, TUESDAY, whole_day())
    shelf.answered(RELIANCE, WEDNESDAY)

    ended = run("export", "RELIANCE", *SPAN, "--format", "csv")

    assert ended.status == 0
    assert "375 the source does not have, 0 missed" in ended.remarked
    assert "backfill" not in ended.remarked


def test_a_range_without_a_candle_still_has_its_header(shelf: Shelf, run: Any) -> None:
    ended = run("export", "RELIANCE", *SPAN, "--format", "csv")

    assert ended.output == (
        "timestamp,open,high,low,close,volume,oi,kind,is_final,instrument_key,source\n"
    )


def test_a_long_export_has_one_header(shelf: Shelf, run: Any) -> None:
    for day in (TUESDAY, date(2025, 8, 20)):
        shelf.keeps(RELIANCE, day, {0: 10.0})

    ended = run(
        "export", "RELIANCE", "--from", "2025-06-10", "--to", "2025-08-20", "--format", "csv"
    )

    assert [row["timestamp"][:10] for row in from_csv(ended.output)] == ["2025-06-10", "2025-08-20"]


def test_as_of_exports_what_was_known_then(shelf: Shelf, run: Any) -> None:
    shelf.keeps(RELIANCE, TUESDAY, {0: 10.0}, at=at(9, 17), final=False)
    shelf.keeps(RELIANCE, TUESDAY, {0: 10.5}, at=at(20))

    def close(as_of: str) -> list[float]:
        ended = run("export", "RELIANCE", *SPAN, "--format", "csv", "--as-of", as_of)
        return [row["close"] for row in from_csv(ended.output)]

    assert close("2025-06-10T12:00:00+05:30") == [10.0]
    assert close("2025-06-10T14:30:00Z") == [10.5]


def test_parquet_goes_through_a_pipe_and_not_to_a_terminal(
    shelf: Shelf, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.keeps(RELIANCE, TUESDAY, {0: 10.0}, at=at(12))
    arguments = ["export", "RELIANCE", *SPAN, "--format", "parquet"]

    piped = tmp_path / "piped.parquet"
    piped.write_bytes(CliRunner().invoke(command, arguments).stdout_bytes)

    assert [row["close"] for row in from_parquet(piped)] == [10.0]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    refused = run(*arguments)
    assert (refused.status, refused.output) == (2, "")
    assert "--output" in refused.remarked


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "UNKNOWN", *SPAN, "--format", "csv"], "no instrument named UNKNOWN"),
        (
            ["export", "RELIANCE", *SPAN, "--format", "csv", "--as-of", "2025-06-10T12:00:00"],
            "time zone",
        ),
        (
            ["export", "RELIANCE", "--from", "2025-06-11", "--to", "2025-06-10", "--format", "csv"],
            "2025-06-11 is later than 2025-06-10",
        ),
        (["diff"], "--date"),
    ],
)
def test_wrong_use_is_told_and_nothing_is_printed(
    shelf: Shelf, run: Any, arguments: list[str], message: str
) -> None:
    ended = run(*arguments)

    assert ended.status == 2
    assert message in ended.remarked
    assert ended.output == ""


class TestDiff:
    """Which candles of a trading date were corrected."""

    @pytest.fixture(autouse=True)
    def corrected(self, shelf: Shelf) -> None:
        """RELIANCE twice at 09:15 and once at 09:20, TCS once, and another day."""
        shelf.keeps(RELIANCE, TUESDAY, {0: 10.0, 1: 20.0, 5: 30.0}, at=at(9, 30), final=False)
        shelf.keeps(TCS, TUESDAY, {0: 50.0}, at=at(9, 30), final=False)
        shelf.keeps(RELIANCE, TUESDAY, {0: 10.5, 1: 20.0, 5: 30.0}, at=at(10), final=False)
        shelf.keeps(RELIANCE, TUESDAY, {0: 10.7, 1: 20.0, 5: 30.5}, at=at(20))
        shelf.keeps(TCS, TUESDAY, {0: 50.5}, at=at(20, 1))
        shelf.keeps(RELIANCE, THURSDAY, {0: 10.0}, at=EVENING, final=False)
        shelf.keeps(RELIANCE, THURSDAY, {0: 11.0}, at=EVENING)

    def test_corrections_come_one_by_one_with_both_versions(self, run: Any) -> None:
        ended = run("diff", "--date", "2025-06-10", "--json")

        document = json.loads(ended.output)
        assert (document["date"], document["interval"]) == ("2025-06-10", "1minute")
        assert [
            (
                each["symbol"],
                each["timestamp"],
                each["revision"],
                each["old"]["close"],
                each["new"]["close"],
                each["superseded_at"],
            )
            for each in document["revisions"]
        ] == [
            ("RELIANCE", "2025-06-10T09:15:00+05:30", 1, 10.0, 10.5, "2025-06-10T10:00:00+05:30"),
            ("RELIANCE", "2025-06-10T09:15:00+05:30", 2, 10.5, 10.7, "2025-06-10T20:00:00+05:30"),
            ("RELIANCE", "2025-06-10T09:20:00+05:30", 1, 30.0, 30.5, "2025-06-10T20:00:00+05:30"),
            ("TCS", "2025-06-10T09:15:00+05:30", 1, 50.0, 50.5, "2025-06-10T20:01:00+05:30"),
        ]
        last = document["revisions"][1]
        assert last["instrument_key"] == RELIANCE.instrument_key
        assert (last["old"]["is_final"], last["new"]["is_final"]) == (False, True)
        assert last["old"]["fetched_at"] == "2025-06-10T10:00:00+05:30"
        assert (last["old"]["run_id"], last["new"]["run_id"]) == (
            f"run of {at(10):%H:%M:%S}",
            f"run of {at(20):%H:%M:%S}",
        )
        assert ended.status == 0

    def test_for_people_each_has_a_line_with_what_changed(self, run: Any) -> None:
        output = run("diff", "--date", "2025-06-10", "--symbols", "TCS").output

        line, total = output.splitlines()
        assert line.startswith("TCS          09:15  revision 1  ")
        assert "close 50.0 -> 50.5" in line
        assert "is_final False -> True" in line
        assert "volume" not in line
        assert line.endswith("superseded 2025-06-10T20:01:00+05:30")
        assert total == "2025-06-10, 1minute: 1 correction"

    def test_a_day_without_corrections_says_so(self, run: Any) -> None:
        ended = run("diff", "--date", "2025-06-11", "--json")

        assert json.loads(ended.output)["revisions"] == []
        assert ended.status == 0

    def test_a_symbol_means_the_isin_of_that_day(self, shelf: Shelf, run: Any) -> None:
        shelf.lists(THURSDAY, TCS, stock("RELIANCE", "INE002A01026"))

        ended = run("diff", "--date", "2025-06-10", "--symbols", "RELIANCE", "--json")

        assert len(json.loads(ended.output)["revisions"]) == 3
