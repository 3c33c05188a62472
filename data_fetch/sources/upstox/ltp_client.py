"""Last traded prices from Upstox: LTP V3, up to 500 instruments a request."""

from collections.abc import Sequence

from data_fetch.core.ports import Clock, Lane
from data_fetch.core.quotes.quotes import QuoteResponse
from data_fetch.sources.transport.batches import Batches, BatchResponse, facts_of
from data_fetch.sources.transport.retrying import RequestContext
from data_fetch.sources.upstox.api import LTP_BATCH, UpstoxApi
from data_fetch.sources.upstox.ltp_rows import ParsedQuotes, read_quotes


class UpstoxLtpClient:
    """Quotes of any number of instruments. Safe to share between threads."""

    def __init__(self, api: UpstoxApi, clock: Clock) -> None:
        self._api = api
        self._batches = Batches(self._send, LTP_BATCH, clock)

    def quotes(self, instrument_keys: Sequence[str], lane: Lane = Lane.LIVE) -> QuoteResponse:
        """The last quotes of *instrument_keys*, in that order; each key is asked for once.

        What could not be had after all retries is in `failed`, with the reason in `error`.
        Raises TokenRejected and AccessDenied; and the last TransientError when nothing at all
        was answered.
        """
        reads, rest = self._batches.ask(instrument_keys, self._api.context(lane))
        quotes = {quote.instrument_key: quote for read in reads for quote in read.quotes}
        asked = dict.fromkeys(instrument_keys)
        return QuoteResponse(
            quotes=tuple(quotes[key] for key in asked if key in quotes), **facts_of(rest)
        )

    def _send(self, keys: Sequence[str], context: RequestContext) -> BatchResponse[ParsedQuotes]:
        answer = self._api.ltp(keys, context.lane, context)
        return BatchResponse(read_quotes(answer.data, keys), answer.partial)
