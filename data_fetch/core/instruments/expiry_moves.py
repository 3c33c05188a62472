"""Expiries that the exchange moved: which expiry of an underlying's options became which.

The dated terms of the contracts show it: an expiry has become another one when most of its
contracts have, and when they are most of those that the other one has. An expiry that joins one
with contracts of its own remains another chain until then.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from operator import attrgetter

from data_fetch.core.instruments.bearers import Bearing


@dataclass(frozen=True, slots=True)
class ExpiryFlow:
    """How many *contracts* have *expiry* from *since* on, and had *former* until then (None: they
    were listed on that day)."""

    former: date | None
    expiry: date
    since: date
    contracts: int


def expiry_bearings(flows: Collection[ExpiryFlow]) -> tuple[Bearing[date, date], ...]:
    """Of each expiry that was moved, or that another was moved to, the chain it stands for.

    A chain is named by its expiry in force; none are returned when nothing was moved.
    """
    moves = [each for each in flows if _is_move(each, flows)]
    moved = {day for each in moves for day in (each.former, each.expiry)}
    return tuple(
        Bearing(since, expiry, _in_force(expiry, since, moves))
        for expiry, since in sorted({(each.expiry, each.since) for each in flows})
        if expiry in moved
    )


def _in_force(expiry: date, since: date, moves: Iterable[ExpiryFlow]) -> date:
    """What has become of the chain that had *expiry* from *since* on."""
    for each in sorted(moves, key=attrgetter("since")):
        if each.former == expiry and each.since > since:
            expiry, since = each.expiry, each.since
    return expiry


def _is_move(flow: ExpiryFlow, flows: Collection[ExpiryFlow]) -> bool:
    if flow.former is None:
        return False
    before = [each for each in flows if each.since < flow.since]
    moving = [each for each in flows if each.since == flow.since and each.former is not None]
    most_of = max(_count(flow.former, before), _count(flow.expiry, [*before, *moving]))
    return 2 * flow.contracts > most_of


def _count(expiry: date, flows: Collection[ExpiryFlow]) -> int:
    """How many contracts have *expiry* after *flows*."""
    arrived = sum(each.contracts for each in flows if each.expiry == expiry)
    return arrived - sum(each.contracts for each in flows if each.former == expiry)
