"""Which expiry of an underlying's options became which, from how many contracts changed it."""

from datetime import date, timedelta

import pytest

from data_fetch.core.instruments.bearers import Bearing, Stretch, bearer_of, stretches
from data_fetch.core.instruments.expiry_moves import ExpiryFlow, expiry_bearings

LISTED, MOVED, LATER = date(2025, 5, 1), date(2025, 6, 2), date(2025, 6, 5)
FIRST, SECOND, THIRD = date(2025, 6, 12), date(2025, 6, 17), date(2025, 6, 24)
DAY = timedelta(days=1)


def listed(expiry: date, contracts: int = 10, on: date = LISTED) -> ExpiryFlow:
    return ExpiryFlow(None, expiry, on, contracts)


def moves(former: date, expiry: date, contracts: int = 10, on: date = MOVED) -> ExpiryFlow:
    return ExpiryFlow(former, expiry, on, contracts)


def stored(expiry: date, *flows: ExpiryFlow) -> list[Stretch[date]]:
    """Where the chain whose expiry in force is *expiry* is stored."""
    return sorted(stretches(expiry, expiry_bearings(flows)), key=lambda one: one.label)


def test_nothing_moved_stands_for_itself() -> None:
    assert expiry_bearings([listed(FIRST), listed(SECOND)]) == ()


@pytest.mark.parametrize("new", [FIRST - DAY, FIRST + DAY])
def test_a_moved_expiry_has_what_is_stored_under_either(new: date) -> None:
    flows = [listed(FIRST), moves(FIRST, new), listed(new, on=LATER), listed(SECOND)]

    assert {each.label for each in stored(new, *flows)} == {FIRST, new}
    assert stored(FIRST, *flows) == []
    assert bearer_of(FIRST, expiry_bearings(flows)) == new


def test_an_expiry_that_is_moved_back_has_what_was_stored_meanwhile() -> None:
    flows = [listed(FIRST), moves(FIRST, SECOND), moves(SECOND, FIRST, on=LATER)]

    assert stored(FIRST, *flows) == [Stretch(FIRST), Stretch(SECOND)]


def test_expiries_that_are_moved_on_to_each_other_divide_what_is_stored() -> None:
    flows = [listed(SECOND), listed(THIRD), moves(SECOND, FIRST), moves(THIRD, SECOND)]

    assert stored(FIRST, *flows) == [Stretch(FIRST), Stretch(SECOND, until=MOVED)]
    assert stored(SECOND, *flows) == [Stretch(SECOND, since=MOVED), Stretch(THIRD)]


def test_an_expiry_that_is_listed_anew_after_a_move_is_another_chain() -> None:
    flows = [listed(FIRST), moves(FIRST, SECOND), listed(FIRST, on=LATER)]

    assert stored(SECOND, *flows) == [Stretch(FIRST, until=LATER), Stretch(SECOND)]
    assert stored(FIRST, *flows) == [Stretch(FIRST, since=LATER)]


@pytest.mark.parametrize(
    "flows",
    [
        pytest.param([listed(FIRST), moves(FIRST, SECOND, 5)], id="half of the contracts"),
        pytest.param(
            [listed(FIRST), listed(SECOND), moves(FIRST, SECOND)], id="joining one that has as many"
        ),
    ],
)
def test_what_is_not_mostly_the_same_remains_another_chain(flows: list[ExpiryFlow]) -> None:
    assert expiry_bearings(flows) == ()


def test_a_few_contracts_that_were_left_behind_do_not_keep_a_chain_apart() -> None:
    flows = [listed(FIRST), moves(FIRST, SECOND, 8)]

    assert {each.label for each in stored(SECOND, *flows)} == {FIRST, SECOND}


class TestBearers:
    """Who had a label when several had it, one after the other."""

    BORNE = (
        Bearing(LISTED, "A", "one"),
        Bearing(MOVED, "B", "one"),
        Bearing(LATER, "A", "other"),
    )

    def test_a_label_belongs_to_its_bearer_until_another_one_has_it(self) -> None:
        assert stretches("one", self.BORNE) == (Stretch("A", until=LATER), Stretch("B"))
        assert stretches("other", self.BORNE) == (Stretch("A", since=LATER),)

    def test_a_label_that_is_had_again_belongs_to_its_bearer_twice(self) -> None:
        again = Bearing(LATER + DAY, "A", "one")

        assert stretches("one", [*self.BORNE, again])[:2] == (
            Stretch("A", until=LATER),
            Stretch("A", since=LATER + DAY),
        )

    @pytest.mark.parametrize(
        ("day", "bearer"),
        [(LISTED - DAY, "one"), (MOVED, "one"), (LATER, "other"), (date.max, "other")],
    )
    def test_it_stands_for_its_bearer_of_that_day(self, day: date, bearer: str) -> None:
        assert bearer_of("A", self.BORNE, day) == bearer
        assert bearer_of("C", self.BORNE, day) is None
