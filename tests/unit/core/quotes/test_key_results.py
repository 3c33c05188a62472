"""Every instrument asked for is in exactly one place."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.batches import RejectedRow
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.quotes.key_results import by_reason, key_results
from data_fetch.core.quotes.quotes import Quote, QuoteResponse
from data_fetch.core.runs import SyncState

NOW = datetime(2026, 9, 16, 4, 0, tzinfo=UTC)


def stock(symbol: str) -> Instrument:
    key = f"NSE_EQ|{symbol}"
    return Instrument(
        instrument_key=key, symbol=symbol, segment="NSE_EQ", instrument_type="EQ", live_key=key
    )


def quote(symbol: str) -> Quote:
    return Quote(instrument_key=f"NSE_EQ|{symbol}", last_price=100.0, volume=1)


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        pytest.param({"quotes": (quote("TCS"),)}, SyncState.OK, None, id="a quote"),
        pytest.param({}, SyncState.ABSENT, "a good answer left it out", id="left out"),
        pytest.param(
            {"unknown": ("NSE_EQ|TCS",)},
            SyncState.QUARANTINED,
            "the provider does not know this key",
            id="an unknown key",
        ),
        pytest.param(
            {"rejected": (RejectedRow("NSE_EQ|TCS", "last price -1"),)},
            SyncState.REJECTED,
            "last price -1",
            id="a row that cannot be",
        ),
        pytest.param(
            {"failed": ("NSE_EQ|TCS",), "error": "no answer"},
            SyncState.FAILED,
            "no answer",
            id="its request failed",
        ),
    ],
)
def test_what_became_of_it(
    answer: dict[str, tuple[object, ...]], state: SyncState, reason: str | None
) -> None:
    [account] = key_results(
        [stock("TCS")], QuoteResponse(**{"quotes": (), "received_at": NOW, **answer})
    )

    assert (account.state, account.reason) == (state, reason)


def test_of_many_strays_some_are_named_and_the_rest_counted() -> None:
    unrequested = tuple(RejectedRow(f"K{number}", "not asked for") for number in range(25))

    told = by_reason([], QuoteResponse(quotes=(), unrequested=unrequested, received_at=NOW))

    assert told == {
        "unrequested": {f"K{n}": "not asked for" for n in range(20)},
        "more_unrequested": 5,
    }


fates = st.dictionaries(
    st.text("ABCDEF", min_size=1, max_size=3),
    st.sampled_from(["quote", "absent", "unknown", "rejected", "failed"]),
)


@given(fates)
def test_nothing_is_lost_and_nothing_counted_twice(fates: dict[str, str]) -> None:
    def keys(result: str) -> tuple[str, ...]:
        return tuple(f"NSE_EQ|{symbol}" for symbol, one in fates.items() if one == result)

    answer = QuoteResponse(
        quotes=tuple(quote(symbol) for symbol, result in fates.items() if result == "quote"),
        absent=keys("absent"),
        unknown=keys("unknown"),
        rejected=tuple(RejectedRow(key, "cannot be") for key in keys("rejected")),
        failed=keys("failed"),
        error="no answer",
        received_at=NOW,
    )

    found = key_results([stock(symbol) for symbol in fates], answer)

    assert [account.instrument.symbol for account in found] == list(fates)
    told = by_reason(found, answer).values()
    without = sum(len(reasons) for reasons in told)
    assert without == sum(account.quote is None for account in found)
