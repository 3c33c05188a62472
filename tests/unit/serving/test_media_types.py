"""Which media type a sender gets, after its `Accept`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.serving.media_types import preferred

JSON, CSV, TEXT = "application/json", "text/csv", "text/plain"
OFFERED = (JSON, CSV, TEXT)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        pytest.param("", JSON, id="nothing said"),
        pytest.param("*/*", JSON, id="anything"),
        pytest.param("text/csv", CSV, id="one"),
        pytest.param("TEXT/CSV", CSV, id="in capitals"),
        pytest.param("text/*", CSV, id="the first of a kind"),
        pytest.param("text/csv, application/json", CSV, id="the first named of equals"),
        pytest.param("text/csv;q=0.5, application/json;q=0.9", JSON, id="the better"),
        pytest.param("image/png, */*;q=0.1", JSON, id="what is left"),
        pytest.param("application/json;q=0, */*", CSV, id="anything but"),
        pytest.param("image/png", None, id="none"),
        pytest.param("application/json;q=0", None, id="refused"),
        pytest.param("application/json;q=lots", None, id="no quality"),
        pytest.param(",;,/", None, id="nonsense"),
    ],
)
def test_the_type_that_is_preferred(accept: str, chosen: str | None) -> None:
    assert preferred(accept, OFFERED) == chosen


@given(st.text(max_size=200))
def test_whatever_is_sent_the_choice_is_one_of_the_offered(accept: str) -> None:
    assert preferred(accept, OFFERED) in {*OFFERED, None}
