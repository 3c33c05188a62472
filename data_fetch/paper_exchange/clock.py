"""The paper market's own time: the market is open whenever somebody looks.

The clock runs through each trading day and leaps over the time when nothing is traded. It
keeps where it stands in a small file, so that a restart goes on where it stopped. When the
calendar has no more trading days, the paper market begins again as it did the first time.
"""

import json
import os
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from threading import RLock

from data_fetch.core.clock import IST, ScaledClock, stopwatch
from data_fetch.core.errors import CalendarUnknown, SetupError
from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS, MarketCalendar

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
    time is 09:15:50 in India. Raises SetupError when the state file cannot be read
    or written, CalendarUnknown when the calendar does not reach *start*.
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
        if start is not None:
            calendar.session(start.astimezone(IST).date(), FUTURES_AND_OPTIONS)
        self._calendar = calendar
        self._today = today
        self._state_file = state_file
        self._leaping = RLock()
        self._awake_until = datetime.min.replace(tzinfo=IST)
        self._kept_at = stopwatch() - KEEP_EVERY_SECONDS
        self._paused_by, self._paused_until = "", stopwatch()
        self._seen_kept = _kept(state_file)
        first = start or self._seen_kept or first_look(calendar, today)
        super().__init__(first, speed)
        # A file that cannot be written is told before anybody relies on this clock.
        self.now()

    def now(self) -> datetime:
        """The present instant; 15 seconds before the next open when the day was over.

        After the last trading day of the calendar, the first look once more.
        """
        with self._leaping:
            at = self._reading()
            if at > self._awake_until:
                at = self._leapt(at)
            self._keep(at)
            return at

    def set(self, now: datetime) -> None:
        """From here on it is *now*. Raises CalendarUnknown where the calendar does not reach."""
        self._calendar.session(now.astimezone(IST).date(), FUTURES_AND_OPTIONS)
        with self._leaping:
            self._awake_until = datetime.min.replace(tzinfo=IST)
            self._move(now)

    @property
    def paused(self) -> bool:
        """Whether the clock stands still at this moment."""
        return stopwatch() < self._paused_until

    def pause(self, holder: str, seconds: float) -> None:
        """Stand still until *holder* resumes, at most for so many real seconds.

        A new holder replaces the one before it, which may have been killed.
        """
        with self._leaping:
            now = self.now()
            self._paused_by, self._paused_until = holder, stopwatch() + seconds
            self._move(now)

    def resume(self, holder: str) -> None:
        """Run on. Changes nothing when another holder paused the clock since."""
        with self._leaping:
            if holder == self._paused_by:
                now = self.now()
                self._paused_by, self._paused_until = "", stopwatch()
                self._move(now)

    def _reading(self) -> datetime:
        with self._lock:
            start, since = self._anchor
            return start + timedelta(seconds=max(0.0, stopwatch() - since) * self.speed)

    def _move(self, at: datetime) -> None:
        """Make it *at*; time runs on from there, after the pause if there is one."""
        with self._lock:
            self._anchor = (at.astimezone(UTC), max(stopwatch(), self._paused_until))

    def _leapt(self, at: datetime) -> datetime:
        """*at*, or the next moment to look; notes how long nothing need be done."""
        over = self._day_over(at.astimezone(IST).date())
        if over is None or at > over:
            at = self._next_look(at)
            over = self._day_over(at.astimezone(IST).date())
            self._move(at)
        self._awake_until = over or at
        return at

    def _next_look(self, at: datetime) -> datetime:
        try:
            return self._calendar.next_open(at, FUTURES_AND_OPTIONS) - BEFORE_OPEN
        except CalendarUnknown:
            return first_look(self._calendar, self._today)

    def _day_over(self, day: date) -> datetime | None:
        """When *day* has nothing more to come; None when it has no session we know of."""
        try:
            session = self._calendar.session(day, FUTURES_AND_OPTIONS)
        except CalendarUnknown:
            return None
        if not session.open:
            return None
        closed = datetime.combine(day, session.windows[-1].end, IST) + AFTER_CLOSE
        return max(closed, datetime.combine(day, DAY_IS_OVER, IST))

    def _keep(self, at: datetime) -> None:
        """Write *at* down, at most once a real second; a reader never sees half of it."""
        if self._state_file is None or stopwatch() - self._kept_at < KEEP_EVERY_SECONDS:
            return
        self._kept_at = stopwatch()
        if self._overtaken(self._state_file, at):
            return
        draft = self._state_file.with_name(f"{self._state_file.name}.{os.getpid()}")
        try:
            self._state_file.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps({"now": at.isoformat()}), encoding="utf-8")
            draft.replace(self._state_file)
        except OSError as problem:
            raise SetupError(
                f"the paper market's time cannot be kept in {self._state_file} ({problem})",
                hint="Name a file in a folder that can be written.",
            ) from problem
        self._seen_kept = at

    def _overtaken(self, state_file: Path, at: datetime) -> bool:
        """Whether another market that keeps its time here has come further than this one.

        A command may have an exchange of its own while a scheduler starts one: what the
        scheduler's market has reached must not be put back by it.
        """
        try:
            kept = _kept(state_file)
        except SetupError:
            return False
        return kept is not None and kept != self._seen_kept and kept > at


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
            hint="Delete the file to begin on the latest trading day.",
        ) from problem
