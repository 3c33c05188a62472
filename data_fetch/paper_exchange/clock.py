"""The paper market's own time: the market is open whenever somebody looks.

The clock runs through each trading day and leaps over the time when nothing is traded. It
keeps where it stands in a small file, so that a restart goes on where it stopped.
"""

import json
import os
from datetime import date, datetime, time, timedelta
from pathlib import Path
from threading import RLock

from data_fetch.core.clock import IST, ScaledClock, stopwatch
from data_fetch.core.errors import SetupError
from data_fetch.core.market import FUTURES_AND_OPTIONS, MarketCalendar

FIRST_LOOK = time(9, 15, 50)
# The last jobs of a trading day are due at 16:00.
DAY_IS_OVER = time(16, 5)
AFTER_CLOSE = timedelta(minutes=5)
BEFORE_OPEN = timedelta(seconds=15)
# So much of the calendar is kept ahead, that a new paper market has days to run through.
KEPT_AHEAD = timedelta(days=60)
KEEP_EVERY_SECONDS = 1.0
DAY = timedelta(days=1)


class PaperMarketClock(ScaledClock):
    """Starts at *start*, else where *state_file* says, else on the latest trading day.

    That day is not after *today*, and leaves 60 days of the reviewed calendar ahead; the
    time is 09:15:50 in India. Raises SetupError when the state file cannot be read.
    """

    def __init__(
        self,
        calendar: MarketCalendar,
        *,
        today: date,
        state_file: Path | None = None,
        speed: float = 1.0,
        start: datetime | None = None,
    ) -> None:
        self._calendar = calendar
        self._state_file = state_file
        self._leaping = RLock()
        self._awake_until = datetime.min.replace(tzinfo=IST)
        self._kept_at = stopwatch() - KEEP_EVERY_SECONDS
        first = start or _kept(state_file) or first_look(calendar, today)
        super().__init__(first, speed)

    def now(self) -> datetime:
        """The present instant; 15 seconds before the next open when the day was over."""
        with self._leaping:
            at = super().now()
            if at > self._awake_until:
                at = self._leapt(at)
            self._keep(at)
            return at

    def set(self, now: datetime) -> None:
        with self._leaping:
            self._awake_until = datetime.min.replace(tzinfo=IST)
            super().set(now)

    def _leapt(self, at: datetime) -> datetime:
        """*at*, or the moment before the next open; notes how long nothing need be done."""
        over = self._day_over(at.astimezone(IST).date())
        if over is None or at > over:
            at = self._calendar.next_open(at, FUTURES_AND_OPTIONS) - BEFORE_OPEN
            over = self._day_over(at.astimezone(IST).date())
            super().set(at)
        self._awake_until = over or at
        return at

    def _day_over(self, day: date) -> datetime | None:
        """When *day* has nothing more to come; None when it has no session at all."""
        session = self._calendar.session(day, FUTURES_AND_OPTIONS)
        if not session.open:
            return None
        closed = datetime.combine(day, session.windows[-1].end, IST) + AFTER_CLOSE
        return max(closed, datetime.combine(day, DAY_IS_OVER, IST))

    def _keep(self, at: datetime) -> None:
        """Write *at* down, at most once a real second; a reader never sees half of it."""
        if self._state_file is None or stopwatch() - self._kept_at < KEEP_EVERY_SECONDS:
            return
        self._kept_at = stopwatch()
        self._state_file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._state_file.with_name(f"{self._state_file.name}.{os.getpid()}")
        draft.write_text(json.dumps({"now": at.isoformat()}), encoding="utf-8")
        draft.replace(self._state_file)


def first_look(calendar: MarketCalendar, today: date) -> datetime:
    """Half a minute past the open of the latest trading day that leaves days ahead."""
    day = min(today, calendar.reviewed_until - KEPT_AHEAD)
    while not calendar.session(day, FUTURES_AND_OPTIONS).open:
        day -= DAY
    return datetime.combine(day, FIRST_LOOK, IST)


def _kept(state_file: Path | None) -> datetime | None:
    if state_file is None or not state_file.exists():
        return None
    try:
        kept = datetime.fromisoformat(json.loads(state_file.read_text(encoding="utf-8"))["now"])
        return kept.astimezone(IST)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise SetupError(
            f"{state_file} does not tell the paper market's time ({type(problem).__name__})",
            then="Delete the file to begin on the latest trading day.",
        ) from problem
