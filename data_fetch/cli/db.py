"""`data-fetch db`: create, upgrade, merge and copy stores."""

from dataclasses import asdict
from pathlib import Path

import click

from data_fetch.cli.shared.output import emit, json_option, print_out, remark
from data_fetch.cli.shared.table_progress import table_progress
from data_fetch.cli.shared.world_line import settings_to_store
from data_fetch.runtime.database_setup import set_up
from data_fetch.runtime.layouts import convert_store
from data_fetch.runtime.settings import process_settings
from data_fetch.storage.database import revisions
from data_fetch.storage.database.engine import engine_for, reading, redacted
from data_fetch.storage.database.layouts import Layout, layout_of
from data_fetch.storage.merge import merge as merge_stores

LAYOUTS = [layout.value for layout in Layout]


@click.group()
def command() -> None:
    """Create, upgrade, merge and copy stores."""


@command.command()
@click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    help="How PostgreSQL stores large tables that are empty; by default the best it can.",
)
@json_option
def upgrade(layout: str | None, as_json: bool) -> None:
    """Bring the configured store's schema up to date; create what is missing."""
    done = set_up(settings_to_store().store_url, _layout(layout), remark)
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
    """Show the schema revision of the configured store, the one that is needed, its layout."""
    url = process_settings().store_url
    (revision, layout), head = _revision(url), revisions.head()
    up_to_date = revision == head
    if as_json:
        found = {"store": redacted(url), "revision": revision, "head": head}
        emit({**found, "up_to_date": up_to_date, "layout": layout})
        return
    print_out(
        f"{redacted(url)} is at revision {revision or 'none'}; this version works with {head}."
    )
    if layout is not None:
        print_out(f"Layout of its large tables: {layout}.")
    if not up_to_date:
        print_out("Next: data-fetch db upgrade")


@command.command()
@click.argument("target", type=click.Choice(LAYOUTS), required=False)
@json_option
def layout(target: str | None, as_json: bool) -> None:
    """Convert the large tables of a PostgreSQL store, in place, to the layout TARGET.

    By default to hypertables where TimescaleDB is at hand, else to partitions. No collector may
    run. It can be interrupted, and goes on when it is called again.
    """
    with table_progress() as watcher:
        done = convert_store(settings_to_store(), _layout(target), watcher, remark)
    if as_json:
        emit({"store": done.store, "from": done.before, "to": done.after, "rows": done.rows})
    elif done.before is done.after:
        print_out(f"{done.store} has the layout {done.after} already.")
    else:
        print_out(f"Converted {done.store} from {done.before} to {done.after}: {done.rows:,} rows.")


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


def _layout(name: str | None) -> Layout | None:
    return None if name is None else Layout(name)


def _revision(url: str) -> tuple[str | None, Layout | None]:
    """The store's revision and layout; None for a SQLite file that does not exist, which is not
    created."""
    engine = engine_for(url)
    try:
        file = engine.url.database if engine.dialect.name == "sqlite" else None
        if file is not None and not Path(file).is_file():
            return None, None
        revision = revisions.current(engine)
        with reading(engine) as connection:
            return revision, None if revision is None else layout_of(connection)
    finally:
        engine.dispose()
