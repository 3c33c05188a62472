"""Manifest and views: what readers see, and when former files go."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from data_fetch.archive.catalog import Catalog
from data_fetch.archive.folder import ArchiveFolder
from data_fetch.archive.manifest_file import read_manifest, write_manifest
from data_fetch.archive.parquet_files import write_table_file
from data_fetch.archive.schemas import ARCHIVE_SCHEMAS, ArchiveSchema
from data_fetch.core.archive.manifest import FileKind, Manifest, ManifestFile, RetiredFile
from data_fetch.core.clock import ScaledClock
from data_fetch.core.errors import SetupError
from data_fetch.core.world import World

DAY, NOW = date(2026, 9, 16), datetime(2026, 9, 16, 4, tzinfo=UTC)
QUOTES = ARCHIVE_SCHEMAS["ltp_data"]
ONE = {
    "symbol": "INFY",
    "timestamp": NOW,
    "instrument_key": "NSE_EQ|INE009A01021",
    "ltp": 1500.0,
    "off_session": False,
    "received_at": NOW,
    "source": "paper",
    "run_id": "run",
}


class Shelf:
    """An archive in *root*, and its clock."""

    def __init__(self, root: Path) -> None:
        self.folder = ArchiveFolder(root)
        self.clock = ScaledClock(NOW, speed=1e-9)
        self.catalog = Catalog(self.folder, World.PAPER, "one", self.clock)

    def file(self, name: str, *symbols: str, schema: ArchiveSchema = QUOTES) -> ManifestFile:
        """A part with a quote of each symbol."""
        path = self.folder.processed_of("ltp_data", DAY) / f"{name}.parquet"
        rows = [{name: ONE.get(name) for name in schema.arrow.names} for _ in symbols]
        table = pa.Table.from_pylist(
            [{**row, "symbol": symbol} for row, symbol in zip(rows, symbols, strict=True)],
            schema.arrow,
        )
        written = write_table_file(path, schema, [table], world=World.PAPER, trading_date=DAY)
        return ManifestFile(
            table="ltp_data",
            trading_date=DAY,
            kind=FileKind.PART,
            path=self.folder.relative(path),
            rows=written.rows,
            size_bytes=written.size_bytes,
            sha256=written.sha256,
            schema_version=schema.version,
            window=NOW,
        )

    def publish(self, *files: ManifestFile) -> None:
        self.catalog.publish({("ltp_data", DAY): files})

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.folder.database), read_only=True) as opened:
            return opened.execute(sql).fetchall()

    @property
    def symbols(self) -> list[str]:
        return [symbol for (symbol,) in self.query("SELECT symbol FROM ltp_data ORDER BY 1")]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "an owner's data")


def test_readers_see_the_files_of_the_list_and_no_others(shelf: Shelf) -> None:
    shelf.file("not listed", "TCS")
    shelf.publish(shelf.file("a", "INFY"), shelf.file("b", "SBIN", "ITC"))
    assert shelf.symbols == ["INFY", "ITC", "SBIN"]
    listed = "SELECT table_name, trading_date, kind, rows FROM archive_files ORDER BY path"
    assert shelf.query(listed) == [("ltp_data", DAY, "part", 1), ("ltp_data", DAY, "part", 2)]


def test_a_reader_that_has_the_former_file_open_goes_on(shelf: Shelf) -> None:
    shelf.publish(shelf.file("a", "INFY"))
    with duckdb.connect(str(shelf.folder.database), read_only=True) as opened:
        shelf.publish(shelf.file("b", "SBIN"))
        assert opened.execute("SELECT symbol FROM ltp_data").fetchall() == [("INFY",)]
    assert shelf.symbols == ["SBIN"]


def test_a_former_file_is_removed_when_no_query_can_have_it(shelf: Shelf) -> None:
    former = shelf.file("a", "INFY")
    shelf.publish(former)
    shelf.publish(shelf.file("b", "SBIN"))
    assert (shelf.folder.root / former.path).exists()
    shelf.clock.set(NOW + timedelta(minutes=61))
    shelf.catalog.rebuild_views()
    assert not (shelf.folder.root / former.path).exists()
    assert shelf.catalog.read().retired == ()


def test_files_of_an_earlier_version_lack_what_came_later(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.publish(shelf.file("a", "INFY"))
    later = ArchiveSchema(
        table="ltp_data",
        version=2,
        arrow=QUOTES.arrow.append(pa.field("venue", pa.string())),
        key=QUOTES.key,
    )
    monkeypatch.setitem(ARCHIVE_SCHEMAS, "ltp_data", later)
    shelf.catalog.rebuild_views()
    assert shelf.query("SELECT symbol, venue FROM ltp_data") == [("INFY", None)]
    shelf.publish(shelf.file("a", "INFY"), shelf.file("b", "SBIN", schema=later))
    assert shelf.symbols == ["INFY", "SBIN"]


def test_views_are_built_again_where_a_program_ended_before_them(shelf: Shelf) -> None:
    shelf.publish(shelf.file("a", "INFY"))
    manifest = shelf.catalog.read()
    shelf.publish(shelf.file("b", "SBIN"))
    write_manifest(shelf.folder.manifest, manifest)
    shelf.catalog.rebuild_views()
    assert shelf.symbols == ["INFY"]


def test_a_manifest_reads_as_it_was_written(shelf: Shelf) -> None:
    manifest = Manifest(
        world=World.LIVE,
        store_id="one",
        sequence=7,
        files=(shelf.file("a", "INFY"),),
        retired=(RetiredFile(path="b", since=NOW),),
    )
    write_manifest(shelf.folder.manifest, manifest)
    assert read_manifest(shelf.folder.manifest) == manifest


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", json.dumps({"format": 2}), json.dumps({"format": 1, "world": "mars"})],
)
def test_a_manifest_that_cannot_be_read_is_not_replaced(shelf: Shelf, content: str) -> None:
    shelf.folder.processed.mkdir(parents=True)
    shelf.folder.manifest.write_text(content)
    with pytest.raises(SetupError, match="is no manifest of an archive"):
        shelf.catalog.rebuild_views()
    assert shelf.folder.manifest.read_text() == content


def test_what_was_not_published_is_removed_and_sealed_days_are_left(shelf: Shelf) -> None:
    published = shelf.file("0915.1", "INFY")
    shelf.publish(published)
    left, sealed = shelf.file("0920.2", "SBIN"), shelf.file("day-1", "ITC")
    assert shelf.catalog.remove_unpublished() == 1
    there = {
        each.path for each in (published, left, sealed) if (shelf.folder.root / each.path).exists()
    }
    assert there == {published.path, sealed.path}
