"""The access token: opaque or not, refused, renewed from `.env`, never shown."""

import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from logins import YEAR, jwt, token_for

from data_fetch.core.errors import TokenRejected
from data_fetch.core.provider_tokens import Login, TokenKind, TokenOrigin, daily_end
from data_fetch.sources.upstox.login_file import LoginFile
from data_fetch.sources.upstox.token import PROBE_AFTER, TokenKeeper, read_token

SECRET = "opaque-token-1"
NOBODY = 65534
LTP, CHAINS = "ltp", "option-chain"
NOW = datetime(2026, 9, 16, 4, 0, tzinfo=UTC)


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


@pytest.fixture
def unprivileged_folder() -> Iterator[Path]:
    """A folder of a user whom file permissions bind, which they do not bind root."""
    with tempfile.TemporaryDirectory() as name:
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        if root:
            os.chown(name, NOBODY, -1)
            os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)


@pytest.fixture
def keeper(env_file: Path) -> TokenKeeper:
    return TokenKeeper(SECRET, env_file=env_file, in_environment=False)


def put(env_file: Path, token: str) -> None:
    env_file.write_text(f"LOG_LEVEL=INFO\nUPSTOX_ACCESS_TOKEN={token}\n")


def refusal(keeper: TokenKeeper) -> str:
    """The message in place of a token."""
    with pytest.raises(TokenRejected) as refused:
        keeper.current(LTP, NOW)
    return str(refused.value)


def test_any_form_of_token_is_taken(keeper: TokenKeeper) -> None:
    assert keeper.current(LTP, NOW) == SECRET


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
    keeper.reject(LTP, SECRET, NOW)
    keeper.reject(LTP, SECRET, NOW)
    for _ in range(2):
        message = refusal(keeper)
        assert "UPSTOX_ACCESS_TOKEN" in message
        assert "no restart is needed" in message


def test_the_token_held_identifies_the_account(keeper: TokenKeeper, env_file: Path) -> None:
    assert keeper.held == SECRET
    keeper.reject(LTP, SECRET, NOW)
    assert keeper.held == SECRET, "refused, and there is no other yet"
    put(env_file, "opaque-token-2")
    keeper.current(LTP, NOW)
    assert keeper.held == "opaque-token-2"


def test_new_token_in_the_file_is_taken_without_restart(
    keeper: TokenKeeper, env_file: Path
) -> None:
    put(env_file, SECRET)
    keeper.reject(LTP, SECRET, NOW)
    assert refusal(keeper), "the file still holds the refused token"
    put(env_file, "opaque-token-2")
    assert keeper.current(LTP, NOW) == "opaque-token-2"


def test_refused_successor_waits_again(keeper: TokenKeeper, env_file: Path) -> None:
    keeper.reject(LTP, SECRET, NOW)
    put(env_file, "opaque-token-2")
    assert keeper.current(LTP, NOW) == "opaque-token-2"
    keeper.reject(LTP, "opaque-token-2", NOW)
    assert refusal(keeper)
    put(env_file, "opaque-token-30")
    assert keeper.current(LTP, NOW) == "opaque-token-30"


def test_late_refusal_of_the_previous_token_changes_nothing(
    keeper: TokenKeeper, env_file: Path
) -> None:
    keeper.reject(LTP, SECRET, NOW)
    put(env_file, "opaque-token-2")
    assert keeper.current(LTP, NOW) == "opaque-token-2"
    keeper.reject(LTP, SECRET, NOW)
    assert keeper.current(LTP, NOW) == "opaque-token-2"


def test_replaced_file_is_noticed_even_with_the_same_size_and_time(
    keeper: TokenKeeper, env_file: Path
) -> None:
    put(env_file, SECRET)
    keeper.reject(LTP, SECRET, NOW)
    assert refusal(keeper)
    times = env_file.stat()
    new = env_file.with_name("new")
    put(new, SECRET[:-1] + "2")
    os.utime(new, ns=(times.st_atime_ns, times.st_mtime_ns))
    new.replace(env_file)
    assert keeper.current(LTP, NOW) == SECRET[:-1] + "2"


def test_token_of_the_process_environment_wins_and_cannot_be_renewed(env_file: Path) -> None:
    keeper = TokenKeeper(SECRET, env_file=env_file, in_environment=True)
    put(env_file, "opaque-token-2")
    keeper.reject(LTP, SECRET, NOW)
    message = refusal(keeper)
    assert "process environment" in message
    assert "restart" in message


def test_unreadable_file_is_named_and_waited_for(keeper: TokenKeeper, env_file: Path) -> None:
    keeper.reject(LTP, SECRET, NOW)
    env_file.write_bytes(b"\xff\xfe\xfa")
    for _ in range(2):
        assert f"{env_file} cannot be read" in refusal(keeper)
    put(env_file, "opaque-token-2")
    assert keeper.current(LTP, NOW) == "opaque-token-2"


def test_missing_file_is_waited_for(keeper: TokenKeeper, env_file: Path) -> None:
    keeper.reject(LTP, SECRET, NOW)
    assert refusal(keeper)
    put(env_file, SECRET)
    assert keeper.current(LTP, NOW) == SECRET


def test_new_permissions_of_an_unreadable_file_are_noticed(
    keeper: TokenKeeper, unprivileged_folder: Path
) -> None:
    env_file = unprivileged_folder / ".env"
    put(env_file, SECRET)
    keeper = TokenKeeper(SECRET, env_file=env_file, in_environment=False)
    keeper.reject(LTP, SECRET, NOW)
    assert "no restart is needed" in refusal(keeper)
    env_file.chmod(0)
    assert "cannot be read" in refusal(keeper)
    env_file.chmod(0o600)
    assert keeper.current(LTP, NOW) == SECRET


# -- a rejection is an opinion with a time ----------------------------------------------------


@pytest.mark.parametrize(
    "save",
    [
        pytest.param(lambda file: put(file, SECRET), id="written again"),
        pytest.param(lambda file: os.utime(file, (0, 0)), id="touched"),
        pytest.param(lambda file: file.chmod(0o600), id="permissions only"),
    ],
)
def test_the_same_token_is_tried_at_once_when_the_file_is_saved(
    keeper: TokenKeeper, env_file: Path, save: Callable[[Path], None]
) -> None:
    put(env_file, SECRET)
    env_file.chmod(0o644)
    for api in (LTP, CHAINS):
        keeper.reject(api, SECRET, NOW)
    assert refusal(keeper)
    save(env_file)
    assert [keeper.current(api, NOW) for api in (LTP, CHAINS)] == [SECRET, SECRET]
    keeper.reject(LTP, SECRET, NOW)
    assert refusal(keeper), "the file was not saved again"


def test_a_rejection_concerns_one_api(keeper: TokenKeeper) -> None:
    keeper.reject(CHAINS, SECRET, NOW)
    assert keeper.current(LTP, NOW) == SECRET
    with pytest.raises(TokenRejected):
        keeper.current(CHAINS, NOW)


def test_a_rejected_token_is_tried_once_every_few_minutes(keeper: TokenKeeper) -> None:
    keeper.reject(LTP, SECRET, NOW)
    given = [minute for minute in range(60) if _is_given(keeper, NOW + timedelta(minutes=minute))]
    assert given == list(range(3, 60, 3))


def test_the_try_of_one_thread_is_not_repeated_by_another(keeper: TokenKeeper) -> None:
    keeper.reject(LTP, SECRET, NOW)
    later = NOW + PROBE_AFTER
    assert [_is_given(keeper, later) for _ in range(3)] == [True, False, False]


def test_an_accepted_token_is_in_use_again(keeper: TokenKeeper) -> None:
    keeper.reject(LTP, SECRET, NOW)
    keeper.accept(LTP, "another-token")
    assert refusal(keeper)
    keeper.accept(LTP, SECRET)
    assert keeper.current(LTP, NOW) == SECRET


def test_a_lasting_rejection_names_its_begin(keeper: TokenKeeper) -> None:
    keeper.reject(LTP, SECRET, NOW)
    first = refusal(keeper)
    keeper.reject(LTP, SECRET, NOW + timedelta(seconds=170))
    assert "401 since 09:30:00 IST" in first
    with pytest.raises(TokenRejected, match="since 09:30:00") as again:
        keeper.current(LTP, NOW + timedelta(seconds=171))
    assert str(again.value) == first, "a screen prints a lasting problem once"


def test_a_clock_that_is_set_back_does_not_prolong_a_rejection(keeper: TokenKeeper) -> None:
    keeper.reject(LTP, SECRET, NOW)
    assert keeper.current(LTP, NOW - timedelta(hours=1)) == SECRET


def _is_given(keeper: TokenKeeper, now: datetime) -> bool:
    try:
        return keeper.current(LTP, now) == SECRET
    except TokenRejected:
        return False


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
    assert keeper.current(LTP, NOW) == SECRET


def test_blanks_around_a_token_are_dropped() -> None:
    assert (
        TokenKeeper(f" {SECRET}\n", env_file=None, in_environment=True).current(LTP, NOW) == SECRET
    )


def test_token_is_never_shown(keeper: TokenKeeper, env_file: Path) -> None:
    keeper.reject(LTP, SECRET, NOW)
    for shown in (repr(keeper), str(keeper), refusal(keeper)):
        assert SECRET not in shown


# -- the token of a login ---------------------------------------------------------------------

HOST = "api.upstox.com"
DAILY = token_for(NOW, timedelta(hours=18))
ENDED = token_for(NOW - timedelta(days=1), timedelta(hours=18))
ANALYTICS = token_for(NOW - timedelta(days=30), YEAR)


@pytest.fixture
def logins(tmp_path: Path) -> LoginFile:
    return LoginFile(tmp_path / "data" / "login.json", HOST)


def log_in(logins: LoginFile, token: str, at: datetime = NOW, host: str = HOST) -> None:
    logins.save(
        Login(
            access_token=token,
            user_id="AB1234",
            client_id="the-app",
            host=host,
            issued_at=at,
            expires_at=daily_end(at),
        )
    )


@pytest.mark.parametrize(
    ("configured", "logged_in", "sent"),
    [
        pytest.param("", DAILY, DAILY, id="a login only"),
        pytest.param(ENDED, DAILY, DAILY, id="the configured one has ended"),
        pytest.param(ANALYTICS, DAILY, ANALYTICS, id="an Analytics Token ends last"),
        pytest.param(SECRET, DAILY, SECRET, id="one that does not say when it ends"),
        pytest.param("two words", DAILY, DAILY, id="the configured one cannot be sent"),
    ],
)
def test_the_token_that_ends_last_is_sent(
    configured: str, logged_in: str, sent: str, logins: LoginFile
) -> None:
    log_in(logins, logged_in)
    keeper = TokenKeeper(configured, env_file=None, in_environment=False, logins=logins)
    assert keeper.held == sent
    assert keeper.current(LTP, NOW) == sent


@pytest.mark.parametrize("in_environment", [True, False])
def test_a_login_replaces_a_rejected_token_without_restart(
    in_environment: bool, env_file: Path, logins: LoginFile
) -> None:
    keeper = TokenKeeper(SECRET, env_file=env_file, in_environment=in_environment, logins=logins)
    keeper.reject(LTP, SECRET, NOW)
    assert "data-fetch login" in refusal(keeper)
    log_in(logins, DAILY)
    assert keeper.current(LTP, NOW) == DAILY


def test_a_login_of_the_morning_replaces_the_token_of_yesterday(logins: LoginFile) -> None:
    log_in(logins, "of-yesterday", NOW - timedelta(days=1))
    keeper = TokenKeeper("", env_file=None, in_environment=False, logins=logins)
    log_in(logins, "of-today")
    assert keeper.current(LTP, NOW) == "of-today", "no request was sent with the ended one"


def test_after_its_rejection_every_token_waits_for_its_own_try(logins: LoginFile) -> None:
    keeper = TokenKeeper(SECRET, env_file=None, in_environment=False, logins=logins)
    log_in(logins, DAILY)
    keeper.reject(LTP, SECRET, NOW)
    assert keeper.current(LTP, NOW) == DAILY
    keeper.reject(LTP, DAILY, NOW)
    assert refusal(keeper), "both are rejected, and neither is tried again at once"
    assert keeper.current(CHAINS, NOW) == SECRET, "another API has rejected neither"


def test_the_token_of_another_host_is_not_sent(logins: LoginFile) -> None:
    log_in(logins, DAILY, host="127.0.0.1:8899")
    keeper = TokenKeeper("", env_file=None, in_environment=False, logins=logins)
    assert "no access token" in refusal(keeper)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"access_token": "x"}', b"\xff"])
def test_a_damaged_login_counts_as_none(content: bytes, logins: LoginFile) -> None:
    logins.path.parent.mkdir()
    logins.path.write_bytes(content)
    keeper = TokenKeeper("", env_file=None, in_environment=False, logins=logins)
    assert "no access token" in refusal(keeper)


def test_a_login_is_for_its_owner_only(logins: LoginFile) -> None:
    log_in(logins, DAILY)
    assert logins.path.stat().st_mode & 0o777 == 0o600
    assert DAILY not in repr(logins.read())


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        pytest.param(DAILY, TokenKind.DAILY, id="until 03:30"),
        pytest.param(ANALYTICS, TokenKind.ANALYTICS, id="a year"),
        pytest.param(jwt(exp=1791237600), TokenKind.UNKNOWN, id="no issue time"),
        pytest.param(SECRET, TokenKind.UNKNOWN, id="opaque"),
    ],
)
def test_the_kind_of_a_token_follows_from_its_times(token: str, kind: TokenKind) -> None:
    assert read_token(token, TokenOrigin.ENV_FILE).kind is kind


@pytest.mark.parametrize(
    ("issued", "ends"),
    [
        pytest.param("2026-09-15T20:00", "2026-09-16T03:30", id="in the evening"),
        pytest.param("2026-09-16T02:30", "2026-09-16T03:30", id="in the night"),
        pytest.param("2026-09-16T03:30", "2026-09-17T03:30", id="at the end of another"),
    ],
)
def test_a_daily_token_ends_at_the_next_half_past_three(issued: str, ends: str) -> None:
    issued_at, end = (datetime.fromisoformat(f"{each}+05:30") for each in (issued, ends))
    assert daily_end(issued_at) == end
