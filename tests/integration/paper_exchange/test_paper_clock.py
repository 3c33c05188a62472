"""The paper market's clock: open at any hour, and continued after a restart."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path
from threading import Barrier
from urllib.parse import quote

import orjson
import pytest
import urllib3
from effort import PATIENCE_SECONDS
from exchange_client import SYMBOLS, ExchangeClient, ManualClock, ist

from data_fetch.cli.main import main
from data_fetch.core.clock import IST, ScaledClock
from data_fetch.core.errors import CalendarUnknown, SetupError
from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS, MarketCalendar
from data_fetch.paper_exchange.clock import PaperMarketClock
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.paper_exchange.market.listings import paper_isin

CALENDAR = MarketCalendar.reviewed()
STILL = 1e-9


def clock_at(at: str, state_file: Path | None = None) -> PaperMarketClock:
    """A paper market clock that is practically stopped."""
    return PaperMarketClock(
        CALENDAR, today=date(2026, 9, 16), state_file=state_file, speed=STILL, start=ist(at)
    )


def shown(clock: ScaledClock) -> str:
    return f"{clock.now().astimezone(IST):%Y-%m-%d %H:%M:%S}"


@pytest.mark.parametrize(
    ("today", "begins"),
    [
        pytest.param("2026-09-16", "2026-09-16 09:15:50", id="a trading day"),
        pytest.param("2026-09-13", "2026-09-11 09:15:50", id="Sunday: Friday"),
        pytest.param("2026-09-14", "2026-09-11 09:15:50", id="holiday: the trading day before"),
        pytest.param("2030-01-27", "2030-01-25 09:15:50", id="years after the reviewed table"),
    ],
)
def test_it_begins_on_the_latest_trading_day(today: str, begins: str) -> None:
    clock = PaperMarketClock(CALENDAR, today=date.fromisoformat(today), speed=STILL)
    assert shown(clock) == begins


@pytest.mark.parametrize(
    ("at", "becomes"),
    [
        pytest.param("2026-09-16 03:00:00", "2026-09-16 03:00:00", id="night before a session"),
        pytest.param("2026-09-16 15:50:00", "2026-09-16 15:50:00", id="the last jobs of the day"),
        pytest.param("2026-09-16 16:05:00", "2026-09-16 16:05:00", id="five past four"),
        pytest.param("2026-09-16 16:05:01", "2026-09-17 09:14:45", id="the day is over"),
        pytest.param("2026-09-11 23:00:00", "2026-09-15 09:14:45", id="weekend and holiday"),
        pytest.param("2026-09-12 12:00:00", "2026-09-15 09:14:45", id="Saturday"),
        pytest.param("2024-11-01 17:00:00", "2024-11-01 17:00:00", id="before Muhurat"),
        pytest.param("2024-11-01 19:04:00", "2024-11-01 19:04:00", id="just after Muhurat"),
        pytest.param("2024-11-01 19:06:00", "2024-11-04 09:14:45", id="after Muhurat"),
    ],
)
def test_it_skips_closed_hours(at: str, becomes: str) -> None:
    assert shown(clock_at(at)) == becomes


def test_it_skips_as_soon_as_the_day_is_over() -> None:
    clock = clock_at("2026-09-16 15:00")
    shown(clock)
    clock.set(ist("2026-09-16 20:00"))
    assert shown(clock) == "2026-09-17 09:14:45"


def test_the_market_opens_after_every_skip() -> None:
    clock, opened = clock_at("2026-08-28 16:06"), []
    for _ in range(10):
        at = clock.now()
        opened.append(CALENDAR.is_open(at + timedelta(seconds=16), FUTURES_AND_OPTIONS))
        clock.set(at + timedelta(hours=7))
    assert all(opened)


def test_a_restart_continues_at_the_saved_time(tmp_path: Path) -> None:
    state = tmp_path / "data" / "clock.json"
    clock_at("2026-09-10 11:11:11", state).now()

    again = PaperMarketClock(CALENDAR, today=date(2026, 9, 16), state_file=state, speed=STILL)

    assert shown(again) == "2026-09-10 11:11:11"
    assert [path.name for path in state.parent.iterdir()] == ["clock.json"]


@pytest.mark.parametrize(
    ("at", "becomes"),
    [
        pytest.param("2026-12-31 16:05:00", "2026-12-31 16:05:00", id="the last reviewed day"),
        pytest.param("2026-12-31 16:06:00", "2027-01-01 09:14:45", id="over to the next year"),
        pytest.param("2027-01-25 16:06:00", "2027-01-27 09:14:45", id="over Republic Day"),
    ],
)
def test_the_market_goes_on_after_the_reviewed_table(at: str, becomes: str) -> None:
    clock = clock_at("2026-12-30 12:00")
    clock.set(ist(at))
    assert shown(clock) == becomes


def test_a_saved_time_after_the_reviewed_table_is_continued(tmp_path: Path) -> None:
    state = tmp_path / "clock.json"
    state.write_text('{"now": "2027-01-04T10:00:00+05:30"}')
    clock = PaperMarketClock(CALENDAR, today=date(2026, 9, 16), state_file=state, speed=STILL)
    assert shown(clock) == "2027-01-04 10:00:00"


def test_a_time_before_the_calendar_is_rejected() -> None:
    with pytest.raises(CalendarUnknown):
        clock_at("1999-12-31 10:00")
    clock = clock_at("2026-09-16 10:00")
    with pytest.raises(CalendarUnknown):
        clock.set(ist("1999-12-31 10:00"))
    assert shown(clock) == "2026-09-16 10:00:00"


class TestPause:
    """A collector pauses the clock while it starts, so that it misses no slot."""

    @pytest.fixture
    def seconds(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """The readings of the stopwatch; the last one is current."""
        shown = [1000.0]
        for module in ("core.clock", "paper_exchange.clock"):
            monkeypatch.setattr(f"data_fetch.{module}.stopwatch", lambda: shown[-1])
        return shown

    @pytest.fixture
    def clock(self, seconds: list[float]) -> PaperMarketClock:
        start = ist("2026-09-16 09:15:50")
        return PaperMarketClock(CALENDAR, today=date(2026, 9, 16), speed=30, start=start)

    def test_it_lasts_until_the_holder_resumes(
        self, clock: PaperMarketClock, seconds: list[float]
    ) -> None:
        clock.pause("collector", 60)
        seconds.append(1010.0)
        assert (clock.paused, shown(clock)) == (True, "2026-09-16 09:15:50")

        clock.resume("collector")
        seconds.append(1012.0)

        assert (clock.paused, shown(clock)) == (False, "2026-09-16 09:16:50")

    def test_it_ends_by_itself_when_the_holder_was_killed(
        self, clock: PaperMarketClock, seconds: list[float]
    ) -> None:
        clock.pause("collector", 60)
        seconds.append(1062.0)
        assert (clock.paused, shown(clock)) == (False, "2026-09-16 09:16:50")

    def test_a_new_holder_replaces_the_old_one(
        self, clock: PaperMarketClock, seconds: list[float]
    ) -> None:
        clock.pause("killed", 60)
        clock.pause("started again", 60)
        clock.resume("killed")
        assert clock.paused
        clock.resume("started again")
        seconds.append(1002.0)
        assert shown(clock) == "2026-09-16 09:16:50"

    def test_it_can_be_set_meanwhile(self, clock: PaperMarketClock, seconds: list[float]) -> None:
        clock.pause("collector", 60)
        clock.set(ist("2026-09-16 11:00"))
        seconds.append(1010.0)
        assert shown(clock) == "2026-09-16 11:00:00"

    def test_it_begins_when_the_market_is_open(
        self, clock: PaperMarketClock, seconds: list[float]
    ) -> None:
        clock.set(ist("2026-09-16 20:00"))
        clock.pause("collector", 60)
        seconds.append(1010.0)
        assert shown(clock) == "2026-09-17 09:14:45"

    def test_it_can_be_requested_over_http(self, clock: PaperMarketClock) -> None:
        with PaperExchange(clock, symbols=SYMBOLS, calendar=CALENDAR) as paper:
            url = f"{paper.url}/paper/clock"
            command = {"pause": "collector", "seconds": 60}
            paused = urllib3.request("POST", url, json=command).json()
            resumed = urllib3.request("POST", url, json={"resume": "collector"}).json()
        assert (paused["speed"], resumed["speed"]) == (0, 30)

    @pytest.mark.parametrize("requested", [0, -1, 1e9, "many", None])
    def test_a_pause_of_invalid_length_is_rejected(
        self, clock: PaperMarketClock, requested: object
    ) -> None:
        with PaperExchange(clock, symbols=SYMBOLS, calendar=CALENDAR) as paper:
            command = {"pause": "collector", "seconds": requested}
            refused = urllib3.request("POST", f"{paper.url}/paper/clock", json=command)
        assert (refused.status, clock.paused) == (400, False)


class TestTwoMarketsWithOneStateFile:
    """A command runs an exchange of its own while a scheduler starts one."""

    @pytest.fixture(autouse=True)
    def saved_at_every_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("data_fetch.paper_exchange.clock.SAVE_EVERY_SECONDS", 0)

    @pytest.fixture
    def state(self, tmp_path: Path) -> Path:
        return tmp_path / "clock.json"

    def resumed(self, state: Path) -> PaperMarketClock:
        return PaperMarketClock(CALENDAR, today=date(2026, 9, 16), state_file=state, speed=STILL)

    def test_the_earlier_clock_does_not_set_the_later_one_back(self, state: Path) -> None:
        command = clock_at("2026-09-10 11:00", state)
        command.now()
        scheduler = self.resumed(state)
        scheduler.set(ist("2026-09-10 16:06"))
        assert shown(scheduler) == "2026-09-11 09:14:45"

        command.now()

        assert shown(self.resumed(state)) == "2026-09-11 09:14:45"

    def test_the_later_clock_is_saved(self, state: Path) -> None:
        command = clock_at("2026-09-10 11:00", state)
        command.now()
        scheduler = self.resumed(state)
        command.set(ist("2026-09-10 11:01"))
        command.now()
        scheduler.now()
        assert shown(self.resumed(state)) == "2026-09-10 11:01:00"

        scheduler.set(ist("2026-09-10 11:02"))
        scheduler.now()

        assert shown(self.resumed(state)) == "2026-09-10 11:02:00"

    def test_a_single_market_may_be_set_back(self, state: Path) -> None:
        clock = clock_at("2026-09-10 15:00", state)
        clock.now()
        clock.set(ist("2026-09-09 10:00"))
        clock.now()
        assert shown(self.resumed(state)) == "2026-09-09 10:00:00"

    def test_an_unreadable_state_file_is_replaced(self, state: Path) -> None:
        clock = clock_at("2026-09-10 15:00", state)
        state.write_text("{")
        clock.now()
        assert shown(self.resumed(state)) == "2026-09-10 15:00:00"


@pytest.mark.parametrize("text", ["", "{}", '{"now": "noon"}', "[]"])
def test_an_invalid_state_file_is_an_error_with_a_hint(tmp_path: Path, text: str) -> None:
    state = tmp_path / "clock.json"
    state.write_text(text)
    with pytest.raises(SetupError, match="Delete the file"):
        PaperMarketClock(CALENDAR, today=date(2026, 9, 16), state_file=state)


class TestControlEndpoint:
    @pytest.fixture
    def client(self) -> Iterator[ExchangeClient]:
        clock = ManualClock("2026-09-16 10:00")
        with PaperExchange(ScaledClock(clock.now(), STILL), symbols=SYMBOLS) as exchange:
            yield ExchangeClient(exchange, clock)

    def post(self, client: ExchangeClient, document: object) -> tuple[int, dict[str, object]]:
        response = client.request("/paper/clock", "POST", body=orjson.dumps(document))
        return response.status, orjson.loads(response.data)

    def test_it_returns_the_time_and_the_speed(self, client: ExchangeClient) -> None:
        document = orjson.loads(client.request("/paper/clock").data)
        assert datetime.fromisoformat(document["now"]) == ist("2026-09-16 10:00")
        assert document["speed"] == STILL

    def test_it_can_be_set(self, client: ExchangeClient) -> None:
        status, document = self.post(client, {"now": "2026-09-15T14:00:00+05:30"})
        assert (status, document["now"]) == (200, "2026-09-15T08:30:00+00:00")

    def test_a_clock_that_cannot_be_paused_is_an_error(self, client: ExchangeClient) -> None:
        status, document = self.post(client, {"pause": "collector", "seconds": 60})
        assert (status, "error" in document) == (409, True)

    @pytest.mark.parametrize(
        "sent", [{}, [], {"now": 3}, {"now": "noon"}, {"now": "2026-09-15T14:00:00"}]
    )
    def test_an_invalid_instant_is_rejected(self, client: ExchangeClient, sent: object) -> None:
        status, document = self.post(client, sent)
        assert (status, "error" in document) == (400, True)


def test_the_exchange_answers_after_the_reviewed_table() -> None:
    with PaperExchange(clock_at("2026-12-31 16:06"), calendar=CALENDAR, symbols=SYMBOLS) as paper:
        response = urllib3.request("GET", f"{paper.url}/paper/clock", retries=False)
        refused = urllib3.request(
            "POST", f"{paper.url}/paper/clock", json={"now": "2020-12-31T10:00:00+05:30"}
        )

    assert response.status == 200
    assert datetime.fromisoformat(response.json()["now"]) == ist("2027-01-01 09:14:45")
    assert refused.status == 400
    assert "2020-12-31" in refused.json()["error"]


class TestCommand:
    def started(self, folder: Path, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "data_fetch", "paper-exchange", *arguments],
            cwd=folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    @pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
    def test_serves_until_stopped(self, tmp_path: Path, stop: signal.Signals) -> None:
        script = tmp_path / "faults.toml"
        script.write_text('[[fault]]\nkind = "server-error"\napi = "holidays"\n')
        server = self.started(
            tmp_path, "--json", "--start", "2026-09-16T10:00", "--faults", str(script)
        )
        announced = json.loads(server.stdout.readline())
        clock = urllib3.request("GET", f"{announced['url']}/paper/clock").json()
        holidays = urllib3.request("GET", f"{announced['url']}/v2/market/holidays", retries=False)
        server.send_signal(stop)
        rest, _ = server.communicate(timeout=PATIENCE_SECONDS)

        assert (announced["pid"], server.returncode, rest) == (server.pid, 0, "")
        assert clock["now"].startswith("2026-09-16T04:30:")
        assert holidays.status == 500

    @pytest.fixture
    def refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> Callable[..., str]:
        """What the command remarks when it does not start."""

        def refused(*arguments: str) -> str:
            monkeypatch.chdir(tmp_path)
            with pytest.raises(SystemExit) as left:
                main(["paper-exchange", *arguments])
            printed = capsys.readouterr()
            assert (left.value.code, printed.out) == (2, "")
            return printed.err

        return refused

    def test_a_bad_fault_script_is_wrong_use(
        self, tmp_path: Path, refused: Callable[..., str]
    ) -> None:
        script = tmp_path / "faults.toml"
        script.write_text('[[fault]]\nkind = "earthquake"\n')

        assert "fault 1 (earthquake)" in refused("--faults", str(script))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            pytest.param(["--start", "noon"], "is not a time such as", id="no time"),
            pytest.param(["--start", "2020-12-31"], "calendar begins", id="before the calendar"),
            pytest.param(["--host", "a..b"], "cannot listen on a..b", id="no address"),
            pytest.param(["--state", "file/clock.json"], "cannot be saved", id="no folder"),
            pytest.param(["--quiet", "silent"], "zero-volume", id="no such way"),
            pytest.param(["--illiquid", "2"], "--illiquid", id="no share"),
        ],
    )
    def test_wrong_use_has_a_clear_message(
        self, tmp_path: Path, refused: Callable[..., str], arguments: list[str], message: str
    ) -> None:
        (tmp_path / "file").touch()

        assert message in refused(*arguments)

    def test_a_port_in_use_has_a_clear_message(self, refused: Callable[..., str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            output = refused("--port", str(port))

        assert f"cannot listen on 127.0.0.1:{port}" in output
        assert "address already in use" in output

    def test_quiet_minutes_follow_the_option(self, tmp_path: Path) -> None:
        server = self.started(
            tmp_path,
            *("--json", "--start", "2026-07-31T12:00"),
            *("--illiquid", "1", "--quiet", "left-out"),
        )
        url = json.loads(server.stdout.readline())["url"]
        key = quote(f"NSE_EQ|{paper_isin('RELIANCE')}", safe="")
        path = f"/v3/historical-candle/{key}/minutes/1/2026-07-30/2026-07-30"
        response = urllib3.request("GET", url + path).json()
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=PATIENCE_SECONDS)

        assert 200 < len(response["data"]["candles"]) < 330


def test_a_state_file_that_can_no_longer_be_written_stops_no_market(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = PaperMarketClock(
        MarketCalendar.reviewed(), today=date(2026, 9, 16), state_file=tmp_path / "clock.json"
    )
    monkeypatch.setattr("data_fetch.paper_exchange.clock.SAVE_EVERY_SECONDS", 0.0)
    (tmp_path / "clock.json").unlink()
    (tmp_path / "clock.json").mkdir()

    readings = [clock.now() for _ in range(3)]

    assert readings == sorted(readings)
    assert [record.message for record in caplog.records] == ["paper_clock_not_saved"]


def test_threads_with_clocks_of_their_own_share_a_file(tmp_path: Path) -> None:
    """As the workers of an archive do; each clock saves its time when it is made."""
    together = Barrier(4)

    def make(number: int) -> None:
        for _ in range(20):
            together.wait(PATIENCE_SECONDS)
            clock_at(f"2026-09-16 10:{number:02}", tmp_path / "clock.json")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(make, range(4)))
    assert [path.name for path in tmp_path.iterdir()] == ["clock.json"]
