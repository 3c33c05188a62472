"""A dashboard to measure, in a process of its own.

    python -m benchmarks.page_server FOLDER URL_OF_THE_STORE

Its first line is its address. Of the orders that it reads, `forget` lets it forget every answer,
as if no session had been there before; to `statements` it answers with the number of the statements
that its pages have sent to the store since the last such order, by their beginnings.
"""

import sys
from collections import Counter
from pathlib import Path
from threading import Thread
from time import process_time
from typing import Any

import orjson
import streamlit as st
import uvicorn
from sqlalchemy import Engine, event

from benchmarks.dashboard_store import settings_in
from data_fetch.cli.shared.server_process import listener_on, url_of
from data_fetch.core.settings import Settings
from data_fetch.dashboard.desk import Desk, desk, use
from data_fetch.dashboard.program import application
from data_fetch.reading.kept_open import KeptOpen, Recent
from data_fetch.serving.listening import listening


def forget(kept: KeptOpen) -> None:
    """Forget what was found a moment ago; stores stay open."""
    kept.clocks, kept.resolved, kept.lineages = Recent(), Recent(), Recent()


def _forget() -> None:
    st.cache_resource.clear()
    forget(desk().kept)
    use(Desk(desk().settings, kept=desk().kept))


def counted() -> Counter[str]:
    """The statements of this process from now on."""
    found: Counter[str] = Counter()

    def sent(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found[" ".join(statement.split())] += 1

    event.listen(Engine, "before_cursor_execute", sent)
    return found


def main(settings: Settings) -> None:
    statements = counted()
    with listener_on("127.0.0.1", 0) as listener:
        server = uvicorn.Server(listening(application(settings, may_control=False)))
        serving = Thread(target=server.run, kwargs={"sockets": [listener]})
        serving.start()
        print(url_of(listener), flush=True)
        for order in map(str.strip, sys.stdin):
            answer: object = order
            if order == "forget":
                _forget()
            elif order == "cpu":
                answer = process_time()
            else:
                answer = dict(statements)
                statements.clear()
            print(orjson.dumps(answer).decode(), flush=True)
        server.should_exit = True
        serving.join()


if __name__ == "__main__":
    place, url = sys.argv[1:]
    main(settings_in(Path(place), url))
