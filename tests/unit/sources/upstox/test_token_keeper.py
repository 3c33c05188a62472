"""The access token: opaque or not, refused, renewed from `.env`, never shown."""

import base64
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data_fetch.core.errors import TokenRejected
from data_fetch.sources.upstox.token import TokenKeeper

SECRET = "opaque-token-1"


def jwt(**claims: object) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'HS256'})}.{part(claims)}.c2ln"


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


@pytest.fixture
def keeper(env_file: Path) -> TokenKeeper:
    return TokenKeeper(SECRET, env_file=env_file, in_environment=False)


def put(env_file: Path, token: str) -> None:
    env_file.write_text(f"LOG_LEVEL=INFO\nUPSTOX_ACCESS_TOKEN={token}\n")


def refusal(keeper: TokenKeeper) -> str:
    """The message in place of a token."""
    with pytest.raises(TokenRejected) as refused:
        keeper.current()
    return str(refused.value)


def test_any_form_of_token_is_taken(keeper: TokenKeeper) -> None:
    assert keeper.current() == SECRET


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        pytest.param(jwt(exp=1791237600), datetime(2026, 10, 5, 22, 0, tzinfo=UTC), id="JWT"),
        pytest.param(jwt(sub="AB1234"), None, id="JWT without exp"),
        pytest.param(jwt(exp="soon"), None, id="exp is text"),
        pytest.param(jwt(exp=True), None, id="exp is true"),
        pytest.param(jwt(exp=1e300), None, id="exp beyond the calendar"),
        pytest.param("a.!!!.c", None, id="no base64"),
        pytest.param("a.YWJj.c", None, id="no JSON"),
        pytest.param("a.W10.c", None, id="a list"),
        pytest.param("a.é.c", None, id="no ASCII"),
        pytest.param(SECRET, None, id="opaque"),
        pytest.param("", None, id="none"),
    ],
)
def test_expiry_is_known_if_the_token_has_it(token: str, expected: datetime | None) -> None:
    keeper = TokenKeeper(token, env_file=None, in_environment=False)
    assert keeper.expires_at() == expected


def test_refused_token_is_not_used_again(keeper: TokenKeeper) -> None:
    keeper.reject(SECRET)
    keeper.reject(SECRET)
    for _ in range(2):
        message = refusal(keeper)
        assert "UPSTOX_ACCESS_TOKEN" in message
        assert "no restart is needed" in message


def test_the_token_held_identifies_the_account(keeper: TokenKeeper, env_file: Path) -> None:
    assert keeper.held == SECRET
    keeper.reject(SECRET)
    assert keeper.held == SECRET, "refused, and there is no other yet"
    put(env_file, "opaque-token-2")
    keeper.current()
    assert keeper.held == "opaque-token-2"


def test_new_token_in_the_file_is_taken_without_restart(
    keeper: TokenKeeper, env_file: Path
) -> None:
    put(env_file, SECRET)
    keeper.reject(SECRET)
    assert refusal(keeper), "the file still holds the refused token"
    put(env_file, "opaque-token-2")
    assert keeper.current() == "opaque-token-2"


def test_refused_successor_waits_again(keeper: TokenKeeper, env_file: Path) -> None:
    keeper.reject(SECRET)
    put(env_file, "opaque-token-2")
    assert keeper.current() == "opaque-token-2"
    keeper.reject("opaque-token-2")
    assert refusal(keeper)
    put(env_file, SECRET)
    assert refusal(keeper), "it was refused before"
    put(env_file, "opaque-token-30")
    assert keeper.current() == "opaque-token-30"


def test_late_refusal_of_the_previous_token_changes_nothing(
    keeper: TokenKeeper, env_file: Path
) -> None:
    keeper.reject(SECRET)
    put(env_file, "opaque-token-2")
    assert keeper.current() == "opaque-token-2"
    keeper.reject(SECRET)
    assert keeper.current() == "opaque-token-2"


def test_replaced_file_is_noticed_even_with_the_same_size_and_time(
    keeper: TokenKeeper, env_file: Path
) -> None:
    put(env_file, SECRET)
    keeper.reject(SECRET)
    assert refusal(keeper)
    times = env_file.stat()
    new = env_file.with_name("new")
    put(new, SECRET[:-1] + "2")
    os.utime(new, ns=(times.st_atime_ns, times.st_mtime_ns))
    new.replace(env_file)
    assert keeper.current() == SECRET[:-1] + "2"


def test_token_of_the_process_environment_wins_and_cannot_be_renewed(env_file: Path) -> None:
    keeper = TokenKeeper(SECRET, env_file=env_file, in_environment=True)
    put(env_file, "opaque-token-2")
    keeper.reject(SECRET)
    message = refusal(keeper)
    assert "process environment" in message
    assert "restart" in message


def test_unreadable_file_is_named_and_waited_for(keeper: TokenKeeper, env_file: Path) -> None:
    keeper.reject(SECRET)
    env_file.write_bytes(b"\xff\xfe\xfa")
    for _ in range(2):
        assert f"{env_file} cannot be read" in refusal(keeper)
    put(env_file, SECRET)
    assert "cannot be read" not in refusal(keeper)
    put(env_file, "opaque-token-2")
    assert keeper.current() == "opaque-token-2"


def test_missing_file_is_waited_for(keeper: TokenKeeper) -> None:
    keeper.reject(SECRET)
    assert refusal(keeper)


@pytest.mark.parametrize(
    ("token", "message"),
    [
        pytest.param("", "no access token", id="none"),
        pytest.param("two words", "contains characters", id="a blank"),
        pytest.param("a\nHost: evil", "contains characters", id="a line break"),
        pytest.param("té", "contains characters", id="no ASCII"),
    ],
)
def test_token_that_cannot_be_sent_is_not_sent(token: str, message: str, env_file: Path) -> None:
    keeper = TokenKeeper(token, env_file=env_file, in_environment=False)
    assert message in refusal(keeper)
    put(env_file, SECRET)
    assert keeper.current() == SECRET


def test_blanks_around_a_token_are_dropped() -> None:
    assert TokenKeeper(f" {SECRET}\n", env_file=None, in_environment=True).current() == SECRET


def test_token_is_never_shown(keeper: TokenKeeper, env_file: Path) -> None:
    keeper.reject(SECRET)
    for shown in (repr(keeper), str(keeper), refusal(keeper)):
        assert SECRET not in shown
