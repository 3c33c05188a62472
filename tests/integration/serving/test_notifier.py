"""The notifier: an approved token is taken once, for this app and user, and nothing else is."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3
from effort import PATIENCE_SECONDS
from logins import token_for
from served import Served, served

from data_fetch.cli.main import main
from data_fetch.core.clock import VirtualClock
from data_fetch.core.settings import Settings
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.runtime.login import notifier_path
from data_fetch.runtime.settings import process_settings
from data_fetch.runtime.stores import store_for

NOW = datetime(2026, 9, 16, 2, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
TAKEN, REFUSED, NOWHERE, LIMITED = 200, 403, 404, 429


@pytest.fixture(scope="module")
def exchange() -> Iterator[PaperExchange]:
    with PaperExchange(VirtualClock(NOW), symbols=("NIFTY", "RELIANCE")) as started:
        yield started


@pytest.fixture
def settings(exchange: PaperExchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    named = {
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "DATA_SOURCE": "paper",
        "UPSTOX_BASE_URL": exchange.url,
        "UPSTOX_API_KEY": "the-app",
        "UPSTOX_API_SECRET": "the-secret",
        "UPSTOX_USER_ID": "PAPER1",
    }
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    found = process_settings()
    store_for(found).close()
    return found


@pytest.fixture
def server(settings: Settings, exchange: PaperExchange) -> Iterator[Served]:
    with served(settings) as started:
        yield started
    urllib3.request("DELETE", f"{exchange.url}/paper/faults")


def notification(**changes: Any) -> dict[str, Any]:
    return {
        "client_id": "the-app",
        "user_id": "PAPER1",
        "access_token": token_for(NOW, 19 * HOUR, "PAPER1"),
        "token_type": "Bearer",
        "expires_at": str(int((NOW + 19 * HOUR).timestamp() * 1000)),
        "issued_at": str(int(NOW.timestamp() * 1000)),
        "message_type": "access_token",
    } | changes


@pytest.fixture
def post(server: Served, settings: Settings) -> Callable[..., int]:
    """The status of a body that is posted to the notifier, or elsewhere."""

    def send(body: object, path: str = "") -> int:
        url = f"{server.url}{path or notifier_path(settings)}"
        return urllib3.request("POST", url, json=body, timeout=PATIENCE_SECONDS).status

    return send


Post = Callable[..., int]


def ms(at: datetime) -> str:
    return str(int(at.timestamp() * 1000))


def test_an_approved_token_is_stored_for_its_owner_only(post: Post, settings: Settings) -> None:
    sent = notification()

    assert post(sent) == TAKEN
    assert json.loads(settings.login_file.read_text())["access_token"] == sent["access_token"]
    assert settings.login_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(notification(client_id="another"), id="another app"),
        pytest.param(notification(user_id="AB1234"), id="another user"),
        pytest.param(notification(access_token=token_for(NOW, HOUR, "AB1234")),
                     id="the token of another user under this name"),
        pytest.param(notification(message_type="order"), id="another message"),
        pytest.param(notification(expires_at=ms(NOW)), id="ended"),
        pytest.param(notification(issued_at=ms(NOW + HOUR)), id="from the future"),
        pytest.param(notification(issued_at="yesterday"), id="no instant"),
        pytest.param(notification(access_token="two words"), id="no token"),
        pytest.param(notification(access_token=None), id="nothing"),
        pytest.param([notification()], id="a list"),
        pytest.param({}, id="empty"),
    ],
)  # fmt: skip
def test_what_is_not_for_this_app_and_user_is_refused(
    body: object, post: Post, settings: Settings
) -> None:
    assert post(body) == REFUSED
    assert not settings.login_file.exists()


def test_a_token_that_does_not_work_is_refused(
    post: Post, settings: Settings, exchange: PaperExchange
) -> None:
    fault = {"kind": "token-expired", "api": "market-status"}
    urllib3.request("POST", f"{exchange.url}/paper/faults", json=fault)

    assert post(notification()) == REFUSED
    assert not settings.login_file.exists()


def test_a_repeated_body_is_refused(post: Post) -> None:
    assert [post(notification()) for _ in range(2)] == [TAKEN, REFUSED]


def test_another_path_leads_nowhere(post: Post, settings: Settings) -> None:
    assert post(notification(), "/upstox/notifier/guess") == NOWHERE
    assert not settings.login_file.exists()


def test_there_is_a_limit(post: Post) -> None:
    assert [post({}) for _ in range(11)] == [*[REFUSED] * 10, LIMITED]


def test_an_approval_is_waited_for(
    server: Served,
    settings: Settings,
    exchange: PaperExchange,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = f"{server.url}{notifier_path(settings)}"
    urllib3.request("POST", f"{exchange.url}/paper/notifier", json={"url": url})

    with pytest.raises(SystemExit) as ended:
        main(["login", "--approval", "--json"])

    assert not ended.value.code
    out, err = capsys.readouterr()
    assert json.loads(out)["valid_until"] == "2026-09-17T03:30:00+05:30"
    assert "Approve the request of PAPER1" in err
    assert "Warning" not in err
