"""Another process that lives with a lease, until it is killed."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LIVES = """
import sys
from data_fetch.storage.database.lives import Life
life = Life(sys.argv[1])
life.begin()
print("lives", flush=True)
sys.stdin.read()
"""


@contextmanager
def living(lease: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", LIVES, lease],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "lives\n"
        yield process
    finally:
        process.kill()
        process.communicate()
