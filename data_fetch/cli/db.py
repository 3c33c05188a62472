"""`data-fetch db`: create, upgrade, merge and copy stores."""

from dataclasses import asdict
from pathlib import Path

import click

from data_fetch.cli.shared.output import emit, json_option, print_out
from data_fetch.cli.shared.table_progress import table_progress
from data_fetch.cli.shared.world_line import settings_to_store
from data_fetch.runtime.database_setup import set_up
from data_fetch.runtime.settings import process_settings
from data_fetch.storage.database import revisions
from data_fetch.storage.database.engine import engine_for, redacted
from data_fetch.storage.merge import merge as merge_stores


@click.group()
def command() -> None:
    """Create, upgrade, merge and copy stores."""


@command.command()
@json_option
def upgrade(as_json: bool) -> None:
    """Bring the configured store's schema up to date; create what is missing."""
    done = set_up(settings_to_store().store_url)
    if as_json:
        emit(
            {
                "store": done.database,
                "created": done.database_created,
                "from": done.revision_before,
                "to": done.revision,
            }
        )
        return
    if done.database_created:
        print_out(f"Created the database {done.database}.")
    if done.revision_before == done.revision:
        print_out(f"{done.database} is at revision {done.revision} already.")
    else:
        before = done.revision_before or "nothing"
        print_out(f"Brought {done.database} from {before} to revision {done.revision}.")
    print_out("Next: data-fetch run")


@command.command()
@json_option
def current(as_json: bool) -> None:
    """Show which schema revision the configured store has, and which is needed."""
    url = process_settings().store_url
    revision, head = _revision(url), revisions.head()
    up_to_date = revision == head
    if as_json:
        found = {"store": redacted(url), "revision": revision, "head": head}
        emit({**found, "up_to_date": up_to_date})
        return
    print_out(
        f"{redacted(url)} is at revision {revision or 'none'}; this version works with {head}."
    )
    if not up_to_date:
        print_out("Next: data-fetch db upgrade")


@command.command()
@click.argument("src")
@click.argument("dst")
@json_option
def merge(src: str, dst: str, as_json: bool) -> None:
    """Bring the rows of the store at URL SRC into the one at DST; the newer row wins."""
    with table_progress() as watcher:
        changed = merge_stores(src, dst, watcher)
    if as_json:
        emit({"src": redacted(src), "dst": redacted(dst), "changed": changed})
        return
    for name, rows in changed.items():
        print_out(f"{name:<20} {rows:>10,} rows new or changed")
    print_out(f"{redacted(dst)} now has every row of {redacted(src)}.")


@command.command()
@click.argument("src")
@click.argument("dst")
@json_option
def copy(src: str, dst: str, as_json: bool) -> None:
    """Copy the whole store at URL SRC into an empty one at DST; compare both by digests."""
    # Arrow, which the copy needs, takes longer to load than the other commands take to run.
    from data_fetch.storage.copy import copy as copy_store

    with table_progress() as watcher:
        copied = copy_store(src, dst, watcher)
    if as_json:
        tables = {name: asdict(digest) for name, digest in copied.items()}
        emit({"src": redacted(src), "dst": redacted(dst), "tables": tables})
        return
    for name, digest in copied.items():
        print_out(f"{name:<20} {digest.rows:>12,} rows  {digest.digest}")
    print_out(f"{redacted(dst)} equals {redacted(src)}, table by table.")


def _revision(url: str) -> str | None:
    """The store's revision; None for a SQLite file that does not exist, which is not created."""
    engine = engine_for(url)
    try:
        file = engine.url.database if engine.dialect.name == "sqlite" else None
        if file is not None and not Path(file).is_file():
            return None
        return revisions.current(engine)
    finally:
        engine.dispose()
