"""Whether a server lives, and whether it can answer, without a store."""

from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest
from raw_requests import Target
from served import Served, served

from data_fetch.core.settings import Settings

REFRESH_TOKEN = f"{'0' * 32}.{'A' * 43}"
AWAY = "postgresql://postgres@127.0.0.1:1/away"


@pytest.mark.parametrize(
    ("path", "status"), [("/health/live", "alive"), ("/health/ready", "ready")]
)
def test_with_a_store_it_lives_and_is_ready(families: Served, path: str, status: str) -> None:
    answered, _, document = families.get(path)

    assert (answered, document["status"]) == (200, status)


@pytest.mark.parametrize("url", [AWAY, "sqlite:///{folder}/damaged.db"], ids=["away", "damaged"])
def test_without_a_store_it_lives_and_is_not_ready(tmp_path: Path, url: str) -> None:
    (tmp_path / "damaged.db").write_text("no store")
    settings = Settings.load(
        {"DATA_SOURCE": "upstox", "DATABASE_URL": url.format(folder=tmp_path)}, tmp_path
    )
    with served(settings) as server:
        live, _, _ = server.get("/health/live")
        answered, _, health = server.get("/health")
        ready, _, why = server.get("/health/ready")

    assert (live, answered, ready) == (200, 200, 503)
    assert (health["status"], health["database_connected"]) == ("unhealthy", False)
    assert health["problem"] == why["problem"] != ""


def test_a_store_that_does_not_answer_is_no_missing_chain(tmp_path: Path) -> None:
    settings = Settings.load({"DATA_SOURCE": "upstox", "DATABASE_URL": AWAY}, tmp_path)
    with served(settings) as server:
        status, _, refused = server.get("/option-chain/NIFTY")

    assert (status, refused["code"]) == (503, "service_unavailable")
    assert refused["then"]


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        pytest.param("GET", "/option-chain/NIFTY", {"X-API-Key": "dfk_unknown"}, id="a key"),
        pytest.param("POST", "/api/auth/login", {"Content-Type": "application/json"}, id="login"),
        pytest.param(
            "POST", "/api/auth/refresh", {"Content-Type": "application/json"}, id="refresh"
        ),
        pytest.param("GET", "/health/ready", {}, id="ready"),
    ],
)
def test_strangers_do_not_learn_where_the_store_is(
    tmp_path: Path, method: str, path: str, headers: Mapping[str, str]
) -> None:
    variables = {"API_AUTHENTICATION": "on", "JWT_SECRET": "a secret of more than thirty-two bytes"}
    settings = Settings.load({"DATA_SOURCE": "upstox", "DATABASE_URL": AWAY, **variables}, tmp_path)
    body = orjson.dumps(
        {"email": "a@example.com", "password": "twelve letters", "refresh_token": REFRESH_TOKEN}
    )
    with served(settings) as server:
        target = Target(server.url)
        answer = target.send(
            method, path, list(headers.items()), body if method == "POST" else None
        )

    assert answer.status == 503
    assert b"127.0.0.1" not in answer.body
    assert b"postgres" not in answer.body
