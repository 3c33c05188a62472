"""Last traded prices from Upstox: LTP V3, up to 500 instruments per request."""

from collections.abc import Sequence

from data_fetch.core.ports import Clock, Lane
from data_fetch.core.quotes.quotes import QuoteResponse
from data_fetch.sources.transport.batches import Batches
from data_fetch.sources.transport.refused_keys import RefusedKeys
from data_fetch.sources.upstox.api import LARGEST_BATCH, UpstoxApi
from data_fetch.sources.upstox.ltp_rows import read_quotes


class UpstoxLtpClient:
    """Quotes of any number of instruments. Safe to share between threads."""

    def __init__(
        self, api: UpstoxApi, clock: Clock, refused_keys: RefusedKeys | None = None
    ) -> None:
        self._api = api
        self._batches = Batches(api.ltp, read_quotes, LARGEST_BATCH, clock, refused_keys)

    def quotes(self, instrument_keys: Sequence[str], lane: Lane = Lane.LIVE) -> QuoteResponse:
        """The last quotes of *instrument_keys*, in that order; each key is requested once.

        Keys whose request failed after all retries are in `failed`, each with its error.
        Raises TokenRejected and AccessDenied; and the last TransientError when no request got a
        response.
        """
        return self._batches.request(instrument_keys, self._api.context(lane))
