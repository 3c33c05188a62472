"""The location of an instrument master: a web address or a file of this machine."""

import shutil
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

import urllib3
from urllib3.exceptions import HTTPError

from data_fetch import __version__
from data_fetch.core.errors import MasterUnavailable, SettingsInvalid
from data_fetch.core.world import World
from data_fetch.sources.transport.bounded import TIMED_POOLS
from data_fetch.sources.transport.world_check import WorldCheck

# The read timeout bounds the whole response: 3 MB in it are 35 kB a second.
TIMEOUT = urllib3.Timeout(connect=10, read=90)
RETRIES = urllib3.Retry(
    connect=1,
    read=0,
    status=1,
    redirect=5,
    status_forcelist=(500, 502, 503, 504),
    raise_on_status=False,
    # A server may require a wait of minutes; an older master can be used at once.
    respect_retry_after_header=False,
)
LARGEST_DOWNLOAD = 128 * 1024 * 1024
CHUNK = 64 * 1024


class Location(Protocol):
    @property
    def place(self) -> str:
        """Its name for messages, without credentials."""

    def edition(self) -> str:
        """A value that changes when the file changes; constant where a change cannot be detected.

        Raises MasterUnavailable when nothing is there.
        """

    def fetch(self, into: Path) -> None:
        """Copy the file's bytes. Raises MasterUnavailable when that fails."""


def location_of(address: str, world: World) -> Location:
    """*address* is an http(s) or file address, or a path (relative to the working folder).
    What a web server returns has to be of *world*.

    Raises SettingsInvalid for an address of any other kind.
    """
    if "://" not in address:
        return FileLocation(Path(address).expanduser())
    try:
        parts = urlsplit(address)
        if parts.scheme == "file":
            return FileLocation(Path(url2pathname(parts.path)))
        # A password with a / in it ends the host too early: its rest is in the path then.
        cut = parts.port is not None and "@" in f"{parts.path}{parts.query}{parts.fragment}"
        if parts.scheme not in {"http", "https"} or not parts.hostname or cut:
            raise ValueError
    except ValueError:
        raise SettingsInvalid(
            [
                "UPSTOX_INSTRUMENTS_URL: neither an http(s) or file address nor a path. In a "
                "password write @ as %40, / as %2F and : as %3A"
            ]
        ) from None
    return WebLocation(address, WorldCheck(world, "UPSTOX_INSTRUMENTS_URL"))


class WebLocation:
    """A file behind an http(s) address. `fetch` raises WrongWorld when *world* refuses it."""

    def __init__(self, url: str, world: WorldCheck) -> None:
        self._url = url
        self._world = world
        parts = urlsplit(url)
        # An address may contain an account before the host and a signature after the path.
        self.place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def edition(self) -> str:
        return ""

    def fetch(self, into: Path) -> None:
        try:
            pool = urllib3.PoolManager(retries=RETRIES, timeout=TIMEOUT)
            pool.pool_classes_by_scheme = TIMED_POOLS
            with pool, into.open("wb") as file:
                self._download(pool, file)
        except (HTTPError, OSError) as problem:
            raise MasterUnavailable(
                f"{self.place} cannot be downloaded ({type(problem).__name__})"
            ) from problem

    def _download(self, pool: urllib3.PoolManager, file: BinaryIO) -> None:
        received = 0
        response = pool.request(
            "GET",
            self._url,
            headers={"User-Agent": f"data-fetch/{__version__}"},
            preload_content=False,
        )
        try:
            self._world.check(self._url, response.headers)
            if response.status != 200:
                raise MasterUnavailable(f"{self.place} returned {response.status}")
            # Not decoded: some servers declare gzip as content encoding, but it is the file format.
            for chunk in response.stream(CHUNK, decode_content=False):
                received += len(chunk)
                if received > LARGEST_DOWNLOAD:
                    raise MasterUnavailable(
                        f"{self.place} is too large: cancelled after {received:,} bytes"
                    )
                file.write(chunk)
        finally:
            response.release_conn()


class FileLocation:
    """A file of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.place = str(path.absolute())

    def edition(self) -> str:
        try:
            found = self._path.stat()
        except OSError as problem:
            raise self._unreadable(problem) from problem
        return f"{found.st_size} {found.st_mtime_ns}"

    def fetch(self, into: Path) -> None:
        try:
            with self._path.open("rb") as original, into.open("wb") as copy:
                shutil.copyfileobj(original, copy)
        except OSError as problem:
            raise self._unreadable(problem) from problem

    def _unreadable(self, problem: OSError) -> MasterUnavailable:
        return MasterUnavailable(f"{self.place} cannot be read ({problem.strerror})")
