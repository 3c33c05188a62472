"""Log lines are fields in a file per service, and hold no secret."""

import json
import logging
from collections.abc import Iterator
from logging.handlers import RotatingFileHandler
from pathlib import Path

import pytest

from data_fetch.runtime.logs import API, STREAM, LogServices, start_logging, stop_logging


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
    assert list(line)[:4] == ["timestamp", "service", "level", "event"]
    assert line["service"] == file.removesuffix(".log")


@pytest.mark.parametrize(("services", "file"), [(API, "api.log"), (STREAM, "stream.log")])
@pytest.mark.parametrize(
    ("logger", "level"),
    [
        pytest.param("data_fetch.serving.gate", "info", id="of the server"),
        pytest.param("data_fetch.ltp_service", "info", id="of a service it uses"),
        pytest.param("uvicorn.error", "warning", id="of its web server"),
    ],
)
def test_a_server_has_one_file_for_everything(
    tmp_path: Path, services: LogServices, file: str, logger: str, level: str
) -> None:
    start_logging(tmp_path, "INFO", ["tok-4711"], services=services)
    logging.getLogger(logger).log(logging.getLevelName(level.upper()), "sent tok-4711")
    stop_logging()

    [line] = lines(tmp_path / file)
    assert (line["event"], line["level"]) == ("sent ***", level)
    assert line["service"] == file.removesuffix(".log")
    assert [each.name for each in tmp_path.iterdir()] == [file]


def test_a_long_file_is_followed_by_the_next(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = logging.getLogger("data_fetch.ltp_service")
    [handler] = [
        each
        for each in logging.getLogger("data_fetch").handlers
        if isinstance(each, RotatingFileHandler) and each.baseFilename.endswith("ltp_service.log")
    ]
    monkeypatch.setattr(handler, "maxBytes", 500)
    for number in range(20):
        log.info("slot", extra={"number": number})

    numbers = [
        line["number"]
        for file in sorted(folder.glob("ltp_service.log*"), reverse=True)
        for line in lines(file)
    ]
    assert len(list(folder.glob("ltp_service.log*"))) > 3
    assert numbers == list(range(20))[-len(numbers) :]


def test_secrets_are_masked_in_words_fields_and_traces(folder: Path) -> None:
    log = logging.getLogger("data_fetch.ltp_service")
    try:
        raise ValueError("refused tok-4711")
    except ValueError:
        log.exception("sent tok-4711", extra={"header": "Bearer tok-4711"})

    text = (folder / "ltp_service.log").read_text()
    assert "4711" not in text
    assert "refused ***" in text


def test_secrets_are_masked_at_any_depth(folder: Path) -> None:
    fields = {
        "listed": ["tok-4711", {"deep": ("Bearer tok-4711", 4)}],
        "by_name": {"tok-4711": None},
        "error": ValueError("refused tok-4711"),
    }
    logging.getLogger("data_fetch.ltp_service").info("sent", extra=fields)

    [line] = lines(folder / "ltp_service.log")
    assert line["listed"] == ["***", {"deep": ["Bearer ***", 4]}]
    assert line["by_name"] == {"***": None}
    assert line["error"] == "refused ***"


def test_a_renewed_token_is_masked_and_its_predecessors_stay_masked(tmp_path: Path) -> None:
    token = ["first-4711"]
    start_logging(tmp_path, "INFO", ["own-4711"], lambda: token[0])
    log = logging.getLogger("data_fetch.ltp_service")
    log.info("began")
    for renewed in ("second-4711", "third-4711"):
        token[0] = renewed
        log.info("sent first-4711 second-4711 own-4711" + f" {renewed}")
    stop_logging()

    text = (tmp_path / "ltp_service.log").read_text()
    # The second token is not known before it is in use.
    assert [line["event"] for line in lines(tmp_path / "ltp_service.log")][
        2
    ] == "sent *** *** *** ***"
    assert "third" not in text


def test_a_log_that_cannot_be_written_is_one_line_and_no_trace(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("data_fetch.runtime.logs._LogFile.shouldRollover", full)
    for _ in range(3):
        logging.getLogger("data_fetch.ltp_service").info("slot")

    said = capsys.readouterr().err
    monkeypatch.undo()
    assert said.count("No space left on device") == 1
    assert "Traceback" not in said


def test_without_start_nothing_is_written(tmp_path: Path) -> None:
    logging.getLogger("data_fetch.ltp_service").info("quiet")

    assert list(tmp_path.iterdir()) == []
