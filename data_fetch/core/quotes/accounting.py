"""Every instrument asked for, in exactly one place."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from data_fetch.core.records import BatchAnswer, Instrument, Quote, QuoteAnswer, SyncState

# The audit is read by people; an answer of nothing but strays may hold thousands.
MOST_STRAYS = 20


@dataclass(frozen=True, slots=True)
class Account:
    """What asking for one instrument came to: a record, or the *reason* why there is none.

    A *quote* is the record itself; candles come in blocks, which are kept elsewhere.
    """

    instrument: Instrument
    state: SyncState
    quote: Quote | None = None
    reason: str | None = None


def accounts(asked: Sequence[Instrument], answer: QuoteAnswer) -> list[Account]:
    """One account for each of *asked*, in that order."""
    quotes = {quote.instrument_key: quote for quote in answer.quotes}
    return [
        replace(account, quote=quotes.get(account.instrument.instrument_key))
        for account in accounts_without_records(asked, quotes, answer)
    ]


def accounts_without_records(
    asked: Sequence[Instrument], brought: Container[str], answer: BatchAnswer
) -> list[Account]:
    """The same when records are kept elsewhere: those keys are OK that *brought* one."""
    without = dict.fromkeys(answer.failed, (SyncState.FAILED, answer.error or ""))
    without |= {row.instrument_key: (SyncState.SET_ASIDE, row.reason) for row in answer.set_aside}
    unknown = (SyncState.QUARANTINED, "the provider does not know this key")
    without |= dict.fromkeys(answer.unknown, unknown)
    absent = (SyncState.ABSENT, "a good answer left it out")
    found = []
    for instrument in asked:
        if instrument.instrument_key in brought:
            found.append(Account(instrument, SyncState.OK))
        else:
            state, reason = without.get(instrument.instrument_key, absent)
            found.append(Account(instrument, state, reason=reason))
    return found


def by_reason(found: Sequence[Account], answer: BatchAnswer) -> dict[str, object]:
    """For the audit: the symbols without a record by what became of them, and stray rows."""
    details: dict[str, object] = {}
    for state in SyncState:
        reasons = {a.instrument.symbol: a.reason for a in found if a.state is state and a.reason}
        if reasons:
            details[state.value] = reasons
    strays = {row.instrument_key: row.reason for row in answer.strays}
    if strays:
        details["strays"] = dict(islice(strays.items(), MOST_STRAYS))
    if len(strays) > MOST_STRAYS:
        details["more_strays"] = len(strays) - MOST_STRAYS
    return details
