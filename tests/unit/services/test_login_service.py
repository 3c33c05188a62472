"""What is stored of a login: a token that is valid by this machine's clock, newer than the known
one, and proved."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from data_fetch.core.clock import VirtualClock
from data_fetch.core.errors import LoginRefused, NotificationRefused, TokenRejected, Unreachable
from data_fetch.core.provider_tokens import ApprovalRequest, Login
from data_fetch.services.login import LoginService
from data_fetch.sources.upstox.login_file import LoginFile

NOW = datetime(2026, 9, 16, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
LOGIN = Login(
    access_token="secret",
    user_id="AB1234",
    client_id="the-app",
    host="api.upstox.com",
    issued_at=NOW,
    expires_at=NOW + 19 * HOUR,
)


@dataclass
class Provider:
    """Has one login to give; its *problem* is that of the request which proves a token."""

    login: Login = LOGIN
    problem: Exception | None = None

    def dialog_url(self, redirect_uri: str, state: str) -> str:
        return f"https://dialog/?redirect_uri={redirect_uri}&state={state}"

    def exchange(self, code: str, redirect_uri: str) -> Login:
        return self.login

    def request_approval(self) -> ApprovalRequest:
        return ApprovalRequest(expires_at=NOW + HOUR, notifier_url="")

    def prove(self, token: str) -> None:
        if self.problem is not None:
            raise self.problem


@pytest.fixture
def logins(tmp_path: Path) -> LoginFile:
    return LoginFile(tmp_path / "login.json", LOGIN.host)


def service(provider: Provider, logins: LoginFile) -> LoginService:
    return LoginService(
        source=provider, logins=logins, prove=provider.prove, clock=VirtualClock(NOW)
    )


def test_a_proved_login_is_stored(logins: LoginFile) -> None:
    assert service(Provider(), logins).finish("code", "uri") == logins.read() == LOGIN


def test_each_dialog_has_a_state_of_its_own(logins: LoginFile) -> None:
    made = service(Provider(), logins)
    assert made.dialog("uri").state != made.dialog("uri").state


@pytest.mark.parametrize(
    ("provider", "kind"),
    [
        pytest.param(Provider(replace(LOGIN, expires_at=NOW)), LoginRefused, id="clock ahead"),
        pytest.param(Provider(problem=TokenRejected("no")), LoginRefused, id="rejected at once"),
        pytest.param(Provider(problem=Unreachable("gone")), Unreachable, id="network cut"),
    ],
)
def test_nothing_else_is_stored(
    provider: Provider, kind: type[Exception], logins: LoginFile
) -> None:
    with pytest.raises(kind):
        service(provider, logins).finish("code", "uri")
    assert logins.read() is None


@pytest.mark.parametrize("issued_at", [NOW, NOW - HOUR])
def test_what_is_posted_has_to_be_newer(issued_at: datetime, logins: LoginFile) -> None:
    made = service(Provider(), logins)
    made.take(LOGIN)
    with pytest.raises(NotificationRefused):
        made.receive(replace(LOGIN, access_token="another", issued_at=issued_at))
    assert logins.read() == LOGIN


def test_no_approval_ends_the_wait(logins: LoginFile) -> None:
    with pytest.raises(LoginRefused, match="No approval"):
        service(Provider(), logins).wait_for_another(None, 0.0)
