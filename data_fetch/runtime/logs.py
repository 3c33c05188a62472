"""Logging: one rotated file of JSON lines per service.

Modules log through the standard library with fields in `extra`; nothing is set up until
`start_logging` is called. Secrets are masked wherever they appear.
"""

import logging
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import structlog

from data_fetch.core.errors import SetupError
from data_fetch.core.settings import Settings

PACKAGE = "data_fetch"
FILES = {
    "data_fetch.data_scheduler": "data_scheduler.log",
    "data_fetch.ltp_service": "ltp_service.log",
    "data_fetch.backfill_service": "backfill_service.log",
}
EVERYTHING_ELSE = "data_scheduler.log"
ROTATE_AT_BYTES, KEEP_FILES = 5_000_000, 5
MASK = "***"


class _Masking:
    """Replaces secrets in every string of an event, at any depth.

    *renewed* returns a secret that may change while the process runs; its former values stay
    secrets.
    """

    def __init__(self, secrets: Collection[str], renewed: Callable[[], str]) -> None:
        self._secrets = {secret for secret in secrets if secret}
        self._renewed = renewed
        self._longest_first: list[str] = []

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        self._secrets |= {self._renewed()} - {""}
        if len(self._longest_first) != len(self._secrets):
            self._longest_first = sorted(self._secrets, key=len, reverse=True)
        return {self._masked_text(name): self._masked(value) for name, value in event.items()}

    def _masked(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self._masked_text(str(k)): self._masked(each) for k, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._masked(each) for each in value]
        # The renderer writes every other object as its text.
        return self._masked_text(str(value))

    def _masked_text(self, text: str) -> str:
        for secret in self._longest_first:
            text = text.replace(secret, MASK)
        return text


def _nothing() -> str:
    return ""


def start_logging(
    folder: Path,
    level: str,
    secrets: Collection[str] = (),
    renewed: Callable[[], str] = _nothing,
) -> None:
    """Write the package's log lines to rotated files in *folder* from now on, without *secrets*
    and without what *renewed* returns now or later.

    Raises SetupError when the folder cannot be written to.
    """
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _Masking(secrets, renewed),
            structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
        ],
    )
    stop_logging()
    package = logging.getLogger(PACKAGE)
    package.setLevel(level)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in sorted({*FILES.values(), EVERYTHING_ELSE}):
            package.addHandler(_rotated(folder / name, formatter))
    except OSError as problem:
        raise SetupError(
            f"no logs can be written to {folder} ({problem.strerror})",
            hint="Make it a folder that we may write to.",
        ) from problem


def stop_logging() -> None:
    """Close the files that `start_logging` opened."""
    package = logging.getLogger(PACKAGE)
    package.setLevel(logging.NOTSET)
    for handler in [h for h in package.handlers if isinstance(h, RotatingFileHandler)]:
        package.removeHandler(handler)
        handler.close()


class _LogFile(RotatingFileHandler):
    """A log file that reports the first line it cannot write, in one line, and none after it."""

    _failing = False

    def handleError(self, record: logging.LogRecord) -> None:
        if not self._failing:
            problem = sys.exc_info()[1]
            print(f"No log is written to {self.baseFilename}: {problem}", file=sys.stderr)
        self._failing = True


def _rotated(path: Path, formatter: logging.Formatter) -> RotatingFileHandler:
    handler = _LogFile(path, maxBytes=ROTATE_AT_BYTES, backupCount=KEEP_FILES, encoding="utf-8")
    handler.setFormatter(formatter)
    handler.addFilter(lambda record: FILES.get(record.name, EVERYTHING_ELSE) == path.name)
    return handler


@contextmanager
def logs_for(settings: Settings, token: Callable[[], str]) -> Iterator[None]:
    """Log files in the working folder for as long as this lasts; *token* is the one in use."""
    start_logging(settings.log_folder, settings.log_level, settings.secrets(), token)
    try:
        yield
    finally:
        stop_logging()
