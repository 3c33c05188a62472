"""One exchange for all processes of a working folder, so that they share its clock.

A scheduler publishes the address of its exchange in the folder. A command that does one
thing and ends never does: whoever relied on its exchange would lose it a moment later.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
from filelock import FileLock

from data_fetch.core.errors import Unreachable
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.sources.paper_clock import ask_paper_clock


@contextmanager
def serving_exchange(folder: Path, start: Callable[[], PaperExchange]) -> Iterator[str]:
    """The address of the exchange that serves *folder*, for a process that stays.

    One is started, and published to the other processes, unless a published one answers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    address = _address_file(folder)
    # Held until the exchange has been published: of two who begin together, one starts it.
    with FileLock(address.with_suffix(".lock")) as beginning:
        url = _answering(address)
        if url is not None:
            beginning.release()
            yield url
            return
        with start() as exchange:
            address.write_bytes(orjson.dumps({"url": exchange.url, "pid": os.getpid()}))
            beginning.release()
            try:
                yield exchange.url
            finally:
                _withdraw(address, exchange.url)


@contextmanager
def any_exchange(folder: Path, start: Callable[[], PaperExchange]) -> Iterator[str]:
    """The address of the exchange that serves *folder*, else of one for the caller alone."""
    url = _answering(_address_file(folder))
    if url is not None:
        yield url
        return
    with start() as exchange:
        yield exchange.url


def _address_file(folder: Path) -> Path:
    return folder / "paper_exchange.json"


def _withdraw(address: Path, url: str) -> None:
    """Take our own address back; one that another process has published since stays."""
    if _published(address) == url:
        address.unlink(missing_ok=True)


def _answering(address: Path) -> str | None:
    """The published address, if a paper exchange answers there."""
    url = _published(address)
    if url is None:
        return None
    try:
        ask_paper_clock(url)
    except Unreachable:
        return None
    return url


def _published(address: Path) -> str | None:
    try:
        url: str = orjson.loads(address.read_bytes())["url"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return url
