"""Which of several media types a sender wants, after its `Accept`."""

from collections.abc import Iterator, Sequence

EVERYTHING = "*/*"


def preferred(accept: str, offered: Sequence[str]) -> str | None:
    """The one of *offered* that `Accept` prefers; None when it takes none of them.

    Of types that it likes the same the one it names first, and of those under one `*` the
    first of *offered*.
    """
    ranked = sorted(weighted(accept or EVERYTHING), key=lambda each: -each[1])
    refused = {name for name, quality in ranked if not quality}
    for name, quality in ranked:
        for media_type in offered:
            if quality and media_type not in refused and _covers(name, media_type):
                return media_type
    return None


def weighted(accepted: str) -> Iterator[tuple[str, float]]:
    """What an `Accept...` header names, in lower case, each with its quality: 1 unless it has
    one, 0 for what is not accepted."""
    for each in accepted.split(","):
        name, *parameters = (part.strip() for part in each.lower().split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                quality = _quality(parameter[2:])
        if name:
            yield name, quality


def _quality(text: str) -> float:
    """0 for what is no number from 0 to 1."""
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0


def _covers(name: str, media_type: str) -> bool:
    if name == EVERYTHING:
        return True
    kind, _, form = name.partition("/")
    return media_type.startswith(f"{kind}/") if form == "*" else name == media_type
