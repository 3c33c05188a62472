"""The file of one machine: its cost, its damage, its name."""

import base64
import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import thread_time

import psutil
import pytest
from paced import ACCOUNT, file_pacer
from upstox_stub import spent

from data_fetch.core.clock import SystemClock, VirtualClock
from data_fetch.core.errors import RateLimited, SetupError
from data_fetch.core.ports import Lane
from data_fetch.sources.transport.file_windows import OPEN_ACCOUNTS, FileWindows
from data_fetch.sources.transport.pacing import Pacer, account_of
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS

START = datetime(2026, 9, 16, 4, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
EPSILON = timedelta(milliseconds=1)
SMALL_LIMITS = {SECOND: 3, timedelta(seconds=10): 8}


@pytest.fixture
def state_file(tmp_path: Path) -> Path:
    return tmp_path / f"pacing-{ACCOUNT}.sqlite3"


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    clock = VirtualClock(START)
    hold = clock.hold()
    yield clock
    hold.release()


@pytest.fixture
def pacer(state_file: Path, clock: VirtualClock) -> Iterator[Pacer]:
    pacer = file_pacer(state_file.parent, clock, UPSTOX_LIMITS)
    yield pacer
    pacer.close()


def send(pacer: Pacer, clock: VirtualClock, count: int, api: str = "ltp") -> list[datetime]:
    """Send *count* requests one after the other; return their instants."""
    sent = []
    for _ in range(count):
        with pacer.request(api, Lane.BACKFILL):
            sent.append(clock.now())
    return sent


@pytest.mark.parametrize(
    ("count", "takes"),
    [
        pytest.param(501, 60, id="the 501st a minute later"),
        pytest.param(2100, 1801, id="2100 in half an hour, at 50 a second"),
    ],
)
def test_long_burst_takes_what_the_windows_demand(
    pacer: Pacer, clock: VirtualClock, count: int, takes: int
) -> None:
    sent = send(pacer, clock, count)
    assert timedelta(seconds=takes) <= sent[-1] - START <= timedelta(seconds=takes) + EPSILON
    for window, limit in UPSTOX_LIMITS.items():
        assert all(late - early > window for early, late in zip(sent, sent[limit:], strict=False))


def test_a_file_without_pauses_gets_them(state_file: Path, clock: VirtualClock) -> None:
    """A file of an earlier version."""
    earlier = file_pacer(state_file.parent, clock, UPSTOX_LIMITS)
    send(earlier, clock, 3)
    earlier.close()
    with sqlite3.connect(state_file) as db:
        db.execute("DROP TABLE pauses")
    db.close()
    pacer = file_pacer(state_file.parent, clock, UPSTOX_LIMITS)
    pacer.pause("ltp", SECOND)
    assert spent(pacer, "ltp", clock)[SECOND] == 3
    pacer.close()


def test_old_entries_leave_the_file(state_file: Path, pacer: Pacer, clock: VirtualClock) -> None:
    send(pacer, clock, 100)
    clock.sleep(timedelta(hours=1))
    send(pacer, clock, 1)
    with sqlite3.connect(state_file) as db:
        assert db.execute("SELECT count(*) FROM spent").fetchone() == (1,)
    db.close()


# -- the file ------------------------------------------------------------------------------------


def damage_head(file: Path) -> None:
    file.write_bytes(b"this is no database" * 100)


def damage_middle(file: Path) -> None:
    body = bytearray(file.read_bytes())
    body[4096 : len(body) : 7] = b"\xa5" * len(body[4096 : len(body) : 7])
    file.write_bytes(body)


def damage_schema(file: Path) -> None:
    """SQLite's message about it is no text."""
    file.write_bytes(file.read_bytes().replace(b"CREATE TABLE", b"CREATE \xffABLE"))


@pytest.mark.parametrize("damage", [damage_head, damage_middle, damage_schema])
def test_damaged_file_is_begun_anew_as_if_all_was_spent(
    state_file: Path, damage: Callable[[Path], None]
) -> None:
    now = datetime.fromtimestamp(state_file.parent.stat().st_mtime, UTC)
    clock = VirtualClock(now)
    hold = clock.hold()
    first = file_pacer(state_file.parent, clock, UPSTOX_LIMITS)
    send(first, clock, 3)
    first.close()
    damage(state_file)
    second = file_pacer(state_file.parent, clock, UPSTOX_LIMITS)
    with pytest.raises(RateLimited), second.request("ltp", Lane.LIVE, latest=now + 60 * SECOND):
        pass
    sent = send(second, clock, 1)
    assert sent[0] - now <= timedelta(minutes=30, seconds=30)
    second.close()
    assert state_file.with_name(f"{state_file.name}.damaged").exists()
    hold.release()


def test_damage_is_logged_and_not_printed(
    pacer: Pacer,
    clock: VirtualClock,
    state_file: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage_head(state_file)

    spent(pacer, "ltp", clock)

    [found] = caplog.records
    assert (found.name, found.levelname) == (
        "data_fetch.sources.transport.file_windows",
        "WARNING",
    )
    assert found.__dict__["file"] == str(state_file)
    assert capsys.readouterr() == ("", "")


def test_each_request_spends_from_the_account_of_the_token_in_use(
    tmp_path: Path, clock: VirtualClock
) -> None:
    token = "first"

    def account() -> str:
        return account_of("api.upstox.com", token)

    pacer = Pacer(FileWindows(tmp_path, clock), account, clock, SMALL_LIMITS)
    with pacer.request("ltp", Lane.LIVE):
        token = "second"
        # The answer to come belongs to the first account still.
        with pacer.request("ltp", Lane.LIVE), pacer.request("ltp", Lane.LIVE):
            pass

    def spent_each() -> tuple[int, ...]:
        accounts = [account_of("api.upstox.com", one) for one in ("first", "second")]
        return tuple(
            spent(file_pacer(tmp_path, clock, SMALL_LIMITS, account=one), "ltp", clock)[SECOND]
            for one in accounts
        )

    assert spent_each() == (1, 2)
    clock.sleep(2 * SECOND)
    assert spent_each() == (0, 0), "one was never answered"
    pacer.close()


def test_files_of_former_tokens_are_closed(tmp_path: Path, clock: VirtualClock) -> None:
    token = ""
    windows = FileWindows(tmp_path, clock)
    pacer = Pacer(windows, lambda: token, clock, SMALL_LIMITS)
    tokens = [f"token-{day}" for day in range(12)]
    most = 0
    for used in [*tokens, tokens[0]]:
        token = used
        with pacer.request("ltp", Lane.LIVE):
            opened = {Path(each.path) for each in psutil.Process().open_files()}
        most = max(most, len(opened & {*tmp_path.glob("*.sqlite3")}))

    # The first was used again after it had been closed.
    assert most <= OPEN_ACCOUNTS + 1
    windows.close()
    assert not list(tmp_path.glob("*-wal"))


def test_folder_that_cannot_be_made_is_reported_with_a_hint(
    tmp_path: Path, clock: VirtualClock
) -> None:
    (tmp_path / "file").write_text("not a folder")
    pacer = file_pacer(tmp_path / "file", clock)
    with (
        pytest.raises(SetupError, match="XDG_STATE_HOME"),
        pacer.request("ltp", Lane.LIVE),
    ):
        pass


def test_making_a_pacer_touches_nothing(state_file: Path, clock: VirtualClock) -> None:
    file_pacer(state_file.parent, clock, UPSTOX_LIMITS)
    assert list(state_file.parent.iterdir()) == []


def test_a_long_past_does_not_make_a_request_dearer(pacer: Pacer, clock: VirtualClock) -> None:
    def cost() -> float:
        costs = []
        for _ in range(200):
            began = thread_time()
            with pacer.request("ltp", Lane.LIVE):
                pass
            costs.append(thread_time() - began)
        return sorted(costs)[len(costs) // 2]

    without_a_past = cost()
    send(pacer, clock, 2000)
    clock.sleep(timedelta(hours=1))

    assert cost() < 4 * without_a_past


# -- whose budget ----------------------------------------------------------------------------------


def jwt(sub: str, number: int) -> str:
    claims = json.dumps({"sub": sub, "jti": number}).encode()
    return f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.sig"


def test_state_file_is_one_per_host_and_account(tmp_path: Path) -> None:
    files = [
        FileWindows(tmp_path, SystemClock()).file_of(account_of(host, token))
        for host in ("https://api.upstox.com", "http://127.0.0.1:8000")
        for token in ("opaque-1", "opaque-2", jwt("AB1234", 1))
    ]
    assert len(set(files)) == 6
    assert not any("opaque" in file.name or "AB1234" in file.name for file in files)


def test_new_daily_token_of_one_user_keeps_the_budget() -> None:
    host = "https://api.upstox.com"
    assert account_of(host, jwt("AB1234", 1)) == account_of(host, jwt("AB1234", 2))


def test_state_lives_in_the_users_state_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere/state")
    file = FileWindows(None, SystemClock()).file_of("x")
    assert file.parent == Path("/somewhere/state/data-fetch")
