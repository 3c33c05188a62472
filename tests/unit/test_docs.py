"""What the docs promise exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from checkout import CHECKOUT
from click.testing import CliRunner
from pydantic import AliasChoices

from data_fetch import reading
from data_fetch.cli.main import COMMANDS, cli
from data_fetch.core.candles.coverage import State
from data_fetch.core.chains.valuation import Reason
from data_fetch.core.failures import FailureGroup, FailureKind
from data_fetch.core.settings import Settings
from data_fetch.reading import (
    candle_ranges,
    chain_series,
    chain_snapshots,
    coverage_days,
    coverage_gaps,
    instrument_lists,
    quote_freshness,
    quote_ranges,
    run_records,
)
from data_fetch.storage.database.tables import Base

EXAMPLE = (CHECKOUT / ".env.example").read_text(encoding="utf-8")
DOCS = CHECKOUT / "docs"
PAGES = [CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
REFERENCE = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
READING = (DOCS / "reference" / "reading.md").read_text(encoding="utf-8")
TABLE_COLUMNS = {
    *candle_ranges.COLUMNS,
    *quote_ranges.COLUMNS,
    *chain_snapshots.COLUMNS,
    *chain_series.FIGURE_COLUMNS,
    *chain_series.LEG_COLUMNS,
    *coverage_days.COLUMNS,
    *coverage_gaps.COLUMNS,
    *quote_freshness.COLUMNS,
    *instrument_lists.COLUMNS,
    *run_records.COLUMNS,
}
# Programs send, return and report; see "Language" in docs/architecture.md.
IDIOM = re.compile(r"\b(told|whoever|nobody|somebody|can be had|wish(es)? for)\b", re.IGNORECASE)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)?(?:#([^)\s]+))?\)")
# In code spans and in console blocks; the rest of the line are its words.
PRINTED = re.compile(r"(?:`|^[$>] (?:\.venv[/\\]\w+[/\\])?)data-fetch ([^`\n]+)", re.MULTILINE)


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
def test_every_command_has_help_and_is_in_the_reference(name: str) -> None:
    helped = CliRunner().invoke(cli, [name, "--help"])

    assert helped.exit_code == 0, helped.output
    assert f"### `data-fetch {name}`" in REFERENCE


def name_of(page: Path) -> str:
    return page.relative_to(CHECKOUT).as_posix()


def printed_commands(page: Path) -> Iterator[str]:
    yield from PRINTED.findall(page.read_text(encoding="utf-8"))


def problem_of(printed: str) -> str | None:
    """What a user would be refused for; operands are not looked at."""
    command: click.Command = cli
    context = click.Context(cli)
    for word in printed.split():
        if not isinstance(command, click.Group) or not re.fullmatch(r"[a-z][a-z-]*", word):
            break
        found = command.get_command(context, word)
        if found is None:
            return f"no command {word}"
        command = found
    known = {
        option for one in command.get_params(context) for option in (*one.opts, *one.secondary_opts)
    }
    unknown = set(re.findall(r"(?<!\S)--[a-z-]+", printed)) - known
    return f"no option {', '.join(sorted(unknown))}" if unknown else None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_printed_command_exists(page: Path) -> None:
    problems = {printed: problem_of(printed) for printed in printed_commands(page)}

    assert {printed: why for printed, why in problems.items() if why is not None} == {}


def anchors_of(page: Path) -> set[str]:
    """Of headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for path, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            lost.append(f"{path}#{anchor}")

    assert lost == []


@pytest.mark.parametrize("page", [*PAGES, CHECKOUT / ".env.example"], ids=name_of)
def test_pages_are_in_plain_words(page: Path) -> None:
    """Former names may be quoted, as code."""
    lines = re.sub(r"`[^`\n]*`", "", page.read_text(encoding="utf-8")).splitlines()

    assert [line for line in lines if IDIOM.search(line)] == []


def test_the_readme_is_a_landing_page() -> None:
    assert len((CHECKOUT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    pages = [
        path
        for kind in ("tutorial", "howto", "reference", "explanation")
        for path in (DOCS / kind).glob("*.md")
    ]

    assert [name_of(page) for page in pages if page.relative_to(DOCS).as_posix() not in index] == []


def test_files_of_the_architecture_page_exist() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    # Rows of "where things go" name files that are still to be made.
    ways = page[page.index("## The way of one quote") :]
    named = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)+\.py)`", ways))

    assert named
    assert [name for name in sorted(named) if not (CHECKOUT / "data_fetch" / name).exists()] == []


@pytest.mark.parametrize("name", setting_names())
def test_every_setting_is_in_the_reference(name: str) -> None:
    assert f"`{name}`" in (DOCS / "reference" / "settings.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(Base.metadata.tables))
def test_every_table_is_in_the_reference(name: str) -> None:
    assert f"| `{name}` |" in (DOCS / "reference" / "tables.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*State, *Reason, *FailureKind, *FailureGroup])
def test_every_state_reason_and_failure_is_in_the_reference(name: str) -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md"))

    assert f"`{name}`" in pages


@pytest.mark.parametrize("name", reading.__all__)
def test_every_reading_function_is_in_the_reference(name: str) -> None:
    assert f"\n## {name}\n" in READING


def test_every_column_of_a_table_is_in_the_reference() -> None:
    # Quantities in contracts are described once, as `..._contracts`.
    named = {name for name in TABLE_COLUMNS if not name.endswith("_contracts")}

    assert {name for name in named if f"`{name}`" not in READING} == set()


def test_every_decision_is_numbered_once() -> None:
    records = [path.name[:4] for path in (CHECKOUT / "docs" / "decisions").glob("*.md")]

    assert all(number.isdigit() for number in records)
    assert len(set(records)) == len(records)
