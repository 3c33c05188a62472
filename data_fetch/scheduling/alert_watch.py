"""Watches a store and alerts: a process beside the collector, which notices that one has ended."""

from collections.abc import Callable
from threading import Event

from data_fetch.core.clock import stopwatch
from data_fetch.core.settings import Settings
from data_fetch.reading.alert_facts import alert_facts
from data_fetch.reading.kept_open import KeptOpen
from data_fetch.reading.records import sharing
from data_fetch.runtime.alerts import alert_service
from data_fetch.runtime.service_manager import ALIVE, READY, STOPPING, notify, sign_interval, status
from data_fetch.services.alerts import AlertRound

ROUND_SECONDS = 60.0


def watch(
    settings: Callable[[], Settings],
    stop: Event,
    done: Callable[[AlertRound], None],
    every_seconds: float = ROUND_SECONDS,
) -> None:
    """Judge and report every minute until *stop* is set; *done* receives each round.

    *settings* are read anew for each round: a token is renewed in `.env`. The channels are those of
    the first reading. Raises SetupError when they cannot be used.
    """
    service = alert_service(settings(), lambda: alert_facts(settings()))
    kept = KeptOpen()
    with sharing(kept):
        try:
            while not stop.is_set():
                began = stopwatch()
                found = service.round()
                notify(READY, ALIVE, status(_state(found)))
                done(found)
                _wait(began + every_seconds, stop)
        finally:
            notify(STOPPING)
            kept.close()


def _wait(until: float, stop: Event) -> None:
    """Wait until *stop* or the time for the next round, showing signs of life."""
    signs = sign_interval()
    longest = ROUND_SECONDS if signs is None else signs.total_seconds()
    while not stop.is_set() and (left := until - stopwatch()) > 0:
        stop.wait(min(left, longest))
        notify(ALIVE)


def _state(found: AlertRound) -> str:
    if found.store_problem is not None:
        return f"{len(found.open)} open alerts; the store does not answer"
    return f"{len(found.open)} open alerts"
