"""Log lines are fields in a file per service, and hold no secret."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_fetch.runtime.logs import start_logging, stop_logging


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    start_logging(tmp_path / "logs", "INFO", secrets=["tok-4711", ""])
    yield tmp_path / "logs"
    stop_logging()


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("logger", "file"),
    [
        ("data_fetch.data_scheduler", "data_scheduler.log"),
        ("data_fetch.ltp_service", "ltp_service.log"),
        ("data_fetch.backfill_service", "backfill_service.log"),
        ("data_fetch.storage.database.store", "data_scheduler.log"),
    ],
)
def test_each_service_has_its_file(folder: Path, logger: str, file: str) -> None:
    logging.getLogger(logger).info("slot", extra={"stored": 214, "slot": "09:15"})

    [line] = lines(folder / file)
    assert line["event"] == "slot"
    assert (line["stored"], line["slot"], line["level"]) == (214, "09:15", "info")
    assert line["logger"] == logger


def test_secrets_are_masked_in_words_fields_and_traces(folder: Path) -> None:
    log = logging.getLogger("data_fetch.ltp_service")
    try:
        raise ValueError("refused tok-4711")
    except ValueError:
        log.exception("sent tok-4711", extra={"header": "Bearer tok-4711"})

    text = (folder / "ltp_service.log").read_text()
    assert "4711" not in text
    assert "refused ***" in text


def test_without_start_nothing_is_written(tmp_path: Path) -> None:
    logging.getLogger("data_fetch.ltp_service").info("quiet")

    assert list(tmp_path.iterdir()) == []
