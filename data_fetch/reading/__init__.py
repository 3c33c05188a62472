"""Every query over the stores, and its JSON document.

from data_fetch.reading import candles
"""

from data_fetch.reading.candle_ranges import candles

__all__ = ["candles"]
