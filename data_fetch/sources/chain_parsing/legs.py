"""The legs of one document as they are gathered: each once, and the doubtful ones apart.

A few bad legs are set aside, each with its reason. When many legs fail in one and the same
way it is the provider's format that has changed, and the whole document is refused.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from data_fetch.core.chains.chains import ChainError, ChainLeg, DoubtfulLeg, OptionType
from data_fetch.core.failures import FailureKind
from data_fetch.sources.chain_parsing.values import FieldError

# So many legs, or one in so many, may fail in one way before the document is refused.
FEW = 3
ONE_IN = 20
# So many agreements between two fields of a leg make a habit of the provider.
HABIT = 20

LOOK = "Keep the body and compare it with an older one: the provider's format has changed."

Key = tuple[Decimal, OptionType]


def is_many(count: int, of: int) -> bool:
    """Whether *count* bad legs of *of* are more than stray ones."""
    return count > max(FEW, of // ONE_IN) or 0 < count == of


class LegGathering:
    """The legs of one document, by expiry."""

    def __init__(self) -> None:
        self._legs: dict[date, dict[Key, ChainLeg]] = {}
        self._disputed: set[tuple[date, Key]] = set()
        self._refused: set[tuple[date | None, tuple[Decimal | None, OptionType | None]]] = set()
        self._doubted: dict[str, set[tuple[date, Key]]] = {}
        self._failures: Counter[tuple[FailureKind, str]] = Counter()
        self._examples: dict[tuple[FailureKind, str], str] = {}
        self._lacking: Counter[str] = Counter()
        self._figured_twice = 0
        self.rejected: list[DoubtfulLeg] = []

    def add(self, expiry: date, leg: ChainLeg) -> None:
        """Take *leg*. One of the same key that tells another market makes both doubtful: nobody
        can tell which is right. Where only the provider's own figures differ the first counts."""
        key = (leg.strike, leg.option_type)
        known = self._legs.setdefault(expiry, {}).setdefault(key, leg)
        if known is leg or known == leg:
            return
        if _market_of(known) == _market_of(leg):
            self._figured_twice += 1
        else:
            self.dispute(expiry, leg)

    def dispute(self, expiry: date, leg: ChainLeg) -> None:
        """*leg* is told twice, and differently."""
        self._disputed.add((expiry, leg.key))

    def refuse(
        self,
        expiry: date | None,
        strike: Decimal | None,
        side: OptionType | None,
        field_error: FieldError,
    ) -> None:
        """Set a leg aside; what is not known of it is None."""
        what = (field_error.kind, field_error.field)
        self._refused.add((expiry, (strike, side)))
        self._failures[what] += 1
        self._examples.setdefault(what, field_error.message)
        self.rejected.append(
            DoubtfulLeg(expiry=expiry, strike=strike, option_type=side, reason=field_error.message)
        )

    def lacking(self, field: str) -> None:
        """A leg has nothing for *field*, which it may be without."""
        self._lacking[field] += 1

    def doubt(self, field: str, expiry: date, leg: ChainLeg) -> None:
        """*field* of *leg* does not go together with another field."""
        self._doubted.setdefault(field, set()).add((expiry, leg.key))

    def settle(self, compared: int) -> list[str]:
        """Leave the doubtful legs out; remarks on what the others lack.

        *compared* is how often two fields of a leg were held against each other. Raises
        ChainError when many legs fail in one way, or no leg is left.
        """
        remarks = []
        for field, doubted in self._doubted.items():
            what = f"{field} does not go with what else is told of it"
            if compared < HABIT:
                # Too few to know how this provider reckons.
                remarks.append(f"{what} in {len(doubted)} legs")
            else:
                self._leave_out(doubted, FieldError(FailureKind.CONTRADICTION, field, what))
        self._leave_out(
            self._disputed, FieldError(FailureKind.CONTRADICTION, "rows", "told twice, differently")
        )
        self._leave_out_copies()
        self._refuse_many()
        remarks += [f"{field} is missing in {n} legs" for field, n in self._lacking.items()]
        if self._figured_twice:
            remarks.append(
                f"the provider's own figures of {self._figured_twice} legs are told twice, "
                "differently: those told first are taken"
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

    def _leave_out_copies(self) -> None:
        """A leg that was refused is not believed in another row either."""
        for expiry, legs in self._legs.items():
            for key in [key for key in legs if (expiry, key) in self._refused]:
                del legs[key]

    def _refuse_many(self) -> None:
        left = sum(map(len, self._legs.values()))
        seen = left + len(self.rejected)
        if not seen:
            raise ChainError(FailureKind.EMPTY_LIST, "rows without a leg")
        for (kind, field), count in self._failures.most_common():
            if not left or is_many(count, seen):
                what = f"{self._examples[kind, field]} ({count} of {seen} legs)"
                raise ChainError(kind, what, hint=LOOK)


def _market_of(leg: ChainLeg) -> ChainLeg:
    """*leg* without what the provider works out itself."""
    return leg._replace(
        provider_iv=None,
        provider_delta=None,
        provider_gamma=None,
        provider_theta=None,
        provider_vega=None,
    )


def wanted_only(
    gathering: LegGathering, wanted: date | None
) -> list[tuple[date, tuple[ChainLeg, ...]]]:
    """The legs of the *wanted* expiry, or of all if none is named.

    A few legs of another expiry are set aside; a chain of it is FailureKind.OTHER_CHAIN.
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
