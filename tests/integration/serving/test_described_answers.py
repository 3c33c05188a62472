"""Every answer is one that the server's own description has: its status, media type and members.

What is sent is derived from the description, in it and beside it; the same to servers over each
kind of database.
"""

from collections.abc import Mapping
from typing import Any

import pytest
import schemathesis
from described_api import operations
from effort import PATIENCE_SECONDS, times
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from raw_requests import Target
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from served_market import FILLED

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def described(targets: Mapping[str, Target]) -> Any:
    return schemathesis.openapi.from_url(f"{targets['sqlite'].url}/openapi.json")


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation", [f"{method} {path}" for method, path, _ in operations()])
def test_answers_are_as_described(
    targets: Mapping[str, Target], described: Any, operation: str, mode: GenerationMode
) -> None:
    method, _, path = operation.partition(" ")

    @seed(1)
    @settings(
        max_examples=times(5, 500),
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=described[path][method].as_strategy(generation_mode=mode))
    def every(case: Any) -> None:
        for name in FILLED:
            case.call_and_validate(
                base_url=targets[name].url, checks=CHECKS, timeout=PATIENCE_SECONDS
            )

    try:
        every()
    except Unsatisfiable:
        # Where a request has no parameters, there is none that is not as described.
        assert mode is GenerationMode.NEGATIVE
