"""Importing any module opens no connection, starts no thread and writes no file."""

import subprocess
import sys
from pathlib import Path

IMPORT_EVERYTHING = """
import importlib, logging, pkgutil, sys, threading
loud = []
def hear(event, args):
    # Not socket.bind: urllib3 binds a socket once to see whether there is IPv6.
    if event in {"socket.connect", "sqlite3.connect"}:
        loud.append((event, args))
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        loud.append((event, args))
sys.dont_write_bytecode = True
sys.addaudithook(hear)
import data_fetch
for module in pkgutil.walk_packages(data_fetch.__path__, "data_fetch."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
assert not loud, loud
assert threading.active_count() == 1, threading.enumerate()
assert not logging.getLogger().handlers, logging.getLogger().handlers
assert not logging.getLogger("data_fetch").handlers
"""


def test_importing_every_module_is_quiet(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", IMPORT_EVERYTHING], check=True, cwd=tmp_path)

    assert list(tmp_path.iterdir()) == []
