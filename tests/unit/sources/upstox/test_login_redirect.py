"""The loopback address of a login: one answer, whatever else arrives there."""

import socket
from urllib.parse import urlencode, urlsplit

import pytest
import urllib3

from data_fetch.core.errors import LoginRefused, SetupError
from data_fetch.sources.upstox.login_redirect import RedirectListener, pasted_code

FREE = "http://127.0.0.1:0/callback"
SOON = 10.0


def visit(listener: RedirectListener, path: str = "/callback", **query: str) -> int:
    """The status of a browser's request."""
    parts = urlsplit(listener.uri)
    address = f"http://127.0.0.1:{parts.port}{path}?{urlencode(query)}"
    return urllib3.request("GET", address, retries=False, timeout=SOON).status


def test_the_answer_of_the_dialog_is_received() -> None:
    with RedirectListener(FREE) as listener:
        assert visit(listener, code="abc", state="s") == 200
        assert listener.answer(SOON).code_for("s") == "abc"


def test_only_the_first_answer_counts() -> None:
    with RedirectListener(FREE) as listener:
        visit(listener, code="first", state="s")
        visit(listener, code="second", state="s")
        assert listener.answer(SOON).code == "first"


def test_other_requests_of_a_browser_change_nothing() -> None:
    with RedirectListener(FREE) as listener:
        port = urlsplit(listener.uri).port
        # Browsers open connections before they need them.
        with socket.create_connection(("127.0.0.1", port)):
            assert visit(listener, "/favicon.ico") == 404
            assert visit(listener, "/callback") == 404
            assert visit(listener, code="abc", state="s") == 200
            assert listener.answer(SOON).code == "abc"


def test_no_answer_ends_the_wait() -> None:
    with RedirectListener(FREE) as listener, pytest.raises(LoginRefused, match="within"):
        listener.answer(0.01)


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://127.0.0.1:8765/callback",
        "http://desk.example.com/callback",
        "http://192.168.1.4:8765/",
        "http://0.0.0.0:8765/",
    ],
)
def test_an_address_that_others_could_answer_is_refused(redirect_uri: str) -> None:
    with pytest.raises(SetupError, match="not an http address of this machine"):
        RedirectListener(redirect_uri)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_registered_address_is_used_as_it_is_written(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    uri = f"http://{host}:{port}"
    with RedirectListener(uri) as listener:
        assert listener.uri == uri
        assert visit(listener, "/", code="abc", state="s") == 200


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param(" abc \n", "abc", id="the code"),
        pytest.param("https://desk.example.com/cb?code=abc&state=s", "abc", id="the address"),
        pytest.param("/cb?state=s&code=abc", "abc", id="its path"),
    ],
)
def test_what_a_person_pastes(text: str, code: str) -> None:
    assert pasted_code(text, "s") == code


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("http://h/cb?code=abc&state=other", "another login", id="another state"),
        pytest.param("http://h/cb?code=abc", "another login", id="no state"),
        pytest.param("http://h/cb?error=access_denied&state=s", "denied", id="denied"),
        pytest.param("http://h/cb?state=s", "no code", id="no code"),
        pytest.param(" \n", "Nothing was pasted", id="nothing"),
    ],
)
def test_what_a_person_pastes_in_vain(text: str, message: str) -> None:
    with pytest.raises(LoginRefused, match=message):
        pasted_code(text, "s")
