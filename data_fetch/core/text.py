"""Text from outside, made fit for rows, logs and screens."""

import re

# PostgreSQL takes no NUL, UTF-8 no half of a surrogate pair, and terminals obey the others.
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
LONGEST_TEXT = 120


def presentable(text: str) -> str:
    """*text* from outside, fit for rows, logs and screens: short, without control characters."""
    clean = CONTROLS.sub("", text)
    return clean if len(clean) <= LONGEST_TEXT else f"{clean[: LONGEST_TEXT - 1]}…"
