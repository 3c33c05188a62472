"""What the threat model names as its proof exists."""

import re

import pytest
from checkout import CHECKOUT

PAGE = (CHECKOUT / "docs" / "explanation" / "threat-model.md").read_text(encoding="utf-8")
# Threat, what is done, proof.
THREATS = {
    threat.strip(): proof
    for threat, proof in re.findall(
        r"^\| (?!Threat|---)(.+)\|.+\|(.+)\|$",
        PAGE.partition("\n## Responses of the provider\n")[2],
        re.MULTILINE,
    )
}


@pytest.mark.parametrize("threat", THREATS)
def test_a_threat_names_its_proof(threat: str) -> None:
    named = re.findall(r"`([^`]+)`", THREATS[threat])

    assert named
    assert [path for path in named if not (CHECKOUT / path).is_file()] == []
