"""The standing of a volatility in a sentence."""

from datetime import date

import pytest

from data_fetch.analytics.iv_standing import Standing
from data_fetch.analytics.surface import Smile
from data_fetch.dashboard.volatility_texts import (
    smile_table,
    standing_sentence,
    too_few_expiries,
)

SMILE = Smile(
    expiry=date(2026, 9, 29),
    years=0.04,
    forward=24_000.0,
    strikes=(23_900.0, 24_000.0),
    ivs=(0.13, 0.12),
    deltas=(0.6, 0.5),
    atm_iv=0.12,
    by_delta={},
)


@pytest.mark.parametrize(
    ("smile", "found", "sentence"),
    [
        pytest.param(SMILE, Standing(40, 82.4, 61.0), "IV percentile 82, IV rank 61, from 40 days"),
        pytest.param(SMILE, Standing(5, 0, None), "IV percentile 0, from 5 days"),
        pytest.param(SMILE, Standing(1, 0, None), "it needs 5 earlier days; 1 is stored"),
        pytest.param(SMILE, None, "it needs 5 earlier days; 0 are stored"),
        pytest.param(None, Standing(9, 1, 1), "the volatility of today is unknown"),
    ],
)
def test_it_says_from_how_many_days(
    smile: Smile | None, found: Standing | None, sentence: str
) -> None:
    assert sentence in standing_sentence(smile, found)


def test_the_download_has_a_row_for_each_point() -> None:
    assert smile_table([SMILE, SMILE]).to_pylist()[1] == {
        "expiry": date(2026, 9, 29),
        "strike": 24_000.0,
        "iv": 0.12,
        "delta": 0.5,
    }


def test_too_few_expiries_name_the_command() -> None:
    assert too_few_expiries("M&M", 1) == (
        "The surface needs 2 expiries with prices; 1 is stored. Collect more: "
        "`data-fetch symbols set 'M&M' --expiries 2`"
    )
