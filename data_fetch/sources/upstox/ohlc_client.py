"""Completed minutes from Upstox: OHLC V3, up to 500 instruments per request."""

from collections.abc import Sequence
from typing import Any

from data_fetch.core.candles.candles import CandleBlock, OhlcResponse
from data_fetch.core.ports import Clock, Lane
from data_fetch.sources.transport.batches import Batches, ParsedBatch
from data_fetch.sources.transport.refused_keys import RefusedKeys
from data_fetch.sources.upstox.api import LARGEST_BATCH, UpstoxApi
from data_fetch.sources.upstox.ohlc_rows import read_ohlc_rows


class UpstoxOhlcClient:
    """The last completed minute of any number of instruments. Safe to share between threads."""

    def __init__(
        self, api: UpstoxApi, clock: Clock, refused_keys: RefusedKeys | None = None
    ) -> None:
        def parse(data: Any, keys: Sequence[str]) -> ParsedBatch[CandleBlock]:
            return read_ohlc_rows(data, keys, clock.now())

        self._api = api
        self._batches = Batches(api.ohlc, parse, LARGEST_BATCH, clock, refused_keys)

    def minute_candles(self, instrument_keys: Sequence[str]) -> OhlcResponse:
        """The last completed minute of each key, which for an instrument without trades is an
        older one.

        Fails as `UpstoxLtpClient.quotes` does.
        """
        return self._batches.request(instrument_keys, self._api.context(Lane.LIVE))
