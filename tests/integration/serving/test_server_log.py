"""The log lines of a server: one for each request, and the stack traces that no answer has."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import urllib3
from effort import PATIENCE_SECONDS
from fastapi.responses import StreamingResponse
from served import Served, serving

from data_fetch.core.settings import Settings
from data_fetch.runtime.logs import API, start_logging, stop_logging
from data_fetch.serving.app import routes_of
from data_fetch.serving.gate import Gate
from data_fetch.serving.server import Server

SECRET = "tok-4711"
Running = AbstractContextManager[Served]


@pytest.fixture
def server(sqlite_url: str, tmp_path: Path) -> Running:
    """With two routes that fail: before the answer, and in the middle of it.

    A line is written after its answer was sent: lines are read when the server has ended.
    """
    return _logging_server(sqlite_url, tmp_path)


@contextmanager
def _logging_server(sqlite_url: str, tmp_path: Path) -> Iterator[Served]:
    settings = Settings.load({"DATA_SOURCE": "upstox", "DATABASE_URL": sqlite_url}, tmp_path)
    server = Server(settings)
    app = routes_of(server)

    @app.get("/fails/{symbol}")
    def fails(symbol: str) -> None:
        raise ValueError(f"no {symbol}, and {SECRET}")

    @app.get("/breaks")
    def breaks() -> StreamingResponse:
        def rows() -> Iterator[bytes]:
            yield b"1\n"
            raise ValueError("no second row")

        return StreamingResponse(rows())

    start_logging(tmp_path / "logs", "INFO", [SECRET], services=API)
    try:
        with serving(Gate(app, server)) as served:
            yield served
    finally:
        stop_logging()


def fetched(server: Served, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
    return urllib3.request(
        "GET",
        f"{server.url}{path}",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        timeout=PATIENCE_SECONDS,
        retries=False,
    )


def logged(folder: Path, event: str) -> list[dict[str, object]]:
    text = (folder / "logs" / "api.log").read_text(encoding="utf-8")
    found = [json.loads(line) for line in text.splitlines()]
    return [line for line in found if line["event"] == event]


def test_a_request_is_one_line_without_its_query(server: Running, tmp_path: Path) -> None:
    with server as here:
        answer = fetched(here, "/option-chain/NOSUCH?limit=1&note=hidden-4712")
        fetched(here, "/health/live")

    [line, _] = logged(tmp_path, "request")
    assert list(line)[:4] == ["timestamp", "service", "level", "event"]
    assert line["request_id"] == answer.headers["X-Request-ID"] == answer.json()["instance"]
    assert (line["service"], line["level"], line["method"], line["status"]) == (
        "api", "info", "GET", 404,
    )  # fmt: skip
    assert (line["route"], line["viewer"]) == ("/option-chain/{symbol}", None)
    assert line["bytes"] == len(answer.data)
    text = (tmp_path / "logs" / "api.log").read_text(encoding="utf-8")
    assert "hidden-4712" not in text
    assert "NOSUCH" not in text


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param("desk-7.query_12", True, id="plain"),
        pytest.param("a" * 64, True, id="as long as may be"),
        pytest.param("a" * 65, False, id="too long"),
        pytest.param('","level":"critical', False, id="of a log line"),
        pytest.param("a b", False, id="with a space"),
        pytest.param("", False, id="empty"),
        pytest.param("\xe9", False, id="not ASCII"),
    ],
)
def test_the_id_of_a_sender_is_kept_when_it_is_a_plain_one(
    server: Running, tmp_path: Path, given: str, kept: bool
) -> None:
    with server as here:
        answer = fetched(here, "/health/live", X_Request_ID=given)

    [line] = logged(tmp_path, "request")
    assert (answer.headers["X-Request-ID"] == given) is kept
    assert line["request_id"] == answer.headers["X-Request-ID"]


def test_a_fault_has_its_stack_trace_in_the_log_only(server: Running, tmp_path: Path) -> None:
    with server as here:
        answer = fetched(here, "/fails/NIFTY")

    assert (answer.status, answer.json()["code"]) == (500, "fault")
    assert "NIFTY" not in answer.data.decode()
    [line] = logged(tmp_path, "fault")
    assert line["request_id"] == answer.json()["instance"]
    assert (line["level"], line["route"], line["status"]) == ("error", "/fails/{symbol}", 500)
    assert "ValueError: no NIFTY, and ***" in str(line["exception"])
    # The web server need not repeat it.
    text = (tmp_path / "logs" / "api.log").read_text(encoding="utf-8")
    assert text.count("ValueError: no") == 1
    assert SECRET not in text


def test_a_fault_in_the_middle_of_an_answer_ends_the_connection(
    server: Running, tmp_path: Path
) -> None:
    with server as here:
        with pytest.raises(urllib3.exceptions.ProtocolError):
            fetched(here, "/breaks")
        assert fetched(here, "/health/live").status == 200

    [line] = logged(tmp_path, "fault")
    assert (line["route"], line["bytes"]) == ("/breaks", 2)
    assert "no second row" in str(line["exception"])
