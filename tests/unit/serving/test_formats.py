"""Which form a request is answered in."""

from typing import Any

import pytest
from fastapi import Request

from data_fetch.serving.formats import Format, format_of
from data_fetch.serving.problems import Refusal

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
ARROW = "application/vnd.apache.arrow.stream"


def request(accept: str | None) -> Request:
    headers: list[Any] = [] if accept is None else [(b"accept", accept.encode())]
    return Request({"type": "http", "headers": headers})


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        pytest.param(None, Format.JSON, id="nothing said"),
        pytest.param("*/*", Format.JSON, id="anything"),
        pytest.param(BROWSER, Format.JSON, id="a browser"),
        pytest.param("text/csv", Format.CSV, id="CSV"),
        pytest.param("text/*", Format.CSV, id="any text"),
        pytest.param(f"text/csv;q=0.5, {ARROW}", Format.ARROW, id="the liked one"),
    ],
)
def test_the_form_that_is_accepted(accept: str | None, form: Format) -> None:
    assert format_of(request(accept), None) is form


def test_the_named_form_counts_more() -> None:
    assert format_of(request("text/csv"), Format.ARROW) is Format.ARROW


@pytest.mark.parametrize("accept", ["image/png", "nonsense", "application/json;q=0", ";;;,,,"])
def test_what_is_not_served_is_refused(accept: str) -> None:
    with pytest.raises(Refusal) as refused:
        format_of(request(accept), None)

    assert refused.value.status == 406
    assert refused.value.more["media_types"] == ["application/json", "text/csv", ARROW]
