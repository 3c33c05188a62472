"""`data-fetch`, with the statements that it sends to its store in a file, one a line.

python tests/support/recorded_statements.py FILE COMMAND...
"""

import runpy
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event


def main(file: str, *command: str) -> None:
    with Path(file).open("a", buffering=1) as record:

        def sent(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            record.write(" ".join(statement.split()) + "\n")

        event.listen(Engine, "before_cursor_execute", sent)
        sys.argv = ["data-fetch", *command]
        runpy.run_module("data_fetch", run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
