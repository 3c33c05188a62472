"""The volumes that prove minutes without a trade: of quotes, of day candles and of stored minutes.

The query on `ltp_data` is here and not beside the quotes, because the rooms of the datasets do
not import each other.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, func, select

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.volume_proofs import VolumeSeen
from data_fetch.core.clock import IST
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import Session
from data_fetch.storage.candles.candles import candles, of_instrument
from data_fetch.storage.database.tables import LtpData, table

ltp_data = table(LtpData)


class StoredVolumes:
    """The volumes of one instrument from *first* to *last*; quotes are read when first needed.

    Satisfies core.candles.evidence.StoredVolumes.
    """

    def __init__(
        self, connection: Connection, instrument: Instrument, first: date, last: date
    ) -> None:
        self._connection = connection
        self._instrument = instrument
        self._first, self._last = first, last
        self._quotes: Mapping[date, Sequence[VolumeSeen]] | None = None

    def of_quotes(self, day: date) -> Sequence[VolumeSeen]:
        if self._quotes is None:
            self._quotes = _volumes_in_quotes(
                self._connection, self._instrument, self._first, self._last
            )
        return self._quotes.get(day, ())

    def of_day_candle(self, day: date) -> int | None:
        query = select(candles.c.volume).where(
            candles.c.instrument_key == self._instrument.instrument_key,
            candles.c.interval == CandleInterval.DAY.value,
            candles.c.timestamp == _midnight(day),
        )
        volume: int | None = self._connection.scalar(query)
        return volume

    def of_minutes(self, session: Session) -> int:
        first, end = session.spans[0][0], session.spans[-1][1] + 60
        key, interval = self._instrument.instrument_key, CandleInterval.MINUTE
        query = select(func.coalesce(func.sum(candles.c.volume), 0)).where(
            of_instrument(candles, key, interval, first, end)
        )
        return int(self._connection.execute(query).scalar_one())


def _volumes_in_quotes(
    connection: Connection, instrument: Instrument, first: date, last: date
) -> Mapping[date, Sequence[VolumeSeen]]:
    """The cumulative volumes of the quotes, by Indian day, in the order received."""
    query = (
        select(ltp_data.c.received_at, ltp_data.c.volume)
        .where(
            ltp_data.c.symbol == instrument.symbol,
            ltp_data.c.timestamp >= _midnight(first),
            ltp_data.c.timestamp < _midnight(last + timedelta(days=1)),
            ltp_data.c.instrument_key == instrument.instrument_key,
            ltp_data.c.volume.is_not(None),
        )
        .order_by(ltp_data.c.received_at)
    )
    seen: dict[date, list[VolumeSeen]] = defaultdict(list)
    for received_at, volume in connection.execute(query):
        seen[received_at.astimezone(IST).date()].append(VolumeSeen(received_at, volume))
    return seen


def _midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), IST)
