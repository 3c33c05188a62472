"""How many quotes there are, in the store and in files, and their first and last slot."""

from dataclasses import replace
from datetime import date, datetime

from data_fetch.core.errors import SetupError
from data_fetch.core.settings import Settings
from data_fetch.reading.seam import Question, pinned
from data_fetch.storage.database.store import Store
from data_fetch.storage.quotes import QuoteHoldings, QuoteStore

TABLE = "ltp_data"


def quote_holdings(settings: Settings, store: Store) -> QuoteHoldings:
    """The quotes of an open store. Counts every row in the database.

    A slot of a day whose file is missing or damaged is not known: then the first or last slot is
    one of the store.
    """
    with pinned(settings, store) as asked:
        asked.leave_void_out([TABLE])
        held = QuoteStore(asked.store).holdings()
        days = asked.earlier_quote_days(None, None)
        if not days:
            return held
        slots = [held.first_slot, held.last_slot, *_slots(asked, days[0]), *_slots(asked, days[-1])]
        known = [slot for slot in slots if slot is not None]
        return replace(
            held, first_slot=min(known, default=None), last_slot=max(known, default=None)
        )


def _slots(asked: Question, day: date) -> list[datetime | None]:
    """The first and the last slot of a day in files."""
    # Arrow takes long to load.
    import pyarrow.compute as pc

    from data_fetch.archive.day_rows import rows_of_files

    try:
        rows = rows_of_files(TABLE, asked.paths(TABLE, [day]), pc.scalar(True), ["timestamp"])
    except SetupError:
        # What is known of the others is worth more; `archive status` names the file.
        return []
    slots = rows["timestamp"]
    return [pc.min(slots).as_py(), pc.max(slots).as_py()]
