"""Raw LTP rows become quotes, or are rejected with the reason."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upstox_stub import RELIANCE, row

from data_fetch.core.batches import RejectedRow
from data_fetch.core.quotes.quotes import Quote
from data_fetch.sources.transport.batches import ParsedBatch
from data_fetch.sources.upstox.ltp_rows import read_quotes

NIFTY = "NSE_INDEX|Nifty 50"
NAMELESS = RejectedRow("X", "a row without instrument_token")
NESTED: list[object] = []
for _ in range(5000):
    NESTED = [NESTED]


def read_one(**fields: Any) -> ParsedBatch[Quote]:
    return read_quotes({"NSE_EQ:RELIANCE": {**row(RELIANCE), **fields}}, [RELIANCE])


def quote(**fields: Any) -> Quote:
    (found,) = read_one(**fields).records
    return found


def test_rows_are_joined_on_the_instrument_token() -> None:
    data = {
        # Map keys that would mislead: each is the other's.
        RELIANCE: row(NIFTY, 23398.1),
        "NSE_INDEX:Nifty 50": row(RELIANCE, 1304.1),
    }
    read = read_quotes(data, [RELIANCE, NIFTY])
    assert [(q.instrument_key, q.last_price) for q in read.records] == [
        (RELIANCE, 1304.1),
        (NIFTY, 23398.1),
    ]


def test_documented_row() -> None:
    assert quote(last_price=1304.1, ltq=12, volume=8123456, cp=1298.6) == Quote(
        instrument_key=RELIANCE, last_price=1304.1, volume=8123456, ltq=12, prev_close=1298.6
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"last_price": "1304.1"}, ("last_price", 1304.1), id="price as text"),
        pytest.param({"last_price": 1304}, ("last_price", 1304.0), id="whole price"),
        pytest.param({"volume": 123.0}, ("volume", 123), id="volume as a float"),
        pytest.param({"volume": "123"}, ("volume", 123), id="volume as text"),
        pytest.param({"volume": 9_007_199_254_740_993}, ("volume", 2**53 + 1), id="exact volume"),
        pytest.param({"volume": 0}, ("volume", 0), id="an index has volume 0"),
        pytest.param({"ltq": None}, ("ltq", None), id="no last quantity"),
        pytest.param({"cp": None}, ("prev_close", None), id="no previous close"),
        pytest.param({"cp": 0.0}, ("prev_close", None), id="first trading day"),
    ],
)
def test_accepted_forms(fields: dict[str, Any], expected: tuple[str, object]) -> None:
    name, value = expected
    found = getattr(quote(**fields), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"last_price": None}, "last_price is missing", id="null price"),
        pytest.param({"last_price": 0}, "last_price 0 cannot be", id="zero price"),
        pytest.param({"last_price": -1.5}, "last_price -1.5 cannot be", id="negative price"),
        pytest.param({"last_price": "-1.5"}, "last_price -1.5 cannot be", id="negative as text"),
        pytest.param({"last_price": float("nan")}, "last_price is nan", id="NaN"),
        pytest.param({"last_price": float("inf")}, "last_price is inf", id="infinity"),
        pytest.param({"last_price": 1e300}, "last_price 1e+300 cannot be", id="absurd price"),
        pytest.param({"last_price": 10**400}, "cannot be that large", id="beyond any float"),
        pytest.param({"last_price": 5e-324}, "last_price 4.94066e-324 cannot be", id="denormal"),
        pytest.param({"last_price": 0.0099}, "last_price 0.0099 cannot be", id="below a tick"),
        pytest.param({"last_price": True}, "last_price is True", id="truth for a number"),
        pytest.param({"last_price": "1,304.10"}, "not a number", id="grouped digits"),
        pytest.param({"last_price": "nan"}, "not a number", id="NaN as text"),
        pytest.param({"last_price": "1e3"}, "not a number", id="exponent as text"),
        pytest.param({"last_price": "١٢"}, "not a number", id="other digits"),
        pytest.param({"last_price": ["x" * 500]}, "not a number", id="a list"),
        pytest.param({"last_price": NESTED}, "not a number", id="brackets without end"),
    ],
)
def test_rows_that_cannot_be_true_are_rejected(fields: dict[str, Any], reason: str) -> None:
    read = read_one(**fields)
    (aside,) = read.rejected
    assert aside.instrument_key == RELIANCE
    assert reason in aside.reason
    assert len(aside.reason) < 120
    assert not read.records
    assert not read.absent


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"volume": None}, "volume is missing", id="null volume"),
        pytest.param({"volume": -1}, "volume -1 cannot be", id="negative volume"),
        pytest.param({"volume": 12.5}, "not a whole number", id="half a share"),
        pytest.param({"volume": 2**63}, "cannot be", id="volume beyond the column"),
        pytest.param({"volume": 10**400}, "cannot be", id="volume beyond any float"),
        pytest.param({"volume": False}, "volume is False", id="truth for a volume"),
        pytest.param({"ltq": -3}, "ltq -3 cannot be", id="negative last quantity"),
        pytest.param({"cp": -3}, "cp -3 cannot be", id="negative previous close"),
        pytest.param({"cp": float("nan")}, "cp is nan", id="NaN previous close"),
        pytest.param({"cp": 5e-324}, "cp 4.94066e-324 cannot be", id="denormal previous close"),
        pytest.param({"cp": "n/a"}, "cp is 'n/a', not a number", id="previous close as words"),
    ],
)
def test_a_field_that_cannot_be_costs_itself_and_not_the_quote(
    fields: dict[str, Any], reason: str
) -> None:
    read = read_one(**fields)
    (found,) = read.records
    (name,) = fields
    assert getattr(found, {"cp": "prev_close"}.get(name, name)) is None
    assert found.last_price == row(RELIANCE)["last_price"]
    (dropped,) = read.dropped_fields
    assert dropped.instrument_key == RELIANCE
    assert reason in dropped.reason
    assert len(dropped.reason) < 120
    assert not read.rejected


def test_a_missing_volume_costs_itself() -> None:
    data = row(RELIANCE)
    del data["volume"]
    read = read_quotes({"X": data}, [RELIANCE])
    assert read.records[0].volume is None
    assert read.dropped_fields == (RejectedRow(RELIANCE, "volume is missing"),)


def test_key_without_a_row_is_absent() -> None:
    assert read_quotes({}, [RELIANCE]).absent == (RELIANCE,)


def test_rows_of_other_keys_are_unrequested() -> None:
    read = read_quotes({"X": row("NSE_EQ|OTHER")}, [RELIANCE])
    assert read.unrequested == (RejectedRow("NSE_EQ|OTHER", "not requested"),)
    assert read.absent == (RELIANCE,)


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        pytest.param({"last_price": 1}, "a row without instrument_token", id="no token"),
        pytest.param(None, "null, not a row", id="null"),
        pytest.param([1], "[1], not a row", id="a list"),
        pytest.param(
            row("NSE_EQ:INE002A01018"),
            "a row whose instrument_token is 'NSE_EQ:INE002A01018'",
            id="a colon for a bar",
        ),
        pytest.param(row(2885), "a row whose instrument_token is 2885", id="a number"),
    ],
)
def test_a_row_that_names_no_instrument_may_be_that_of_a_missing_key(
    extra: object, reason: str
) -> None:
    read = read_quotes({"X": extra, "Y": row(NIFTY)}, [RELIANCE, NIFTY])
    assert read.unrequested == (RejectedRow("X", reason),)
    assert read.absent == ()
    (aside,) = read.rejected
    assert aside.instrument_key == RELIANCE
    assert f"1 cannot be assigned, the first {reason}" in aside.reason


def test_two_rows_of_one_key_must_agree() -> None:
    same = read_quotes({"A": row(RELIANCE), "B": row(RELIANCE)}, [RELIANCE])
    assert len(same.records) == 1
    other = read_quotes({"A": row(RELIANCE), "B": row(RELIANCE, 7)}, [RELIANCE])
    assert "2 rows that disagree" in other.rejected[0].reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
KEYS = [RELIANCE, NIFTY, "NSE_EQ|A", "NSE_EQ|B"]
ROWS = JSON | st.fixed_dictionaries(
    {"instrument_token": st.sampled_from(KEYS) | JSON, "last_price": JSON, "volume": JSON},
    optional={"ltq": JSON, "cp": JSON},
)


@settings(max_examples=60)
@given(st.dictionaries(st.text(max_size=6), ROWS, max_size=6), st.lists(st.sampled_from(KEYS)))
def test_every_requested_key_is_reported_once(data: dict[str, Any], requested: list[str]) -> None:
    read = read_quotes(data, requested)
    result = [
        *(q.instrument_key for q in read.records),
        *read.absent,
        *(aside.instrument_key for aside in read.rejected),
    ]
    assert sorted(result) == sorted(set(requested))
