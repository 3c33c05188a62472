"""Records the messages of a feed in a thread of its own, so that no disk holds up the feed."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from queue import SimpleQueue
from threading import Lock, Thread

from data_fetch.core.clock import minute_of
from data_fetch.core.feed.recorder import RecordedMessage, RecordingStatus

# What may wait for the disk: a minute of 2,000 `full` keys a second, four of 5,000 `ltpc` keys.
MOST_WAITING_BYTES = 64_000_000
# Messages go to the disk together when they have so many bytes, or when their minute ends.
GROUP_BYTES = 8_000_000
# What a message occupies in memory beside its content.
MESSAGE_BYTES = 200
# How long the end of a feed waits for its disk; the end of a collector waits longer for the feed.
CLOSE_SECONDS = 2.0
TOO_SLOW = "the feed is not recorded: the disk is too slow, or does not answer"
FAILED = "the feed is not recorded: an error of the recorder; see the log"

log = logging.getLogger(__name__)

WriteMinute = Callable[[datetime, Iterable[Sequence[RecordedMessage]]], object]


@dataclass(slots=True)
class _Group:
    messages: list[RecordedMessage] = field(default_factory=list)
    size: int = 0


class _Minute:
    """The messages of one minute, on their way from the feed's thread to that of the disk.

    *number* is that of the minute since the start of the recorder, *problem* why not all of its
    messages are recorded.
    """

    def __init__(self, start: datetime, number: int) -> None:
        self.start = start
        self.number = number
        self.problem = ""
        self._group = _Group()
        self._groups: SimpleQueue[_Group | None] = SimpleQueue()

    def add(self, message: RecordedMessage, size: int) -> None:
        self._group.messages.append(message)
        self._group.size += size
        if self._group.size >= GROUP_BYTES:
            self._hand_over()

    def end(self) -> None:
        self._hand_over()
        self._groups.put(None)

    def groups(self) -> Iterator[_Group]:
        """The groups, as they come, until the minute has ended."""
        return iter(self._groups.get, None)

    def _hand_over(self) -> None:
        if self._group.messages:
            self._groups.put(self._group)
            self._group = _Group()


class FeedRecorder:
    """Hands the messages of each minute to *write*, in groups and in order.

    *write* has a thread, from the first message until `close`. It takes groups when it has a place
    for them, and raises OSError: then the rest of its minute is not recorded, and the next one is
    tried again. So it is after any other error, which is logged. Neither is the rest of a minute
    recorded in which more than *most_waiting* bytes would wait for it. `close` waits *patience*
    seconds for it. Satisfies `core.feed.recorder.MessageRecorder`.
    """

    def __init__(
        self,
        write: WriteMinute,
        *,
        most_waiting: int = MOST_WAITING_BYTES,
        patience: float = CLOSE_SECONDS,
    ) -> None:
        self._write = write
        self._most_waiting = most_waiting
        self._patience = patience
        # The feed's own: its present minute, and the thread with the minutes that go there.
        self._present: _Minute | None = None
        self._numbers = count(1)
        self._thread: Thread | None = None
        self._minutes: SimpleQueue[_Minute | None] = SimpleQueue()
        # What both threads change.
        self._lock = Lock()
        self._status = RecordingStatus()
        self._newest_failed = 0
        self._unwritten: list[_Minute] = []
        self._waiting = 0

    def add(self, message: bytes | str, received_at: datetime) -> None:
        """Record *message* in its minute. It touches nothing but memory."""
        minute, is_new = self._minute_at(minute_of(received_at))
        if minute.problem:
            return
        size = MESSAGE_BYTES + len(message if isinstance(message, bytes) else message.encode())
        if not self._reserve(size):
            self._fail(minute, TOO_SLOW)
            return
        if is_new:
            self._hand_over(minute)
        minute.add(RecordedMessage(received_at, message), size)

    def close(self) -> None:
        """End the present minute, and wait until it is written. What is not by then counts as
        failed, though it may still be written."""
        self._end_present()
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._minutes.put(None)
        thread.join(self._patience)
        with self._lock:
            unwritten = list(self._unwritten)
        for minute in unwritten:
            self._fail(minute, TOO_SLOW)

    def status(self) -> RecordingStatus:
        """How it went since the start."""
        return self._status

    # The feed's thread.

    def _minute_at(self, start: datetime) -> tuple[_Minute, bool]:
        """The minute that begins at *start*, and whether it is a new one."""
        if self._present is not None and self._present.start == start:
            return self._present, False
        self._end_present()
        self._present = _Minute(start, next(self._numbers))
        return self._present, True

    def _end_present(self) -> None:
        if self._present is not None:
            self._present.end()
            self._present = None

    def _reserve(self, size: int) -> bool:
        """Let *size* bytes more wait, if there is room for them; whether there is."""
        with self._lock:
            fits = self._waiting + size <= self._most_waiting
            if fits:
                self._waiting += size
        return fits

    def _hand_over(self, minute: _Minute) -> None:
        with self._lock:
            self._unwritten.append(minute)
        if self._thread is None:
            # Minutes of its own: a thread before it may still wait for its disk.
            self._minutes = SimpleQueue()
            self._thread = Thread(
                target=self._work, args=(self._minutes,), name="feed-recorder", daemon=True
            )
            self._thread.start()
        self._minutes.put(minute)

    # The thread of the disk.

    def _work(self, minutes: "SimpleQueue[_Minute | None]") -> None:
        for minute in iter(minutes.get, None):
            groups = self._groups(minute)
            try:
                self._write(minute.start, groups)
            except OSError as problem:
                self._fail(minute, f"the feed is not recorded: {problem.strerror or problem}")
            except Exception:
                # The next minute may succeed, and the feed goes on in any case.
                self._fail(minute, FAILED)
                log.exception("feed_recorder_failed")
            # Those that were not written have no place any more.
            for _ in groups:
                pass
            self._written(minute)

    def _groups(self, minute: _Minute) -> Iterator[Sequence[RecordedMessage]]:
        """The messages of *minute*; those of a group have left when the next one is taken."""
        with self._lock:
            if minute.number > self._newest_failed:
                self._status = replace(self._status, problem="")
        for group in minute.groups():
            yield group.messages
            with self._lock:
                self._waiting -= group.size

    def _written(self, minute: _Minute) -> None:
        with self._lock:
            self._unwritten.remove(minute)
            if not minute.problem:
                self._status = replace(self._status, files=self._status.files + 1)

    # Both.

    def _fail(self, minute: _Minute, problem: str) -> None:
        with self._lock:
            if minute.problem:
                return
            minute.problem = problem
            self._newest_failed = max(self._newest_failed, minute.number)
            self._status = replace(self._status, failed=self._status.failed + 1, problem=problem)
