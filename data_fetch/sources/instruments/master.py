"""Fetches the instrument master once a day and keeps the last good ones.

Upstox rebuilds the file about 06:00 IST. It is fetched, checked row by row before it is used,
and kept by date. A missing or bad file never replaces a good one: the newest good one is used
instead, with a warning.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import orjson

from data_fetch.core.batches import RejectedRow
from data_fetch.core.clock import IST
from data_fetch.core.errors import MasterUnavailable
from data_fetch.core.files import private_folder
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.ports import Clock
from data_fetch.core.settings import INSTRUMENTS_URL
from data_fetch.core.world import World
from data_fetch.sources.instruments.location import location_of
from data_fetch.sources.instruments.rows import FUTURE, read_instruments, read_rows

__all__ = ["InstrumentMaster", "MasterFile", "master_day", "read_instruments"]

# Before the file of the morning exists, the newest master is yesterday's.
REBUILT_BY = timedelta(hours=6, minutes=30)
KEPT = 7
# After an expiry the file may stay unchanged over a weekend and a holiday or two.
HOLIDAYS_ALLOWED = timedelta(days=4)
# A file with less than this share of the last one from the same place is truncated.
SUSPICIOUS_SHARE = 0.5
GZIP_MAGIC = b"\x1f\x8b"

HINT = (
    "Check the connection and UPSTOX_INSTRUMENTS_URL; or download "
    f"{INSTRUMENTS_URL} by hand and set UPSTOX_INSTRUMENTS_URL to that file."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterFile:
    """A master file that was checked and found good.

    *as_of* is the last trading date (IST) on which it can have been current: the date of the
    download, or an earlier one on which a future in it expired. *warning* describes its defects
    (None: no defects). The *rejected* malformed rows are not among *instruments*. *parsed* has
    the rows of a file that was fetched just now.
    """

    path: Path
    as_of: date
    warning: str | None
    instruments: int
    rejected: int
    parsed: Sequence[Instrument] | None = field(default=None, compare=False, repr=False)

    def rows(self) -> Iterator[Instrument]:
        """The usable instruments; a file that was fetched just now is not parsed again."""
        return read_instruments(self.path) if self.parsed is None else iter(self.parsed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The results of checking a master; stored in a small file beside it."""

    place: str
    edition: str
    size: int
    instruments: int
    rejected: int
    nearest_future: str | None

    def current_until(self, day: date) -> date:
        """*day*, unless a future in the master had expired before: those are taken out."""
        return min(day, date.fromisoformat(self.nearest_future or day.isoformat()))

    def doubts(self, day: date) -> list[str]:
        doubts = []
        if self.current_until(day) < day - HOLIDAYS_ALLOWED:
            doubts.append(f"the master is old: a future in it expired on {self.nearest_future}")
        if self.rejected:
            doubts.append(f"malformed rows of the master that were rejected: {self.rejected}")
        return doubts


class InstrumentMaster:
    """The master found at *address*, kept by date in *folder*. Does nothing before the first call.

    *address* is an http(s) or file address or a path, relative to the working folder.
    A web server has to be of *world*.
    """

    def __init__(self, address: str, folder: Path, clock: Clock, world: World) -> None:
        self._location = location_of(address, world)
        self._folder = folder
        self._clock = clock

    def today(self) -> MasterFile:
        """Today's master, fetched if it is missing; else the newest good one.

        Raises MasterUnavailable when there is neither, WrongWorld for a server of another world.
        """
        day = master_day(self._clock.now())
        path = self._path(day)
        parsed: Sequence[Instrument] | None = None
        try:
            findings = self._current(path)
            if findings is None:
                findings, parsed = self._renew(path)
        except MasterUnavailable as problem:
            return self._older_master(day, problem)
        return _master_file(path, day, findings, findings.doubts(day), parsed)

    def _path(self, day: date) -> Path:
        return self._folder / f"NSE_{day.isoformat()}.json.gz"

    def _current(self, path: Path) -> Findings | None:
        """The findings of today's file, if it is stored and equal to the one at the location."""
        findings, edition = recall(path), self._location.edition()
        if findings is None or findings.place != self._location.place:
            return None
        return findings if findings.edition == edition else None

    def _renew(self, path: Path) -> tuple[Findings, Sequence[Instrument] | None]:
        """Fetch the master to *path*, unless it is bad; return its findings and, if it had to be
        read through for them, its rows."""
        parsed: list[Instrument] | None = None
        try:
            with _written_beside(path) as fresh:
                edition = self._location.edition()
                self._location.fetch(fresh)
                findings = self._findings_of_equal(fresh, edition)
                if findings is None:
                    findings = inspect(fresh, self._location.place, edition, parsed := [])
                self._check_not_truncated(findings)
                os.replace(fresh, path)
            remember(path, findings)
        except OSError as problem:
            raise MasterUnavailable(
                f"{self._folder} cannot be written to ({problem.strerror})"
            ) from problem
        self._prune(path)
        return findings, parsed

    def _findings_of_equal(self, fresh: Path, edition: str) -> Findings | None:
        """The findings of the newest kept master if *fresh* has its content: it is read once."""
        for _, kept in self._kept()[:1]:
            findings = recall(kept)
            if (
                findings is not None
                and findings.place == self._location.place
                and _digest(kept) == _digest(fresh)
            ):
                return replace(findings, edition=edition)
        return None

    def _check_not_truncated(self, findings: Findings) -> None:
        known = (recall(path) for _, path in self._kept())
        last = next((f for f in known if f is not None and f.place == findings.place), None)
        if last is not None and findings.instruments < last.instruments * SUSPICIOUS_SHARE:
            raise MasterUnavailable(
                f"{findings.place} holds {findings.instruments} instruments where there "
                f"were {last.instruments}: it is probably truncated "
                f"(if it is right, empty {self._folder})"
            )

    def _older_master(self, day: date, problem: MasterUnavailable) -> MasterFile:
        for kept_on, path in self._kept():
            findings = recall(path) or _readable(path)
            if findings is not None:
                instead = f"{problem.message}; the master of {kept_on} is used instead"
                return _master_file(path, kept_on, findings, [instead, *findings.doubts(day)])
        raise MasterUnavailable(
            f"{problem.message}, and no older instrument master is kept in {self._folder}",
            hint=HINT,
        ) from problem

    def _kept(self) -> list[tuple[date, Path]]:
        """The masters of the folder and their dates, newest first."""
        found = ((_day_of(path), path) for path in self._folder.glob("NSE_*.json.gz"))
        return sorted(((day, path) for day, path in found if day is not None), reverse=True)

    def _prune(self, newest: Path) -> None:
        others = [path for _, path in self._kept() if path != newest]
        for path in others[KEPT - 1 :]:
            path.unlink(missing_ok=True)
            _findings_path(path).unlink(missing_ok=True)


def master_day(now: datetime) -> date:
    """The trading date (IST) of the newest master that can exist at *now*."""
    return (now.astimezone(IST) - REBUILT_BY).date()


def inspect(
    path: Path, place: str, edition: str, parsed: list[Instrument] | None = None
) -> Findings:
    """Check every row of a master; its instruments are added to *parsed*.

    Raises MasterUnavailable when the file is bad.
    """
    with path.open("rb") as file:
        start = file.read(20)
    if not start.startswith(GZIP_MAGIC):
        shown = f"it begins with {start!r}" if start else "it is empty"
        raise MasterUnavailable(f"{place} is not a gzip file: {shown}")
    instruments, rejected, nearest = 0, 0, date.max
    for row in read_rows(path, called=place):
        if isinstance(row, RejectedRow):
            rejected += 1
            continue
        instruments += 1
        if parsed is not None:
            parsed.append(row)
        if row.instrument_type == FUTURE and row.expiry is not None:
            nearest = min(nearest, row.expiry)
    if not instruments:
        raise MasterUnavailable(f"{place} holds no instrument of the NSE")
    return Findings(
        place=place,
        edition=edition,
        size=path.stat().st_size,
        instruments=instruments,
        rejected=rejected,
        nearest_future=None if nearest == date.max else nearest.isoformat(),
    )


def remember(path: Path, findings: Findings) -> None:
    """Store the findings beside the master at *path*."""
    with _written_beside(path) as fresh:
        fresh.write_text(json.dumps(asdict(findings)), encoding="utf-8")
        os.replace(fresh, _findings_path(path))


def recall(path: Path) -> Findings | None:
    """The stored findings of the master at *path*; None when they are damaged or of another one."""
    try:
        findings = Findings(**orjson.loads(_findings_path(path).read_bytes()))
        findings.current_until(date.max)
        return findings if path.stat().st_size == findings.size else None
    except (OSError, ValueError, TypeError):
        return None


def _digest(path: Path) -> bytes:
    return sha256(path.read_bytes()).digest()


def _readable(path: Path) -> Findings | None:
    """The findings of a file without stored ones, None if it is bad."""
    try:
        return inspect(path, str(path), "")
    except (MasterUnavailable, OSError):
        return None


def _master_file(
    path: Path,
    day: date,
    findings: Findings,
    doubts: list[str],
    parsed: Sequence[Instrument] | None = None,
) -> MasterFile:
    return MasterFile(
        path=path,
        as_of=findings.current_until(day),
        warning="; ".join(doubts) or None,
        instruments=findings.instruments,
        rejected=findings.rejected,
        parsed=parsed,
    )


def _day_of(path: Path) -> date | None:
    try:
        return date.fromisoformat(path.name.removeprefix("NSE_").removesuffix(".json.gz"))
    except ValueError:
        return None


def _findings_path(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".json.gz") + ".findings.json")


@contextmanager
def _written_beside(path: Path) -> Iterator[Path]:
    """A new file in the folder of *path*; removed afterwards unless it was moved into place."""
    private_folder(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
