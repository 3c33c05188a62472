"""How the list of the files that are read changes."""

from datetime import UTC, date, datetime, timedelta

from data_fetch.core.archive.manifest import (
    KEPT_AFTERWARDS,
    FileKind,
    Manifest,
    ManifestFile,
    overdue,
    with_days,
    without,
)
from data_fetch.core.world import World

DAY, NEXT = date(2026, 9, 16), date(2026, 9, 17)
NOW = datetime(2026, 9, 16, 4, tzinfo=UTC)
EMPTY = Manifest(world=World.PAPER, store_id="one")


def file(path: str, kind: FileKind = FileKind.PART, day: date = DAY) -> ManifestFile:
    return ManifestFile(
        table="ltp_data",
        trading_date=day,
        kind=kind,
        path=path,
        rows=1,
        size_bytes=1,
        sha256="",
        schema_version=1,
    )


def holding(*files: ManifestFile) -> Manifest:
    days = {(each.table, each.trading_date) for each in files}
    return with_days(
        EMPTY, {key: [f for f in files if (f.table, f.trading_date) == key] for key in days}, NOW
    )


def paths(manifest: Manifest) -> list[str]:
    return [each.path for each in manifest.files]


def test_the_files_of_a_day_replace_its_former_ones_and_no_others() -> None:
    before = holding(file("a"), file("b"), file("c", day=NEXT))
    after = with_days(before, {("ltp_data", DAY): [file("b"), file("d")]}, NOW)
    assert paths(after) == ["b", "d", "c"]
    assert [each.path for each in after.retired] == ["a"]
    assert after.sequence == before.sequence + 1


def test_who_is_late_cannot_undo_a_sealed_day() -> None:
    before = holding(file("sealed", FileKind.SEALED))
    assert paths(with_days(before, {("ltp_data", DAY): [file("part")]}, NOW)) == ["sealed"]
    anew = {("ltp_data", DAY): [file("sealed again", FileKind.SEALED)]}
    assert paths(with_days(before, anew, NOW)) == ["sealed again"]


def test_a_former_file_is_removed_an_hour_later() -> None:
    retired = with_days(holding(file("a")), {("ltp_data", DAY): [file("b")]}, NOW)
    assert overdue(retired, NOW + KEPT_AFTERWARDS - timedelta(seconds=1)) == ()
    gone = overdue(retired, NOW + KEPT_AFTERWARDS)
    assert [each.path for each in gone] == ["a"]
    assert without(retired, gone).retired == ()


def test_a_file_that_is_read_again_is_not_removed() -> None:
    retired = with_days(holding(file("a")), {("ltp_data", DAY): [file("b")]}, NOW)
    back = with_days(retired, {("ltp_data", DAY): [file("a")]}, NOW)
    assert [each.path for each in back.retired] == ["b"]
