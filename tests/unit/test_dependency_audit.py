"""What `make security` makes of pip-audit's answers."""

import json
from typing import Any

import pytest
from dependency_audit import verdict_on

SOUND = {"name": "click", "version": "8.5.1", "vulns": []}
FLAWED = {
    "name": "urllib3",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}, {"id": "PYSEC-2", "fix_versions": []}],
}
UNKNOWN = {"name": "data-fetch", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "status", "printed"),
    [
        pytest.param([SOUND], 0, "Packages audited: 1; advisories: 0.", id="nothing known"),
        pytest.param([SOUND, FLAWED], 1, "urllib3 1.0: PYSEC-1, fixed in 1.1", id="a fix"),
        pytest.param([FLAWED], 1, "PYSEC-2, fixed in no version yet", id="no fix"),
        pytest.param([SOUND, UNKNOWN], 0, "not audited: data-fetch", id="one is not listed"),
        pytest.param([UNKNOWN], 0, "SKIPPED: dependencies were not audited", id="none is listed"),
    ],
)
def test_an_audit_counts_only_what_was_looked_up(
    packages: list[dict[str, Any]], status: int, printed: str
) -> None:
    verdict = verdict_on(json.dumps({"dependencies": packages}), "")

    assert (verdict.status, printed in "\n".join(verdict.lines)) == (status, True)


def test_a_service_that_cannot_be_reached_is_a_skip_with_its_reason() -> None:
    verdict = verdict_on("", "Traceback ...\nrequests.exceptions.ConnectionError: no route")

    assert verdict.status == 0
    assert verdict.lines == (
        "SKIPPED: dependencies were not audited (requests.exceptions.ConnectionError: no route).",
    )
