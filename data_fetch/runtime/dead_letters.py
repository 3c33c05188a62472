"""The dead units of the configured store."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from data_fetch.core.clock import SystemClock
from data_fetch.core.settings import Settings
from data_fetch.runtime.stores import store_to_look_at
from data_fetch.services.dead_letters import DeadLetters
from data_fetch.storage.work_units import WorkUnits


@contextmanager
def dead_letters_for(settings: Settings) -> Iterator[DeadLetters]:
    """The dead units of the configured store, for as long as this lasts."""
    with closing(store_to_look_at(settings)) as store:
        yield DeadLetters(WorkUnits(store), SystemClock())
