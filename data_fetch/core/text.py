"""Cleans text from outside for rows, logs and screens."""

import re

# PostgreSQL rejects NUL, UTF-8 half a surrogate pair, and terminals act on the other controls.
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
LONGEST_TEXT = 120


def presentable(text: str) -> str:
    """*text* shortened and without control characters."""
    clean = CONTROLS.sub("", text)
    return clean if len(clean) <= LONGEST_TEXT else f"{clean[: LONGEST_TEXT - 1]}…"


# Between the names of a list, and around one of them.
SEPARATORS = re.compile(r"[,;\t\r\n]")
QUOTATION_MARKS = "\"'`“”‘’„"
# The key of an instrument at Upstox; its letters are used as written.
INSTRUMENT_KEY = re.compile(r"[A-Z]{2,5}_[A-Z]{2,6}\|[A-Za-z0-9&. |:-]+")
# How web pages write an ampersand. Its semicolon separates nothing.
ESCAPED_AMPERSAND = "&amp;"


def listed_names(text: str) -> list[str]:
    """The names in a list that a person typed or pasted, as written but for blanks around them."""
    parts = SEPARATORS.split(text.replace(ESCAPED_AMPERSAND, "&"))
    return [name for part in parts if (name := part.strip())]


def in_capitals(name: str) -> str:
    """*name* in capitals. One with letters that the exchange lacks stays as it is: the capital of
    "ı" would be another symbol."""
    return name.upper() if name.isascii() else name


def symbol_form(name: str) -> str:
    """*name* in the form of a trading symbol: without quotation marks, in capitals.

    An instrument key stays as it is.
    """
    opened, closed = name[0] in QUOTATION_MARKS, name[-1] in QUOTATION_MARKS
    bare = name[1:-1].strip() if opened and closed and len(name) > 1 else name
    if "|" in bare and INSTRUMENT_KEY.fullmatch(bare):
        return bare
    return " ".join(in_capitals(bare).split())
