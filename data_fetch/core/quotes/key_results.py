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


def key_results(asked: Sequence[Instrument], answer: QuoteResponse) -> list[KeyResult]:
    """One account for each of *asked*, in that order."""
    quotes = {quote.instrument_key: quote for quote in answer.records}
    return [
        replace(account, quote=quotes.get(account.instrument.instrument_key))
        for account in key_results_without_records(asked, quotes, answer)
    ]


def key_results_without_records(
    asked: Sequence[Instrument], brought: Container[str], answer: BatchResult[object]
) -> list[KeyResult]:
    """The same when records are kept elsewhere: those keys are OK that *brought* one."""
    without = dict.fromkeys(answer.failed, (SyncState.FAILED, answer.error or ""))
    without |= {row.instrument_key: (SyncState.REJECTED, row.reason) for row in answer.rejected}
    unknown = (SyncState.QUARANTINED, "the provider does not know this key")
    without |= dict.fromkeys(answer.unknown, unknown)
    absent = (SyncState.ABSENT, "a good answer left it out")
    found = []
    for instrument in asked:
        if instrument.instrument_key in brought:
            found.append(KeyResult(instrument, SyncState.OK))
        else:
            state, reason = without.get(instrument.instrument_key, absent)
            found.append(KeyResult(instrument, state, reason=reason))
    return found


def by_reason(found: Sequence[KeyResult], answer: BatchResult[object]) -> dict[str, object]:
    """For the audit: the symbols without a record by what became of them, and stray rows."""
    details: dict[str, object] = {}
    for state in SyncState:
        reasons = {a.instrument.symbol: a.reason for a in found if a.state is state and a.reason}
        if reasons:
            details[state.value] = reasons
    unrequested = {row.instrument_key: row.reason for row in answer.unrequested}
    if unrequested:
        details["unrequested"] = dict(islice(unrequested.items(), MOST_UNREQUESTED))
    if len(unrequested) > MOST_UNREQUESTED:
        details["more_unrequested"] = len(unrequested) - MOST_UNREQUESTED
    return details
