"""Windows on a server: what Redis forgets, a server that does not answer, several processes."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st
from own_redis import OwnRedis, own_redis
from servers import reopen, shut
from windows_places import ACCOUNT, FilePlace, Place, PostgresPlace, RedisPlace

from data_fetch.core.clock import VirtualClock
from data_fetch.core.errors import RateLimited, WindowsUnavailable
from data_fetch.core.failures import FailureKind
from data_fetch.core.ports import Lane
from data_fetch.sources.transport.pacing import Pacer

START = datetime(2026, 9, 16, 4, 0, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
SMALL_LIMITS = {SECOND: 3, 10 * SECOND: 8}


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    clock = VirtualClock(START)
    hold = clock.hold()
    yield clock
    hold.release()


@pytest.fixture
def server() -> Iterator[OwnRedis]:
    with own_redis() as server:
        yield server


@pytest.fixture
def place(redis_url: str) -> Iterator[RedisPlace]:
    with closing(RedisPlace(redis_url)) as place:
        yield place


def refused(pacer: Pacer, clock: VirtualClock, api: str = "ltp") -> RateLimited:
    """The rejection of a request that cannot wait."""
    with pytest.raises(RateLimited) as limited, pacer.request(api, Lane.LIVE, latest=clock.now()):
        pass
    return limited.value


def send(pacer: Pacer, count: int = 1) -> None:
    for _ in range(count):
        with pacer.request("ltp", Lane.LIVE):
            pass


# -- what Redis forgets ------------------------------------------------------------------------


def test_after_an_empty_restart_nothing_is_sent_for_half_an_hour(
    server: OwnRedis, clock: VirtualClock
) -> None:
    with closing(RedisPlace(server.url)) as place:
        pacer = place.pacer(clock)
        send(pacer)
        server.kill()
        server.start()
        problem = refused(pacer, clock)
        assert "requests of the last 30 minutes are not known" in problem.message
        assert f"Redis at {server.url} lost them" in problem.message
        assert "nothing is sent to ltp until 10:02:10 IST" in problem.message

        clock.sleep(30 * MINUTE)
        refused(pacer, clock)
        refused(place.pacer(clock), clock, "candles")
        # A request in flight at the restart may have been counted so much later.
        send(pacer)
        assert clock.now() - START == timedelta(minutes=32, seconds=10, microseconds=1)


def test_a_restart_with_its_data_is_no_better(place: RedisPlace, clock: VirtualClock) -> None:
    """What it had not written to disk, or had not sent to a replica, is not known."""
    pacer = place.pacer(clock)
    send(pacer)
    with redis.Redis.from_url(place.url) as client:
        [state] = client.keys("*:state")
        client.hset(state, "run_id", "f" * 40)

    assert "are not known" in refused(pacer, clock).message


def test_an_account_that_is_new_to_redis_waits(redis_url: str, clock: VirtualClock) -> None:
    with closing(RedisPlace(redis_url)) as place:
        pacer = Pacer(place.windows(clock), lambda: ACCOUNT, clock, SMALL_LIMITS)
        until = START + timedelta(seconds=140, microseconds=1)
        assert pacer.unknown_until() == until
        send(pacer)
        assert clock.now() == until
        assert pacer.unknown_until() is None
        pacer.close()


@pytest.mark.parametrize("lost", ["", ":state", ":spent:"], ids=["all", "state", "windows"])
@pytest.mark.parametrize("in_flight", [False, True], ids=["answered", "in flight"])
def test_lost_keys_are_noticed(
    place: RedisPlace, clock: VirtualClock, lost: str, in_flight: bool
) -> None:
    pacer = place.pacer(clock)
    with pacer.request("ltp", Lane.LIVE):
        if in_flight:
            place.forget(lost)
    if not in_flight:
        place.forget(lost)

    assert "are not known" in refused(pacer, clock).message


def test_what_expires_by_itself_is_not_missed(place: RedisPlace, clock: VirtualClock) -> None:
    pacer = place.pacer(clock)
    send(pacer)
    with redis.Redis.from_url(place.url) as client:
        lives = {key: client.pttl(key) for key in client.keys("data-fetch:*")}
    assert all(life > 0 for life in lives.values())

    clock.sleep(30 * MINUTE + SECOND)
    place.forget(":spent:")
    send(pacer)
    assert clock.now() == START + 30 * MINUTE + SECOND


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 3000), st.integers(0, 2500), st.sampled_from(["answered", "dies", "lost"])
    ),
    min_size=1,
    max_size=14,
)


@pytest.mark.parametrize("kind", ["file", "redis", "postgres"])
@settings(max_examples=10)
@given(EVENTS)
def test_neither_deaths_nor_lost_windows_let_too_many_through(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    events: list[tuple[int, int, str]],
) -> None:
    """A request may be counted at the end of its flight, when its process is long dead."""
    place, account = place_of(kind, request, tmp_path_factory.mktemp("windows")), uuid4().hex
    clock = VirtualClock(START)
    hold = clock.hold()
    pacer = place.pacer(clock, SMALL_LIMITS, flight=3 * SECOND, account=account)
    counted: list[datetime] = []
    dead = []
    for idle, way, end in events:
        clock.sleep(timedelta(milliseconds=idle))
        request_in_flight = pacer.request("ltp", Lane.LIVE)
        request_in_flight.__enter__()
        if end == "dies":
            counted.append(clock.now() + timedelta(milliseconds=way))
            dead.append(request_in_flight)
            continue
        clock.sleep(timedelta(milliseconds=way))
        counted.append(clock.now())
        request_in_flight.__exit__(None, None, None)
        if end == "lost" and isinstance(place, RedisPlace):
            place.forget()
    for each in dead:
        each.__exit__(None, None, None)
    hold.release()
    place.close()
    for window, limit in SMALL_LIMITS.items():
        for instant in counted:
            assert sum(timedelta(0) <= other - instant <= window for other in counted) <= limit


def place_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> Place:
    if kind == "file":
        return FilePlace(folder)
    if kind == "redis":
        return RedisPlace(request.getfixturevalue("redis_url"))
    return PostgresPlace(request.getfixturevalue("postgres_url"))


# -- a server that does not answer ---------------------------------------------------------------


def test_without_redis_nothing_is_sent_and_then_it_goes_on(
    server: OwnRedis, clock: VirtualClock
) -> None:
    with closing(RedisPlace(server.url)) as place:
        pacer = place.pacer(clock, SMALL_LIMITS)
        send(pacer)
        server.kill()
        with pytest.raises(WindowsUnavailable) as problem:
            send(pacer)
        assert f"Redis at {server.url} has the rate windows and does not answer" in str(
            problem.value
        )
        assert "Nothing is sent without them. Start it" in problem.value.hint
        assert problem.value.kind is FailureKind.NO_PERMISSION
        server.start()
        send(pacer)


def test_without_postgres_nothing_is_sent_and_then_it_goes_on(
    postgres_url: str, clock: VirtualClock
) -> None:
    with closing(PostgresPlace(postgres_url)) as place:
        pacer = place.pacer(clock, SMALL_LIMITS)
        send(pacer, 3)
        shut(postgres_url)
        with pytest.raises(WindowsUnavailable, match=r"The rate windows: the database postgresql"):
            send(pacer)
        reopen(postgres_url)
        send(pacer)
        assert clock.now() > START + SECOND, "it still knows the three"


def test_a_response_counts_as_in_flight_when_it_cannot_be_recorded(
    server: OwnRedis, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(RedisPlace(server.url)) as place:
        pacer = place.pacer(clock, SMALL_LIMITS)
        with pacer.request("ltp", Lane.LIVE):
            server.kill()
        assert [record.message for record in caplog.records] == ["response_not_recorded"]


def test_a_grant_whose_reply_is_lost_counts(place: RedisPlace, clock: VirtualClock) -> None:
    """The connection is cut after the script ran: nothing is sent, and it counts all the same."""
    pacer = place.pacer(clock, SMALL_LIMITS)
    send(pacer)
    with redis.Redis.from_url(place.url) as client:
        client.client_kill_filter(skipme=True, _type="normal", user="default")
    send(pacer)
    assert len(pacer.spending("ltp")) == 2


# -- several processes ----------------------------------------------------------------------------

SENDER = """
import sys, threading
from datetime import timedelta
from pathlib import Path
from data_fetch.core.clock import SystemClock
from data_fetch.core.ports import Lane
from data_fetch.core.settings import Settings
from data_fetch.runtime.rate_windows import provider_windows
from data_fetch.sources.transport.pacing import Pacer
clock = SystemClock()
windows = provider_windows(Settings.load({"RATE_WINDOWS_URL": sys.argv[1]}, Path.cwd()))
limits = {timedelta(seconds=0.2): 4, timedelta(seconds=1): 12}
pacer = Pacer(windows, lambda: "one", clock, limits, timedelta(seconds=0.5))
lines = []
def work():
    for _ in range(7):
        with pacer.request("ltp", Lane.BACKFILL):
            sent = clock.now()
            clock.sleep(timedelta(milliseconds=5))
            lines.append((sent.isoformat(), clock.now().isoformat()))
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
for line in lines: print(*line)
"""
LIMITS = {timedelta(seconds=0.2): 4, SECOND: 12}


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_processes_stay_within_the_limits_together(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url: str = request.getfixturevalue(f"{kind}_url")
    children = [
        subprocess.Popen(
            [sys.executable, "-c", SENDER, url], stdout=subprocess.PIPE, text=True, cwd=tmp_path
        )
        for _ in range(3)
    ]
    given = [line.split() for child in children for line in child.communicate()[0].splitlines()]
    sent, answered = (
        sorted(map(datetime.fromisoformat, times)) for times in zip(*given, strict=True)
    )
    assert len(sent) == 42
    for window, limit in LIMITS.items():
        for early, late in zip(answered, sent[limit:], strict=False):
            assert late - early > window
