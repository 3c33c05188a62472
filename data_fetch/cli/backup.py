"""`data-fetch backup`: a store into a file, and back."""

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from data_fetch.cli.shared.output import counted, emit, json_option, print_out, remark
from data_fetch.cli.shared.table_progress import table_progress
from data_fetch.cli.shared.world_line import settings_to_store
from data_fetch.core.clock import IST, SystemClock
from data_fetch.core.settings import Settings
from data_fetch.runtime.archive import archive_folder_for
from data_fetch.runtime.settings import process_settings
from data_fetch.runtime.stores import store_for
from data_fetch.services.backup import (
    Thinned,
    Verified,
    create_backup,
    give_id,
    keep_newest,
    restore_backup,
    verify_backup,
)

SHOWN_FILES = 10
backup_file = click.argument("file", type=click.Path(path_type=Path))


@click.group()
def command() -> None:
    """Back up the store, check a backup, restore it."""


@command.command()
@click.argument("target", required=False, type=click.Path(path_type=Path))
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    metavar="N",
    help="Verify the backup, then remove older ones of this store in the folder but for N in all.",
)
@json_option
def create(target: Path | None, keep: int | None, as_json: bool) -> None:
    """Write the configured store into the file or folder TARGET, while a collector runs.

    Without TARGET into the folder data/backups. The files of the archive are not in it.
    """
    settings = settings_to_store()
    into = target or settings.data_folder / "backups"
    with closing(store_for(settings)) as store, table_progress() as watcher:
        if keep is not None:
            give_id(store)
        file, record = create_backup(store, into, SystemClock(), watcher)
        thinned = None
        if keep is not None:
            archive = _archive_of(settings)
            verified = verify_backup(file, settings.store_url, archive, watcher)
            thinned = keep_newest(file, verified, keep)
    if as_json:
        emit({"file": str(file), **record.document(), **_thinned_document(thinned)})
        return
    print_out(
        f"Wrote {file}: {counted(record.rows, 'row')} of {record.store}, {record.size_bytes:,} "
        "bytes."
    )
    if record.archive_files:
        archived = counted(len(record.archive_files), "file")
        print_out(f"Not in it: {archived} of the archive in {_archive_of(settings)}. Copy those.")
    if thinned is None:
        print_out(f"Next: data-fetch backup verify {file}")
    else:
        _print_thinned(thinned)


@command.command()
@backup_file
@json_option
def verify(file: Path, as_json: bool) -> None:
    """Read the backup in FILE and compare it with what was recorded when it was written."""
    settings = process_settings()
    with table_progress() as watcher:
        verified = verify_backup(file, settings.store_url, _archive_of(settings), watcher)
    if as_json:
        emit(_document(file, verified))
        return
    taken = verified.record.taken_at.astimezone(IST)
    print_out(
        f"{file} is {verified.record.store} as of {taken:%d %b %Y %H:%M:%S} IST: "
        f"{counted(verified.record.rows, 'row')}; {verified.proof}."
    )
    _print_missing(verified, _archive_of(settings))


@command.command()
@backup_file
@click.option("--to", help="URL of the store to fill; otherwise the configured one.")
@json_option
def restore(file: Path, to: str | None, as_json: bool) -> None:
    """Fill an empty store from the backup in FILE, and compare every row.

    A store with rows, or with a collector, is refused.
    """
    settings = settings_to_store()
    url, world = (settings.store_url, settings.world) if to is None else (to, None)
    with table_progress() as watcher:
        restored = restore_backup(file, url, world, _archive_of(settings), watcher)
    if as_json:
        emit(_document(file, restored))
        return
    print_out(f"Restored {counted(restored.record.rows, 'row')} from {file}; every row is equal.")
    _print_missing(restored, _archive_of(settings))
    print_out("Next: data-fetch db current")


def _thinned_document(thinned: Thinned | None) -> dict[str, Any]:
    if thinned is None:
        return {}
    return {
        "kept": [str(file) for file in thinned.kept],
        "removed": [str(file) for file in thinned.removed],
        "unusable": [
            {"file": str(file), "reason": reason} for file, reason in thinned.unusable.items()
        ],
    }


def _print_thinned(thinned: Thinned) -> None:
    print_out(
        f"Its rows are as recorded. {counted(len(thinned.kept), 'backup')} kept, "
        f"{len(thinned.removed):,} removed."
    )
    for file, reason in thinned.unusable.items():
        remark(f"{file} was not counted, and stays: {reason}")


def _document(file: Path, verified: Verified) -> dict[str, Any]:
    return {
        "file": str(file),
        "proof": verified.proof.name.lower(),
        "missing_archive_files": list(verified.missing_files),
        **verified.record.document(),
    }


def _print_missing(verified: Verified, archive: Path) -> None:
    missing = verified.missing_files
    if not missing:
        return
    remark(
        f"Missing in {archive}: {counted(len(missing), 'file')} of the archive, whose days are not "
        "in the backup. Copy them there."
    )
    for name in missing[:SHOWN_FILES]:
        remark(f"  {name}")
    if len(missing) > SHOWN_FILES:
        remark(f"  and {len(missing) - SHOWN_FILES} more")


def _archive_of(settings: Settings) -> Path:
    return archive_folder_for(settings).root
