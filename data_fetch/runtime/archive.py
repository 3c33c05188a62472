"""Builds the archive of a store: its folder, what readers see of it, and its workers."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timedelta
from threading import Event

from filelock import FileLock, Timeout

from data_fetch.archive.catalog import Catalog
from data_fetch.archive.folder import ArchiveFolder
from data_fetch.archive.manifest_file import read_manifest
from data_fetch.archive.minute_files import MinuteFiles
from data_fetch.core.archive.compaction import WINDOW
from data_fetch.core.archive.days import Dataset
from data_fetch.core.archive.lifecycle import Retention
from data_fetch.core.archive.minutes import TIME_TO_STORE
from data_fetch.core.archive.places import archive_root
from data_fetch.core.clock import MINUTE, SystemClock
from data_fetch.core.errors import SetupError
from data_fetch.core.files import OWNER_ONLY, make_folder
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import ARCHIVE_DAYS, ARCHIVE_LOAD, ARCHIVE_MINUTES
from data_fetch.core.world import World
from data_fetch.runtime.calendars import calendar_for
from data_fetch.runtime.paper_market import market_clock
from data_fetch.runtime.stores import store_for
from data_fetch.services.archive_lifecycle import ArchiveLifecycle
from data_fetch.services.archive_loader import ArchiveLoader
from data_fetch.services.archive_minutes import MinuteWriter
from data_fetch.services.archive_workers import ArchiveWorker, ArchiveWorkers, Round
from data_fetch.services.compaction_units import CompactionOffers
from data_fetch.storage.database.store import Store, store_id
from data_fetch.storage.runs import record_runs
from data_fetch.storage.work_units import WorkUnits

# A minute is written when its jobs had time, and then joined with others.
WRITE_OFFSET = TIME_TO_STORE + timedelta(seconds=2)
LOAD_OFFSET = WRITE_OFFSET + timedelta(seconds=18)
# Days are over in the evening; the rounds between cost a few look-ups.
DAYS_EVERY, DAYS_OFFSET = timedelta(minutes=15), LOAD_OFFSET + timedelta(seconds=20)

# Makes the rounds that see to the days of a store.
DayRounds = Callable[[Store, ArchiveLifecycle], Callable[[], Round]]


def archive_folder_for(settings: Settings) -> ArchiveFolder:
    """Where the archive of the configured world is. Raises SetupError if that is unreadable."""
    beside = None
    if settings.archive_folder is None:
        beside = read_manifest(ArchiveFolder(settings.data_folder).manifest)
    owner = None if beside is None else beside.world
    return ArchiveFolder(
        archive_root(settings.archive_folder, settings.data_folder, settings.world, owner)
    )


def catalog_for(settings: Settings, store: Store) -> Catalog:
    """What readers see of the archive of *store*."""
    folder = archive_folder_for(settings)
    return Catalog(folder, store.world, store_id(store), SystemClock())


def market_time(settings: Settings) -> Callable[[], datetime]:
    """The time of the market, asked for anew each time: a paper exchange comes and goes."""
    if settings.world is World.LIVE:
        return SystemClock().now
    calendar = calendar_for(settings)
    return lambda: market_clock(settings, calendar).now()


def days_here(_store: Store, lifecycle: ArchiveLifecycle) -> Callable[[], Round]:
    """Rounds that work on the days in this process."""
    return lifecycle.round


def days_by_workers(store: Store, lifecycle: ArchiveLifecycle) -> Callable[[], Round]:
    """Rounds that leave the days to `data-fetch worker`."""
    return CompactionOffers(WorkUnits(store), lifecycle, SystemClock()).round


@contextmanager
def archive_workers_for(
    settings: Settings, report: Callable[[str], None], days: DayRounds = days_here
) -> Iterator[ArchiveWorkers]:
    """The workers of the configured archive, for as long as no other program archives there.

    Raises SetupError while another one does, for a folder of another store, world or program, and
    for one that cannot be written, which is in the audit then.
    """
    store = store_for(settings)
    try:
        catalog = catalog_for(settings, store)
        catalog.read()
        with ExitStack() as held:
            try:
                held.enter_context(_the_only_archiver(catalog.folder))
            except OSError as problem:
                refusal = _not_writable(catalog.folder, problem)
                _record_failure(store, market_time(settings)(), refusal)
                raise refusal from problem
            yield _workers(settings, store, catalog, report, days)
    finally:
        store.close()


@contextmanager
def archive_lifecycle_for(
    settings: Settings, report: Callable[[str], None]
) -> Iterator[ArchiveLifecycle]:
    """What seals, verifies, drops and restores the days of the configured store."""
    with closing(store_for(settings)) as store:
        yield lifecycle_of(settings, store, report)


def lifecycle_of(
    settings: Settings, store: Store, report: Callable[[str], None], stop: Event | None = None
) -> ArchiveLifecycle:
    """The same of an open store."""
    return ArchiveLifecycle(
        store=store,
        catalog=catalog_for(settings, store),
        retention=retention_of(settings),
        now=market_time(settings),
        report=report,
        stop=stop or Event(),
    )


def retention_of(settings: Settings) -> Retention:
    """How long days stay in the store."""
    hot_days = {
        Dataset.CHAINS: settings.hot_chain_days,
        Dataset.QUOTES: settings.hot_quote_days,
        Dataset.CANDLES: settings.hot_candle_days,
    }
    return Retention(hot_days=hot_days, confirmed_at=settings.finalise_at)


@contextmanager
def _the_only_archiver(folder: ArchiveFolder) -> Iterator[None]:
    """Raises SetupError beside another one, OSError for a folder that cannot be written."""
    make_folder(folder.processed)
    lock = FileLock(folder.lock, mode=OWNER_ONLY)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise SetupError(
            f"another program archives into {folder.root}",
            hint="A collector does so by itself. To archive beside it, stop it or set "
            "ARCHIVE_ENABLED=false for it.",
        ) from None
    try:
        yield
    finally:
        lock.release()


def _not_writable(folder: ArchiveFolder, problem: OSError) -> SetupError:
    return SetupError(
        f"the archive cannot be written to {folder.root} ({problem.strerror or problem})",
        hint="Let this user write there, or set ARCHIVE_FOLDER to another folder. Until then "
        "nothing is archived or dropped; collecting goes on.",
    )


def _record_failure(store: Store, now: datetime, refusal: SetupError) -> None:
    run = SyncRun.begin(ARCHIVE_DAYS, now)
    record_runs(store, [run.finish(now, Outcome.FAILED, error=str(refusal))])


def _workers(
    settings: Settings,
    store: Store,
    catalog: Catalog,
    report: Callable[[str], None],
    days: DayRounds,
) -> ArchiveWorkers:
    now = market_time(settings)
    # Each has a list of files of its own: they are independent of each other.
    files = [MinuteFiles(catalog.folder, store.world, report) for _ in range(2)]
    stop = Event()
    lifecycle = lifecycle_of(settings, store, report, stop)
    writer = MinuteWriter(store, catalog, files[0], now)
    loader = ArchiveLoader(catalog, files[1], now)

    def worker(
        job: str, work: Callable[[], Round], every: timedelta, offset: timedelta
    ) -> ArchiveWorker:
        return ArchiveWorker(
            job=job, work=work, every=every, offset=offset, store=store, now=now, report=report
        )

    return ArchiveWorkers(
        [
            worker(ARCHIVE_MINUTES, writer.round, MINUTE, WRITE_OFFSET),
            worker(ARCHIVE_LOAD, loader.round, WINDOW, LOAD_OFFSET),
            worker(ARCHIVE_DAYS, days(store, lifecycle), DAYS_EVERY, DAYS_OFFSET),
        ],
        loader.prepare,
        stop,
    )
