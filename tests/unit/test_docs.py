"""What the docs promise exists."""

import re

import pytest
from checkout import CHECKOUT
from click.testing import CliRunner
from pydantic import AliasChoices

from data_fetch.cli.main import COMMANDS, cli
from data_fetch.core.settings import Settings

EXAMPLE = (CHECKOUT / ".env.example").read_text(encoding="utf-8")
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")


def setting_names() -> list[str]:
    aliases = [field.validation_alias for field in Settings.model_fields.values()]
    return [
        str(name) for alias in aliases if isinstance(alias, AliasChoices) for name in alias.choices
    ]


@pytest.mark.parametrize("name", setting_names())
def test_every_setting_is_in_the_example(name: str) -> None:
    assert re.search(rf"\b{name}\b", EXAMPLE)


def test_the_example_names_nothing_that_is_not_read() -> None:
    named = re.findall(r"^#?([A-Z][A-Z_]+)=", EXAMPLE, re.MULTILINE)

    assert set(named) <= set(setting_names())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_is_in_the_readme(name: str) -> None:
    helped = CliRunner().invoke(cli, [name, "--help"])

    assert helped.exit_code == 0, helped.output
    assert f"data-fetch {name}" in README


def test_every_decision_is_numbered_once() -> None:
    records = sorted(path.name for path in (CHECKOUT / "docs" / "decisions").glob("*.md"))

    assert [name[:4] for name in records] == [f"{n:04d}" for n in range(1, len(records) + 1)]
