"""Collects the legs of one document: each once, the doubtful ones apart.

A wrong number costs itself: the leg is kept without it. A leg that cannot be identified is
rejected with its reason. When many legs fail in the same way the provider's format has changed,
and the whole document is rejected.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from data_fetch.core.chains.chains import ChainError, ChainLeg, DoubtfulLeg, OptionType
from data_fetch.core.failures import FailureKind
from data_fetch.sources.chain_parsing.values import FieldError

# More legs than FEW, and more than one in ONE_IN, that fail in one way reject the document.
FEW = 3
ONE_IN = 20
# After so many comparisons of two fields it is known how this provider computes them.
ENOUGH_COMPARED = 20

CHECK_FORMAT = "Keep the body and compare it with an older one: the provider's format has changed."

FIRST_OF_MARKET = ChainLeg._fields.index("ltp")
FIRST_OWN_FIGURE = ChainLeg._fields.index("provider_iv")

Key = tuple[Decimal, OptionType]
Numbers = tuple[Any, ...]


class _Parts(NamedTuple):
    """The values of a leg: what it is, what the market says, what the provider computes itself."""

    identity: Numbers
    market: Numbers
    own_figures: Numbers


def _parts_of(leg: ChainLeg) -> _Parts:
    values: Numbers = tuple(leg)
    market = values[FIRST_OF_MARKET:FIRST_OWN_FIGURE]
    return _Parts(values[:FIRST_OF_MARKET], market, values[FIRST_OWN_FIGURE:])


def is_many(count: int, of: int) -> bool:
    """Whether *count* bad legs of *of* are more than single ones."""
    return count > max(FEW, of // ONE_IN) or 0 < count == of


class LegGathering:
    """The legs of one document, by expiry."""

    def __init__(self) -> None:
        self._legs: dict[date, dict[Key, ChainLeg]] = {}
        self._disputed: set[tuple[date, Key]] = set()
        self._rejected_keys: set[tuple[date | None, tuple[Decimal | None, OptionType | None]]] = (
            set()
        )
        self._doubtful: dict[tuple[str, str], set[tuple[date, Key]]] = {}
        self._failures: Counter[tuple[FailureKind, str]] = Counter()
        self._examples: dict[tuple[FailureKind, str], str] = {}
        self._lacking: Counter[str] = Counter()
        self._wrong: Counter[tuple[FailureKind, str]] = Counter()
        self._computed_twice = 0
        self.rejected: list[DoubtfulLeg] = []

    def add(self, expiry: date, leg: ChainLeg) -> None:
        """Add *leg*. If it differs in its market data from one with the same key, both are
        doubtful; a number that only one of them has is used. If only the provider's own figures
        differ the first one is used."""
        key = (leg.strike, leg.option_type)
        known = self._legs.setdefault(expiry, {}).setdefault(key, leg)
        if known is leg or known == leg:
            return
        ours, theirs = _parts_of(known), _parts_of(leg)
        numbers = _filled(ours.market, theirs.market)
        if numbers != _filled(theirs.market, ours.market):
            self.dispute(expiry, leg)
            return
        whole = ChainLeg._make((*ours.identity, *numbers, *ours.own_figures))
        self._legs[expiry][key] = whole
        self._computed_twice += ours.own_figures != theirs.own_figures

    def dispute(self, expiry: date, leg: ChainLeg) -> None:
        """Mark *leg* as one of several that contradict each other."""
        self._disputed.add((expiry, leg.key))

    def refuse(
        self,
        expiry: date | None,
        strike: Decimal | None,
        side: OptionType | None,
        field_error: FieldError,
    ) -> None:
        """Reject a leg; None stands for what is unknown of it."""
        reason = (field_error.kind, field_error.field)
        self._rejected_keys.add((expiry, (strike, side)))
        self._failures[reason] += 1
        self._examples.setdefault(reason, field_error.message)
        self.rejected.append(
            DoubtfulLeg(expiry=expiry, strike=strike, option_type=side, reason=field_error.message)
        )

    def lacking(self, field: str) -> None:
        """Count a leg without *field*, which is optional."""
        self._lacking[field] += 1

    def wrong(self, problem: FieldError) -> None:
        """Count a leg without a field that cannot be right."""
        reason = (problem.kind, problem.field)
        self._wrong[reason] += 1
        self._examples.setdefault(reason, problem.message)

    def doubt(self, field: str, value: str, expiry: date, leg: ChainLeg) -> None:
        """Mark the *field* that the provider sends, from which the *value* of *leg* was computed,
        as inconsistent with another one."""
        self._doubtful.setdefault((field, value), set()).add((expiry, leg.key))

    def settle(self, compared: int) -> list[str]:
        """Reject the disputed legs and drop the doubtful values; return remarks on what the legs
        are without.

        *compared* is how often two fields of a leg were compared. Raises
        ChainError when many legs fail in one way, or no leg is left.
        """
        remarks = []
        for (field, value), doubtful in self._doubtful.items():
            reason = f"{field} is inconsistent with another field"
            if compared < ENOUGH_COMPARED:
                # Too few to know how this provider computes them.
                remarks.append(f"{reason} in {_legs(len(doubtful))}")
                continue
            for expiry, key in doubtful & self._kept():
                leg = self._legs[expiry][key]
                self._legs[expiry][key] = ChainLeg(**(leg._asdict() | {value: None}))
                self.wrong(FieldError(FailureKind.CONTRADICTION, field, reason))
        self._leave_out(
            self._disputed,
            FieldError(
                FailureKind.CONTRADICTION, "rows", "several rows that contradict each other"
            ),
        )
        self._leave_out_copies()
        self._check_failures()
        remarks += [
            f"{self._examples[reason]}: left out in {_legs(n)}" for reason, n in self._wrong.items()
        ]
        remarks += [f"{field} is missing in {_legs(n)}" for field, n in self._lacking.items()]
        if self._computed_twice:
            remarks.append(
                f"the provider's own figures of {self._computed_twice} legs come in several rows "
                "that differ: the first ones are used"
            )
        return remarks

    def by_expiry(self) -> list[tuple[date, tuple[ChainLeg, ...]]]:
        """The good legs, nearest expiry first, lowest strike first, the call before the put."""
        return [
            (expiry, tuple(legs[key] for key in sorted(legs)))
            for expiry, legs in sorted(self._legs.items())
            if legs
        ]

    def _leave_out(self, legs: Iterable[tuple[date, Key]], field_error: FieldError) -> None:
        for expiry, key in sorted(legs):
            if self._legs[expiry].pop(key, None) is not None:
                self.refuse(expiry, *key, field_error)

    def _kept(self) -> set[tuple[date, Key]]:
        return {(expiry, key) for expiry, legs in self._legs.items() for key in legs}

    def _leave_out_copies(self) -> None:
        """Drop copies of a rejected leg in other rows."""
        for expiry, legs in self._legs.items():
            for key in [key for key in legs if (expiry, key) in self._rejected_keys]:
                del legs[key]

    def _check_failures(self) -> None:
        left = sum(map(len, self._legs.values()))
        seen = left + len(self.rejected)
        if not seen:
            raise ChainError(FailureKind.EMPTY_LIST, "rows without a leg")
        for (kind, field), count in (self._failures + self._wrong).most_common():
            if not left or is_many(count, seen):
                reason = f"{self._examples[kind, field]} ({count} of {seen} legs)"
                raise ChainError(kind, reason, hint=CHECK_FORMAT)


def _legs(count: int) -> str:
    return f"{count} leg" if count == 1 else f"{count} legs"


def _filled(numbers: Numbers, others: Numbers) -> Numbers:
    """*numbers*, and those of *others* where one is missing."""
    return tuple(
        other if number is None else number for number, other in zip(numbers, others, strict=True)
    )


def wanted_only(
    gathering: LegGathering, wanted: date | None
) -> list[tuple[date, tuple[ChainLeg, ...]]]:
    """The legs of the *wanted* expiry, or of all if none is named.

    A few legs of another expiry are rejected; a whole chain of it is FailureKind.OTHER_CHAIN.
    """
    found = gathering.by_expiry()
    if wanted is None:
        return found
    others = [(expiry, legs) for expiry, legs in found if expiry != wanted]
    unrequested = sum(len(legs) for _, legs in others)
    if unrequested and is_many(unrequested, sum(len(legs) for _, legs in found)):
        raise ChainError(FailureKind.OTHER_CHAIN, f"expiry {others[0][0]}, not {wanted}")
    for expiry, legs in others:
        for leg in legs:
            other = FieldError(FailureKind.OTHER_CHAIN, "expiry", f"expiry {expiry}, not {wanted}")
            gathering.refuse(expiry, *leg.key, other)
    return [(expiry, legs) for expiry, legs in found if expiry == wanted]
