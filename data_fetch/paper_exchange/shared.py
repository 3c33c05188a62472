"""One exchange for all processes of a working folder, so that they share its clock."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import orjson
from filelock import FileLock

from data_fetch.core.errors import Unreachable
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.sources.paper_clock import ask_paper_clock


@contextmanager
def shared_exchange(folder: Path, start: Callable[[], PaperExchange]) -> Iterator[str]:
    """The address of the exchange that serves *folder*; one is started if none answers.

    An exchange started here is stopped at the end, whoever else was using it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    address = folder / "paper_exchange.json"
    with ExitStack() as stack:
        with FileLock(address.with_suffix(".lock")):
            url = _answering(address)
            if url is None:
                url = stack.enter_context(start()).url
                address.write_bytes(orjson.dumps({"url": url, "pid": os.getpid()}))
                stack.callback(address.unlink, missing_ok=True)
        yield url


def _answering(address: Path) -> str | None:
    """The address in the file, if a paper exchange answers there."""
    try:
        url: str = orjson.loads(address.read_bytes())["url"]
        ask_paper_clock(url)
    except (OSError, ValueError, KeyError, TypeError, Unreachable):
        return None
    return url
