"""Running bars from Upstox: OHLC V3, up to 500 instruments a request."""

from collections.abc import Sequence

from data_fetch.core.candles.candles import BarAnswer
from data_fetch.core.ports import Clock, Lane
from data_fetch.sources.transport.batches import Batches, Heard, facts_of
from data_fetch.sources.transport.retrying import Errand
from data_fetch.sources.upstox.api import OHLC_BATCH, UpstoxApi
from data_fetch.sources.upstox.ohlc_rows import ReadBars, read_running_bars


class UpstoxBarClient:
    """The last completed minute of any number of instruments. Safe to share between threads."""

    def __init__(self, api: UpstoxApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._batches = Batches(self._send, OHLC_BATCH, clock)

    def bars(self, instrument_keys: Sequence[str]) -> BarAnswer:
        """The last completed minute of each key, which for a quiet name is an older one.

        Fails as `UpstoxLtpClient.quotes` does.
        """
        reads, rest = self._batches.ask(instrument_keys, self._api.errand(Lane.LIVE))
        blocks = tuple(block for read in reads for block in read.blocks)
        return BarAnswer(blocks=blocks, **facts_of(rest))

    def _send(self, keys: Sequence[str], errand: Errand) -> Heard[ReadBars]:
        answer = self._api.ohlc(keys, errand.lane, errand)
        return Heard(read_running_bars(answer.data, keys, self._clock.now()), answer.partial)
