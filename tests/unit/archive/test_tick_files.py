"""Ticks in Parquet files."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pyarrow import parquet as pq

from data_fetch.archive import tick_files
from data_fetch.archive.feed_recordings import write_minute
from data_fetch.archive.tick_files import write_ticks
from data_fetch.core.errors import SetupError
from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.recorder import RecordedMessage
from data_fetch.core.feed.ticks import (
    BestPrices,
    Detail,
    Greeks,
    MinuteBar,
    Tick,
    ms_of_instant,
)

# 10:30 IST.
AT = datetime(2026, 9, 16, 5, 0, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
POOR = Tick("NSE_INDEX|Nifty 50", Mode.LTPC, 25_000.5, 0, None, None, AT, None, None)
WHOLE = Tick(
    "NSE_FO|1",
    Mode.FULL,
    100.5,
    ms_of_instant(AT),
    75,
    95.0,
    AT + SECOND,
    AT,
    Detail(
        900,
        7_500,
        0.14,
        Greeks(0.5, -3.0, 0.001, 2.0, 0.1),
        BestPrices(100.0, 75, None, None),
        (MinuteBar(ms_of_instant(AT), 100.0, 101.0, 99.0, 100.5, 150),),
    ),
)


def recording() -> bytes:
    with TemporaryDirectory() as folder:
        message = RecordedMessage(AT, b"x")
        return write_minute(Path(folder), AT, [[message]]).read_bytes()


def names(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.parquet"))


def test_a_row_has_all_that_the_tick_says(tmp_path: Path) -> None:
    [file] = write_ticks([POOR, WHOLE], tmp_path)

    poor, whole = pq.read_table(file.path).to_pylist()
    assert file.ticks == 2
    assert {name: value for name, value in poor.items() if value is not None} == {
        "received_at": AT,
        "instrument_key": "NSE_INDEX|Nifty 50",
        "mode": "ltpc",
        "ltp": 25_000.5,
    }
    assert whole == {
        "received_at": AT + SECOND,
        "server_time": AT,
        "instrument_key": "NSE_FO|1",
        "mode": "full",
        "ltp": 100.5,
        "traded_at": AT,
        "ltq": 75,
        "prev_close": 95.0,
        "volume": 900,
        "oi": 7_500,
        "iv": 0.14,
        "delta": 0.5,
        "theta": -3.0,
        "gamma": 0.001,
        "vega": 2.0,
        "rho": 0.1,
        "bid": 100.0,
        "bid_qty": 75,
        "ask": None,
        "ask_qty": None,
        "minutes": [
            {"start": AT, "open": 100.0, "high": 101.0, "low": 99.0, "close": 100.5, "volume": 150}
        ],
    }


def test_each_minute_of_india_has_a_file(tmp_path: Path) -> None:
    midnight = datetime(2026, 9, 16, 18, 30, tzinfo=UTC)
    received = (midnight - SECOND, midnight, midnight + SECOND)

    files = list(write_ticks((POOR._replace(received_at=at) for at in received), tmp_path))

    assert names(tmp_path) == ["2026-09-16/2359.parquet", "2026-09-17/0000.parquet"]
    assert [file.ticks for file in files] == [1, 2]


def test_a_minute_into_which_the_clock_was_set_back_has_two_files(tmp_path: Path) -> None:
    received = (AT, AT + MINUTE, AT)

    list(write_ticks((POOR._replace(received_at=at) for at in received), tmp_path))

    assert names(tmp_path) == [f"2026-09-16/{name}.parquet" for name in ("1030-2", "1030", "1031")]


def test_a_second_export_replaces_the_first(tmp_path: Path) -> None:
    list(write_ticks([POOR, WHOLE], tmp_path))

    [file] = write_ticks([WHOLE], tmp_path)

    assert names(tmp_path) == ["2026-09-16/1030.parquet"]
    assert pq.read_metadata(file.path).num_rows == 1


@pytest.mark.parametrize(
    "content", [b"", b"PAR1 damaged", recording()], ids=["empty", "damaged", "a recording"]
)
def test_a_file_of_something_else_is_not_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "2026-09-16" / "1030.parquet"
    path.parent.mkdir()
    path.write_bytes(content)

    with pytest.raises(SetupError, match="is there and is no file of ticks"):
        list(write_ticks([POOR], tmp_path))

    assert path.read_bytes() == content


def test_a_long_minute_is_written_group_by_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tick_files, "ROWS_PER_GROUP", 2)

    [file] = write_ticks([WHOLE] * 5, tmp_path)

    written = pq.read_metadata(file.path)
    assert (file.ticks, written.num_rows, written.num_row_groups) == (5, 5, 3)


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    [file] = write_ticks([WHOLE], tmp_path / "made")

    assert file.path.stat().st_mode & 0o077 == 0
    assert file.path.parent.stat().st_mode & 0o077 == 0
