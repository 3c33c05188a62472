"""`data-fetch ready` against the paper exchange: the token that is sent, and the provider."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3
from logins import YEAR, token_for

from data_fetch.cli.main import main
from data_fetch.core.clock import VirtualClock
from data_fetch.paper_exchange.exchange import PaperExchange

# 08:55 IST.
NOW = datetime(2026, 9, 16, 3, 25, tzinfo=UTC)
HOUR = timedelta(hours=1)
GO, NO_GO = 0, 3


@pytest.fixture(scope="module")
def exchange() -> Iterator[PaperExchange]:
    with PaperExchange(VirtualClock(NOW), symbols=("NIFTY", "RELIANCE")) as started:
        yield started


@pytest.fixture(autouse=True)
def working_folder(
    exchange: PaperExchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DATA_SOURCE", "paper")
    monkeypatch.setenv("UPSTOX_BASE_URL", exchange.url)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/paper.db")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    urllib3.request("DELETE", f"{exchange.url}/paper/faults")


@pytest.fixture
def ready(capsys: pytest.CaptureFixture[str]) -> Callable[[], tuple[int, dict[str, Any]]]:
    def run() -> tuple[int, dict[str, Any]]:
        status = GO
        try:
            main(["ready", "--json"])
        except SystemExit as left:
            status = int(left.code or 0)
        return status, json.loads(capsys.readouterr().out)

    return run


Ready = Callable[[], tuple[int, dict[str, Any]]]


def verdict(document: dict[str, Any], name: str) -> str:
    return next(str(each["verdict"]) for each in document["checks"] if each["name"] == name)


def message(document: dict[str, Any], name: str) -> str:
    return next(str(each["message"]) for each in document["checks"] if each["name"] == name)


def test_the_paper_exchange_needs_no_token(ready: Ready) -> None:
    _, document = ready()

    assert message(document, "token") == "none needed on the paper exchange"


@pytest.mark.parametrize(
    ("issued_at", "lasting", "expected"),
    [
        pytest.param(NOW - HOUR, 19 * HOUR, "ok", id="a login of this morning"),
        pytest.param(NOW - 30 * 24 * HOUR, YEAR, "ok", id="an Analytics Token"),
        pytest.param(NOW - 24 * HOUR, 19 * HOUR, "no-go", id="a login of yesterday"),
        pytest.param(NOW - 24 * HOUR, 27 * HOUR, "no-go", id="one that ends during the session"),
    ],
)
def test_the_token_decides(
    issued_at: datetime,
    lasting: timedelta,
    expected: str,
    ready: Ready,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UPSTOX_ACCESS_TOKEN", token_for(issued_at, lasting))

    status, document = ready()

    assert verdict(document, "token") == expected
    assert status == (GO if expected == "ok" else NO_GO)
    assert document["verdict"] == ("go" if expected == "ok" else "no-go")


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        pytest.param({"kind": "token-expired", "api": "market-status"}, "token", id="rejected"),
        pytest.param({"kind": "cloudflare-403", "api": "market-status"}, "provider", id="denied"),
    ],
)
def test_one_request_proves_token_and_provider(
    fault: dict[str, str], name: str, exchange: PaperExchange, ready: Ready
) -> None:
    urllib3.request("POST", f"{exchange.url}/paper/faults", json=fault)

    status, document = ready()

    assert (status, verdict(document, name)) == (NO_GO, "no-go")
    assert [each for each in document["reasons"] if each.startswith(name)]
    assert verdict(document, "store") == "ok", "the other checks are made all the same"


def test_a_store_that_is_away_is_a_no_go(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://postgres@127.0.0.1:1/none")

    status, document = ready()

    assert (status, verdict(document, "store")) == (NO_GO, "no-go")
    assert verdict(document, "token") == "ok"
