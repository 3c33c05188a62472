"""Chooses the store that `run` collects into.

While the configured database cannot be used, `run` collects into a SQLite file that stands in for
it. `status` and `doctor` then report `degraded`, until everything in that file has been merged:
when the database is back, or at the next start.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event, Thread

from sqlalchemy import make_url

from data_fetch.core.errors import DataFetchError, SchemaDiffers, StoreFailure, StoreUnreachable
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import QUOTES
from data_fetch.runtime.stores import has_stand_in, waiting_rows
from data_fetch.storage.database.leadership import keeping_leaders_out
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.merge import copy_reference, merge
from data_fetch.storage.runs import last_due_slot
from data_fetch.storage.stand_in import begin_standing_in, end_standing_in, first_slot

log = logging.getLogger("data_fetch.data_scheduler")

Report = Callable[[str], None]

# How often a degraded collector looks whether its database is back.
WATCH_SECONDS = 5.0

# A database that `run` can do without for a while. In use it may refuse for a while, too (no
# room, read-only after a failover); a right that is refused from the start is to be given first.
OUTAGE = (StoreFailure, SchemaDiffers)
OUTAGE_AT_START = (StoreUnreachable, SchemaDiffers)


@dataclass(frozen=True, slots=True)
class ChosenStore:
    """The store to collect into; *outage* is why it is not the configured one.

    *replaceable*: another one stands in when it cannot be used. Slots after *accounted_until*
    that have no row in it get one; None: those after its last row.
    """

    store: Store
    replaceable: bool
    outage: str | None = None
    accounted_until: datetime | None = None


def store_for_run(settings: Settings, report: Report) -> ChosenStore:
    """The configured store, with what waits in the other one; that one if it cannot be used.

    Raises the errors of `open_store`; where nothing stands in for it, those of an outage, too.
    """
    try:
        store = open_store(settings.store_url, settings.world)
    except OUTAGE_AT_START as problem:
        return stand_in_for_run(settings, problem, report)
    try:
        accounted_until = _bring_over(settings, store, report)
    except OUTAGE as problem:
        store.close()
        return stand_in_for_run(settings, problem, report)
    except DataFetchError as problem:
        report(f"WARNING: the rows are not brought over: {problem} `run` tries again.")
        accounted_until = None
    return ChosenStore(store, has_stand_in(settings), accounted_until=accounted_until)


def stand_in_for_run(
    settings: Settings,
    problem: DataFetchError,
    report: Report,
    accounted_until: datetime | None = None,
) -> ChosenStore:
    """The store that stands in because of *problem*, which is raised where there is none."""
    if not has_stand_in(settings):
        raise problem
    store = open_store(settings.stand_in_url, settings.world)
    why = f"{problem.message}; collecting into {store.name} instead"
    report(f"WARNING: {why}. {problem.hint} When the database is back, the rows are brought over.")
    log.error("degraded", extra={"store": store.name, "problem": problem.message})
    begin_standing_in(store, why)
    return ChosenStore(store, False, problem.message, accounted_until)


def make_stand_in_ready(settings: Settings, store: Store) -> None:
    """Give the store that may have to stand in for *store* its instruments, on a thread: a change
    in the middle of a minute has no time for it."""

    def copy() -> None:
        try:
            with closing(open_store(settings.stand_in_url, settings.world)) as other:
                copy_reference(store, other)
        except DataFetchError as problem:
            log.warning("stand_in_not_ready", extra={"problem": problem.message})

    Thread(target=copy, name="stand-in", daemon=True).start()


@contextmanager
def returning(
    settings: Settings, chosen: ChosenStore, back: Event, report: Report
) -> Iterator[None]:
    """Bring rows over as soon as the configured store can be used, while collecting goes on, and
    set *back* then: the rest is brought over in a moment. Does nothing in that store itself."""
    if chosen.outage is None:
        yield
        return
    ended = Event()

    def watch() -> None:
        while not ended.wait(WATCH_SECONDS):
            if _is_back(settings):
                report("The database can be used again.")
                back.set()
                return

    # A merge that is ended with the process is done again.
    Thread(target=watch, name="return", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _is_back(settings: Settings) -> bool:
    """Whether the configured store has what waits, or would never take it.

    Only writing the rows shows whether it can be written to.
    """
    try:
        open_store(settings.store_url, settings.world).close()
        merge(settings.stand_in_url, settings.store_url)
    except OUTAGE as problem:
        log.info("still_degraded", extra={"problem": problem.message})
        return False
    except DataFetchError as problem:
        log.error("not_brought_over", extra={"problem": problem.message})
    return True


def _bring_over(settings: Settings, store: Store, report: Report) -> datetime | None:
    """Merge what waits into *store*, and empty the store that stood in.

    The last slot that *store* had before that time: slots in between may have no row.
    """
    waiting = waiting_rows(settings)
    if waiting is None:
        return None
    with (
        keeping_leaders_out(Path(make_url(settings.stand_in_url).database or "")),
        closing(open_store(settings.stand_in_url, settings.world)) as stood_in,
    ):
        report(f"{waiting.rows:,} rows of {stood_in.name} are brought over.")
        first = first_slot(stood_in, QUOTES)
        if waiting.rows:
            merge(settings.stand_in_url, settings.store_url)
        end_standing_in(stood_in)
    report("All rows are brought over.")
    return None if first is None else last_due_slot(store, QUOTES, before=first)
