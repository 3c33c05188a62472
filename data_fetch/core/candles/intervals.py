"""The intervals that candles are read in: those that are stored, and those made of minutes."""

from enum import StrEnum

from data_fetch.core.candles.candles import CandleInterval


class Interval(StrEnum):
    """The time that one candle covers, as users write it.

    Only minutes and days are stored. The others are buckets of minutes: they begin at the opening
    of each trading window, and the last one of a window may be shorter.
    """

    MINUTE = "1minute"
    FIVE_MINUTES = "5minute"
    FIFTEEN_MINUTES = "15minute"
    HOUR = "60minute"
    DAY = "day"

    @property
    def stored(self) -> CandleInterval:
        """The stored candles that it is, or is made of."""
        return CandleInterval.DAY if self is Interval.DAY else CandleInterval.MINUTE

    @property
    def bucket_minutes(self) -> int | None:
        """How many minutes a bucket has; None for candles as they are stored."""
        return BUCKET_MINUTES.get(self)


BUCKET_MINUTES = {Interval.FIVE_MINUTES: 5, Interval.FIFTEEN_MINUTES: 15, Interval.HOUR: 60}
