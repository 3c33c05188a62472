"""Every instrument asked for is in exactly one place."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.quotes.accounting import accounts, by_reason
from data_fetch.core.records import Instrument, Quote, QuoteAnswer, SetAside, SyncState

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
            {"set_aside": (SetAside("NSE_EQ|TCS", "last price -1"),)},
            SyncState.SET_ASIDE,
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
    [account] = accounts(
        [stock("TCS")], QuoteAnswer(**{"quotes": (), "received_at": NOW, **answer})
    )

    assert (account.state, account.reason) == (state, reason)


def test_of_many_strays_some_are_named_and_the_rest_counted() -> None:
    strays = tuple(SetAside(f"K{number}", "not asked for") for number in range(25))

    told = by_reason([], QuoteAnswer(quotes=(), strays=strays, received_at=NOW))

    assert told == {"strays": {f"K{n}": "not asked for" for n in range(20)}, "more_strays": 5}


fates = st.dictionaries(
    st.text("ABCDEF", min_size=1, max_size=3),
    st.sampled_from(["quote", "absent", "unknown", "set_aside", "failed"]),
)


@given(fates)
def test_nothing_is_lost_and_nothing_counted_twice(fates: dict[str, str]) -> None:
    def keys(fate: str) -> tuple[str, ...]:
        return tuple(f"NSE_EQ|{symbol}" for symbol, one in fates.items() if one == fate)

    answer = QuoteAnswer(
        quotes=tuple(quote(symbol) for symbol, fate in fates.items() if fate == "quote"),
        absent=keys("absent"),
        unknown=keys("unknown"),
        set_aside=tuple(SetAside(key, "cannot be") for key in keys("set_aside")),
        failed=keys("failed"),
        error="no answer",
        received_at=NOW,
    )

    found = accounts([stock(symbol) for symbol in fates], answer)

    assert [account.instrument.symbol for account in found] == list(fates)
    told = by_reason(found, answer).values()
    without = sum(len(reasons) for reasons in told)
    assert without == sum(account.quote is None for account in found)
