"""Days of late data are brought back before they are written, each once."""

from collections.abc import Sequence
from datetime import date

import pytest

from data_fetch.core.archive.days import Dataset
from data_fetch.core.errors import DayArchived
from data_fetch.services.late_days import refuse, with_days_back

OLD, OLDER = date(2026, 9, 16), date(2026, 9, 15)


class Shop:
    """Refuses to write while one of *needed* is in the archive, naming *at_once* of them."""

    def __init__(self, *needed: date, at_once: int) -> None:
        self.archived = list(needed)
        self.at_once = at_once
        self.brought: list[tuple[Dataset, list[date]]] = []

    def write(self) -> str:
        if self.archived:
            raise DayArchived("chains", self.archived[: self.at_once])
        return "written"

    def bring_back(self, dataset: Dataset, days: Sequence[date]) -> None:
        self.brought.append((dataset, list(days)))
        self.archived = [day for day in self.archived if day not in days]


@pytest.mark.parametrize(
    ("at_once", "brought"),
    [
        (2, [(Dataset.CHAINS, [OLD, OLDER])]),
        (1, [(Dataset.CHAINS, [OLD]), (Dataset.CHAINS, [OLDER])]),
    ],
)
def test_days_are_brought_back_as_they_are_found(
    at_once: int, brought: list[tuple[Dataset, list[date]]]
) -> None:
    shop = Shop(OLD, OLDER, at_once=at_once)
    assert with_days_back(shop.write, shop.bring_back) == "written"
    assert shop.brought == brought


def test_nothing_is_brought_back_in_vain() -> None:
    shop = Shop(OLD, at_once=1)
    shop.bring_back = lambda _dataset, _days: None  # type: ignore[method-assign]
    with pytest.raises(DayArchived):
        with_days_back(shop.write, shop.bring_back)


def test_without_an_archive_the_days_are_refused() -> None:
    with pytest.raises(DayArchived, match="archive restore --dataset chains --from 2026-09-16"):
        with_days_back(Shop(OLD, at_once=1).write, refuse)
