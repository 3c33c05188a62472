"""The limits hold exactly, and no request waits longer than they demand."""

import base64
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import thread_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paced import ACCOUNT, file_pacer
from upstox_stub import spent

from data_fetch.core.clock import SystemClock, VirtualClock
from data_fetch.core.errors import RateLimited, SetupError
from data_fetch.core.ports import Hold, Lane
from data_fetch.sources.transport.file_windows import FileWindows
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


def together(clock: VirtualClock, works: Sequence[Callable[[], None]]) -> None:
    """Run *works* at once, each in a thread that owns a hold, and wait for all."""

    def run(work: Callable[[], None], hold: Hold) -> None:
        try:
            work()
        finally:
            hold.release()

    threads = [threading.Thread(target=run, args=(work, clock.hold())) for work in works]
    for thread in threads:
        thread.start()
    with clock.released():
        for thread in threads:
            thread.join()


def most_in_any(window: timedelta, counted: Sequence[datetime]) -> int:
    """The most instants that a window of this width, both ends included, ever held."""
    ordered = sorted(counted)
    return max(
        sum(1 for other in ordered[n:] if other - instant <= window)
        for n, instant in enumerate(ordered)
    )


# -- the limits, and no more than the limits ------------------------------------------------


@pytest.mark.parametrize(
    ("count", "takes"),
    [
        pytest.param(50, 0, id="50 at once"),
        pytest.param(51, 1, id="the 51st a second later"),
        pytest.param(120, 2, id="120 in two seconds"),
        pytest.param(501, 60, id="the 501st a minute later"),
        pytest.param(2100, 1801, id="2100 in half an hour, at 50 a second"),
    ],
)
def test_burst_takes_what_the_windows_demand(
    pacer: Pacer, clock: VirtualClock, count: int, takes: int
) -> None:
    sent = send(pacer, clock, count)
    assert timedelta(seconds=takes) <= sent[-1] - START <= timedelta(seconds=takes) + EPSILON
    for window, limit in UPSTOX_LIMITS.items():
        assert all(late - early > window for early, late in zip(sent, sent[limit:], strict=False))


def test_burst_from_many_threads_takes_no_longer(pacer: Pacer, clock: VirtualClock) -> None:
    together(clock, [lambda: send(pacer, clock, 1) and None for _ in range(120)])
    assert 2 * SECOND <= clock.now() - START <= 2 * SECOND + EPSILON


def test_each_api_has_its_own_windows(pacer: Pacer, clock: VirtualClock) -> None:
    send(pacer, clock, 50, "ltp")
    send(pacer, clock, 50, "candles")
    assert clock.now() == START
    assert spent(pacer, "ltp", clock) == spent(pacer, "candles", clock)
    assert spent(pacer, "ohlc", clock) == dict.fromkeys(UPSTOX_LIMITS, 0)


def test_a_request_counts_until_a_window_after_its_response(
    pacer: Pacer, clock: VirtualClock
) -> None:
    with pacer.request("ltp", Lane.LIVE):
        clock.sleep(10 * SECOND)
    assert spent(pacer, "ltp", clock)[SECOND] == 1
    clock.sleep(SECOND)
    assert spent(pacer, "ltp", clock)[SECOND] == 1, "both ends of a window belong to it"
    clock.sleep(EPSILON)
    assert spent(pacer, "ltp", clock) == {SECOND: 0, 60 * SECOND: 1, 1800 * SECOND: 1}


def test_requests_in_flight_count(pacer: Pacer, clock: VirtualClock) -> None:
    def slow() -> None:
        with pacer.request("ltp", Lane.LIVE):
            clock.sleep(5 * SECOND)

    def one_more() -> None:
        clock.sleep(2 * SECOND)
        with pytest.raises(RateLimited), pacer.request("ltp", Lane.LIVE, latest=clock.now()):
            pass

    together(clock, [*[slow] * 50, one_more])


def test_failed_requests_count_too(pacer: Pacer, clock: VirtualClock) -> None:
    with pytest.raises(OSError, match="reset"), pacer.request("ltp", Lane.LIVE):
        raise OSError("reset")
    assert spent(pacer, "ltp", clock)[SECOND] == 1


def test_spending_starts_when_each_request_counts(pacer: Pacer, clock: VirtualClock) -> None:
    assert pacer.spending("ltp") == []
    send(pacer, clock, 1)
    with pacer.request("ltp", Lane.LIVE):
        clock.sleep(10 * SECOND)
        in_flight = pacer.spending("ltp")
        clock.sleep(10 * SECOND)
    send(pacer, clock, 1, "candles")

    assert in_flight == [START, START + 10 * SECOND], "as if it were answered now"
    assert pacer.spending("ltp") == [START, START + 20 * SECOND]
    assert pacer.spending("candles") == [START + 20 * SECOND]


def test_spending_ends_with_the_longest_window(pacer: Pacer, clock: VirtualClock) -> None:
    send(pacer, clock, 1)
    clock.sleep(timedelta(minutes=30))
    assert pacer.spending("ltp") == [START], "both ends of a window belong to it"
    clock.sleep(EPSILON)
    assert pacer.spending("ltp") == []


def test_each_window_has_the_number_of_requests_that_count_in_it(
    pacer: Pacer, clock: VirtualClock
) -> None:
    half_an_hour = timedelta(minutes=30)
    assert pacer.used() == {}
    send(pacer, clock, 3)
    clock.sleep(10 * SECOND)
    send(pacer, clock, 1, "candles")
    with pacer.request("ltp", Lane.LIVE):
        used = pacer.used()

    assert {window for _, window in used} == set(pacer.limits)
    assert (used["ltp", SECOND], used["ltp", half_an_hour]) == (1, 4)
    assert (used["candles", SECOND], used["candles", half_an_hour]) == (1, 1)


SENDER = st.lists(
    st.tuples(st.integers(0, 3000), st.integers(0, 2500), st.integers(0, 2500)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=30)
@given(st.lists(SENDER, min_size=1, max_size=4))
def test_no_window_ever_holds_more_than_its_limit(
    tmp_path_factory: pytest.TempPathFactory, senders: list[list[tuple[int, int, int]]]
) -> None:
    """Wherever between sent and answered the provider counts a request."""
    clock = VirtualClock(START)
    pacer = file_pacer(tmp_path_factory.mktemp("pacing"), clock, SMALL_LIMITS)
    counted: list[datetime] = []

    def sender(plan: list[tuple[int, int, int]]) -> Callable[[], None]:
        def work() -> None:
            for idle, way_there, way_back in plan:
                clock.sleep(timedelta(milliseconds=idle))
                with pacer.request("ltp", Lane.BACKFILL):
                    clock.sleep(timedelta(milliseconds=way_there))
                    counted.append(clock.now())
                    clock.sleep(timedelta(milliseconds=way_back))

        return work

    hold = clock.hold()
    together(clock, [sender(plan) for plan in senders])
    hold.release()
    pacer.close()
    assert len(counted) == sum(map(len, senders))
    for window, limit in SMALL_LIMITS.items():
        assert most_in_any(window, counted) <= limit


@settings(max_examples=30)
@given(st.lists(st.integers(0, 2_000), min_size=1, max_size=40))
def test_no_request_waits_without_need(
    tmp_path_factory: pytest.TempPathFactory, pauses: list[int]
) -> None:
    """A request answered at once is sent at the first instant that no window forbids."""
    clock = VirtualClock(START)
    hold = clock.hold()
    pacer = file_pacer(tmp_path_factory.mktemp("pacing"), clock, SMALL_LIMITS)
    sent: list[datetime] = []
    for pause in pauses:
        clock.sleep(timedelta(milliseconds=pause))
        requested = clock.now()
        first = max(
            [
                requested,
                *(sent[-n] + window for window, n in SMALL_LIMITS.items() if len(sent) >= n),
            ]
        )
        sent += send(pacer, clock, 1)
        assert first <= sent[-1] <= first + EPSILON
    hold.release()
    pacer.close()


def test_the_same_work_takes_the_same_time(tmp_path: Path) -> None:
    def rehearse(name: str) -> list[datetime]:
        clock = VirtualClock(START)
        hold = clock.hold()
        pacer = file_pacer(tmp_path / name, clock, SMALL_LIMITS)
        sent: list[datetime] = []
        together(clock, [lambda: sent.extend(send(pacer, clock, 9)) for _ in range(4)])
        hold.release()
        pacer.close()
        return sorted(sent)

    assert rehearse("first") == rehearse("second")


# -- lanes -------------------------------------------------------------------------------------


def test_live_requests_overtake_all_that_wait(pacer: Pacer, clock: VirtualClock) -> None:
    served: list[tuple[Lane, datetime]] = []

    def requesting(lane: Lane, after: timedelta) -> Callable[[], None]:
        def work() -> None:
            clock.sleep(after)
            with pacer.request("ltp", lane):
                served.append((lane, clock.now()))

        return work

    send(pacer, clock, 50)
    bulk = [requesting(Lane.BACKFILL, EPSILON * n) for n in range(1, 61)]
    chain = [requesting(Lane.CHAIN, EPSILON * 100)] * 5
    live = [requesting(Lane.LIVE, EPSILON * 200)] * 5
    together(clock, [*bulk, *chain, *live])
    first_second = [lane for lane, at in served if at < START + 2 * SECOND]
    assert sorted(first_second) == [Lane.LIVE] * 5 + [Lane.CHAIN] * 5 + [Lane.BACKFILL] * 40


def test_within_a_lane_first_come_is_first_served(pacer: Pacer, clock: VirtualClock) -> None:
    served: list[int] = []

    def requesting(number: int) -> Callable[[], None]:
        def work() -> None:
            clock.sleep(EPSILON * number)
            with pacer.request("ltp", Lane.BACKFILL):
                served.append(number)
                clock.sleep(EPSILON)

        return work

    send(pacer, clock, 50)
    together(clock, [requesting(number) for number in range(1, 56)])
    assert set(served[:50]) == set(range(1, 51))


class Interrupted(VirtualClock):
    """A clock on which Ctrl-C comes during every wait."""

    def wait(self, until: datetime, stop: threading.Event) -> bool:
        raise KeyboardInterrupt


def test_an_interrupted_wait_leaves_the_queue(state_file: Path) -> None:
    clock = Interrupted(START)
    pacer = file_pacer(state_file.parent, clock, SMALL_LIMITS)
    send(pacer, clock, 3)
    with pytest.raises(KeyboardInterrupt), pacer.request("ltp", Lane.LIVE):
        pass
    with sqlite3.connect(state_file) as db:
        assert db.execute("SELECT count(*) FROM waiting").fetchone() == (0,)
    db.close()
    pacer.close()


# -- deadlines ---------------------------------------------------------------------------------


def test_too_late_is_reported_at_once(pacer: Pacer, clock: VirtualClock) -> None:
    send(pacer, clock, 500)
    now = clock.now()
    with (
        pytest.raises(RateLimited, match="budget of ltp") as limited,
        pacer.request("ltp", Lane.LIVE, latest=now + 30 * SECOND),
    ):
        pass
    assert clock.now() == now
    wait = limited.value.retry_after
    assert wait is not None
    assert 50 * SECOND < wait <= 60 * SECOND
    with pacer.request("ltp", Lane.LIVE, latest=now + wait):
        assert clock.now() == now + wait


# -- pauses that the provider requires ---------------------------------------------------------


def test_a_pause_holds_back_its_api_and_no_other(pacer: Pacer, clock: VirtualClock) -> None:
    pacer.pause("ltp", 20 * SECOND)
    assert send(pacer, clock, 1, "candles") == [START]
    assert send(pacer, clock, 1, "ltp") == [START + 20 * SECOND]


def test_a_request_that_cannot_wait_so_long_names_the_end_of_the_pause(
    pacer: Pacer, clock: VirtualClock
) -> None:
    pacer.pause("ltp", timedelta(minutes=10))
    with (
        pytest.raises(RateLimited, match="pause of ltp until 09:40:00 IST") as limited,
        pacer.request("ltp", Lane.LIVE, latest=START + 30 * SECOND),
    ):
        pass
    assert clock.now() == START
    assert limited.value.retry_after == timedelta(minutes=10)
    assert spent(pacer, "ltp", clock)[SECOND] == 0


@pytest.mark.parametrize(
    ("required", "kept"),
    [
        pytest.param([600, 5], 600, id="a shorter one later"),
        pytest.param([5, 600], 600, id="a longer one later"),
        pytest.param([9999], 1800, id="longer than any window"),
    ],
)
def test_the_longest_pause_counts_up_to_half_an_hour(
    pacer: Pacer, clock: VirtualClock, required: list[int], kept: int
) -> None:
    for seconds in required:
        pacer.pause("ltp", seconds * SECOND)
    assert pacer.pauses() == {"ltp": START + kept * SECOND}
    clock.sleep(kept * SECOND)
    assert pacer.pauses() == {}


def test_a_pause_is_known_to_other_processes_and_survives_a_restart(
    state_file: Path, clock: VirtualClock
) -> None:
    first = file_pacer(state_file.parent, clock, UPSTOX_LIMITS)
    first.pause("ltp", 20 * SECOND)
    first.close()
    second = file_pacer(state_file.parent, clock, UPSTOX_LIMITS)
    assert send(second, clock, 1) == [START + 20 * SECOND]
    second.close()


def test_a_clock_set_back_does_not_prolong_a_pause(state_file: Path) -> None:
    for start in (START, START - timedelta(days=1)):
        clock = VirtualClock(start)
        pacer = file_pacer(state_file.parent, clock, UPSTOX_LIMITS)
        if start == START:
            pacer.pause("ltp", timedelta(minutes=5))
        else:
            assert pacer.pauses() == {"ltp": start + timedelta(minutes=30)}
        pacer.close()


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


# -- what survives -------------------------------------------------------------------------------


def test_budget_survives_a_restart(state_file: Path, clock: VirtualClock) -> None:
    first = file_pacer(state_file.parent, clock, UPSTOX_LIMITS)
    send(first, clock, 500)
    first.close()
    second = file_pacer(state_file.parent, clock, UPSTOX_LIMITS)
    assert spent(second, "ltp", clock)[60 * SECOND] == 500
    sent = send(second, clock, 1)
    assert sent[0] > START + 60 * SECOND
    second.close()


def test_request_of_a_dead_process_is_counted_until_it_cannot_have_arrived(
    state_file: Path, clock: VirtualClock
) -> None:
    flight = 10 * SECOND
    died = file_pacer(state_file.parent, clock, UPSTOX_LIMITS, flight)
    never_answered = died.request("ltp", Lane.LIVE)
    never_answered.__enter__()
    heir = file_pacer(state_file.parent, clock, UPSTOX_LIMITS, flight)
    clock.sleep(flight + SECOND)
    assert spent(heir, "ltp", clock)[SECOND] == 1
    clock.sleep(EPSILON)
    assert spent(heir, "ltp", clock)[SECOND] == 0
    never_answered.__exit__(None, None, None)
    assert spent(heir, "ltp", clock)[SECOND] == 1, "it was only slow"
    died.close()
    heir.close()


@pytest.mark.parametrize("back", [EPSILON, SECOND, timedelta(hours=1), timedelta(days=4000)])
def test_clock_set_back_blocks_no_longer_than_one_window(state_file: Path, back: timedelta) -> None:
    for start in (START, START - back):
        clock = VirtualClock(start)
        hold = clock.hold()
        pacer = file_pacer(state_file.parent, clock, UPSTOX_LIMITS)
        if start == START:
            send(pacer, clock, 500)
            pacer.close()
    assert spent(pacer, "ltp", clock)[60 * SECOND] == 500, "they were sent a moment ago"
    sent = send(pacer, clock, 1)
    assert sent[0] <= clock.now() <= START - back + 60 * SECOND + EPSILON + 9 * SECOND
    hold.release()
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


@pytest.mark.parametrize("damage", [damage_head, damage_middle])
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
