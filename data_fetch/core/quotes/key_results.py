"""The result for every requested instrument, each in exactly one state."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from data_fetch.core.batches import BatchResult
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.quotes.quotes import Quote, QuoteResponse
from data_fetch.core.runs import SyncState

# The audit is for users, and a response may have thousands of rows of other keys.
MOST_UNREQUESTED = 20


@dataclass(frozen=True, slots=True)
class KeyResult:
    """The result for one requested instrument: a record, or the *reason* why there is none.

    A *quote* is the record itself; candles are in blocks of their own.
    """

    instrument: Instrument
    state: SyncState
    quote: Quote | None = None
    reason: str | None = None


def key_results(requested: Sequence[Instrument], response: QuoteResponse) -> list[KeyResult]:
    """The result for each of *requested*, in that order."""
    quotes = {quote.instrument_key: quote for quote in response.records}
    return [
        replace(result, quote=quotes.get(result.instrument.instrument_key))
        for result in key_results_without_records(requested, quotes, response)
    ]


def key_results_without_records(
    requested: Sequence[Instrument], received: Container[str], response: BatchResult[object]
) -> list[KeyResult]:
    """The same for records that are stored separately: the keys in *received* are OK."""
    without = {key: (SyncState.FAILED, problem.message) for key, problem in response.failed.items()}
    without |= {row.instrument_key: (SyncState.REJECTED, row.reason) for row in response.rejected}
    unknown = (SyncState.QUARANTINED, "the provider does not know this key")
    without |= dict.fromkeys(response.unknown, unknown)
    absent = (SyncState.ABSENT, "a good response left it out")
    found = []
    for instrument in requested:
        if instrument.instrument_key in received:
            found.append(KeyResult(instrument, SyncState.OK))
        else:
            state, reason = without.get(instrument.instrument_key, absent)
            found.append(KeyResult(instrument, state, reason=reason))
    return found


def by_reason(found: Sequence[KeyResult], response: BatchResult[object]) -> dict[str, object]:
    """Audit details: symbols without a record by state and reason, and unrequested rows."""
    details: dict[str, object] = {}
    for state in SyncState:
        reasons = {a.instrument.symbol: a.reason for a in found if a.state is state and a.reason}
        if reasons:
            details[state.value] = reasons
    unrequested = {row.instrument_key: row.reason for row in response.unrequested}
    if unrequested:
        details["unrequested"] = dict(islice(unrequested.items(), MOST_UNREQUESTED))
    if len(unrequested) > MOST_UNREQUESTED:
        details["more_unrequested"] = len(unrequested) - MOST_UNREQUESTED
    return details
