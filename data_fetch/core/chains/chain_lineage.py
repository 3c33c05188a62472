"""Under which symbols and expiries the chains of an underlying are stored.

A chain is stored under the symbol and the expiry of its time. Readers know it by the present
symbol and the expiry in force.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from data_fetch.core.chains.chains import ChainSource
from data_fetch.core.clock import END_OF_TIME, IST
from data_fetch.core.instruments.bearers import Bearing, Stretch, bearer_of, stretches

MICROSECOND = timedelta(microseconds=1)
BEGIN_OF_TIME = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ChainPart:
    """The snapshots stored under *underlying* and *stored_expiry* that were received first from
    *first* to *last*: they are of the chain whose expiry in force is *expiry*."""

    expiry: date
    underlying: str
    stored_expiry: date
    first: datetime
    last: datetime

    def series(self, source: ChainSource) -> tuple[str, date, str]:
        return self.underlying, self.stored_expiry, source.value


@dataclass(frozen=True, slots=True)
class ChainLineage:
    """The present *symbol* of an underlying, the *names* its chains are stored under, and the
    *expiries* that were moved."""

    symbol: str
    names: tuple[Stretch[str], ...]
    expiries: tuple[Bearing[date, date], ...] = ()

    def in_force(self, expiry: date) -> date:
        """The expiry of today that *expiry*, which may be a former one, stands for."""
        return bearer_of(expiry, self.expiries) or expiry

    def stored_as(self, expiry: date) -> set[date]:
        """The expiries in force of the chains that may be stored under *expiry*."""
        return {each.bearer for each in self.expiries if each.label == expiry} or {expiry}

    def parts(self, expiry: date) -> list[ChainPart]:
        """Where the chain whose expiry in force is *expiry* is stored."""
        days = stretches(expiry, self.expiries) or (Stretch(expiry),)
        return [
            ChainPart(
                expiry=expiry,
                underlying=name.label,
                stored_expiry=day.label,
                first=_midnight(max(name.since, day.since)),
                last=_midnight(min(name.until, day.until)) - MICROSECOND,
            )
            for name in self.names
            for day in days
            if max(name.since, day.since) < min(name.until, day.until)
        ]

    def parts_of_all(self, stored: Iterable[date]) -> list[ChainPart]:
        """Where the chains are of which something is stored under the expiries *stored*."""
        in_force = {each for day in stored for each in self.stored_as(day)}
        return [part for each in sorted(in_force) for part in self.parts(each)]


def literally(name: str) -> ChainLineage:
    """The chains stored under *name* and no other."""
    return ChainLineage(name, (Stretch(name),))


def _midnight(day: date) -> datetime:
    if day in (date.min, date.max):
        return BEGIN_OF_TIME if day == date.min else END_OF_TIME
    return datetime.combine(day, time.min, IST).astimezone(UTC)
