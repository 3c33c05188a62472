"""The product runs where its users are: many sit at Windows, which lacks some modules."""

import subprocess
import sys

from effort import PATIENCE_SECONDS

# The libraries, which guard such imports themselves, are loaded before the modules go away.
PROGRAM = """
import asyncio, importlib, pkgutil, sys
import data_fetch

def load():
    for module in pkgutil.walk_packages(data_fetch.__path__, "data_fetch."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

load()
for name in [name for name in sys.modules if name.split(".")[0] == "data_fetch"]:
    del sys.modules[name]
for name in ("resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules[name] = None
import data_fetch
load()
print(sum(name.startswith("data_fetch.") for name in sys.modules))
"""


def test_no_module_needs_what_only_posix_has() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 150
