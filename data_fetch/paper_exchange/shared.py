"""One exchange for all processes of a working folder, so that they share its clock.

A scheduler publishes the address of its exchange in the folder. A short command does not:
other processes would lose its exchange as soon as it ends.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
from filelock import FileLock

from data_fetch.core.files import OWNER_ONLY, private_file, private_folder
from data_fetch.paper_exchange.addresses import address_file, published, reachable
from data_fetch.paper_exchange.exchange import PaperExchange


@contextmanager
def serving_exchange(folder: Path, start: Callable[[], PaperExchange]) -> Iterator[str]:
    """The address of the exchange that serves *folder*, for a long-running process.

    Starts an exchange and publishes its address, unless a published one is reachable.
    """
    private_folder(folder)
    address = address_file(folder)
    # Locked until the address is published, so that only one of two processes starts one.
    with FileLock(address.with_suffix(".lock"), mode=OWNER_ONLY) as lock:
        url = reachable(address)
        if url is not None:
            lock.release()
            yield url
            return
        with start() as exchange:
            private_file(address)
            address.write_bytes(orjson.dumps({"url": exchange.url, "pid": os.getpid()}))
            lock.release()
            try:
                yield exchange.url
            finally:
                _unpublish(address, exchange.url)


@contextmanager
def any_exchange(folder: Path, start: Callable[[], PaperExchange]) -> Iterator[str]:
    """The address of the exchange that serves *folder*, else of a private one."""
    url = reachable(address_file(folder))
    if url is not None:
        yield url
        return
    with start() as exchange:
        yield exchange.url


def _unpublish(address: Path, url: str) -> None:
    """Remove our address, unless another process has published its own since."""
    if published(address) == url:
        address.unlink(missing_ok=True)
