"""Days go into files and come back without end, in a process that is killed: STORE FOLDER."""

import sys
from datetime import timedelta
from pathlib import Path

from archive_life import Archive
from archive_shelf import THURSDAY, TUESDAY

from data_fetch.core.archive.days import Dataset
from data_fetch.core.world import World
from data_fetch.storage.database.store import open_store


def main(url: str, folder: str) -> None:
    archive = Archive(open_store(url, World.PAPER), Path(folder))
    archive.catch_up()
    print("ready", flush=True)
    while True:
        archive.clock.sleep(timedelta(days=2))
        archive.lifecycle.round()
        for dataset in Dataset:
            archive.lifecycle.restore(dataset, TUESDAY, THURSDAY)
        # The day has to be written anew before it can be dropped.
        archive.file("chain_summary", TUESDAY).unlink(missing_ok=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
