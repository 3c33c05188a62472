"""The listed symbols, today's instrument master and the store, brought together."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from hashlib import sha256

from data_fetch.core.errors import SetupError
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.universe import Universe, resolve
from data_fetch.sources.instruments.master import InstrumentMaster
from data_fetch.sources.instruments.rows import read_instruments
from data_fetch.sources.instruments.symbols_file import FoStocksLoader
from data_fetch.storage.database.store import Guard, Store
from data_fetch.storage.instruments.instruments import save_master, saved_digest


def load_universe(
    loader: FoStocksLoader,
    master: InstrumentMaster,
    store: Store,
    now: datetime,
    guard: Guard | None,
    tell: Callable[[str], None],
) -> Universe:
    """The instruments of the listed symbols; the whole master is stored on the way, once.

    *tell* gets what a person should know: warnings, and each symbol the master lacks. Raises
    SetupError when it knows none of them, MasterUnavailable when there is none.
    """
    listed, found = loader.load_fo_stocks_from_file(), master.today()
    if found.warning:
        tell(f"Warning: {found.warning}")
    for bad in listed.malformed:
        tell(f"Warning: {listed.path}, line {bad.line}: {bad.entry!r} left out ({bad.reason})")
    digest = f"{found.as_of} {sha256(found.path.read_bytes()).hexdigest()}"
    kept: list[Instrument] = []
    rows = _keeping_all_but_options(read_instruments(found.path), kept)
    if saved_digest(store) == digest:
        deque(rows, maxlen=0)
    else:
        tell(f"Storing the instrument master of {found.as_of}: {found.instruments} instruments")
        save_master(store, rows, found.as_of, now, digest=digest, guard=guard)
    universe = resolve(listed.entries, kept)
    for missing in universe.unresolved:
        near = f" Near: {', '.join(missing.near)}." if missing.near else ""
        tell(f"Warning: {missing.symbol} is not in the instrument master.{near}")
    if not universe.members:
        raise SetupError(
            f"none of the {universe.listed} symbols in {listed.path} is in the master",
            hint="See why: data-fetch universe",
        )
    return universe


def _keeping_all_but_options(
    instruments: Iterable[Instrument], kept: list[Instrument]
) -> Iterator[Instrument]:
    """All *instruments*, one by one; those that symbols can stand for also go to *kept*."""
    for instrument in instruments:
        if instrument.instrument_type not in {"CE", "PE"}:
            kept.append(instrument)
        yield instrument
