"""`data-fetch feed`: recordings listed and read again."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from feed_folders import patient_recorder
from feed_stub import NIFTY, RELIANCE, live_prices, snapshot

from data_fetch.cli.main import main

Printed = tuple[int, str, str]
Run = Callable[..., Printed]
# 10:30 IST.
START = datetime(2026, 9, 16, 5, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the collector of an empty working folder records."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UPSTOX_ACCESS_TOKEN", raising=False)
    monkeypatch.setenv("DATA_SOURCE", "paper")
    return tmp_path / "data" / "feed" / "paper"


@pytest.fixture
def recorded(folder: Path) -> Path:
    """Two minutes with a snapshot, ninety seconds of prices, and one message of junk."""
    recorder = patient_recorder(folder)
    recorder.add(snapshot({NIFTY: 25_000.0, RELIANCE: 1_400.0}, START), START)
    for n in range(1, 90):
        recorder.add(live_prices({NIFTY: 25_000.0 + n}, START + n * SECOND), START + n * SECOND)
    recorder.add(b"\xff junk", START + 90 * SECOND)
    recorder.close()
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: str) -> Printed:
        with pytest.raises(SystemExit) as end:
            main(["feed", *arguments])
        printed = capsys.readouterr()
        code = end.value.code
        assert isinstance(code, int)
        return code, printed.out, printed.err

    return command


def test_without_a_recording_the_settings_are_named(folder: Path, run: Run) -> None:
    assert run("recordings") == (
        0,
        f"No recording in {folder}.\n",
        "A collector records with FEED_ENABLED=true and FEED_RECORDING_DAYS.\n",
    )


def test_days_are_listed_with_minutes_messages_and_bytes(recorded: Path, run: Run) -> None:
    size = sum(file.stat().st_size for file in recorded.rglob("*.parquet"))

    code, out, _ = run("recordings")
    _, document, _ = run("recordings", "--json")

    assert code == 0
    assert out.splitlines() == [
        "2026-09-16  2 minutes, 91 messages, 0.0 MB",
        f"1 day in {recorded}",
    ]
    day = {"day": "2026-09-16", "minutes": 2, "messages": 91, "bytes": size, "damaged_files": []}
    assert json.loads(document) == {"folder": str(recorded), "days": [day]}


def test_a_replay_shows_what_a_day_contains(recorded: Path, run: Run) -> None:
    code, out, _ = run("replay", "2026-09-16")
    _, printed, _ = run("replay", str(recorded / "2026-09-16"), "--json")
    document = json.loads(printed)

    assert code == 0
    assert out.splitlines() == [
        f"Messages  91 with {document['bytes']:,} bytes in 2 files: 1 cannot be read, 0 in text",
        "Ticks     91 of 2 keys",
        "Received  2026-09-16T10:30:00+05:30 to 2026-09-16T10:31:29+05:30",
        f"Digest    {document['digest']}",
    ]
    assert document["keys"] == {RELIANCE: 1, NIFTY: 90}
    assert (document["junk"], document["dropped"]["duplicates"]) == (1, 0)
    assert len(document["digest"]) == 64


def test_a_damaged_file_is_named(recorded: Path, run: Run) -> None:
    damaged = recorded / "2026-09-16" / "1030.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    named = f"{damaged} is damaged: it ends where it cannot be read\n"

    for arguments in (("recordings",), ("replay", "2026-09-16")):
        code, _, err = run(*arguments)
        assert (code, err) == (3, named)


@pytest.mark.parametrize("place", ["2026-09-17", "nowhere"])
def test_a_place_without_a_recording_is_refused(recorded: Path, run: Run, place: str) -> None:
    code, _, err = run("replay", place)

    assert code == 2
    assert "there is no recording of the feed at" in err
    assert "data-fetch feed recordings" in err


def test_a_file_of_another_kind_is_damaged(folder: Path, run: Run, tmp_path: Path) -> None:
    for name in ("notes.txt", "notes.jsonl"):
        file = tmp_path / name
        file.write_text("some notes\n")
        code, out, err = run("replay", str(file))
        assert (code, err) == (3, f"{file} is damaged: it ends where it cannot be read\n")
        assert "Ticks     0 of 0 keys" in out


def test_an_export_has_the_ticks_of_each_minute_in_a_parquet_file(
    recorded: Path, run: Run, tmp_path: Path
) -> None:
    target = tmp_path / "ticks"

    code, out, _ = run("export", "2026-09-16", str(target))
    _, printed, _ = run("export", str(recorded / "2026-09-16"), str(target), "--json")

    assert (code, out) == (0, f"91 ticks in 2 files in {target}\n")
    assert json.loads(printed) == {
        "folder": str(target), "files": 2, "ticks": 91, "damaged_files": [],
    }  # fmt: skip
    files = sorted(target.rglob("*"))[1:]
    assert [file.name for file in files] == ["1030.parquet", "1031.parquet"]
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT instrument_key, count(*), arg_max(ltp, received_at) "
            "FROM read_parquet(?) GROUP BY 1 ORDER BY 1",
            [f"{target}/*/*.parquet"],
        ).fetchall()
    assert rows == [(RELIANCE, 1, 1_400.0), (NIFTY, 90, 25_089.0)]


def test_an_export_replaces_no_recording(recorded: Path, run: Run) -> None:
    before = {file: file.read_bytes() for file in recorded.rglob("*.parquet")}

    code, _, err = run("export", "2026-09-16", str(recorded))

    assert code == 2
    assert "1030.parquet is there and is no file of ticks" in err
    assert "Name another folder" in err
    assert {file: file.read_bytes() for file in recorded.rglob("*.parquet")} == before


def test_an_export_of_a_damaged_recording_has_what_is_before_the_damage(
    recorded: Path, run: Run, tmp_path: Path
) -> None:
    damaged = recorded / "2026-09-16" / "1031.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-20])

    code, _, err = run("export", "2026-09-16", str(tmp_path / "ticks"))

    assert code == 3
    assert f"{damaged} is damaged" in err
