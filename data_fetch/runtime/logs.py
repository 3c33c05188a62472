"""Logging: one rotated file of JSON lines per service.

Modules log through the standard library with fields in `extra`; nothing is set up until
`start_logging` is called. Secrets are masked wherever they appear.
"""

import logging
from collections.abc import Collection, Iterator, MutableMapping
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
    """Replaces secrets in every string of an event."""

    def __init__(self, secrets: Collection[str]) -> None:
        self._secrets = sorted(filter(None, secrets), key=len, reverse=True)

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        for name, value in event.items():
            if isinstance(value, str):
                event[name] = self._masked(value)
        return event

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text


def start_logging(folder: Path, level: str, secrets: Collection[str] = ()) -> None:
    """Write the package's log lines to rotated files in *folder* from now on.

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
            _Masking(secrets),
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


def _rotated(path: Path, formatter: logging.Formatter) -> RotatingFileHandler:
    handler = RotatingFileHandler(
        path, maxBytes=ROTATE_AT_BYTES, backupCount=KEEP_FILES, encoding="utf-8"
    )
    handler.setFormatter(formatter)
    handler.addFilter(lambda record: FILES.get(record.name, EVERYTHING_ELSE) == path.name)
    return handler


@contextmanager
def logs_for(settings: Settings) -> Iterator[None]:
    """Log files in the working folder for as long as this lasts."""
    start_logging(settings.log_folder, settings.log_level, settings.secrets())
    try:
        yield
    finally:
        stop_logging()
