"""Which known symbols a mistyped, renamed or half-remembered one may have meant."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise

# Share of letter pairs two texts must have in common to be called near.
NEAR_ENOUGH = 0.55
SHOWN = 3
# Names end in these whatever the company.
NAME_ENDINGS = (" LIMITED", " LTD", " LTD.")

# What F&O stocks were called before a rename or a merger, which may leave no letter alike.
# A hint for lists of some age and nothing more: it only ever proposes a symbol that is known.
SUCCESSORS = {
    "ADANITRANS": ("ADANIENSOL",),
    "AMARAJABAT": ("ARE&M",),
    "CADILAHC": ("ZYDUSLIFE",),
    "GMRINFRA": ("GMRAIRPORT",),
    "GUJGASLTD": ("GUJENERGY",),
    "HDFC": ("HDFCBANK",),
    "IBULHSGFIN": ("SAMMAANCAP",),
    "IDFC": ("IDFCFIRSTB",),
    "IIFLWAM": ("360ONE",),
    "INFRATEL": ("INDUSTOWER",),
    "L&TFH": ("LTF",),
    "LTI": ("LTIM", "LTM"),
    "LTIM": ("LTM",),
    "MCDOWELL-N": ("UNITDSPR",),
    "MINDTREE": ("LTIM", "LTM"),
    "MOTHERSUMI": ("MOTHERSON",),
    "NIITTECH": ("COFORGE",),
    "PEL": ("PIRAMALFIN",),
    "PVR": ("PVRINOX",),
    "SRTRANSFIN": ("SHRIRAMFIN",),
    "TATAMOTORS": ("TMPV", "TMCV"),
    "ZOMATO": ("ETERNAL",),
}


class NearSymbols:
    """Known symbols, looked up by likeness of the symbol or of the company's name.

    Likeness is Dice's coefficient over pairs of neighbouring letters, which forgives a
    letter swapped, dropped or added; of two equals, an F&O underlying comes first.
    """

    # An unknown symbol of an F&O list most likely meant an F&O underlying.
    FAVOUR = 0.1

    def __init__(self, known: Iterable[tuple[str, str, bool]]) -> None:
        """*known*: symbol, name, and whether it is an F&O underlying."""
        self._known: set[str] = set()
        self._favoured: set[str] = set()
        # One entry per text that stands for a symbol: the symbol itself, and the name.
        self._texts: list[tuple[str, int]] = []
        self._with_pair: defaultdict[str, list[int]] = defaultdict(list)
        for symbol, name, underlying in known:
            self._known.add(symbol)
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
        successors = [symbol for symbol in SUCCESSORS.get(wanted, ()) if symbol in self._known]
        return tuple(dict.fromkeys([*successors, *self._alike(wanted)]))[:SHOWN]

    def _alike(self, wanted: str) -> list[str]:
        pairs = _pairs(_letters(wanted))
        shared = Counter(entry for pair in pairs for entry in self._with_pair.get(pair, ()))
        best: dict[str, float] = {}
        for entry, common in shared.items():
            symbol, size = self._texts[entry]
            likeness = 2 * common / (len(pairs) + size)
            if likeness >= NEAR_ENOUGH:
                likeness += self.FAVOUR * (symbol in self._favoured)
                best[symbol] = max(likeness, best.get(symbol, 0.0))
        return sorted(best, key=lambda symbol: (-best[symbol], symbol))


def _letters(text: str) -> str:
    bare = text.upper()
    for ending in NAME_ENDINGS:
        bare = bare.removesuffix(ending)
    return "".join(letter for letter in bare if letter.isalnum())


def _pairs(text: str) -> set[str]:
    # The blanks make the first and the last letter count once more.
    return {first + second for first, second in pairwise(f" {text} ")} if text else set()
