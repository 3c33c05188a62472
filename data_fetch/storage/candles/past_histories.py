"""The history of an instrument as it was known at an instant.

Apart from `histories`, because finding the candles of that instant loads what most commands do
without.
"""

from datetime import date, datetime

from sqlalchemy import Connection

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.lineage import every_key, key_by, key_periods
from data_fetch.storage.candles.columns import days_with_candles
from data_fetch.storage.candles.histories import History, under_each_key
from data_fetch.storage.instruments.instruments import (
    instruments_with,
    key_changes,
    key_changes_as_of,
)


def history_as_of(
    connection: Connection,
    instrument: Instrument,
    interval: CandleInterval,
    first: date,
    last: date,
    as_of: datetime,
) -> History:
    """What *instrument* was from *first* to *last*, both included, as was known at an instant."""
    recorded = key_changes_as_of(connection, as_of)
    key_then = key_by(instrument.instrument_key, key_changes(connection), recorded)
    keys = every_key(key_then, recorded)
    known = {one.instrument_key: one for one in instruments_with(connection, keys)}
    # Those of a single key make no difference.
    candle_days = {
        key: days_with_candles(connection, key, interval, first, last, as_of)
        for key in keys
        if len(keys) > 1
    }
    periods = key_periods(key_then, recorded, first, last, candle_days)
    return History(instrument, periods, under_each_key(instrument, keys, known))
