"""What is taken for the record of a backup."""

from datetime import UTC, datetime
from typing import Any

import pytest

from data_fetch.core.backups import BackupFormat, BackupRecord, TableDigest
from data_fetch.core.errors import SetupError
from data_fetch.core.world import World

RECORD = BackupRecord(
    format=BackupFormat.SQLITE,
    world=World.PAPER,
    revision="0001",
    store="sqlite:///data/paper.db",
    taken_at=datetime(2026, 9, 16, 18, 15, tzinfo=UTC),
    version="1.0",
    size_bytes=4096,
    sha256="ab" * 32,
    timescaledb=None,
    tables={"ltp_data": TableDigest(3, "cd" * 16)},
    archive_files=("quotes/2026-09-16.parquet",),
    store_id="e7",
)


def test_a_record_is_read_as_it_was_written() -> None:
    assert BackupRecord.parsed(RECORD.document(), "a.json") == RECORD


@pytest.mark.parametrize(
    "changed",
    [
        {"size_bytes": "4096"},
        {"size_bytes": None},
        {"sha256": 1},
        {"revision": []},
        {"store_id": 7},
        {"timescaledb": {}},
        {"taken_at": "2026-09-16T18:15:00"},
        {"taken_at": 0},
        {"tables": {"ltp_data": {"rows": "3", "digest": "cd"}}},
        {"tables": {"ltp_data": {"rows": 3, "digest": None}}},
        {"tables": {"ltp_data": {"rows": 3}}},
        {"tables": []},
        {"archive_files": [1]},
        {"format": "tar"},
        {"world": "third"},
        {"surplus": 1},
    ],
    ids=str,
)
def test_a_damaged_record_is_refused_with_its_name(changed: dict[str, Any]) -> None:
    with pytest.raises(SetupError, match=r"a\.json is not the record of a backup"):
        BackupRecord.parsed({**RECORD.document(), **changed}, "a.json")


@pytest.mark.parametrize("document", [None, [], "record", 1])
def test_what_is_no_object_is_no_record(document: object) -> None:
    with pytest.raises(SetupError, match="is not the record of a backup"):
        BackupRecord.parsed(document, "a.json")
