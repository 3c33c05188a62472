"""The clock of the paper market, which is open at any hour.

The clock runs through each trading day and skips closed hours. It saves its time in a state
file, so that a restart continues there.
"""

import json
import logging
import os
from datetime import UTC, date, datetime, time, timedelta
from math import inf
from pathlib import Path
from threading import RLock, get_ident

from data_fetch.core.clock import IST, ScaledClock, stopwatch
from data_fetch.core.errors import SetupError
from data_fetch.core.files import make_folder, private_file
from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS, MarketCalendar

log = logging.getLogger(__name__)

FIRST_START = time(9, 15, 50)
# The last jobs of a trading day are due at 16:00.
LAST_JOBS_DONE = time(16, 5)
AFTER_CLOSE = timedelta(minutes=5)
BEFORE_OPEN = timedelta(seconds=15)
SAVE_EVERY_SECONDS = 1.0
DAY = timedelta(days=1)


class UnpausedMarketClock(ScaledClock):
    """Starts at *start*, else at the time in *state_file*, else on the latest trading day.

    That day is not after *today*, and the time is 09:15:50 IST. Raises SetupError when the state
    file cannot be read or written, CalendarUnknown when *start* is before the calendar.
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
        self._state_file = state_file
        self._now_lock = RLock()
        self._day_ends_at = datetime.min.replace(tzinfo=IST)
        self._saved_at = stopwatch() - SAVE_EVERY_SECONDS
        self._last_saved = _read_state(state_file)
        first = start or self._last_saved or first_start(calendar, today)
        super().__init__(first, speed)
        self._unsaved = False
        # An unwritable file is reported at once; a disk that fills up later stops no market.
        self._save(first)

    def now(self) -> datetime:
        """The current time; 15 seconds before the next open once the day has ended."""
        with self._now_lock:
            at = self._reading()
            if at > self._day_ends_at:
                at = self._skip_closed_hours(at)
            self._save_if_possible(at)
            return at

    def set(self, now: datetime) -> None:
        """Set the time to *now*. Raises CalendarUnknown when it is before the calendar."""
        self._calendar.session(now.astimezone(IST).date(), FUTURES_AND_OPTIONS)
        with self._now_lock:
            self._day_ends_at = datetime.min.replace(tzinfo=IST)
            self._move(now)

    def _reading(self) -> datetime:
        with self._lock:
            start, since = self._anchor
            return start + timedelta(seconds=max(0.0, stopwatch() - since) * self.speed)

    def _move(self, at: datetime) -> None:
        """Set the time to *at*; it runs from there."""
        with self._lock:
            self._anchor = (at.astimezone(UTC), self._runs_from())

    def _runs_from(self) -> float:
        """When, by the stopwatch, a time that is set now begins to run."""
        return stopwatch()

    def _skip_closed_hours(self, at: datetime) -> datetime:
        """*at*, or the next start if the day has ended; stores the end of that day."""
        day_end = self._day_end(at.astimezone(IST).date())
        if day_end is None or at > day_end:
            at = self._calendar.next_open(at, FUTURES_AND_OPTIONS) - BEFORE_OPEN
            day_end = self._day_end(at.astimezone(IST).date())
            self._move(at)
        self._day_ends_at = day_end or at
        return at

    def _day_end(self, day: date) -> datetime | None:
        """When the market and the last jobs of *day* end; None without a session."""
        session = self._calendar.session(day, FUTURES_AND_OPTIONS)
        if not session.open:
            return None
        closed = datetime.combine(day, session.windows[-1].end, IST) + AFTER_CLOSE
        return max(closed, datetime.combine(day, LAST_JOBS_DONE, IST))

    def _save_if_possible(self, at: datetime) -> None:
        """Save *at*; a failure is logged once, until it works again."""
        try:
            self._save(at)
        except SetupError as problem:
            if not self._unsaved:
                log.warning("paper_clock_not_saved", extra={"problem": str(problem)})
            self._unsaved = True
        else:
            self._unsaved = False

    def _save(self, at: datetime) -> None:
        """Save *at* atomically, at most once per real second."""
        if self._state_file is None or stopwatch() - self._saved_at < SAVE_EVERY_SECONDS:
            return
        self._saved_at = stopwatch()
        if self._is_behind(self._state_file, at):
            return
        # Two threads may each have a clock of the same market.
        writer = f"{os.getpid()}.{get_ident()}"
        temporary = self._state_file.with_name(f"{self._state_file.name}.{writer}")
        try:
            make_folder(self._state_file.parent)
            private_file(temporary)
            temporary.write_text(json.dumps({"now": at.isoformat()}), encoding="utf-8")
            temporary.replace(self._state_file)
        except OSError as error:
            raise SetupError(
                f"the paper market's time cannot be saved in {self._state_file} ({error})",
                hint="Choose a file in a writable folder.",
            ) from error
        self._last_saved = at

    def _is_behind(self, state_file: Path, at: datetime) -> bool:
        """Whether another market with this state file has saved a later time.

        A command may run an exchange of its own while a scheduler starts one; it must not set
        the scheduler's market back.
        """
        try:
            saved = _read_state(state_file)
        except SetupError:
            return False
        return saved is not None and saved != self._last_saved and saved > at


class PaperMarketClock(UnpausedMarketClock):
    """A market that can be paused, so that no slot passes while a collector starts."""

    _paused_by = ""
    _paused_until = -inf

    @property
    def paused(self) -> bool:
        """Whether the clock is paused at this moment."""
        return stopwatch() < self._paused_until

    def pause(self, holder: str, seconds: float) -> None:
        """Stop until *holder* resumes the clock, at most for *seconds* of real time.

        A new holder replaces the one before it, which may have been killed.
        """
        with self._now_lock:
            now = self.now()
            self._paused_by, self._paused_until = holder, stopwatch() + seconds
            self._move(now)

    def resume(self, holder: str) -> None:
        """Continue. Has no effect when another holder has paused the clock since."""
        with self._now_lock:
            if holder == self._paused_by:
                now = self.now()
                self._paused_by, self._paused_until = "", stopwatch()
                self._move(now)

    def _runs_from(self) -> float:
        return max(stopwatch(), self._paused_until)


def first_start(calendar: MarketCalendar, today: date) -> datetime:
    """09:15:50 IST on the latest trading day."""
    day = today
    while not calendar.session(day, FUTURES_AND_OPTIONS).open:
        day -= DAY
    return datetime.combine(day, FIRST_START, IST)


def _read_state(state_file: Path | None) -> datetime | None:
    if state_file is None or not state_file.exists():
        return None
    try:
        saved = datetime.fromisoformat(json.loads(state_file.read_text(encoding="utf-8"))["now"])
        return saved.astimezone(IST)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SetupError(
            f"{state_file} does not contain the paper market's time ({type(error).__name__})",
            hint="Delete the file to start on the latest trading day.",
        ) from error
