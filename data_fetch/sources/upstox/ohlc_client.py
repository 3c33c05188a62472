"""Running bars from Upstox: OHLC V3, up to 500 instruments a request."""

from collections.abc import Sequence

from data_fetch.core.candles.candles import OhlcResponse
from data_fetch.core.ports import Clock, Lane
from data_fetch.sources.transport.batches import Batches, BatchResponse, facts_of
from data_fetch.sources.transport.retrying import RequestContext
from data_fetch.sources.upstox.api import OHLC_BATCH, UpstoxApi
from data_fetch.sources.upstox.ohlc_rows import ParsedOhlc, read_ohlc_rows


class UpstoxOhlcClient:
    """The last completed minute of any number of instruments. Safe to share between threads."""

    def __init__(self, api: UpstoxApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._batches = Batches(self._send, OHLC_BATCH, clock)

    def bars(self, instrument_keys: Sequence[str]) -> OhlcResponse:
        """The last completed minute of each key, which for a quiet name is an older one.

        Fails as `UpstoxLtpClient.quotes` does.
        """
        reads, rest = self._batches.ask(instrument_keys, self._api.context(Lane.LIVE))
        blocks = tuple(block for read in reads for block in read.blocks)
        return OhlcResponse(blocks=blocks, **facts_of(rest))

    def _send(self, keys: Sequence[str], context: RequestContext) -> BatchResponse[ParsedOhlc]:
        answer = self._api.ohlc(keys, context.lane, context)
        return BatchResponse(read_ohlc_rows(answer.data, keys, self._clock.now()), answer.partial)
