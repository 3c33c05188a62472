"""Retries of requests: by class of error, and never beyond the deadline.

retry   a bad response, or none: a few attempts, with longer and longer waits
wait    a rate limit: as long as the provider requires
stop    token, access, settings: a retry cannot help
skip    the request itself is rejected: a retry cannot help either

On a virtual clock the caller must hold the clock: waits go through it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from threading import Event
from typing import Self, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type

from data_fetch.core.errors import RateLimited, Stopped, TransientError
from data_fetch.core.ports import Clock, Lane

T = TypeVar("T")

# A later quote would belong to the next minute.
TIME_LIMITS = {
    Lane.LIVE: timedelta(seconds=30),
    Lane.CHAIN: timedelta(minutes=2),
    # Longer than the longest window of the rate limits: bulk work waits for permission.
    Lane.BACKFILL: timedelta(hours=2),
}


@dataclass(slots=True)
class RequestContext:
    """The lane, deadline and request count of one piece of work, of any number of requests.

    *deadline* ends all waiting, and so does setting *stop*; *requests* counts the sent requests,
    retries included.
    """

    lane: Lane
    deadline: datetime
    stop: Event = field(default_factory=Event)
    requests: int = 0

    @classmethod
    def begin(cls, lane: Lane, now: datetime, stop: Event | None = None) -> Self:
        """A context that begins now, with the time limit of its lane."""
        return cls(lane, now + TIME_LIMITS[lane], stop or Event())


class RetryPolicy:
    """Tries transient failures again, at most *attempts* times in all.

    *random* spreads the waits, so that many clients do not retry at one instant; a seeded one
    makes a rehearsal repeatable.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        attempts: int = 4,
        first_wait: timedelta = timedelta(seconds=0.5),
        longest_wait: timedelta = timedelta(seconds=8),
        random: Random | None = None,
    ) -> None:
        self._clock = clock
        self._attempts = attempts
        self._first_wait = first_wait.total_seconds()
        self._longest_wait = longest_wait.total_seconds()
        self._random = random or Random()  # noqa: S311 - spreads waits

    def run(self, work: Callable[[], T], context: RequestContext) -> T:
        """Return the result of *work*. Raises its last error when it fails for good or the next
        attempt would begin after the deadline; Stopped when the context is stopped."""

        def over(state: RetryCallState) -> bool:
            next_attempt = self._clock.now() + timedelta(seconds=state.upcoming_sleep)
            return state.attempt_number >= self._attempts or next_attempt > context.deadline

        def pause(seconds: float) -> None:
            if self._clock.wait(self._clock.now() + timedelta(seconds=seconds), context.stop):
                raise Stopped("the request was cancelled before its retry")

        return Retrying(
            retry=retry_if_exception_type(TransientError),
            wait=self._pause,
            stop=over,
            sleep=pause,
            reraise=True,
        )(work)

    def _pause(self, state: RetryCallState) -> float:
        problem = state.outcome.exception() if state.outcome else None
        if isinstance(problem, RateLimited) and problem.retry_after is not None:
            return problem.retry_after.total_seconds()
        pause = min(self._longest_wait, self._first_wait * 2.0 ** (state.attempt_number - 1))
        return pause * self._random.uniform(0.5, 1.0)
