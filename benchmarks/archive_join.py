"""Joins the parts of a day: FOLDER PART...; prints the most memory that it took, in MB."""

import resource
import sys
from pathlib import Path

from benchmarks.archive_legs import SCHEMA
from benchmarks.bench_archive import DAY, entry_of
from data_fetch.archive.folder import ArchiveFolder
from data_fetch.archive.parts import PartWriter
from data_fetch.core.archive.manifest import Manifest
from data_fetch.core.world import World


def main(root: str, *paths: str) -> None:
    folder = ArchiveFolder(Path(root))
    writer = PartWriter(folder, Manifest(world=World.PAPER, store_id="bench", sequence=1))
    writer.write_day(SCHEMA, DAY, [entry_of(folder, Path(path)) for path in paths], "")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main(*sys.argv[1:])
