"""What a label stood for over time, when one after another had it.

A label is the symbol of a stock, or the expiry of an option chain. Whatever is stored under it
belongs to the one that had it on that day.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from operator import attrgetter
from typing import Generic, TypeVar

Label = TypeVar("Label", str, date)
Bearer = TypeVar("Bearer", str, date)


@dataclass(frozen=True, slots=True)
class Bearing(Generic[Label, Bearer]):
    """From *since* on, *label* stands for *bearer*."""

    since: date
    label: Label
    bearer: Bearer


@dataclass(frozen=True, slots=True)
class Stretch(Generic[Label]):
    """The days from *since* until before *until*, and the *label* of those days."""

    label: Label
    since: date = date.min
    until: date = date.max


def stretches(
    bearer: Bearer, bearings: Iterable[Bearing[Label, Bearer]]
) -> tuple[Stretch[Label], ...]:
    """On which days what is stored under which label belongs to *bearer*.

    A label belongs to its first bearer before it is known to have had it, and to each until
    another one has it: what is stored late, or early, under a name is lost to none.
    """
    begins: dict[Label, list[Bearing[Label, Bearer]]] = {}
    for each in sorted(bearings, key=attrgetter("since")):
        begins.setdefault(each.label, []).append(each)
    return tuple(
        Stretch(label, since, until)
        for label, successive in begins.items()
        for since, until, of in _periods(successive)
        if of == bearer and since < until
    )


def bearer_of(
    label: Label, bearings: Iterable[Bearing[Label, Bearer]], day: date = date.max
) -> Bearer | None:
    """What *label* stood for on *day*, without it today; None when no bearer is known."""
    borne = sorted((each for each in bearings if each.label == label), key=attrgetter("since"))
    begun = [each for each in borne if each.since <= day] or borne[:1]
    return begun[-1].bearer if begun else None


def _periods(
    successive: list[Bearing[Label, Bearer]],
) -> list[tuple[date, date, Bearer]]:
    changes: list[Bearing[Label, Bearer]] = [successive[0]]
    for each in successive[1:]:
        if each.bearer != changes[-1].bearer:
            changes.append(each)
    sinces: list[date] = [date.min, *(each.since for each in changes[1:])]
    untils = [*sinces[1:], date.max]
    return [
        (since, until, each.bearer)
        for since, until, each in zip(sinces, untils, changes, strict=True)
    ]
