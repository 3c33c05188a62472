"""Shapes of JSON documents: which members there must be, and of which types. More are allowed."""

from typing import Any

TEXT, WHOLE, NUMBER, FLAG = str, int, float, bool
NOTHING = type(None)


def maybe(of: type) -> tuple[type, ...]:
    """A type or null."""
    return of, NOTHING


def faults(document: Any, shape: Any, place: str = "") -> list[str]:
    """Where *document* is not of *shape*, in words.

    A shape is a type, a tuple of types, a dict of shapes by member, or a list with the shape of
    each element; of a list there must be at least one.
    """
    if isinstance(shape, dict):
        if not isinstance(document, dict):
            return [f"{place or 'the document'} is no object"]
        missing = [f"{place}.{name} is missing" for name in shape.keys() - document.keys()]
        present = shape.keys() & document.keys()
        return missing + [
            fault
            for name in sorted(present)
            for fault in faults(document[name], shape[name], f"{place}.{name}")
        ]
    if isinstance(shape, list):
        if not isinstance(document, list) or not document:
            return [f"{place} is no list with elements"]
        return [
            fault
            for number, each in enumerate(document)
            for fault in faults(each, shape[0], f"{place}[{number}]")
        ]
    allowed = shape if isinstance(shape, tuple) else (shape,)
    # Not isinstance: True is an int, and a number without decimals must stay a float.
    return [] if type(document) in allowed else [f"{place} is {document!r}, not {allowed}"]
