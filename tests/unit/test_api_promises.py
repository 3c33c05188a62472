"""Which changes of an interface break programs that use it."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from api_promises import promises

BEFORE: dict[str, Any] = {
    "paths": {
        "/chains/{symbol}": {
            "get": {
                "operationId": "chain",
                "parameters": [
                    {"name": "symbol", "in": "path", "required": True,
                     "schema": {"type": "string"}},
                    {"name": "limit", "in": "query", "schema": {"type": "integer"}},
                ],
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Chain"}},
                            "text/csv": {"schema": {"type": "string"}},
                        }
                    }
                },
            },
            "post": {
                "operationId": "order",
                "requestBody": {
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Order"}}
                    }
                },
                "responses": {"204": {"description": "done"}},
            },
        },
    },
    "components": {
        "schemas": {
            "Chain": {
                "properties": {
                    "symbol": {"type": "string"},
                    "spot": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                    "legs": {"type": "array", "items": {"$ref": "#/components/schemas/Leg"}},
                },
                "required": ["symbol", "legs"],
            },
            "Leg": {"properties": {"strike": {"type": "number"}}, "required": ["strike"]},
            "Order": {
                "properties": {"leg": {"type": "string"}, "lots": {"type": "integer"}},
                "required": ["leg"],
            },
        }
    },
}  # fmt: skip
Change = Callable[[dict[str, Any]], object]


def get(document: dict[str, Any]) -> Any:
    return document["paths"]["/chains/{symbol}"]["get"]


def schema(document: dict[str, Any], name: str) -> Any:
    return document["components"]["schemas"][name]


def broken_by(change: Change) -> set[str]:
    after = deepcopy(BEFORE)
    change(after)
    return promises(BEFORE) - promises(after)


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        pytest.param(
            lambda d: d["paths"].pop("/chains/{symbol}"),
            "GET /chains/{symbol} is named chain",
            id="a path is gone",
        ),
        pytest.param(
            lambda d: d["paths"]["/chains/{symbol}"].pop("post"),
            "POST /chains/{symbol} takes application/json: Order",
            id="an operation is gone",
        ),
        pytest.param(
            lambda d: get(d).update(operationId="chain_of"),
            "GET /chains/{symbol} is named chain",
            id="an operation is renamed",
        ),
        pytest.param(
            lambda d: get(d)["parameters"].pop(),
            "GET /chains/{symbol} takes query limit: integer",
            id="a parameter is gone",
        ),
        pytest.param(
            lambda d: get(d)["parameters"][1].update(required=True),
            "GET /chains/{symbol} needs only symbol",
            id="a parameter is required now",
        ),
        pytest.param(
            lambda d: get(d)["responses"]["200"]["content"].pop("text/csv"),
            "GET /chains/{symbol} answers 200 text/csv: string",
            id="a media type is gone",
        ),
        pytest.param(
            lambda d: schema(d, "Chain")["properties"].pop("spot"),
            "Chain has spot: number",
            id="a member is gone",
        ),
        pytest.param(
            lambda d: schema(d, "Leg")["properties"]["strike"].update(type="string"),
            "Leg has strike: number",
            id="a member deep inside has another type",
        ),
        pytest.param(
            lambda d: schema(d, "Leg")["properties"].update(
                strike={"anyOf": [{"type": "number"}, {"type": "null"}]}
            ),
            "Leg has never null as strike",
            id="a member may be null now",
        ),
        pytest.param(
            lambda d: schema(d, "Chain")["required"].remove("symbol"),
            "Chain has always symbol",
            id="a member may be left out now",
        ),
        pytest.param(
            lambda d: schema(d, "Order")["required"].append("lots"),
            "Order needs only leg",
            id="a member of a body is required now",
        ),
        pytest.param(
            lambda d: schema(d, "Order")["properties"].pop("lots"),
            "Order takes lots: integer",
            id="a member of a body is not taken any more",
        ),
    ],
)
def test_what_breaks_programs_is_found(change: Change, broken: str) -> None:
    assert broken in broken_by(change)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda d: d["paths"].update({"/new": {}}), id="a path"),
        pytest.param(
            lambda d: get(d)["parameters"].append(
                {"name": "at", "in": "query", "schema": {"type": "string"}}
            ),
            id="a parameter that may be left out",
        ),
        pytest.param(
            lambda d: schema(d, "Leg")["properties"].update(iv={"type": "number"}),
            id="a member of an answer",
        ),
        pytest.param(
            lambda d: schema(d, "Order")["properties"].update(note={"type": "string"}),
            id="a member of a body that may be left out",
        ),
        pytest.param(
            lambda d: schema(d, "Chain")["required"].append("spot"), id="a member is always there"
        ),
        pytest.param(
            lambda d: schema(d, "Chain")["properties"].update(spot={"type": "number"}),
            id="a member is never null any more",
        ),
        pytest.param(
            lambda d: get(d)["responses"].update({"404": {"description": "unknown"}}),
            id="a status",
        ),
    ],
)
def test_what_is_added_breaks_nothing(change: Change) -> None:
    assert broken_by(change) == set()
