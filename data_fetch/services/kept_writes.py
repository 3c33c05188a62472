"""Writes of facts in hand: tried again while their minute lasts.

Every write of the repositories is idempotent, so that one whose confirmation was lost with its
connection may be repeated.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from data_fetch.core.clock import MINUTE, minute_of
from data_fetch.core.errors import StoreUnreachable
from data_fetch.core.ports import Clock

log = logging.getLogger(__name__)

T = TypeVar("T")

# On the clock of the market.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=0.1), timedelta(seconds=5)


def end_of_slot(slot: datetime) -> datetime:
    """Until when the facts of *slot* are in hand: those of the next slot follow then."""
    return slot + 2 * MINUTE


def keep_writing(write: Callable[[], T], clock: Clock, until: datetime | None = None) -> T:
    """The result of *write*, tried again until *until* (usually the end of the next minute).

    Only while the database does not answer, or not in time: then it may succeed a moment later.
    Raises the last error. On a virtual clock the caller must hold the clock.
    """
    latest = until or end_of_slot(minute_of(clock.now()))

    def over(state: RetryCallState) -> bool:
        return clock.now() + timedelta(seconds=state.upcoming_sleep) >= latest

    def report(state: RetryCallState) -> None:
        problem = state.outcome.exception() if state.outcome else None
        facts = {"attempt": state.attempt_number, "problem": str(problem)}
        log.info("write_repeated", extra=facts)

    return Retrying(
        retry=retry_if_exception_type(StoreUnreachable),
        wait=wait_exponential(FIRST_PAUSE.total_seconds(), LONGEST_PAUSE.total_seconds()),
        stop=over,
        sleep=lambda seconds: clock.sleep(timedelta(seconds=seconds)),
        before_sleep=report,
        reraise=True,
    )(write)
