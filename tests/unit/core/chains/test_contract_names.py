"""Names of option contracts."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.chains.chains import OptionType
from data_fetch.core.chains.contract_names import Contract, contract_of

EXPIRY = date(2026, 9, 22)


@pytest.mark.parametrize(
    ("name", "contract"),
    [
        ("NIFTY20260922C24000", Contract("NIFTY", EXPIRY, OptionType.CALL, 24_000.0)),
        ("M&M20260922P282.5", Contract("M&M", EXPIRY, OptionType.PUT, 282.5)),
        ("360ONE20260922C1000", Contract("360ONE", EXPIRY, OptionType.CALL, 1_000.0)),
    ],
)
def test_a_contract_has_one_name(name: str, contract: Contract) -> None:
    assert contract_of(name) == contract
    assert contract_of(f" {name.lower()} ") == contract
    assert contract.name == name


@pytest.mark.parametrize(
    "name",
    [
        "", "NIFTY", "NIFTY20260922", "NIFTY20260922C", "20260922C24000", "NIFTY20260932C24000",
        "NIFTY20260922X24000", "NIFTY20260922C-1", "NIFTY20260922C1e5", "NIFTY20260922C24000C",
    ],
)  # fmt: skip
def test_what_is_no_name_of_a_contract(name: str) -> None:
    assert contract_of(name) is None


@given(
    product=st.sampled_from(["NIFTY", "BAJAJ-AUTO", "360ONE"]),
    expiry=st.dates(date(1994, 1, 1), date(2099, 12, 31)),
    option_type=st.sampled_from(OptionType),
    paise=st.integers(5, 99_999_999),
)
def test_a_name_gives_its_contract_again(
    product: str, expiry: date, option_type: OptionType, paise: int
) -> None:
    contract = Contract(product, expiry, option_type, paise / 100)
    assert contract_of(contract.name) == contract
