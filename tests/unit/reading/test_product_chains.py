"""The chain document of the older streaming backend: exact members, shares, null with a reason."""

from typing import Any

import orjson
from chain_shelf import EXPIRY, OPENS
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.chains.chains import OptionType
from data_fetch.core.chains.valuation import Metric, Reason
from data_fetch.reading.documents import rounded, rounded_all
from data_fetch.reading.product_chains import product_chain
from data_fetch.storage.chains.records import ChainRecord, LegRecord
from data_fetch.storage.chains.rows import SnapshotHead

CALL, PUT = OptionType.CALL, OptionType.PUT
CHAIN = {
    "product", "expiry", "spot_price", "strikes", "pcr_oi", "pcr_volume", "atm_strike",
    "atm_straddle_price", "max_pain_strike", "total_call_oi", "total_put_oi", "call_buildup_otm",
    "put_buildup_otm", "calls", "puts", "timestamp", "processed_at",
}  # fmt: skip
LEG = {
    "symbol", "product", "strike", "expiry", "option_type", "bid", "ask", "last", "volume",
    "open_interest", "delta", "gamma", "vega", "theta", "iv", "timestamp",
}  # fmt: skip


NOTHING = dict.fromkeys(LegRecord._fields)
PRICED = {"iv": 0.143_100_000_1, "delta": 0.5, "gamma": 0.001, "theta": -7.0, "vega": 12.0}


def leg(strike: str, kind: OptionType, oi: int | None = 75, **values: Any) -> LegRecord:
    given = {"bid": 10.0, "ask": 10.5, "ltp": 10.25, "volume": 150, "oi": oi, "reason": "no_price"}
    key = {"strike": float(strike), "option_type": kind.value}
    return LegRecord(**{**NOTHING, **key, **given, **values})


LEGS = (
    leg("23900", CALL, 1, reason=None, **PRICED), leg("23900", PUT, 2), leg("24000", CALL, 10),
    leg("24000", PUT, 20), leg("24100.5", CALL, 100), leg("24100.5", PUT, 200),
)  # fmt: skip


FIGURES = {
    "pcr_oi": Metric(value=2.00004, used=6, of=6),
    "pcr_volume": Metric(value=1.23456, used=6, of=6),
    "max_pain": Metric(value=24_000.0, used=6, of=6),
    "atm_strike": Metric(value=24_100.5, used=3, of=3),
    "straddle": Metric(value=201.2549, used=2, of=2),
}


def stored(
    *legs: LegRecord,
    metrics: dict[str, Metric] = FIGURES,
    spot: float | None = 24_010.0,
) -> ChainRecord:
    """A snapshot whose first leg is priced, and no other."""
    head = SnapshotHead(
        underlying="NIFTY",
        expiry=EXPIRY,
        timestamp=OPENS,
        source="upstox",
        exchange_time=None,
        content_hash="",
        unit="shares",
        spot=spot,
        lot_size=None,
        legs=len(legs),
        confirmations=1,
        last_confirmed=OPENS,
        rejected=0,
        run_id="run",
    )
    return ChainRecord(head, metrics, legs)


def test_the_members_are_those_that_clients_read() -> None:
    document = product_chain(stored(*LEGS))

    assert document.keys() >= CHAIN
    assert all(leg.keys() >= LEG for leg in (*document["calls"], *document["puts"]))
    assert orjson.loads(orjson.dumps(document)) == document


def test_a_chain() -> None:
    document = product_chain(stored(*LEGS))

    assert {name: document[name] for name in sorted(CHAIN - {"calls", "puts"})} == {
        "product": "NIFTY",
        "expiry": "2026-09-22",
        "spot_price": 24_010.0,
        "strikes": [23_900.0, 24_000.0, 24_100.5],
        "pcr_oi": 2.0,
        "pcr_volume": 1.2346,
        "atm_strike": 24_100.5,
        "atm_straddle_price": 201.25,
        "max_pain_strike": 24_000.0,
        "total_call_oi": 111,
        "total_put_oi": 222,
        "call_buildup_otm": 100,
        "put_buildup_otm": 22,
        "timestamp": "2026-09-16T03:45:00.000Z",
        "processed_at": "2026-09-16T03:45:00.000Z",
    }
    assert document["atm_strike_spot"] == 24_000.0
    assert document["unknown"] == {}


def test_a_leg() -> None:
    document = product_chain(stored(*LEGS))

    assert document["calls"][0] == {
        "symbol": "NIFTY20260922C23900",
        "product": "NIFTY",
        "strike": 23_900.0,
        "expiry": "2026-09-22",
        "option_type": "CALL",
        "bid": 10.0,
        "ask": 10.5,
        "last": 10.25,
        "volume": 150,
        "open_interest": 1,
        "delta": 0.5,
        "gamma": 0.001,
        "vega": 12.0,
        "theta": -7.0,
        "iv": 0.1431,
        "timestamp": "2026-09-16T03:45:00.000Z",
        "reason": None,
        "oi_reason": None,
    }
    put = document["puts"][2]
    assert (put["symbol"], put["option_type"]) == ("NIFTY20260922P24100.5", "PUT")
    assert (put["iv"], put["delta"], put["reason"]) == (None, None, "no_price")


def test_without_a_lot_sums_are_unknown_with_the_reason() -> None:
    legs = [leg("24000", kind, None, oi_reason="lot_unknown") for kind in (CALL, PUT)]

    document = product_chain(stored(*legs))

    assert document["calls"][0]["oi_reason"] == "lot_unknown"
    assert document["total_call_oi"] is None
    assert document["unknown"]["total_call_oi"] == "lot_unknown"


@given(
    st.lists(
        st.none()
        | st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)
        | st.floats(min_value=-1e4, max_value=1e4).map(lambda x: round(x, 4))
    )
)
def test_rounding_many_numbers_is_rounding_each(values: list[float | None]) -> None:
    for ours, bare in zip(rounded_all(values), map(rounded, values), strict=True):
        # A number half way between two may go to the other one.
        assert ours == bare or abs(ours - bare) <= 1.000001e-7 * abs(bare)


def test_what_is_unknown_is_null_with_its_reason_and_never_0() -> None:
    nothing = Metric(value=None, used=0, of=6, reason=Reason.NO_OPEN_INTEREST)
    legs = [leg("24000", CALL, None), leg("24000", PUT, None)]

    document = product_chain(stored(*legs, metrics={"pcr_oi": nothing}, spot=None))

    assert document["unknown"] == {
        "pcr_oi": "no_open_interest",
        "pcr_volume": "not_computed",
        "atm_strike": "not_computed",
        "atm_straddle_price": "not_computed",
        "max_pain_strike": "not_computed",
        "total_call_oi": "no_open_interest",
        "total_put_oi": "no_open_interest",
        "call_buildup_otm": "no_spot",
        "put_buildup_otm": "no_spot",
    }
    assert all(document[name] is None for name in document["unknown"])
    assert document["atm_strike_spot"] is None
