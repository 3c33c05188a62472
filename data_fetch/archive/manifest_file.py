"""The manifest on disk: JSON that is replaced as a whole."""

import json
from datetime import date, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from data_fetch.core.archive.manifest import FileKind, Manifest, ManifestFile, RetiredFile
from data_fetch.core.errors import SetupError
from data_fetch.core.files import new_file
from data_fetch.core.world import World

FORMAT = 1


def read_manifest(path: Path) -> Manifest | None:
    """The manifest at *path*; None if there is none. Raises SetupError if it cannot be read."""
    try:
        document = orjson.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as problem:
        raise _unreadable(path, str(problem)) from problem
    try:
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']}; this version reads {FORMAT}")
        return Manifest(
            world=World(document["world"]),
            store_id=document["store_id"],
            sequence=document["sequence"],
            files=tuple(_file(each) for each in document["files"]),
            retired=tuple(_retired(each) for each in document["retired"]),
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise _unreadable(path, repr(problem)) from problem


def _unreadable(path: Path, why: str) -> SetupError:
    return SetupError(
        f"{path} is no manifest of an archive: {why}",
        hint="Put the one of a backup back, or move it away: then the next `data-fetch archive "
        "run` lists the minute files anew; sealed days are listed by the store.",
    )


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Replace the manifest at *path*. Raises OSError."""
    document = {
        "format": FORMAT,
        "world": manifest.world.value,
        "store_id": manifest.store_id,
        "sequence": manifest.sequence,
        "files": [_file_document(each) for each in manifest.files],
        "retired": [{"path": e.path, "since": e.since.isoformat()} for e in manifest.retired],
    }
    with new_file(path) as written:
        written.write_text(json.dumps(document, indent=1) + "\n")


def _file_document(file: ManifestFile) -> dict[str, Any]:
    return {
        "table": file.table,
        "trading_date": file.trading_date.isoformat(),
        "kind": file.kind.value,
        "path": file.path,
        "rows": file.rows,
        "size_bytes": file.size_bytes,
        "sha256": file.sha256,
        "schema_version": file.schema_version,
        "window": None if file.window is None else file.window.isoformat(),
        "sources": file.sources,
    }


def _file(known: dict[str, Any]) -> ManifestFile:
    window = known["window"]
    return ManifestFile(
        **{
            **known,
            "path": _inside(known["path"]),
            "trading_date": date.fromisoformat(known["trading_date"]),
            "kind": FileKind(known["kind"]),
            "window": None if window is None else datetime.fromisoformat(window),
        }
    )


def _retired(known: dict[str, Any]) -> RetiredFile:
    return RetiredFile(path=_inside(known["path"]), since=datetime.fromisoformat(known["since"]))


def _inside(path: str) -> str:
    """*path*, which must not lead out of the archive's folder: retired files are removed."""
    place = PurePosixPath(path)
    if place.is_absolute() or ".." in place.parts:
        raise ValueError(f"{path!r} is not in the folder of the archive")
    return path
