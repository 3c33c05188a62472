"""Searches bytes of others that break a parser, guided by the code they reach (`make fuzz`).

Each input is one that reached new code, damaged again. Where a parser raises anything but a
refusal the search of that parser ends, and its bytes are in `crash-...` in the working folder.
"""

import logging
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import atheris
from checkout import CHECKOUT

# The rooms that are watched. Watching all of them ends the process by a segmentation fault.
PARSING = [
    f"data_fetch.{room}"
    for room in ("sources", "archive", "core", "serving.streams.requests", "serving.cursors")
]
with atheris.instrument_imports(include=PARSING):
    from foreign_bytes import PARSERS, damaged

CAPTURED = Path(os.environ.get("SHARED_DATA", CHECKOUT.parent / "shared" / "data"))


def fuzz(name: str, seconds: int) -> None:
    """Search for so long with the parser *name*; ends the process, with 0 if nothing was found."""
    parser = PARSERS[name]
    logging.disable()
    with TemporaryDirectory() as made:
        folder, corpus = Path(made), Path(made) / "corpus"
        corpus.mkdir()
        for number, seed in enumerate(parser.seeds(CAPTURED)):
            (corpus / str(number)).write_bytes(seed)

        def attempt(body: bytes) -> None:
            with suppress(*parser.refusals):
                parser.read(body, folder)

        def mutate(body: bytes, most: int, seed: int) -> bytes:
            return damaged(body, Random(seed))[:most]

        limits = (f"-max_total_time={seconds}", "-max_len=200000", "-rss_limit_mb=2048")
        atheris.Setup([sys.argv[0], *limits, str(corpus)], attempt, custom_mutator=mutate)
        atheris.Fuzz()


def fuzz_all(minutes: float) -> int:
    """Divide *minutes* among all parsers; returns how many of them broke."""
    broken = 0
    for name in PARSERS:
        print(f"== {name}", flush=True)
        command = [sys.executable, __file__, name, str(int(60 * minutes / len(PARSERS)))]
        broken += subprocess.run(command, check=False).returncode != 0
    return broken


if __name__ == "__main__":
    if len(sys.argv) == 2:
        sys.exit(fuzz_all(float(sys.argv[1])))
    fuzz(sys.argv[1], int(sys.argv[2]))
