"""In the paper world the exchange's clock is the product's clock."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread, Timer

import pytest

from data_fetch.core.errors import Unreachable
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.world import PAPER_MARK
from data_fetch.paper_exchange.clock import PaperMarketClock
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.sources import paper_clock
from data_fetch.sources.paper_clock import PaperClock, fetch_paper_clock

MORNING = datetime(2026, 9, 16, 3, 45, 50, tzinfo=UTC)
# The tests' own time counts seconds by hand; the rest of the clock is the real one.
NEXT_QUESTION = paper_clock.POLL_SECONDS


class Stopwatch:
    """Seconds that pass under control of the test."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    watch = Stopwatch()
    monkeypatch.setattr("data_fetch.core.clock.stopwatch", watch)
    monkeypatch.setattr("data_fetch.sources.paper_clock.stopwatch", watch)
    monkeypatch.setattr("data_fetch.paper_exchange.clock.stopwatch", watch)
    return watch


class Exchange:
    """Serves only the time that the test sets."""

    def __init__(self, url: str = "") -> None:
        self.url = url
        self.body = ""
        self.requested = 0
        self.answering = Event()
        self.answering.set()
        self.reached = Event()

    def shows(self, now: datetime, speed: float = 1.0) -> None:
        self.body = json.dumps({"now": now.isoformat(), "speed": speed})


@contextmanager
def serving(exchange: Exchange) -> Iterator[None]:
    class Response(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            exchange.requested += 1
            exchange.reached.set()
            exchange.answering.wait(timeout=60)
            body = exchange.body.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header(PAPER_MARK, "")
            self.end_headers()
            self.wfile.write(body)

        def handle(self) -> None:
            # The asker may have gone away.
            with suppress(ConnectionError):
                super().handle()

        def log_message(self, format: str, *args: object) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Response) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        exchange.url = f"http://127.0.0.1:{server.server_port}"
        yield
        exchange.answering.set()
        server.shutdown()


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    exchange = Exchange()
    exchange.shows(MORNING)
    with serving(exchange):
        yield exchange


def test_it_shows_the_exchanges_time_and_runs_on_by_itself(
    exchange: Exchange, seconds: Stopwatch
) -> None:
    clock = PaperClock(exchange.url)
    assert clock.now() == MORNING

    seconds.seconds += 0.75

    assert clock.now() == MORNING + timedelta(seconds=0.75)
    assert exchange.requested == 1


def test_it_runs_at_the_exchanges_speed(exchange: Exchange, seconds: Stopwatch) -> None:
    exchange.shows(MORNING, speed=30)
    clock = PaperClock(exchange.url)

    seconds.seconds += 0.5

    assert clock.now() == MORNING + timedelta(seconds=15)


@pytest.mark.parametrize(
    "leap", [timedelta(hours=18), timedelta(hours=-3)], ids=["to the next morning", "set back"]
)
def test_it_follows_a_leap_within_a_second(
    exchange: Exchange, seconds: Stopwatch, leap: timedelta
) -> None:
    clock = PaperClock(exchange.url)
    exchange.shows(MORNING + leap)

    seconds.seconds += NEXT_QUESTION

    assert clock.now() == MORNING + leap


@pytest.mark.parametrize("speed", [1.0, 30.0])
def test_the_time_a_response_takes_does_not_set_it_back(
    exchange: Exchange, seconds: Stopwatch, speed: float
) -> None:
    exchange.shows(MORNING, speed)
    clock = PaperClock(exchange.url)
    passed = timedelta(seconds=NEXT_QUESTION * speed)
    # The exchange's time a little before its response arrived.
    exchange.shows(MORNING + passed - timedelta(seconds=0.4 * speed), speed)

    seconds.seconds += NEXT_QUESTION

    assert clock.now() == MORNING + passed
    assert exchange.requested == 2


def test_it_is_requested_no_more_than_once_a_second(exchange: Exchange, seconds: Stopwatch) -> None:
    clock = PaperClock(exchange.url)

    for _ in range(20):
        seconds.seconds += NEXT_QUESTION / 4
        clock.now()

    assert exchange.requested == 1 + 5


def test_time_goes_on_when_the_exchange_has_gone_away(seconds: Stopwatch) -> None:
    exchange = Exchange()
    exchange.shows(MORNING)
    with serving(exchange):
        clock = PaperClock(exchange.url)

    seconds.seconds += 90

    assert clock.now() == MORNING + timedelta(seconds=90)


def test_it_follows_a_changed_speed(exchange: Exchange, seconds: Stopwatch) -> None:
    clock = PaperClock(exchange.url)
    seconds.seconds += NEXT_QUESTION
    exchange.shows(MORNING + timedelta(seconds=NEXT_QUESTION), speed=30)
    clock.now()

    seconds.seconds += 0.5

    assert clock.now() == MORNING + timedelta(seconds=NEXT_QUESTION + 15)
    assert clock.speed == 30


class TestMarketThatStandsStill:
    """An exchange on a clock that moves only when it is moved reports speed 0."""

    @pytest.fixture
    def clock(self, exchange: Exchange, seconds: Stopwatch) -> PaperClock:
        exchange.shows(MORNING, speed=0)
        return PaperClock(exchange.url)

    def test_its_time_stands_until_it_is_set(
        self, clock: PaperClock, exchange: Exchange, seconds: Stopwatch
    ) -> None:
        seconds.seconds += 0.75
        assert clock.now() == MORNING
        exchange.shows(MORNING + timedelta(milliseconds=1), speed=0)

        seconds.seconds += NEXT_QUESTION

        assert clock.now() == MORNING + timedelta(milliseconds=1)

    def test_waiting_for_it_ends_when_stopped(self, clock: PaperClock) -> None:
        stop = Event()
        Timer(0.01, stop.set).start()
        assert clock.wait(MORNING + timedelta(hours=1), stop)

    def test_a_pause_takes_real_seconds(self, clock: PaperClock) -> None:
        clock.sleep(timedelta(milliseconds=1))
        assert clock.now() == MORNING


class TestExchangeThatHangs:
    @pytest.fixture
    def clock(
        self, exchange: Exchange, seconds: Stopwatch, monkeypatch: pytest.MonkeyPatch
    ) -> PaperClock:
        assert paper_clock.LATER_TIMEOUT_SECONDS <= 0.5
        monkeypatch.setattr(paper_clock, "LATER_TIMEOUT_SECONDS", 0.05)
        clock = PaperClock(exchange.url)
        exchange.answering.clear()
        exchange.reached.clear()
        return clock

    def test_it_is_not_waited_for(self, clock: PaperClock, seconds: Stopwatch) -> None:
        seconds.seconds += 2
        assert clock.now() == MORNING + timedelta(seconds=2)

    def test_it_is_left_alone_for_a_second_after_that(
        self,
        clock: PaperClock,
        exchange: Exchange,
        seconds: Stopwatch,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        ask = fetch_paper_clock

        def ask_for_half_a_second(url: str, timeout_seconds: float) -> tuple[datetime, float]:
            seconds.seconds += 0.5
            return ask(url, timeout_seconds)

        monkeypatch.setattr(paper_clock, "fetch_paper_clock", ask_for_half_a_second)
        seconds.seconds += NEXT_QUESTION
        clock.now()

        seconds.seconds += 0.75
        clock.now()

        assert exchange.requested == 1 + 1

    def test_one_thread_asks_and_the_others_go_on(
        self,
        clock: PaperClock,
        exchange: Exchange,
        seconds: Stopwatch,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(paper_clock, "LATER_TIMEOUT_SECONDS", 60)
        seconds.seconds += NEXT_QUESTION
        requesting = Thread(target=clock.now)
        requesting.start()
        exchange.reached.wait(timeout=60)

        assert clock.now() == MORNING + timedelta(seconds=NEXT_QUESTION)
        assert requesting.is_alive()
        assert exchange.requested == 1 + 1

        exchange.answering.set()
        requesting.join()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("<html>It works!</html>", id="a web server"),
        pytest.param("{}", id="no time in it"),
        pytest.param('{"now": "today", "speed": 1}', id="no instant"),
        pytest.param('{"now": "2026-09-16T09:15:50+05:30", "speed": null}', id="no speed"),
        pytest.param('{"now": "2026-09-16T09:15:50", "speed": 1}', id="no offset"),
        pytest.param('{"now": "2026-09-16T09:15:50+05:30", "speed": -1}', id="backwards"),
        pytest.param("[]", id="no object"),
        pytest.param("", id="nothing"),
    ],
)
def test_what_is_no_paper_exchange_is_reported_with_a_hint(exchange: Exchange, body: str) -> None:
    exchange.body = body

    with pytest.raises(Unreachable, match="unset UPSTOX_BASE_URL") as problem:
        fetch_paper_clock(exchange.url)

    assert exchange.url in str(problem.value)


def test_an_exchange_that_is_not_there_is_reported_at_once() -> None:
    with pytest.raises(Unreachable, match="data-fetch paper-exchange"):
        PaperClock("http://127.0.0.1:1")


class TestPause:
    """While a collector starts, the exchange's clock stands still."""

    def test_time_stands_and_then_runs_on(self, seconds: Stopwatch) -> None:
        market = PaperMarketClock(
            MarketCalendar.reviewed(), today=MORNING.date(), speed=30, start=MORNING
        )
        with PaperExchange(market, symbols=["NIFTY"]) as exchange:
            clock = PaperClock(exchange.url)
            with clock.paused():
                seconds.seconds += 5
                assert clock.now() == MORNING
            seconds.seconds += 0.5

            assert clock.now() == MORNING + timedelta(seconds=15)

    def test_an_exchange_that_knows_no_pause_runs_on(
        self, exchange: Exchange, seconds: Stopwatch
    ) -> None:
        clock = PaperClock(exchange.url)
        with clock.paused():
            seconds.seconds += 0.5

            assert clock.now() == MORNING + timedelta(seconds=0.5)
