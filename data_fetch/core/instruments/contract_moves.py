"""Contracts under another date: which listed contract goes on under which stored key.

The exchange may move the expiry of contracts, and adjust their strikes after a corporate action.
The contract remains the same, and so does the key it was stored under first; its token is reused
only after its expiry.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta

from data_fetch.core.instruments.instrument import Instrument

# A token that is found again later, beside an expiry at most so far away, is the same contract's:
# new ones are listed weeks before they expire.
LONGEST_MOVE = timedelta(days=7)


def by_token(known: Iterable[Instrument]) -> dict[str, Instrument]:
    """Of the *known* contracts the last one of each token, by its live key."""
    ordered = sorted(known, key=lambda one: one.expiry or date.min)
    return {one.live_key: one for one in ordered}


def as_stored(listed: Instrument, known: Mapping[str, Instrument], seen_on: date) -> Instrument:
    """*listed*, a contract of the master of *seen_on*, under the key of the contract among *known*
    (`by_token`) that it is; a new one under its own."""
    before = known.get(listed.live_key)
    if before is None or before.instrument_key == listed.instrument_key:
        return listed
    same = _is_same(before, listed, seen_on)
    return replace(listed, instrument_key=before.instrument_key) if same else listed


def renamed_contracts(
    listed: Iterable[Instrument], known: Mapping[str, Instrument]
) -> Iterator[tuple[Instrument, Instrument]]:
    """The contracts, as stored and as *listed* under the same key, whose symbol changed."""
    for one in listed:
        before = known.get(one.live_key)
        same = before is not None and before.instrument_key == one.instrument_key
        if before is not None and same and before.symbol != one.symbol:
            yield before, one


def _is_same(before: Instrument, listed: Instrument, seen_on: date) -> bool:
    if before.expiry is None or listed.expiry is None:
        return False
    # A rename of the underlying on the same day leaves its key, a new ISIN its symbol.
    alike = before.instrument_type == listed.instrument_type and (
        before.underlying_symbol == listed.underlying_symbol
        or before.underlying_key == listed.underlying_key
    )
    running = before.expiry >= seen_on
    near = abs(listed.expiry - before.expiry) <= LONGEST_MOVE and before.strike == listed.strike
    return before.expiry == listed.expiry or (alike and (running or near))
