"""The page on databases that fail has every refusal, as the program words it."""

import re

import pytest
from checkout import CHECKOUT

from data_fetch.core.errors import SchemaDiffers, StoreBusy, StoreRefused, StoreUnreachable
from data_fetch.storage.database.refusals import BY_TEXT, NO_ANSWER, POSTGRES, SQLITE, Refusal

PAGE = CHECKOUT / "docs" / "howto" / "when-the-database-fails.md"
NAMES = {"store": "STORE", "user": "USER", "database": "DATABASE"}
# What `run` does, by the class of the error.
ACTIONS = {
    StoreBusy: "tries again, then collects elsewhere",
    StoreUnreachable: "tries again, then collects elsewhere",
    StoreRefused: "collects elsewhere",
    SchemaDiffers: "collects elsewhere",
}
REFUSALS = list(
    dict.fromkeys(
        [NO_ANSWER, *POSTGRES.values(), *(refusal for _, refusal in BY_TEXT), *SQLITE.values()]
    )
)


def row_of(refusal: Refusal) -> tuple[str, str, str]:
    """Its cells: the sentence, what `run` does, the fix."""
    sentence = refusal.sentence.format_map(NAMES)
    return sentence, ACTIONS.get(refusal.error, "ends"), refusal.fix.format_map(NAMES)


def rows() -> set[tuple[str, ...]]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = [
        [cell.replace("`", "").replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", line)]
        for line in lines
        if line.startswith("|")
    ]
    return {tuple(each[2:-1]) for each in cells}


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.sentence)
def test_every_refusal_is_on_the_page(refusal: Refusal) -> None:
    assert tuple(cell.replace("`", "") for cell in row_of(refusal)) in rows()
