"""Suggestions of known symbols for one that is mistyped, renamed or incomplete."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise

# The share of letter pairs that two texts must have in common.
NEAR_ENOUGH = 0.55
SHOWN = 3
# Endings of company names that do not distinguish companies.
NAME_ENDINGS = (" LIMITED", " LTD", " LTD.")

# Former symbols of F&O stocks and their successors, which may have no letter in common. They are
# used for suggestions only, and only symbols that are known are suggested.
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


# How other tools write a name: an exchange or segment before it, a series or market behind it.
PREFIX = re.compile(r"^(?:NSE|BSE|NFO|NSE_EQ|NSE_INDEX|NSE_FO|BSE_EQ)[:.|]")
SUFFIX = re.compile(r"(?:\.(?:NS|BO|NSE)|[-_](?:EQ|BE|NS|INDEX))$")
ELSEWHERE = {"^NSEI": "NIFTY", "^NSEBANK": "BANKNIFTY"}


def plain_symbol(pasted: str) -> str:
    """The trading symbol in a name that was pasted from another tool: `NSE:RELIANCE-EQ` is
    `RELIANCE` there."""
    name = pasted.upper().strip("\"'`“”‘’„ ") if pasted.isascii() else pasted
    return ELSEWHERE.get(name) or SUFFIX.sub("", PREFIX.sub("", name))


class NearSymbols:
    """Known symbols, looked up by similarity of the symbol or of the company's name.

    Similarity is Dice's coefficient over pairs of neighbouring letters, which tolerates a
    letter swapped, dropped or added; of two equals, an F&O underlying is first.
    """

    # An unknown symbol in an F&O list is most likely an F&O underlying.
    UNDERLYING_BONUS = 0.1

    def __init__(self, known: Iterable[tuple[str, str, bool]]) -> None:
        """*known*: symbol, name, and whether it is an F&O underlying."""
        self._known: set[str] = set()
        self._underlyings: set[str] = set()
        # One entry for each text of a symbol: the symbol itself, and the name.
        self._texts: list[tuple[str, int]] = []
        self._with_pair: defaultdict[str, list[int]] = defaultdict(list)
        for symbol, name, underlying in known:
            self._known.add(symbol)
            if underlying:
                self._underlyings.add(symbol)
            for text in dict.fromkeys((_letters(symbol), _letters(name))):
                self._add(symbol, text)

    def _add(self, symbol: str, text: str) -> None:
        pairs = _pairs(text)
        for pair in pairs:
            self._with_pair[pair].append(len(self._texts))
        self._texts.append((symbol, len(pairs)))

    def near(self, wanted: str) -> tuple[str, ...]:
        """The nearest known symbols, best first: at most `SHOWN`, none if none is near."""
        plain = plain_symbol(wanted)
        exact = [symbol for symbol in (plain, *SUCCESSORS.get(plain, ())) if symbol in self._known]
        return tuple(dict.fromkeys([*exact, *self._similar(plain)]))[:SHOWN]

    def _similar(self, wanted: str) -> list[str]:
        pairs = _pairs(_letters(wanted))
        shared = Counter(entry for pair in pairs for entry in self._with_pair.get(pair, ()))
        best: dict[str, float] = {}
        for entry, common in shared.items():
            symbol, size = self._texts[entry]
            similarity = 2 * common / (len(pairs) + size)
            if similarity >= NEAR_ENOUGH:
                similarity += self.UNDERLYING_BONUS * (symbol in self._underlyings)
                best[symbol] = max(similarity, best.get(symbol, 0.0))
        return sorted(best, key=lambda symbol: (-best[symbol], symbol))


def _letters(text: str) -> str:
    name = text.upper()
    for ending in NAME_ENDINGS:
        name = name.removesuffix(ending)
    return "".join(letter for letter in name if letter.isalnum())


def _pairs(text: str) -> set[str]:
    # The blanks give the first and the last letter a pair more.
    return {first + second for first, second in pairwise(f" {text} ")} if text else set()
