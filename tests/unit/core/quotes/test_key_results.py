"""Every requested instrument has exactly one result."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.batches import RejectedRow
from data_fetch.core.errors import Unreachable
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.quotes.key_results import KeyResult, by_reason, key_results
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


def test_details_are_counts_and_a_sample_however_many_symbols_there_are() -> None:
    many = [stock(f"S{number}") for number in range(40_000)]
    problem = Unreachable("no answer from the provider, which is a long sentence", hint="Wait.")
    failed = dict.fromkeys((one.instrument_key for one in many), problem)
    unrequested = tuple(RejectedRow(f"K{number}", "not asked for") for number in range(25))
    response = QuoteResponse(failed=failed, unrequested=unrequested, received_at=NOW)

    details = by_reason(key_results(many, response), response)

    assert details == {
        "failed": {
            "count": 40_000,
            "reasons": {problem.message: 40_000},
            "sample": {f"S{n}": problem.message for n in range(20)},
        },
        "failure_kinds": {"unreachable": 40_000},
        "unrequested": {
            "count": 25,
            "reasons": {"not asked for": 25},
            "sample": {f"K{n}": "not asked for" for n in range(20)},
        },
    }


def test_reasons_that_differ_from_row_to_row_are_limited_too() -> None:
    dropped = tuple(RejectedRow(f"NSE_EQ|S{n}", f"cp -{n} cannot be") for n in range(1000))

    details = by_reason(
        [KeyResult(stock("S0"), SyncState.OK)],
        QuoteResponse(dropped_fields=dropped, received_at=NOW),
    )["dropped_fields"]

    assert details["count"] == 1000
    assert (len(details["reasons"]), len(details["sample"])) == (20, 20)
    assert details["sample"]["S0"] == "cp -0 cannot be"


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
    details = by_reason(found, answer)
    without = sum(details[state]["count"] for state in SyncState if state in details)
    assert without == sum(each.quote is None for each in found)
