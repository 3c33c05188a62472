"""Cleans text from outside for rows, logs and screens."""

import re

# PostgreSQL rejects NUL, UTF-8 half a surrogate pair, and terminals act on the other controls.
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
LONGEST_TEXT = 120


def presentable(text: str) -> str:
    """*text* shortened and without control characters."""
    clean = CONTROLS.sub("", text)
    return clean if len(clean) <= LONGEST_TEXT else f"{clean[: LONGEST_TEXT - 1]}…"
