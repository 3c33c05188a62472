"""Files of the archive: whole or not there, and checked before they are used."""

import json
import stat
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from data_fetch.archive import parquet_files
from data_fetch.archive.parquet_files import (
    AlteredFile,
    BadFile,
    Expected,
    ForeignFile,
    TornFile,
    facts_of,
    quarantine,
    read_checked,
    write_table_file,
)
from data_fetch.archive.schemas import ARCHIVE_SCHEMAS, ArchiveSchema
from data_fetch.core.files import UNFINISHED, new_file
from data_fetch.core.world import World

DAY = date(2026, 9, 16)
OPENS = datetime(2026, 9, 16, 3, 45, tzinfo=UTC)
QUOTES = ARCHIVE_SCHEMAS["ltp_data"]


def quotes(number: int, first: int = 0) -> pa.Table:
    rows = [
        {
            "symbol": "INFY",
            "timestamp": OPENS + timedelta(minutes=each),
            "instrument_key": "NSE_EQ|INE009A01021",
            "ltp": 1500.0 + each,
            "volume": None,
            "change": None,
            "change_percent": None,
            "prev_close": 1499.0,
            "ltq": each,
            "off_session": False,
            "received_at": OPENS + timedelta(minutes=each, microseconds=1),
            "source": "upstox",
            "run_id": "run",
        }
        for each in range(first, first + number)
    ]
    return pa.Table.from_pylist(rows, QUOTES.arrow)


def written(path: Path, *batches: pa.Table, schema: ArchiveSchema = QUOTES) -> Expected:
    file = write_table_file(path, schema, batches, world=World.PAPER, trading_date=DAY)
    return Expected(file.rows, file.sha256)


def test_a_file_reads_as_it_was_written_and_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "20260916" / "0915.ltp_data.parquet"
    expected = written(path, quotes(3), quotes(2, first=3))
    with read_checked(path, QUOTES, expected, world=World.PAPER) as file:
        assert file.read().equals(quotes(5))
        assert facts_of(file) == {
            "table": "ltp_data",
            "schema_version": "1",
            "world": "paper",
            "trading_date": "2026-09-16",
            "product_version": "0.1.0",
            "sort_order": "symbol,timestamp",
            "rows": "5",
        }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_rows_are_grouped_whatever_portions_they_come_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_files, "ROWS_PER_GROUP", 4)
    written(tmp_path / "a.parquet", quotes(1), quotes(9, first=1), quotes(0), quotes(3, first=10))
    with read_checked(tmp_path / "a.parquet", QUOTES) as file:
        groups = [file.metadata.row_group(each) for each in range(file.num_row_groups)]
        assert [group.num_rows for group in groups] == [4, 4, 4, 1]
        assert file.read().equals(quotes(13))
        assert groups[1].column(1).statistics.min == OPENS + timedelta(minutes=4)


def test_a_day_without_rows_is_a_file_with_columns(tmp_path: Path) -> None:
    expected = written(tmp_path / "a.parquet")
    with read_checked(tmp_path / "a.parquet", QUOTES, expected) as file:
        assert file.read() == QUOTES.arrow.empty_table()


def failing() -> Iterator[pa.Table]:
    yield quotes(1)
    raise OSError(28, "No space left on device")


def test_what_fails_leaves_the_former_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    before = written(path, quotes(2))
    with pytest.raises(OSError, match="No space"):
        write_table_file(path, QUOTES, failing(), world=World.PAPER, trading_date=DAY)
    read_checked(path, QUOTES, before).close()
    assert [each.name for each in tmp_path.iterdir()] == ["a.parquet"]


def test_a_null_where_none_can_be_is_refused(tmp_path: Path) -> None:
    broken = quotes(1).set_column(3, "ltp", pa.array([None], pa.float64()))
    with pytest.raises((pa.ArrowInvalid, ValueError)):
        written(tmp_path / "a.parquet", broken)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_matches_no_pattern(tmp_path: Path) -> None:
    writer = new_file(tmp_path / "a.parquet")
    left = writer.__enter__()
    left.write_bytes(b"PAR1")
    assert list(tmp_path.glob("*.parquet")) == []
    assert left.name.endswith(UNFINISHED)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def of_another_program(path: Path) -> None:
    pq.write_table(quotes(5), path)


def of_another_table(path: Path) -> None:
    candles = ARCHIVE_SCHEMAS["candles"]
    written(path, candles.arrow.empty_table(), schema=candles)


def of_the_other_world(path: Path) -> None:
    write_table_file(path, QUOTES, [quotes(5)], world=World.LIVE, trading_date=DAY)


def of_a_later_version(path: Path) -> None:
    later = ArchiveSchema(table="ltp_data", version=2, arrow=QUOTES.arrow, key=QUOTES.key)
    written(path, quotes(5), schema=later)


def with_fewer_rows(path: Path) -> None:
    written(path, quotes(4))


def that_lies(path: Path) -> None:
    """Its metadata are those of a file with other rows."""
    honest = pq.ParquetFile(path)
    facts = {**honest.metadata.metadata, b"data_fetch.rows": b"6"}
    pq.write_table(honest.read().replace_schema_metadata(facts), path)


def with_a_damaged_fact(path: Path) -> None:
    sound = pq.ParquetFile(path)
    facts = {**sound.metadata.metadata, b"data_fetch.sorted_by": b"timest\xd2mp"}
    pq.write_table(sound.read().replace_schema_metadata(facts), path)


DAMAGES = [
    (cut, TornFile, "not a complete Parquet file"),
    (emptied, TornFile, "not a complete Parquet file"),
    (with_a_damaged_fact, TornFile, "its footer is damaged"),
    (of_another_program, ForeignFile, "another program"),
    (of_another_table, ForeignFile, "a file of candles, not of ltp_data"),
    (of_the_other_world, ForeignFile, "of the live world, not of paper"),
    (of_a_later_version, ForeignFile, "schema version 2; this is version 1"),
    (with_fewer_rows, AlteredFile, "has 4 rows; 5 were written"),
    (that_lies, AlteredFile, "says that it has 6 rows, and has 5"),
]


@pytest.mark.parametrize(("damage", "kind", "reason"), DAMAGES)
def test_a_file_that_cannot_be_used_says_why(
    tmp_path: Path, damage: object, kind: type[BadFile], reason: str
) -> None:
    path = tmp_path / "a.parquet"
    written(path, quotes(5))
    assert callable(damage)
    damage(path)
    with pytest.raises(kind, match=reason):
        read_checked(path, QUOTES, Expected(rows=5), world=World.PAPER)


def flipped(path: Path) -> None:
    with pq.ParquetFile(path) as file:
        last_of_its_page = file.metadata.row_group(0).column(4).data_page_offset - 3
    content = bytearray(path.read_bytes())
    content[last_of_its_page] ^= 0xFF
    path.write_bytes(content)


def test_one_changed_byte_is_seen_by_the_sum_of_the_file_and_by_the_page(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    expected = written(path, quotes(500))
    flipped(path)
    with pytest.raises(AlteredFile, match="SHA-256"):
        read_checked(path, QUOTES, expected)
    with (
        read_checked(path, QUOTES) as file,
        pytest.raises(OSError, match="CRC"),
    ):
        file.read()


def test_quarantine_keeps_each_file_with_its_reason(tmp_path: Path) -> None:
    for content in (b"one", b"two"):
        (tmp_path / "a.parquet").write_bytes(content)
        quarantine(tmp_path / "a.parquet", f"torn: {content!r}", tmp_path / "quarantine")
    kept = sorted(each.name for each in (tmp_path / "quarantine").iterdir())
    assert kept == [
        "a.parquet",
        "a.parquet.2",
        "a.parquet.2.reason.json",
        "a.parquet.reason.json",
    ]
    reason = json.loads((tmp_path / "quarantine" / "a.parquet.2.reason.json").read_text())
    assert reason == {"file": str(tmp_path / "a.parquet"), "reason": "torn: b'two'"}
    assert not (tmp_path / "a.parquet").exists()
