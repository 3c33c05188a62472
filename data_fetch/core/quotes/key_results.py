"""The result for every requested instrument, each in exactly one state."""

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

from data_fetch.core.batches import BatchResult
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.quotes.quotes import Quote, QuoteResponse
from data_fetch.core.runs import SyncState, counted_by_reason


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
    """Audit details: how many symbols have no record, by state and reason, and which some are; the
    kinds of failures; fields that were dropped and rows that were not requested."""
    symbols = {one.instrument.instrument_key: one.instrument.symbol for one in found}
    details: dict[str, object] = {}
    for state in SyncState:
        reasons = [(one.instrument.symbol, one.reason or "") for one in found if one.state is state]
        if reasons and state is not SyncState.OK:
            details[state.value] = counted_by_reason(reasons)
    if response.failed:
        kinds = Counter(problem.kind.value for problem in response.failed.values())
        details["failure_kinds"] = dict(kinds)
    for name, rows in (
        ("dropped_fields", response.dropped_fields),
        ("unrequested", response.unrequested),
    ):
        if rows:
            details[name] = counted_by_reason(
                [(symbols.get(row.instrument_key, row.instrument_key), row.reason) for row in rows]
            )
    return details
