"""The instruments that the listed symbols stand for, by the instrument master in the store."""

from collections.abc import Callable
from datetime import date, datetime
from hashlib import sha256

from data_fetch.core.errors import SetupError
from data_fetch.core.instruments.universe import Universe
from data_fetch.sources.instruments.master import InstrumentMaster, MasterFile, master_day
from data_fetch.sources.instruments.symbols_file import FoStocksLoader
from data_fetch.storage.database.store import Guard, Store
from data_fetch.storage.instruments.instruments import (
    last_master_date,
    listed_instruments,
    save_master,
    saved_digest,
    see_again,
)

Report = Callable[[str], None]


def load_universe(
    loader: FoStocksLoader,
    master: InstrumentMaster,
    store: Store,
    now: datetime,
    guard: Guard | None,
    report: Report,
) -> Universe:
    """The instruments of the listed symbols; the whole master is stored first, once.

    *report* receives warnings, and each symbol that the master lacks. Raises SetupError when it
    knows none of them, MasterUnavailable when there is no master.
    """
    store_master(master.today(), store, now, guard, report)
    return _listed(loader, store, report)


def known_universe(
    loader: FoStocksLoader, store: Store, now: datetime, report: Report
) -> Universe | None:
    """The same from the store alone; None when it lacks the master of the day of *now*."""
    with store.reading() as connection:
        newest = last_master_date(connection)
    if newest is None or newest < master_day(now) or saved_digest(store) is None:
        return None
    return _listed(loader, store, report)


def store_master(
    found: MasterFile, store: Store, now: datetime, guard: Guard | None, report: Report
) -> None:
    """Store every instrument of *found*, unless that was done before."""
    if found.warning:
        report(f"Warning: {found.warning}")
    content = sha256(found.path.read_bytes()).hexdigest()
    digest = f"{found.as_of} {content}"
    saved = saved_digest(store)
    if saved == digest or _is_seen_again(saved, content, found.as_of, digest, store, guard):
        return
    report(f"Storing the instrument master of {found.as_of}: {found.instruments} instruments")
    save_master(store, found.rows(), found.as_of, now, digest=digest, guard=guard)


def _is_seen_again(
    saved: str | None, content: str, as_of: date, digest: str, store: Store, guard: Guard | None
) -> bool:
    """Whether the last master stored has the same content; then its date is all that changes."""
    saved_on, _, saved_content = (saved or "").partition(" ")
    if saved_content != content or as_of <= (before := date.fromisoformat(saved_on)):
        return False
    return see_again(store, before, as_of, digest, guard)


def _listed(loader: FoStocksLoader, store: Store, report: Report) -> Universe:
    listed = loader.load_fo_stocks_from_file()
    for bad in listed.malformed:
        report(f"Warning: {listed.path}, line {bad.line}: {bad.entry!r} left out ({bad.reason})")
    with store.reading() as connection:
        universe = listed_instruments(connection, listed.entries)
    for followed in universe.followed:
        report(f"{followed}, and collected as that. The list names the former one: {listed.path}")
    for missing in universe.unresolved:
        near = f" Near: {', '.join(missing.near)}." if missing.near else ""
        report(f"Warning: {missing.symbol} is not in the instrument master.{near}")
    if not universe.members:
        raise SetupError(
            f"none of the {universe.listed} symbols in {listed.path} is in the master",
            hint="See why: data-fetch universe",
        )
    return universe
