"""Every alert has a runbook, every runbook an alert, and what they say to do exists."""

import re
from typing import Any

import pytest
import yaml
from checkout import CHECKOUT
from deployed import DEPLOY, is_command

from data_fetch.alerts.rules import RULE_NAMES
from data_fetch.alerts.texts import RUNBOOKS

PAGE = (CHECKOUT / RUNBOOKS).read_text(encoding="utf-8")
GUIDE = (CHECKOUT / "docs" / "howto" / "get-alerts.md").read_text(encoding="utf-8")
GROUPS = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text(encoding="utf-8"))["groups"]
PROMETHEUS: dict[str, Any] = {
    rule["alert"]: rule["annotations"] for group in GROUPS for rule in group["rules"]
}


def test_runbooks_are_those_of_the_alerts() -> None:
    of_watcher, of_prometheus = (
        re.findall(r"^### (\S+)$", part, re.MULTILINE)
        for part in PAGE.split("## Alerts of Prometheus")
    )

    assert sorted(of_watcher) == sorted(RULE_NAMES)
    assert of_prometheus == list(PROMETHEUS)


@pytest.mark.parametrize("name", RULE_NAMES)
def test_a_runbook_says_what_it_means_why_where_to_look_what_to_do_and_when_it_ends(
    name: str,
) -> None:
    section = PAGE.split(f"### {name}\n")[1].split("### ")[0]

    assert re.findall(r"^\*\*(\w+)", section, re.MULTILINE) == [
        "Meaning", "Causes", "Look", "Do", "Ends",
    ]  # fmt: skip


@pytest.mark.parametrize("name", RULE_NAMES)
def test_the_guide_says_when_an_alert_begins(name: str) -> None:
    assert f"`{name}`" in GUIDE


@pytest.mark.parametrize("name", PROMETHEUS)
def test_an_action_names_a_command_that_exists(name: str) -> None:
    for command in re.findall(r"data-fetch ((?:[a-z]+ ?)+)", PROMETHEUS[name]["action"]):
        assert is_command(command.split())
