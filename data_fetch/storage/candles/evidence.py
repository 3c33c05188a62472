"""What is stored beside the candles of a request: volumes that prove minutes without a trade, and
rows that contradict an empty response.

The queries on `ltp_data` are here and not beside the quotes, because the rooms of the datasets do
not import each other.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, func, select

from data_fetch.core.candles.candles import CandleInterval, InstrumentDays
from data_fetch.core.candles.volume_proofs import FeedSeen, VolumeSeen, still_spans
from data_fetch.core.clock import IST
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.lineage import former_symbols
from data_fetch.core.market.calendar import Session
from data_fetch.core.market.session import instant_of
from data_fetch.core.spans import Spans
from data_fetch.storage.candles.candles import candles, of_instrument
from data_fetch.storage.database.tables import CoverageRow, LtpData, table
from data_fetch.storage.instruments.instruments import key_changes

coverage = table(CoverageRow)
ltp_data = table(LtpData)


class StoredEvidence:
    """The evidence about *days*, as far as *connection* shows it; each part is read when needed.

    Satisfies core.candles.evidence.StoredEvidence.
    """

    def __init__(self, connection: Connection, days: InstrumentDays, feed: "StandingFeed") -> None:
        self._connection = connection
        self._instrument = days.instrument
        self._interval = days.interval
        self._first, self._last = days.first, days.last
        self._feed = feed
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

    def of_standing_feed(self, day: date) -> Spans:
        return self._feed.spans(self._connection, day)

    def has_minutes(self, day: date) -> bool:
        query = select(coverage.c.present).where(
            coverage.c.instrument_key == self._instrument.instrument_key,
            coverage.c.interval == CandleInterval.MINUTE.value,
            coverage.c.trading_date == day,
        )
        return bool(self._connection.scalar(query))

    def has_older(self, day: date) -> bool:
        # Of the candles themselves: those of this response are not in the ledger yet.
        query = select(candles.c.timestamp).where(
            candles.c.instrument_key == self._instrument.instrument_key,
            candles.c.interval == self._interval.value,
            candles.c.timestamp < _midnight(day),
        )
        return self._connection.scalar(query.limit(1)) is not None

    def prices_moved(self, session: Session) -> bool:
        query = select(func.count(ltp_data.c.ltp.distinct())).where(
            ltp_data.c.symbol == self._instrument.symbol,
            ltp_data.c.timestamp >= instant_of(session.spans[0][0]),
            ltp_data.c.timestamp < instant_of(session.spans[-1][1]),
            ltp_data.c.instrument_key == self._instrument.instrument_key,
        )
        return (self._connection.scalar(query) or 0) > 1


class StandingFeed:
    """The minutes of each day in which no quote of any instrument changed.

    Past days are read once.
    """

    def __init__(self) -> None:
        self._past: dict[date, Spans] = {}

    def spans(self, connection: Connection, day: date) -> Spans:
        """Those of the Indian day *day*: between equal rows of quotes, slot after slot."""
        if day not in self._past:
            found = still_spans(_feed_of(connection, day))
            newest = connection.scalar(select(func.max(ltp_data.c.timestamp)))
            if newest is None or newest < _midnight(day + timedelta(days=1)):
                return found
            self._past[day] = found
        return self._past[day]


def _feed_of(connection: Connection, day: date) -> Sequence[FeedSeen]:
    """The quotes of all instruments slot by slot, oldest first, each slot as its sums."""
    # In paise, so that the sum is exact in any order.
    paise = func.round(ltp_data.c.ltp * 100)
    query = (
        select(
            func.max(ltp_data.c.received_at),
            func.count(),
            func.sum(ltp_data.c.volume),
            func.sum(paise),
        )
        .where(
            ltp_data.c.timestamp >= _midnight(day),
            ltp_data.c.timestamp < _midnight(day + timedelta(days=1)),
        )
        .group_by(ltp_data.c.timestamp)
        .order_by(ltp_data.c.timestamp)
    )
    return [FeedSeen(at, tuple(sums)) for at, *sums in connection.execute(query)]


def _volumes_in_quotes(
    connection: Connection, instrument: Instrument, first: date, last: date
) -> Mapping[date, Sequence[VolumeSeen]]:
    """The cumulative volumes of the quotes, by Indian day, in the order received.

    Quotes from before a rename are stored under the former symbol.
    """
    former = former_symbols(instrument.instrument_key, key_changes(connection))
    query = (
        select(ltp_data.c.received_at, ltp_data.c.volume)
        .where(
            ltp_data.c.symbol.in_({instrument.symbol, *former}),
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
