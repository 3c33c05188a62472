"""Every requested instrument has exactly one result."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.batches import RejectedRow
from data_fetch.core.errors import Unreachable
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
        pytest.param({"records": (quote("TCS"),)}, SyncState.OK, None, id="a quote"),
        pytest.param({}, SyncState.ABSENT, "a good response left it out", id="left out"),
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
            {"failed": {"NSE_EQ|TCS": Unreachable("no answer")}},
            SyncState.FAILED,
            "no answer",
            id="its request failed",
        ),
    ],
)
def test_the_state_and_reason_of_a_key(
    answer: dict[str, object], state: SyncState, reason: str | None
) -> None:
    [result] = key_results(
        [stock("TCS")], QuoteResponse(**{"records": (), "received_at": NOW, **answer})
    )

    assert (result.state, result.reason) == (state, reason)


def test_some_unrequested_rows_are_named_and_the_rest_counted() -> None:
    unrequested = tuple(RejectedRow(f"K{number}", "not asked for") for number in range(25))

    details = by_reason([], QuoteResponse(records=(), unrequested=unrequested, received_at=NOW))

    assert details == {
        "unrequested": {f"K{n}": "not asked for" for n in range(20)},
        "more_unrequested": 5,
    }


results = st.dictionaries(
    st.text("ABCDEF", min_size=1, max_size=3),
    st.sampled_from(["quote", "absent", "unknown", "rejected", "failed"]),
)


@given(results)
def test_nothing_is_lost_and_nothing_counted_twice(results: dict[str, str]) -> None:
    def keys(kind: str) -> tuple[str, ...]:
        return tuple(f"NSE_EQ|{symbol}" for symbol, one in results.items() if one == kind)

    answer = QuoteResponse(
        records=tuple(quote(symbol) for symbol, kind in results.items() if kind == "quote"),
        absent=keys("absent"),
        unknown=keys("unknown"),
        rejected=tuple(RejectedRow(key, "cannot be") for key in keys("rejected")),
        failed=dict.fromkeys(keys("failed"), Unreachable("no answer")),
        received_at=NOW,
    )

    found = key_results([stock(symbol) for symbol in results], answer)

    assert [each.instrument.symbol for each in found] == list(results)
    details = by_reason(found, answer).values()
    without = sum(len(reasons) for reasons in details)
    assert without == sum(each.quote is None for each in found)
