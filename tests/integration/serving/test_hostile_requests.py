"""What no client should send: each request is refused clearly, and the server goes on.

Over both databases, with rows and without.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from raw_requests import Target

from data_fetch.core.settings import Settings
from data_fetch.serving.app import routes_of
from data_fetch.serving.server import Server

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


def operations() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Every method and path of the server, with its description."""
    settings = Settings.load({}, Path("/nowhere"))
    for path, methods in routes_of(Server(settings)).openapi()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


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
    for each in operation["parameters"]:
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
    faults = [
        (kind, fault)
        for target in targets.values()
        for kind, value in HOSTILE.items()
        for fault in [target.fault(target.send(method, address(path, operation, name, value)))]
        if fault
    ]

    assert faults == []
