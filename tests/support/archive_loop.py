"""Rounds of an archive without end, for a process that is killed: STORE FOLDER."""

import sys
from datetime import timedelta
from pathlib import Path

from archive_rounds import Rounds
from archive_shelf import WEDNESDAY, opening

from data_fetch.core.world import World
from data_fetch.storage.database.store import open_store


def main(url: str, folder: str) -> None:
    rounds = Rounds(open_store(url, World.PAPER), Path(folder), opening(WEDNESDAY, 100))
    rounds.loader.prepare()
    print("ready", flush=True)
    while True:
        # Now the day runs, now it is over: parts become one file and come back with late rows.
        rounds.now = opening(WEDNESDAY, 24 * 60 if rounds.now < opening(WEDNESDAY, 300) else 100)
        rounds.restart()
        rounds.write()
        rounds.load()
        rounds.now += timedelta(minutes=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
