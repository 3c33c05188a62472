"""When a request is tried again: by class of error, and never beyond its time.

retry   an answer that cannot be meant, or none at all: a few attempts, further and further apart
wait    the provider asks for patience: as long as it says
stop    token, access, settings: trying again cannot help
skip    the request itself is refused: trying again cannot help either

Whoever runs a policy on a virtual clock must have its work held: waits go through the clock.
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

# A quote that comes later than this would belong to the next minute.
PATIENCE = {
    Lane.LIVE: timedelta(seconds=30),
    Lane.CHAIN: timedelta(minutes=2),
    # Longer than the longest window of the rate limits: bulk work waits for its turn.
    Lane.BACKFILL: timedelta(hours=2),
}


@dataclass(slots=True)
class RequestContext:
    """One piece of work for the provider, however many requests it takes.

    *deadline* ends all waiting, and so does setting *stop*; *requests* counts what was really
    sent, retries included.
    """

    lane: Lane
    deadline: datetime
    stop: Event = field(default_factory=Event)
    requests: int = 0

    @classmethod
    def begin(cls, lane: Lane, now: datetime, stop: Event | None = None) -> Self:
        """One that begins now, with the patience of its lane."""
        return cls(lane, now + PATIENCE[lane], stop or Event())


class RetryPolicy:
    """Tries transient failures again, at most *attempts* times in all.

    *random* spreads the waits, so that many clients do not come back at one instant; a
    seeded one makes a rehearsal repeatable.
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
        self._random = random or Random()

    def run(self, work: Callable[[], T], context: RequestContext) -> T:
        """What *work* returns. Its last error is raised when it fails for good, or when the
        next attempt would begin after the errand's deadline; Stopped when it is called off."""

        def over(state: RetryCallState) -> bool:
            next_attempt = self._clock.now() + timedelta(seconds=state.upcoming_sleep)
            return state.attempt_number >= self._attempts or next_attempt > context.deadline

        def pause(seconds: float) -> None:
            if self._clock.wait(self._clock.now() + timedelta(seconds=seconds), context.stop):
                raise Stopped("the request was called off before it was tried again")

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
