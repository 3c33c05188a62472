"""The instrument keys that a provider refuses, remembered across requests and processes.

A provider that refuses good keys for a moment must not cost them their slots, and a key that does
not exist must not cost a search in every slot.
"""

import json
import logging
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

import orjson

from data_fetch.core.files import private_file, private_folder
from data_fetch.core.ports import Clock

log = logging.getLogger(__name__)

# So many refusals in a row make a suspect unknown, and then it is left out for so long. A key that
# had a row so short a time ago stays a suspect.
REFUSALS_TO_BE_UNKNOWN = 3
QUARANTINE = timedelta(minutes=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The last refusal of a key, how many in a row count, and when the key last had a response."""

    count: int
    refused_at: datetime
    answered_at: datetime | None

    def is_unknown(self) -> bool:
        lately = self.answered_at is not None and self.refused_at - self.answered_at < QUARANTINE
        return self.count >= REFUSALS_TO_BE_UNKNOWN and not lately

    def is_quarantined(self, now: datetime) -> bool:
        # A clock that was set back ends the quarantine.
        return self.is_unknown() and timedelta(0) <= now - self.refused_at < QUARANTINE

    def document(self) -> dict[str, Any]:
        answered = None if self.answered_at is None else self.answered_at.isoformat()
        return {
            "count": self.count,
            "refused_at": self.refused_at.isoformat(),
            "answered_at": answered,
        }


@dataclass(frozen=True, slots=True)
class SortedKeys:
    """Keys by what is known of them. *suspects* are requested apart from the others, whose
    request they would spoil; *quarantined* keys are not requested."""

    ordinary: Sequence[str]
    suspects: Sequence[str]
    quarantined: Sequence[str]


class RefusedKeys:
    """What is known of refused keys. Kept in *file*, if one is given; safe to share.

    A file that cannot be written is logged once: what it has is not needed to go on.
    """

    def __init__(self, clock: Clock, file: Path | None = None) -> None:
        self._clock = clock
        self._file = file
        self._refusals: dict[str, Refusal] | None = None
        self._answered_at: dict[str, datetime] = {}
        self._unwritable = False
        self._lock = Lock()

    def sort(self, keys: Sequence[str]) -> SortedKeys:
        """*keys*, each in its group, in their order."""
        now = self._clock.now()
        with self._lock:
            known = self._known()
            refused = [key for key in keys if key in known]
            quarantined = [key for key in refused if known[key].is_quarantined(now)]
        apart, left_out = set(refused), set(quarantined)
        return SortedKeys(
            ordinary=[key for key in keys if key not in apart],
            suspects=[key for key in refused if key not in left_out],
            quarantined=quarantined,
        )

    def record(
        self, *, answered: Collection[str], unknown: Iterable[str], suspects: Iterable[str]
    ) -> None:
        """Note one call: the keys with a response, those refused as *unknown*, and *suspects*.

        A refusal counts only if other keys had a response: a provider that knows none of its keys
        has a fault. Keys that are in no group keep their state.
        """
        now = self._clock.now()
        with self._lock:
            known = self._known()
            before = dict(known)
            for key in answered:
                known.pop(key, None)
            for keys, step in ((unknown, 1 if answered else 0), (suspects, 0)):
                for key in keys:
                    count = known[key].count if key in known else 0
                    known[key] = Refusal(
                        count=count + step,
                        refused_at=now,
                        answered_at=self._last_answer(key),
                    )
            self._answered_at.update(dict.fromkeys(answered, now))
            if known != before:
                self._write(known, before.keys() - known.keys())

    def _last_answer(self, key: str) -> datetime | None:
        known = self._known().get(key)
        return self._answered_at.get(key) or (known.answered_at if known else None)

    def _known(self) -> dict[str, Refusal]:
        if self._refusals is None:
            self._refusals = {} if self._file is None else _read(self._file)
        return self._refusals

    def _write(self, known: Mapping[str, Refusal], cleared: Collection[str]) -> None:
        """Write *known* beside what another process has written of other keys."""
        if self._file is None:
            return
        others = {key: one for key, one in _read(self._file).items() if key not in cleared}
        document = {key: one.document() for key, one in {**others, **known}.items()}
        beside = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        try:
            private_folder(self._file.parent)
            private_file(beside)
            beside.write_text(json.dumps(document), encoding="utf-8")
            beside.replace(self._file)
            self._unwritable = False
        except OSError as problem:
            if not self._unwritable:
                facts = {"file": str(self._file), "problem": problem.strerror}
                log.warning("refused keys are not kept for the next process", extra=facts)
            self._unwritable = True


def _read(file: Path) -> dict[str, Refusal]:
    """What is in *file*; nothing for a file that is missing or damaged, which is written anew."""
    try:
        return {
            key: Refusal(
                count=int(one["count"]),
                refused_at=_instant(one["refused_at"]),
                answered_at=None if one["answered_at"] is None else _instant(one["answered_at"]),
            )
            for key, one in orjson.loads(file.read_bytes()).items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return {}


def _instant(text: str) -> datetime:
    """The aware instant of *text*. Raises ValueError, TypeError."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return found
