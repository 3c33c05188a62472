"""Brings days back from the archive when late data of them arrive.

Apart from the archive itself, which takes long to load and is seldom needed for this.
"""

from collections.abc import Callable, Sequence
from datetime import date

from data_fetch.core.archive.days import Dataset
from data_fetch.core.settings import Settings
from data_fetch.services.late_days import BringBack
from data_fetch.storage.database.store import Store


def bring_back_into(settings: Settings, store: Store, report: Callable[[str], None]) -> BringBack:
    """What restores days of *store* before late data are written to them."""

    def bring_back(dataset: Dataset, days: Sequence[date]) -> None:
        # Parquet and DuckDB take half a second to load, and late days are rare.
        from data_fetch.runtime.archive import lifecycle_of

        lifecycle_of(settings, store, report).bring_back(dataset, days)

    return bring_back
