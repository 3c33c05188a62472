"""What no client should send: each request is refused clearly, and the server goes on.

Over a store of each kind with rows, and over one without.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

import pytest
from described_api import operations
from raw_requests import Target
from served_market import FILLED

LONG = "A" * 10_000
# As they are sent in a path or a query.
HOSTILE = {
    "nothing": "",
    "zero": "0",
    "negative": "-1",
    "letters": "abc",
    "a trillion": "1000000000000",
    "beyond a float": "1e999",
    "not a number": "NaN",
    "no such day": "31-Feb-2026",
    "nor this one": "2026-02-31",
    "the last day": "9999-12-31",
    "the first day": "0001-01-01",
    "an instant without an offset": "2025-06-10T09:30:00",
    "an ampersand": "M&M",
    "an encoded ampersand": "M%26M",
    "a path": "../../etc/passwd",
    "an encoded path": "..%2F..%2Fetc%2Fpasswd",
    "a null byte": "%00",
    "no UTF-8": "%FF%FE",
    "half a character": "%ED%A0%80",
    "10 kB": LONG,
    "a Greek N": quote("ΝIFTY"),
    "wide letters": quote("ＮＩＦＴＹ"),
    "an invisible space": quote("NIFTY\u200b"),
    "a line break": "NIFTY%0D%0AX-Injected:%201",
    "SQL": quote("NIFTY' OR '1'='1"),
    "a pattern": "%25",
    "a list": "[]",
    "markup": quote("<script>alert(1)</script>"),
}
EXAMPLES = {
    "symbol": "NIFTY", "product": "NIFTY", "expiry": "2025-06-26", "strike": "24000",
    "option_type": "CE", "from": "2025-06-10", "to": "2025-06-10", "interval": "1minute",
}  # fmt: skip


def parameters() -> Iterator[Any]:
    for method, path, operation in operations():
        for each in operation.get("parameters", []):
            if each["in"] in {"path", "query"}:
                yield pytest.param(
                    method, path, operation, each["name"], id=f"{method} {path} {each['name']}"
                )


def example(parameter: Mapping[str, Any]) -> str:
    return EXAMPLES.get(parameter["name"], "1")


def address(path: str, operation: Mapping[str, Any], name: str, value: str) -> str:
    """The path with *value* for the parameter *name*, and good values for what else it requires."""
    query = []
    for each in operation.get("parameters", []):
        given = value if each["name"] == name else example(each)
        if each["in"] == "path":
            path = path.replace(f"{{{each['name']}}}", given)
        elif each["in"] == "query" and (each["name"] == name or each["required"]):
            query.append(f"{each['name']}={given}")
    return f"{path}?{'&'.join(query)}" if query else path


@pytest.mark.parametrize(("method", "path", "operation", "name"), list(parameters()))
def test_no_value_of_a_parameter_hurts(
    targets: Mapping[str, Target],
    method: str,
    path: str,
    operation: Mapping[str, Any],
    name: str,
) -> None:
    faults = {
        kind: found
        for kind, value in HOSTILE.items()
        if (found := faults_in(targets, method, address(path, operation, name, value)))
    }

    assert faults == {}


def faults_in(targets: Mapping[str, Target], method: str, path: str) -> list[str]:
    """What is wrong with the answers of the servers, up to one that refuses the request by itself:
    what it refuses so meets no store.
    """
    found = []
    for target in targets.values():
        answer = target.send(method, path)
        found.append(target.fault(answer))
        if answer.status == 422:
            break
    return [fault for fault in found if fault]


# What a parameter never accepts. Dates are those of a calendar, instants have an offset.
NO_DATE = ("no such day", "nor this one", "letters", "nothing", "a list")
NO_COUNT = ("zero", "negative", "letters", "a trillion", "beyond a float", "not a number")
NEVER = {
    "limit": NO_COUNT,
    "every": (*NO_COUNT, "nothing"),
    "window": NO_COUNT,
    "offset": ("negative", "letters", "a trillion"),
    "strike": ("negative", "letters", "not a number", "beyond a float"),
    **dict.fromkeys(("expiry", "date", "from", "to", "start", "end"), NO_DATE),
    **dict.fromkeys(("at", "as_of"), (*NO_DATE, "an instant without an offset")),
    **dict.fromkeys(
        ("interval", "option_type", "kind", "source", "cause", "format", "cursor", "require"),
        ("letters", "SQL", "10 kB"),
    ),
}


def refused() -> Iterator[Any]:
    for method, path, operation in operations():
        for each in operation.get("parameters", []):
            if each["in"] == "query" and each["name"] in NEVER:
                name = each["name"]
                yield pytest.param(method, path, operation, name, id=f"{method} {path} {name}")


def names(sentence: str, name: str, value: str) -> bool:
    """Whether a refusal says which parameter it is about, or which value."""
    return name in sentence or unquote(value)[:20] in sentence


@pytest.mark.parametrize(("method", "path", "operation", "name"), list(refused()))
def test_what_a_parameter_never_accepts_is_refused(
    targets: Mapping[str, Target],
    method: str,
    path: str,
    operation: Mapping[str, Any],
    name: str,
) -> None:
    accepted = [
        (kind, answer.status, answer.body[:300])
        for kind in NEVER[name]
        for answer in [
            targets["sqlite"].send(method, address(path, operation, name, HOSTILE[kind]))
        ]
        if answer.status != 422 or not names(answer.document["detail"], name, HOSTILE[kind])
    ]

    assert accepted == []


def served_forms() -> Iterator[Any]:
    for method, path, operation in operations():
        forms = operation["responses"].get("200", {}).get("content", {})
        if len(forms) > 1:
            yield pytest.param(method, path, operation, sorted(forms), id=path)


@pytest.mark.parametrize(("method", "path", "operation", "forms"), list(served_forms()))
@pytest.mark.parametrize(
    "accept",
    [
        pytest.param("image/png", id="a picture"),
        pytest.param("nonsense", id="no media type"),
        pytest.param(";;q=,,/", id="punctuation"),
        pytest.param("application/json;q=0, */*;q=abc", id="nothing that counts"),
    ],
)
def test_another_form_than_those_served_is_refused_with_the_list(
    targets: Mapping[str, Target],
    method: str,
    path: str,
    operation: Mapping[str, Any],
    forms: list[str],
    accept: str,
) -> None:
    target = targets["sqlite"]
    answer = target.send(method, address(path, operation, "", ""), [("Accept", accept)])

    assert (answer.status, target.fault(answer)) == (406, None)
    assert sorted(answer.document["media_types"]) == forms


@pytest.mark.parametrize(
    ("symbol", "status"),
    [
        pytest.param("M&M", 200, id="raw"),
        pytest.param("M%26M", 200, id="encoded"),
        pytest.param("m%26m", 200, id="in small letters"),
        pytest.param("%20NIFTY%20", 200, id="with blanks"),
        pytest.param("NIFTY%2F..%2F..", 404, id="a path"),
        pytest.param("..", 404, id="a path up"),
        pytest.param("%00", 422, id="a null byte"),
        pytest.param("NIFTY%00", 422, id="a null byte after it"),
        pytest.param(quote("ΝIFTY"), 404, id="a Greek N"),
        pytest.param(quote("ＮＩＦＴＹ"), 404, id="wide letters"),
        pytest.param(quote("NIFTY\u200b"), 404, id="an invisible space"),
        pytest.param(LONG, 422, id="10 kB"),
        pytest.param("filter", 405, id="the path of the filter"),
    ],
)
def test_a_symbol_is_known_by_its_own_letters_only(
    targets: Mapping[str, Target], symbol: str, status: int
) -> None:
    found = {
        name: target.send("GET", f"/option-chain/{symbol}") for name, target in targets.items()
    }

    assert [found[name].status for name in FILLED] == [status, status]
    assert found["empty"].status == max(status, 404)
    assert [target.fault(found[name]) for name, target in targets.items()] == [None] * 3
