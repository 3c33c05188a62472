"""JSON bodies with numbers beyond any range, and what is no JSON at all."""

from math import inf, isnan

import pytest

from data_fetch.core.chains.chains import ChainError
from data_fetch.core.failures import FailureKind
from data_fetch.sources.transport.bodies import parse_json

MANY = b"9" * 5000


@pytest.mark.parametrize(
    ("number", "read"),
    [
        pytest.param(b"1e400", inf, id="beyond a float"),
        pytest.param(b"-1e400", -inf, id="below a float"),
        pytest.param(b"Infinity", inf, id="infinity"),
        pytest.param(MANY, inf, id="thousands of digits"),
        pytest.param(b"-" + MANY, -inf, id="thousands of negative digits"),
        pytest.param(MANY + b".5", inf, id="thousands of digits and a part"),
        pytest.param(b"1e-400", 0.0, id="smaller than a float"),
        pytest.param(b"12345678901234567890123", 12345678901234567890123.0, id="23 digits"),
        pytest.param(b"123456789012345678", 123456789012345678, id="18 digits"),
    ],
)
def test_an_absurd_number_costs_nothing_beside_it(number: bytes, read: float) -> None:
    assert parse_json(b'{"a": ' + number + b', "b": 2, "c": 1e400}') == {
        "a": read,
        "b": 2,
        "c": inf,
    }


def test_nan_is_read_as_one() -> None:
    document = parse_json(b"[NaN, 1]")
    assert isnan(document[0])
    assert document[1] == 1


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(b"", FailureKind.EMPTY_BODY, id="nothing"),
        pytest.param(b" \n", FailureKind.EMPTY_BODY, id="blanks"),
        pytest.param(b"<html>", FailureKind.HTML, id="a page"),
        pytest.param(b'{"a": 1e400', FailureKind.NOT_JSON, id="cut off after such a number"),
        pytest.param(b'{"a": 1e400} trailing', FailureKind.NOT_JSON, id="more than JSON"),
        pytest.param(b'{"a": "\xff", "b": 1e400}', FailureKind.NOT_JSON, id="no text"),
        pytest.param(b'{"a": "\\ud800"}', FailureKind.NOT_JSON, id="half a character"),
        pytest.param(b"NaN" + b"[" * 100_000, FailureKind.NOT_JSON, id="absurdly deep"),
        pytest.param(b"[" * 100_000, FailureKind.NOT_JSON, id="absurdly deep, no number"),
    ],
)
def test_what_is_no_json_is_named(body: bytes, kind: FailureKind) -> None:
    with pytest.raises(ChainError) as refused:
        parse_json(body)
    assert refused.value.kind is kind
