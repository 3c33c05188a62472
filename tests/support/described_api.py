"""The API as its description names it, which a contract test holds to what the server says."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import orjson
from api_promises import DESCRIPTION


def operations() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Every method and path of the server, with its description."""
    for path, methods in _paths().items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


@cache
def _paths() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    paths: Mapping[str, Mapping[str, Mapping[str, Any]]] = orjson.loads(DESCRIPTION.read_bytes())[
        "paths"
    ]
    return paths
