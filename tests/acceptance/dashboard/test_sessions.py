"""Many sessions on one page of a real dashboard: the store is read for one of them."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from pathlib import Path
from time import monotonic

import pytest
from candle_shelf import EVENING, RELIANCE, TUESDAY, Shelf
from chain_shelf import keep, received
from effort import PATIENCE_SECONDS, times
from option_chains import CALL, PUT, chain_of, leg
from programs import Desk, end

from benchmarks.page_visits import Run, Visit, visit
from data_fetch.core.clock import IST
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.dashboard.desk import SHARED_FOR
from data_fetch.dashboard.numbers import day_and_time
from data_fetch.dashboard.pages import system, today
from data_fetch.storage.database.store import open_store

pytestmark = pytest.mark.long

SESSIONS = times(4, 20)
RECORDER = Path(__file__).parents[2] / "support" / "recorded_statements.py"
STANDS_AT = "2025-06-13T20:30:00+05:30"
EXPIRY = date(2025, 6, 26)
NIFTY = "symbol=NIFTY"
DAYS = f"from={TUESDAY}&to={TUESDAY}"


@dataclass(frozen=True)
class Watched:
    """A dashboard at *url* whose statements are in *file*, and the shelf of its store."""

    url: str
    file: Path
    shelf: Shelf
    numbers: Iterator[int]

    def reads(self, marker: str) -> int:
        """How many statements with *marker* it has sent."""
        return sum(marker in line for line in self.file.read_text().splitlines())

    def another_chain(self) -> str:
        """Store a chain; what a page says of it."""
        number = next(self.numbers)
        at = datetime(2025, 6, 10, 10, tzinfo=IST).astimezone(UTC) + timedelta(minutes=number)
        legs = [leg(24_000, CALL, ltp=90.0 + number), leg(24_000, PUT)]
        keep(self.shelf.store, received(chain_of(legs, expiry=EXPIRY), at))
        return f"as of {day_and_time(at)}"

    def another_minute(self) -> str:
        """Store a candle; what the page Coverage says of it."""
        return f"last change {day_and_time(EVENING + timedelta(minutes=self._keep_minute()))}"

    def another_candle(self) -> str:
        """Store a candle; what the page Candles says of it."""
        opening = datetime.combine(TUESDAY, time(9, 15), IST)
        return f"newest candle {day_and_time(opening + timedelta(minutes=self._keep_minute()))}"

    def _keep_minute(self) -> int:
        number = next(self.numbers)
        at = EVENING + timedelta(minutes=number)
        self.shelf.keeps(RELIANCE, TUESDAY, {number: 1500.0}, at=at)
        return number


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    url, file = f"sqlite:///{folder / 'store.db'}", folder / "statements"
    desk = Desk.at(folder, DATA_SOURCE="paper", DATABASE_URL=url)
    (folder / "data").mkdir()
    (folder / "data" / "paper_clock.json").write_text(json.dumps({"now": STANDS_AT}))
    settings = Settings.load(desk.environment, folder)
    with closing(open_store(url, World.PAPER)) as store:
        shelf = Shelf(store, settings, MarketCalendar.reviewed())
        shelf.lists(TUESDAY, RELIANCE)
        process = subprocess.Popen(
            [sys.executable, RECORDER, file, "dashboard", "--port", "0", "--json"],
            cwd=folder,
            env=desk.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, process.communicate()
            watched = Watched(json.loads(line)["url"], file, shelf, count())
            watched.another_chain()
            watched.another_minute()
            yield watched
        finally:
            end(process, signal.SIGTERM)


def reads_for(
    watched: Watched, sessions: int, page: str, marker: str, change: Callable[[Watched], str]
) -> int:
    """How often *marker* is read after a *change* until that many sessions show it."""
    with ExitStack() as stack, ThreadPoolExecutor(sessions) as together:
        visits = [stack.enter_context(visit(watched.url, page)) for _ in range(sessions)]
        list(together.map(Visit.open, visits))
        before, shown = watched.reads(marker), change(watched)
        began, unseen = monotonic(), list(visits)
        while unseen:
            runs = dict(zip(visits, together.map(Visit.refresh, visits), strict=True))
            unseen = [each for each in unseen if shown not in runs[each].texts]
            assert monotonic() - began < PATIENCE_SECONDS
        return watched.reads(marker) - before


@pytest.mark.parametrize(
    ("page", "marker", "change"),
    [
        pytest.param(
            f"option-chain?{NIFTY}", "FROM option_chain_data", Watched.another_chain, id="ladder"
        ),
        pytest.param(
            f"analytics?{NIFTY}",
            "chain_summary.timestamp BETWEEN",
            Watched.another_chain,
            id="figures of the day",
        ),
        pytest.param(
            f"coverage?days=15&until={TUESDAY}",
            "SELECT coverage.instrument_key, coverage.trading_date",
            Watched.another_minute,
            id="ledger",
        ),
        pytest.param(
            f"candles?symbol=RELIANCE&{DAYS}",
            "FROM candles ",
            Watched.another_candle,
            id="candles",
        ),
    ],
)
def test_what_is_new_is_read_once_for_all_sessions(
    watched: Watched, page: str, marker: str, change: Callable[[Watched], str]
) -> None:
    alone = reads_for(watched, 1, page, marker, change)
    together = reads_for(watched, SESSIONS, page, marker, change)

    assert together == alone > 0


@pytest.mark.parametrize(
    ("page", "marker", "every"),
    [
        pytest.param("", "sync_runs.due_slot BETWEEN", today.EVERY_SECONDS, id="today"),
        pytest.param(
            "system", "GROUP BY sync_runs.job, sync_runs.outcome", system.EVERY_SECONDS, id="system"
        ),
    ],
)
def test_what_changes_with_the_clock_is_read_once_for_each_refresh(
    watched: Watched, page: str, marker: str, every: float
) -> None:
    before, began = watched.reads(marker), monotonic()
    with ExitStack() as stack, ThreadPoolExecutor(SESSIONS) as together:
        visits = [stack.enter_context(visit(watched.url, page)) for _ in range(SESSIONS)]
        runs: list[Run] = [*together.map(Visit.open, visits), *together.map(Visit.refresh, visits)]
    refreshes = 1 + int((monotonic() - began) / (every * SHARED_FOR))

    assert all("as of " in run.texts for run in runs)
    assert 0 < watched.reads(marker) - before <= refreshes
