"""Logging: one rotated file of JSON lines per service.

Modules log through the standard library with fields in `extra`; nothing is set up until
`start_logging` is called. Every line has `timestamp`, `service`, `level`, `event` and `logger`.
Secrets are masked wherever they appear.
"""

import json
import logging
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from data_fetch.core.errors import SetupError
from data_fetch.core.files import close_to_others, private_file, private_folder
from data_fetch.core.settings import Settings

PACKAGE = "data_fetch"
# Their lines are about connections and requests of ours.
SERVER_LIBRARIES = ("uvicorn",)
ROTATE_AT_BYTES, KEEP_FILES = 5_000_000, 5
MASK = "***"
TIMESTAMP = "%Y-%m-%dT%H:%M:%S.%fZ"
# Of every record; what it has besides are the fields of the line.
ORDINARY = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime"})


@dataclass(frozen=True, slots=True)
class LogServices:
    """The services of a process, each with a file of its name: by logger where one is *named*,
    otherwise the *usual* one, which also has the warnings of *libraries*."""

    usual: str
    named: Mapping[str, str] = field(default_factory=dict)
    libraries: tuple[str, ...] = ()

    def of(self, logger: str) -> str:
        """The service that *logger* belongs to."""
        return self.named.get(logger, self.usual)

    @property
    def all(self) -> set[str]:
        return {self.usual, *self.named.values()}


COLLECTOR = LogServices(
    "data_scheduler",
    {
        "data_fetch.data_scheduler": "data_scheduler",
        "data_fetch.ltp_service": "ltp_service",
        "data_fetch.backfill_service": "backfill_service",
    },
)
# Two processes must not rotate the same file: in a server everything is in its own.
API = LogServices("api", libraries=SERVER_LIBRARIES)
STREAM = LogServices("stream", libraries=SERVER_LIBRARIES)
DASHBOARD = LogServices("dashboard", libraries=SERVER_LIBRARIES)
ARCHIVE = LogServices("archive")
ALERTS = LogServices("alerts")


class _Masking:
    """Replaces secrets in every string of an event, at any depth.

    *renewed* returns a secret that may change while the process runs; its former values stay
    secrets.
    """

    def __init__(self, secrets: Collection[str], renewed: Callable[[], str]) -> None:
        self._secrets = {secret for secret in secrets if secret}
        self._renewed = renewed
        self._longest_first: list[str] = []

    def __call__(self, event: Mapping[str, Any]) -> dict[str, Any]:
        self._secrets |= {self._renewed()} - {""}
        if len(self._longest_first) != len(self._secrets):
            self._longest_first = sorted(self._secrets, key=len, reverse=True)
        # The names at the top are those of the code.
        return {name: self._masked(value) for name, value in event.items()}

    def _masked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._masked_text(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self._masked_text(str(k)): self._masked(each) for k, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._masked(each) for each in value]
        # Every other object is written as its text.
        return self._masked_text(str(value))

    def _masked_text(self, text: str) -> str:
        for secret in self._longest_first:
            text = text.replace(secret, MASK)
        return text


class _Lines(logging.Formatter):
    """A record as one line of JSON, without secrets."""

    def __init__(self, services: LogServices, masking: _Masking) -> None:
        super().__init__()
        self._services = services
        self._masking = masking
        self._json = json.JSONEncoder(ensure_ascii=False)

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).strftime(TIMESTAMP),
            "service": self._services.of(record.name),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
        }
        event |= {name: value for name, value in vars(record).items() if name not in ORDINARY}
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return self._json.encode(self._masking(event))


def _nothing() -> str:
    return ""


def start_logging(
    folder: Path,
    level: str,
    secrets: Collection[str] = (),
    renewed: Callable[[], str] = _nothing,
    services: LogServices = COLLECTOR,
) -> None:
    """Write the package's log lines to rotated files in *folder* from now on, without *secrets*
    and without what *renewed* returns now or later.

    Raises SetupError when the folder cannot be written to.
    """
    formatter = _Lines(services, _Masking(secrets, renewed))
    stop_logging()
    package = logging.getLogger(PACKAGE)
    package.setLevel(level)
    try:
        private_folder(folder)
        for former in folder.glob("*.log*"):
            close_to_others(former)
        for service in sorted(services.all):
            package.addHandler(_rotated(folder, service, services, formatter))
    except OSError as problem:
        raise SetupError(
            f"no logs can be written to {folder} ({problem.strerror})",
            hint="Make it a folder that we may write to.",
        ) from problem
    for library in services.libraries:
        logger = logging.getLogger(library)
        logger.setLevel(logging.WARNING)
        for handler in _log_files(package):
            logger.addHandler(handler)


def stop_logging() -> None:
    """Close the files that `start_logging` opened."""
    for name in (PACKAGE, *SERVER_LIBRARIES):
        logger = logging.getLogger(name)
        logger.setLevel(logging.NOTSET)
        for handler in _log_files(logger):
            logger.removeHandler(handler)
            handler.close()


def _log_files(logger: logging.Logger) -> list[logging.Handler]:
    return [handler for handler in logger.handlers if isinstance(handler, _LogFile)]


class _LogFile(RotatingFileHandler):
    """A log file that reports the first line it cannot write, in one line, and none after it."""

    _failing = False

    def _open(self) -> TextIOWrapper:
        private_file(Path(self.baseFilename))
        return super()._open()

    def shouldRollover(self, _: logging.LogRecord) -> bool:
        """Whether the file is long enough. The line is not formatted once more for its length."""
        if self.stream is None:
            self.stream = self._open()
        return self.stream.tell() >= self.maxBytes

    def handleError(self, record: logging.LogRecord) -> None:
        if not self._failing:
            problem = sys.exc_info()[1]
            print(f"No log is written to {self.baseFilename}: {problem}", file=sys.stderr)
        self._failing = True


def _rotated(
    folder: Path, service: str, services: LogServices, formatter: logging.Formatter
) -> RotatingFileHandler:
    handler = _LogFile(
        folder / f"{service}.log",
        maxBytes=ROTATE_AT_BYTES,
        backupCount=KEEP_FILES,
        encoding="utf-8",
    )
    handler.setFormatter(formatter)
    handler.addFilter(lambda record: services.of(record.name) == service)
    return handler


@contextmanager
def logs_for(
    settings: Settings, token: Callable[[], str], services: LogServices = COLLECTOR
) -> Iterator[None]:
    """Log files in the working folder for as long as this lasts; *token* is the one in use."""
    start_logging(settings.log_folder, settings.log_level, settings.secrets(), token, services)
    try:
        yield
    finally:
        stop_logging()
