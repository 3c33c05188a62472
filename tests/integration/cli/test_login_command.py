"""`data-fetch login` against the paper exchange, as a person or a script sees it."""

import io
import json
import socket
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3
from logins import YEAR, Browser, token_for

from data_fetch.cli.main import main
from data_fetch.core.clock import VirtualClock
from data_fetch.core.errors import TokenRejected
from data_fetch.core.ports import Lane
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.runtime.settings import process_settings
from data_fetch.runtime.world import provider_for

NOW = datetime(2026, 9, 16, 3, 0, tzinfo=UTC)
NIFTY = "NSE_INDEX|Nifty 50"
NEXT_END = "2026-09-17T03:30:00+05:30"
SECRET = "the-secret-of-the-app"
DONE, WRONG_USE, REFUSED = 0, 2, 4


@pytest.fixture(scope="module")
def exchange() -> Iterator[PaperExchange]:
    with PaperExchange(VirtualClock(NOW), symbols=("NIFTY", "RELIANCE")) as started:
        yield started


@pytest.fixture(autouse=True)
def faultless(exchange: PaperExchange) -> Iterator[None]:
    yield
    urllib3.request("DELETE", f"{exchange.url}/paper/faults")


@pytest.fixture(autouse=True)
def working_folder(
    exchange: PaperExchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    for name in ("UPSTOX_ACCESS_TOKEN", "UPSTOX_REDIRECT_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DATA_SOURCE", "paper")
    monkeypatch.setenv("UPSTOX_BASE_URL", exchange.url)
    monkeypatch.setenv("UPSTOX_API_KEY", "the-app")
    monkeypatch.setenv("UPSTOX_API_SECRET", SECRET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def login(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command: exit status, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        status = DONE
        try:
            main(["login", *arguments])
        except SystemExit as left:
            status = int(left.code or 0)
        return (status, *capsys.readouterr())

    return run


Login = Callable[..., tuple[int, str, str]]


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Browser:
    opened = Browser()
    monkeypatch.setattr("webbrowser.open", opened.open)
    return opened


def with_fault(exchange: PaperExchange, **fault: Any) -> None:
    urllib3.request("POST", f"{exchange.url}/paper/faults", json=fault)


def stored(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "data/upstox_login_paper.json").read_text())
    return document


def fresh_code(exchange: PaperExchange, redirect_uri: str = "http://127.0.0.1:0/callback") -> str:
    """A code of the dialog, as its address shows it."""
    dialog = f"{exchange.url}/v2/login/authorization/dialog"
    query = {"response_type": "code", "client_id": "the-app", "redirect_uri": redirect_uri}
    answer = urllib3.request("GET", dialog, fields=query, redirect=False)
    return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]


def test_a_login_in_a_browser_stores_a_token_for_its_owner_only(
    login: Login, browser: Browser, working_folder: Path
) -> None:
    status, out, err = login("--json")

    assert status == DONE, err
    assert json.loads(out)["user_id"] == "PAPER1"
    assert json.loads(out)["valid_until"] == NEXT_END
    file = working_folder / "data/upstox_login_paper.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for secret in (stored(working_folder)["access_token"], SECRET):
        assert secret not in out + err


def test_people_read_who_logged_in_until_when_and_what_follows(
    login: Login, browser: Browser
) -> None:
    _, out, err = login()

    assert "Logged in as PAPER1" in out
    assert "Thu 17 Sep 03:30 IST (19 h 0 min)" in out
    assert "no restart is needed" in err


def test_without_a_browser_the_address_is_pasted(
    exchange: PaperExchange,
    login: Login,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Pasting(io.StringIO):
        """Reads the printed address, and returns the one to which it leads."""

        def readline(self, *_: Any) -> str:
            dialog = next(word for word in capsys.readouterr().err.split() if "dialog?" in word)
            answer = urllib3.request("GET", dialog, redirect=False)
            return f" {answer.headers['Location']}\n"

    monkeypatch.setattr("sys.stdin", Pasting())

    assert login("--paste")[0] == DONE


def test_a_code_is_good_for_one_login(exchange: PaperExchange, login: Login) -> None:
    code = fresh_code(exchange)

    assert login("--code", code)[0] == DONE
    status, _, err = login("--code", code)
    assert status == REFUSED
    assert "spent" in err
    assert "UDAPI100057" in err


@pytest.mark.parametrize(
    ("settings", "fault", "status", "message"),
    [
        pytest.param(
            {"UPSTOX_REDIRECT_URI": "https://desk.example.com/callback"}, {}, WRONG_USE,
            "not an http address of this machine", id="redirect to another machine",
        ),
        pytest.param({"UPSTOX_API_SECRET": ""}, {}, WRONG_USE, "UPSTOX_API_SECRET not set",
                     id="no secret"),
        pytest.param({}, {"kind": "login-denied"}, REFUSED, "denied", id="denied by the person"),
        pytest.param({"UPSTOX_API_SECRET": "another"}, {}, REFUSED, "UDAPI100069",
                     id="wrong secret"),
        pytest.param({}, {"kind": "reset", "api": "login"}, REFUSED, "No response from Upstox",
                     id="network cut"),
        pytest.param({}, {"kind": "html-in-200", "api": "login"}, REFUSED, "",
                     id="a page instead of a token"),
        pytest.param({}, {"kind": "token-expired", "api": "market-status"}, REFUSED,
                     "rejects the token that it issued", id="a token that does not work"),
    ],
)  # fmt: skip
def test_a_login_that_fails_stores_nothing_and_says_why(
    settings: dict[str, str],
    fault: dict[str, str],
    status: int,
    message: str,
    exchange: PaperExchange,
    login: Login,
    browser: Browser,
    working_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert login()[0] == DONE, "the exchange knows the secret of the app"
    (working_folder / "data/upstox_login_paper.json").unlink()
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    if fault:
        with_fault(exchange, **fault)

    found, out, err = login()

    assert (found, message in err, out) == (status, True, "")
    assert not (working_folder / "data/upstox_login_paper.json").exists()


def test_an_answer_to_another_login_is_refused(
    login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    forging = Browser(lambda url: url.replace("state=", "state=x"))
    monkeypatch.setattr("webbrowser.open", forging.open)

    status, _, err = login()

    assert status == REFUSED
    assert "another login" in err


def test_a_taken_port_is_named(login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv("UPSTOX_REDIRECT_URI", f"http://127.0.0.1:{port}/callback")

        status, _, err = login()

    assert status == WRONG_USE
    assert f"http://127.0.0.1:{port}/callback" in err


def test_a_process_that_stands_without_a_token_goes_on_after_a_login(
    login: Login, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PaperExchange(VirtualClock(NOW), symbols=("NIFTY",), issued_only=True) as strict:
        monkeypatch.setenv("UPSTOX_BASE_URL", strict.url)
        with provider_for(process_settings()) as running:

            def prices() -> int:
                return len(running.api.ltp([NIFTY], running.api.context(Lane.LIVE)).data)

            with pytest.raises(TokenRejected, match="data-fetch login"):
                prices()
            assert login()[0] == DONE
            assert prices() == 1


def test_with_an_analytics_token_no_login_is_needed(
    login: Login, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSTOX_ACCESS_TOKEN", token_for(NOW - timedelta(days=1), YEAR))

    status, _, err = login()
    assert status == WRONG_USE
    assert "no login is needed" in err
    assert "15 Sep 2027" in err
    assert login("--force")[0] == DONE
