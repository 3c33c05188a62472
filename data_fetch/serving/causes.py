"""Why minutes are not there, in the words of answers."""

from collections.abc import Mapping

from data_fetch.core.candles.coverage import GAPS, State
from data_fetch.serving.answers import Cause

DETAILS = {
    State.NO_TRADE: "nothing was traded",
    State.SOURCE_EMPTY: "the provider has no candle",
    State.UNKNOWN_INSTRUMENT: "the provider no longer knows the instrument",
    State.MISSED: "not collected",
    State.PENDING: "not yet due",
    State.NOT_EXPECTED: "before the first candle of the instrument",
}


def causes_of(counts: Mapping[str, int], fix: str = "") -> list[Cause]:
    """The causes of *counts* by state; *fix* says how to get what is missed."""
    return [
        Cause(
            state.value,
            counts[state.value],
            f"{DETAILS[state]}. {fix}" if fix and state is State.MISSED else DETAILS[state],
        )
        for state in (*GAPS, State.NOT_EXPECTED)
        if counts.get(state.value)
    ]
