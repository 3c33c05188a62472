"""Whether a server lives, and whether it can answer, without a store."""

from pathlib import Path

import pytest
from served import Served, served

from data_fetch.core.settings import Settings

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
