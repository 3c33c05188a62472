"""What is recorded of a backup, and how two states of a store are compared."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TableDigest:
    """How many rows a table has, and a digest of them that does not depend on their order."""

    rows: int
    digest: str


Digests = Mapping[str, TableDigest]


def differences(expected: Digests, found: Digests) -> list[str]:
    """One line for each table whose rows are not the expected ones."""
    return [
        _difference(name, expected.get(name), found.get(name))
        for name in sorted({*expected, *found})
        if expected.get(name) != found.get(name)
    ]


def _difference(name: str, expected: TableDigest | None, found: TableDigest | None) -> str:
    if found is None:
        return f"{name} is missing"
    if expected is None:
        return f"{name} was not recorded"
    if found.rows != expected.rows:
        return f"{name} has {found.rows:,} rows instead of {expected.rows:,}"
    return f"{name} has other values in its {found.rows:,} rows"
