"""Which known symbols a mistyped, renamed or half-remembered one may have meant."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise

# Share of letter pairs two texts must have in common to be called near.
NEAR_ENOUGH = 0.55
SHOWN = 3
# Names end in these whatever the company.
NAME_ENDINGS = (" LIMITED", " LTD", " LTD.")


class NearSymbols:
    """Known symbols, looked up by likeness of the symbol or of the company's name.

    Likeness is Dice's coefficient over pairs of neighbouring letters, which forgives a
    letter swapped, dropped or added; of two equals, an F&O underlying comes first.
    """

    # An unknown symbol of an F&O list most likely meant an F&O underlying.
    FAVOUR = 0.1

    def __init__(self, known: Iterable[tuple[str, str, bool]]) -> None:
        """*known*: symbol, name, and whether it is an F&O underlying."""
        self._favoured: set[str] = set()
        # One entry per text that stands for a symbol: the symbol itself, and the name.
        self._texts: list[tuple[str, int]] = []
        self._with_pair: defaultdict[str, list[int]] = defaultdict(list)
        for symbol, name, underlying in known:
            if underlying:
                self._favoured.add(symbol)
            for text in dict.fromkeys((_letters(symbol), _letters(name))):
                self._add(symbol, text)

    def _add(self, symbol: str, text: str) -> None:
        pairs = _pairs(text)
        for pair in pairs:
            self._with_pair[pair].append(len(self._texts))
        self._texts.append((symbol, len(pairs)))

    def to(self, wanted: str) -> tuple[str, ...]:
        """The nearest known symbols, best first; few, and none if none is near."""
        pairs = _pairs(_letters(wanted))
        shared = Counter(entry for pair in pairs for entry in self._with_pair.get(pair, ()))
        best: dict[str, float] = {}
        for entry, common in shared.items():
            symbol, size = self._texts[entry]
            likeness = 2 * common / (len(pairs) + size)
            if likeness >= NEAR_ENOUGH:
                likeness += self.FAVOUR * (symbol in self._favoured)
                best[symbol] = max(likeness, best.get(symbol, 0.0))
        return tuple(sorted(best, key=lambda symbol: (-best[symbol], symbol))[:SHOWN])


def _letters(text: str) -> str:
    bare = text.upper()
    for ending in NAME_ENDINGS:
        bare = bare.removesuffix(ending)
    return "".join(letter for letter in bare if letter.isalnum())


def _pairs(text: str) -> set[str]:
    # The blanks make the first and the last letter count once more.
    return {first + second for first, second in pairwise(f" {text} ")} if text else set()
