"""What is recorded of a backup, and how two states of a store are compared."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from types import NoneType
from typing import Any, Self

from data_fetch.core.errors import SetupError
from data_fetch.core.world import World


class BackupFormat(StrEnum):
    """What the file of a backup is; the value is the end of its name."""

    SQLITE = "db"
    POSTGRES_DUMP = "dump"


@dataclass(frozen=True, slots=True)
class TableDigest:
    """How many rows a table has, and a digest of them that does not depend on their order."""

    rows: int
    digest: str


Digests = Mapping[str, TableDigest]

# What the plain members of a record are in JSON.
KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("revision", "store", "version", "sha256"), (str,)),
    **dict.fromkeys(("timescaledb", "store_id"), (str, NoneType)),
    "size_bytes": (int,),
}


@dataclass(frozen=True, slots=True)
class BackupRecord:
    """What is known of the file of a backup; stored beside it as JSON.

    *store* is the URL of the store without the password, *taken_at* the instant of its state,
    *timescaledb* the version of that extension there. *archive_files* are the files of the
    archive that the store names, relative to its folder: they are not in the backup. *store_id*
    distinguishes the store from every other one; None where it had no id yet.
    """

    format: BackupFormat
    world: World
    revision: str
    store: str
    taken_at: datetime
    version: str
    size_bytes: int
    sha256: str
    timescaledb: str | None
    tables: Digests
    archive_files: tuple[str, ...]
    store_id: str | None = None

    @property
    def rows(self) -> int:
        return sum(digest.rows for digest in self.tables.values())

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "taken_at": self.taken_at.isoformat()}

    @classmethod
    def parsed(cls, document: Any, name: str) -> Self:
        """From `document`. Raises SetupError, with the *name* of the file, for anything else."""
        try:
            for member, kinds in KINDS.items():
                if not isinstance(document.get(member), kinds):
                    raise TypeError(f"{member} is {document.get(member)!r}")
            return cls(
                **{
                    **document,
                    "format": BackupFormat(document["format"]),
                    "world": World(document["world"]),
                    "taken_at": _instant(document["taken_at"]),
                    "tables": {
                        name: _digest(**digest) for name, digest in document["tables"].items()
                    },
                    "archive_files": tuple(map(_text, document["archive_files"])),
                }
            )
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise SetupError(
                f"{name} is not the record of a backup ({problem})",
                hint="Name the file that `data-fetch backup create` wrote, with its record beside.",
            ) from problem


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return found


def _digest(rows: object, digest: object) -> TableDigest:
    if not isinstance(rows, int):
        raise TypeError(f"{rows!r} is no number of rows")
    return TableDigest(rows, _text(digest))


def _text(found: object) -> str:
    if not isinstance(found, str):
        raise TypeError(f"{found!r} is no text")
    return found


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
