"""The API client with the official SDK, against a real server: each trap of the SDK."""

import gzip
import logging
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import unquote

import certifi
import pytest
import upstox_client
from checkout import SUPPORT
from paced import file_pacer
from upstox_stub import (
    RELIANCE,
    START,
    FreePacing,
    Script,
    Scripted,
    Seen,
    Stub,
    api_for,
    bulk,
    equity_keys,
    error,
    good,
    in_turn,
    keeper,
    knowing_all_but,
    live,
    quotes_of,
    row,
    spent,
    waited,
)

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.clock import VirtualClock, stopwatch
from data_fetch.core.errors import (
    AccessDenied,
    BadResponse,
    RateLimited,
    RequestRefused,
    TokenRejected,
    UnknownInstrument,
    Unreachable,
)
from data_fetch.core.ports import Lane
from data_fetch.core.world import World
from data_fetch.sources.transport.file_windows import FileWindows
from data_fetch.sources.transport.pacing import Pacer, account_of
from data_fetch.sources.transport.responses import Response
from data_fetch.sources.transport.retrying import RequestContext
from data_fetch.sources.upstox.api import UpstoxApi
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS
from data_fetch.sources.upstox.sdk import UpstoxSdk
from data_fetch.sources.upstox.token import TokenKeeper


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub() as stub:
        yield stub


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    clock = VirtualClock(START)
    hold = clock.hold()
    yield clock
    hold.release()


# -- what goes out ---------------------------------------------------------------------


def test_keys_go_out_comma_joined_and_not_as_a_python_list(stub: Stub, clock: VirtualClock) -> None:
    api_for(stub.url, clock).ltp([RELIANCE, "NSE_INDEX|Nifty 50", "NSE_EQ|M&M"], live(clock))
    (seen,) = stub.seen
    assert seen.path == "/v3/market-quote/ltp"
    assert seen.keys == [RELIANCE, "NSE_INDEX|Nifty 50", "NSE_EQ|M&M"]
    assert seen.token == "Bearer first-token"


def test_holidays_and_timings_need_no_token(stub: Stub, clock: VirtualClock) -> None:
    stub.script = lambda seen: good([])
    refused = keeper()
    refused.reject("market-status", "first-token", clock.now())
    api = api_for(stub.url, clock, token=refused)
    assert api.holidays(api.context(Lane.LIVE)) == []
    assert api.timings(date(2026, 9, 16), api.context(Lane.LIVE)) == []
    assert [seen.path for seen in stub.seen] == [
        "/v2/market/holidays",
        "/v2/market/timings/2026-09-16",
    ]
    with pytest.raises(TokenRejected):
        api.market_status("NSE", api.context(Lane.LIVE))


def test_market_status(stub: Stub, clock: VirtualClock) -> None:
    stub.script = lambda seen: good({"status": "NORMAL_OPEN", "cas_eligible_status": {}})
    api = api_for(stub.url, clock)
    state = api.market_status("NSE", api.context(Lane.LIVE))
    assert "cas_eligible_status" in state, "the SDK's own model loses this field"
    assert stub.seen[0].path == "/v2/market/status/NSE"


def candle_requests(api: UpstoxApi, clock: VirtualClock) -> list[Response]:
    """One request to every candle path."""
    first, last = date(2026, 9, 1), date(2026, 9, 15)
    minute, day = CandleInterval.MINUTE, CandleInterval.DAY
    return [
        api.historical_candles(RELIANCE, minute, first, last, bulk(clock)),
        api.historical_candles("NSE_INDEX|Nifty 50", day, first, last, bulk(clock)),
        api.intraday_candles(RELIANCE, minute, bulk(clock)),
        api.intraday_candles(RELIANCE, day, bulk(clock)),
        api.expired_candles("NSE_FO|47983|15-09-2026", minute, first, last, bulk(clock)),
        api.expired_candles("NSE_FO|47983|15-09-2026", day, first, last, bulk(clock)),
    ]


def test_candles_are_requested_with_the_last_day_first(stub: Stub, clock: VirtualClock) -> None:
    stub.script = lambda seen: good({"candles": []})
    pacing = FreePacing()
    candle_requests(api_for(stub.url, clock, pacing=pacing), clock)
    history, expired = "/v3/historical-candle", "/v2/expired-instruments/historical-candle"
    assert [unquote(seen.path) for seen in stub.seen] == [
        f"{history}/{RELIANCE}/minutes/1/2026-09-15/2026-09-01",
        f"{history}/NSE_INDEX|Nifty 50/days/1/2026-09-15/2026-09-01",
        f"{history}/intraday/{RELIANCE}/minutes/1",
        f"{history}/intraday/{RELIANCE}/days/1",
        f"{expired}/NSE_FO|47983|15-09-2026/1minute/2026-09-15/2026-09-01",
        f"{expired}/NSE_FO|47983|15-09-2026/day/2026-09-15/2026-09-01",
    ]
    assert [seen.token for seen in stub.seen] == [None] * 4 + ["Bearer first-token"] * 2
    assert (
        pacing.granted
        == [("candles", Lane.BACKFILL)] * 4 + [("expired-candles", Lane.BACKFILL)] * 2
    )


def test_a_refused_token_does_not_stop_what_needs_none(stub: Stub, clock: VirtualClock) -> None:
    stub.script = lambda seen: good({"candles": []})
    refused = keeper()
    refused.reject("expired-candles", "first-token", clock.now())
    api = api_for(stub.url, clock, token=refused)
    assert api.intraday_candles(RELIANCE, CandleInterval.MINUTE, bulk(clock)).data == {
        "candles": []
    }
    with pytest.raises(TokenRejected):
        api.expired_candles(
            "NSE_FO|1|15-09-2026", CandleInterval.DAY, START.date(), START.date(), bulk(clock)
        )


def test_a_token_wanted_where_none_is_sent_is_not_the_tokens_fault(
    stub: Stub, clock: VirtualClock
) -> None:
    """No new token could help, and the one that there is stays good."""
    stub.script = in_turn(error(401, "UDAPI100050"), quotes_of)
    api = api_for(stub.url, clock)
    with pytest.raises(AccessDenied, match="requires an access token for candles"):
        api.intraday_candles(RELIANCE, CandleInterval.MINUTE, bulk(clock))
    assert api.ltp([RELIANCE], live(clock)).data


def test_candles_in_part_are_reported_as_such(stub: Stub, clock: VirtualClock) -> None:
    stub.script = lambda seen: good({"candles": []}, status="partial_success")
    assert all(response.partial for response in candle_requests(api_for(stub.url, clock), clock))


def test_a_response_has_the_time_when_its_last_request_went_out(
    stub: Stub, clock: VirtualClock
) -> None:
    stub.script = in_turn(
        error(429, "UDAPI10005", Retry_After="20"), lambda seen: good({"candles": []})
    )
    response = api_for(stub.url, clock).intraday_candles(
        RELIANCE, CandleInterval.MINUTE, bulk(clock)
    )
    assert response.requested_at == START + timedelta(seconds=20)


def test_running_bars_are_requested_by_the_minute(stub: Stub, clock: VirtualClock) -> None:
    pacing = FreePacing()
    api_for(stub.url, clock, pacing=pacing).ohlc([RELIANCE, "NSE_EQ|M&M"], live(clock))
    (seen,) = stub.seen
    assert seen.path == "/v3/market-quote/ohlc"
    assert seen.keys == [RELIANCE, "NSE_EQ|M&M"]
    assert seen.query["interval"] == ["I1"]
    assert (seen.token, pacing.granted) == ("Bearer first-token", [("ohlc", Lane.LIVE)])


def test_each_request_is_paced_under_its_api_and_lane(stub: Stub, clock: VirtualClock) -> None:
    pacing = FreePacing()
    api = api_for(stub.url, clock, pacing=pacing)
    stub.script = in_turn(error(500, "UDAPI100500"), quotes_of, good([]))
    api.ltp([RELIANCE], RequestContext.begin(Lane.CHAIN, clock.now()))
    api.holidays(api.context(Lane.BACKFILL))
    assert pacing.granted == [
        ("ltp", Lane.CHAIN),
        ("ltp", Lane.CHAIN),
        ("holidays", Lane.BACKFILL),
    ]
    assert api.requests_sent == 3


def test_501_keys_are_refused_before_they_are_sent(stub: Stub, clock: VirtualClock) -> None:
    api = api_for(stub.url, clock)
    for request in (api.ltp, api.ohlc):
        with pytest.raises(ValueError, match="not 501"):
            request(equity_keys(501), live(clock))
    assert stub.seen == []


def test_500_keys_fit_in_one_request_line(stub: Stub, clock: VirtualClock) -> None:
    assert len(api_for(stub.url, clock).ltp(equity_keys(500), live(clock)).data) == 500


# -- what comes back --------------------------------------------------------------------


def test_data_comes_back_raw(stub: Stub, clock: VirtualClock) -> None:
    stub.script = lambda seen: good({"NSE_EQ:RELIANCE": row(RELIANCE, 1304.1, unheard_of=[1])})
    data = api_for(stub.url, clock).ltp([RELIANCE], live(clock)).data
    assert data["NSE_EQ:RELIANCE"]["unheard_of"] == [1]


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        pytest.param(Scripted(200, b"<html>hello</html>"), BadResponse, id="page in a 200"),
        pytest.param(Scripted(200, b'{"status":"succ'), BadResponse, id="truncated JSON"),
        pytest.param(good([]), BadResponse, id="list for a map"),
        pytest.param(error(200, "UDAPI10005"), RateLimited, id="rate limit in a 200"),
        pytest.param(error(429, "UDAPI10005"), RateLimited, id="429"),
        pytest.param(error(500, "UDAPI100500"), BadResponse, id="500"),
        pytest.param(Scripted(302, headers={"Location": "/x"}), BadResponse, id="redirect"),
        pytest.param(Scripted(200, b"{}" * 99, cut=50), Unreachable, id="cut off"),
        pytest.param(Scripted(reset=True), Unreachable, id="reset"),
        pytest.param(
            Scripted(200, b"xx", {"Content-Encoding": "gzip"}), BadResponse, id="not gzip at all"
        ),
    ],
)
def test_transient_responses_are_requested_again(
    stub: Stub, clock: VirtualClock, response: Scripted, expected: type[Exception]
) -> None:
    api = api_for(stub.url, clock)
    stub.script = in_turn(response, response, quotes_of)
    assert api.ltp([RELIANCE], live(clock)).data
    assert len(stub.seen) == 3
    stub.script = in_turn(response)
    with pytest.raises(expected):
        api.ltp([RELIANCE], live(clock))
    assert len(stub.seen) == 7
    assert api.requests_sent == 7


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        pytest.param(error(400, "UDAPI1087"), UnknownInstrument, id="unknown key"),
        pytest.param(error(400, "UDAPI100043"), RequestRefused, id="too many keys"),
        pytest.param(
            Scripted(403, b"<html><title>error code: 1010</title></html>"), AccessDenied, id="403"
        ),
    ],
)
def test_final_responses_are_requested_once(
    stub: Stub, clock: VirtualClock, response: Scripted, expected: type[Exception]
) -> None:
    stub.script = in_turn(response)
    with pytest.raises(expected):
        api_for(stub.url, clock).ltp([RELIANCE], live(clock))
    assert len(stub.seen) == 1


def test_compressed_body_is_read_though_none_was_requested(stub: Stub, clock: VirtualClock) -> None:
    def script(seen: Seen) -> Scripted:
        body = gzip.compress(quotes_of(seen).body)
        return Scripted(200, body, {"Content-Encoding": "gzip"})

    stub.script = script
    assert api_for(stub.url, clock).ltp([RELIANCE], live(clock)).data


def test_failed_handshake_is_reported(stub: Stub, clock: VirtualClock) -> None:
    api = api_for(stub.url.replace("http:", "https:"), clock)
    with pytest.raises(Unreachable, match="TLS"):
        api.ltp([RELIANCE], live(clock))


def test_our_connection_pool_checks_certificates_as_the_sdk_does() -> None:
    sdk = UpstoxSdk("https://127.0.0.1", VirtualClock(START), World.LIVE)
    pool = sdk._client.rest_client.pool_manager
    assert pool.connection_pool_kw["cert_reqs"] is ssl.CERT_REQUIRED
    assert pool.connection_pool_kw["ca_certs"] == certifi.where()


def test_redirect_is_not_followed_with_the_token(stub: Stub, clock: VirtualClock) -> None:
    stub.script = in_turn(Scripted(302, headers={"Location": "/elsewhere"}), quotes_of)
    api_for(stub.url, clock).ltp([RELIANCE], live(clock))
    assert {seen.path for seen in stub.seen} == {"/v3/market-quote/ltp"}


# -- time ----------------------------------------------------------------------------------


def test_retry_after_is_waited_on_our_clock_and_not_inside_the_sdk(
    stub: Stub, clock: VirtualClock
) -> None:
    stub.script = in_turn(error(429, "UDAPI10005", Retry_After="20"), quotes_of)
    began = stopwatch()
    api_for(stub.url, clock).ltp([RELIANCE], live(clock))
    assert waited(clock) == timedelta(seconds=20)
    # The SDK would have slept these twenty seconds.
    assert stopwatch() - began < 20
    assert len(stub.seen) == 2


def test_live_request_does_not_wait_beyond_its_minute(stub: Stub, clock: VirtualClock) -> None:
    stub.script = in_turn(error(429, "UDAPI10005", Retry_After="45"), quotes_of)
    api = api_for(stub.url, clock)
    with pytest.raises(RateLimited) as limited:
        api.ltp([RELIANCE], live(clock))
    assert limited.value.retry_after == timedelta(seconds=45)
    assert waited(clock) == timedelta(0)
    assert api.ltp([RELIANCE], bulk(clock)).data


@pytest.mark.parametrize(
    ("response", "pause"),
    [
        pytest.param(error(429, "UDAPI10005", Retry_After="9999"), 1800, id="seconds, too many"),
        pytest.param(
            error(429, "UDAPI10005", Retry_After="Thu, 17 Sep 2026 04:00:00 GMT"),
            1800,
            id="a date a day ahead",
        ),
        pytest.param(
            Scripted(503, b"", {"Retry-After": "Wed, 16 Sep 2026 04:05:00 GMT"}), 300, id="a 503"
        ),
        pytest.param(error(429, "UDAPI10005"), None, id="none named"),
        pytest.param(error(429, "UDAPI10005", Retry_After="0"), None, id="at once"),
    ],
)
def test_a_required_pause_holds_for_every_later_request_to_the_api(
    stub: Stub, clock: VirtualClock, tmp_path: Path, response: Scripted, pause: int | None
) -> None:
    stub.script = in_turn(response)
    pacers = [file_pacer(tmp_path, clock) for _ in range(2)]
    first, second = (api_for(stub.url, clock, pacing=pacer, attempts=1) for pacer in pacers)
    with pytest.raises(RateLimited):
        first.ltp([RELIANCE], live(clock))

    stub.script = quotes_of
    if pause is None:
        assert second.ltp([RELIANCE], live(clock)).data
    else:
        with pytest.raises(RateLimited, match="pause of ltp until"):
            second.ltp([RELIANCE], live(clock))
        assert len(stub.seen) == 1, "nothing was sent"
        assert second.ohlc([RELIANCE], live(clock)).data, "another API"
        assert pacers[0].pauses() == {"ltp": START + timedelta(seconds=pause)}
        clock.sleep(timedelta(seconds=pause))
        assert first.ltp([RELIANCE], live(clock)).data
    for pacer in pacers:
        pacer.close()


def test_a_context_out_of_time_sends_nothing(stub: Stub, clock: VirtualClock) -> None:
    api = api_for(stub.url, clock)
    context = api.context(Lane.LIVE)
    clock.sleep(timedelta(seconds=30))
    with pytest.raises(Unreachable, match="No time is left"):
        api.ltp([RELIANCE], context)
    assert stub.seen == []
    assert context.requests == 0


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(Scripted(silence=30), id="silence"),
        pytest.param(Scripted(200, b"x" * 1000, trickle=0.2), id="body that trickles"),
        pytest.param(Scripted(503, b"x" * 1000, trickle=0.2), id="error that trickles"),
    ],
)
def test_slow_responses_time_out_although_the_timeout_was_a_float(
    stub: Stub, clock: VirtualClock, response: Scripted
) -> None:
    stub.script = in_turn(response)
    began = stopwatch()
    with pytest.raises(Unreachable):
        api_for(stub.url, clock, timeout_seconds=0.5, attempts=1).ltp([RELIANCE], live(clock))
    # Without the timeout: thirty seconds of silence, or two hundred of trickling.
    assert stopwatch() - began < 25
    assert len(stub.seen) == 1


def test_refused_connection_is_reported_without_the_address_of_the_request(
    clock: VirtualClock,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        api = api_for(url, clock)
        with pytest.raises(Unreachable, match="NewConnectionError") as refused:
            api.ltp([RELIANCE], live(clock))
    assert "INE002A01018" not in str(refused.value)
    assert api.requests_sent == 4


# -- the token -----------------------------------------------------------------------------


def only(token: str) -> Script:
    def script(seen: Seen) -> Scripted:
        return quotes_of(seen) if seen.token == f"Bearer {token}" else error(401, "UDAPI100050")

    return script


def test_new_token_in_the_file_saves_the_request(
    stub: Stub, clock: VirtualClock, tmp_path: Path
) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("UPSTOX_ACCESS_TOKEN=second-token\n")
    stub.script = only("second-token")
    api = api_for(stub.url, clock, token=keeper("first-token", env_file))
    assert api.ltp([RELIANCE], live(clock)).data
    assert [seen.token for seen in stub.seen] == ["Bearer first-token", "Bearer second-token"]


def test_a_new_token_spends_from_its_own_account(
    stub: Stub, clock: VirtualClock, tmp_path: Path
) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("UPSTOX_ACCESS_TOKEN=second-token\n")
    stub.script = only("second-token")
    token = keeper("first-token", env_file)
    windows = FileWindows(tmp_path, clock)
    pacer = Pacer(windows, lambda: account_of(stub.url, token.held), clock, UPSTOX_LIMITS)
    api_for(stub.url, clock, token=token, pacing=pacer).ltp([RELIANCE], live(clock))
    pacer.close()

    for each in ("first-token", "second-token"):
        pacer = file_pacer(tmp_path, clock, account=account_of(stub.url, each))
        assert spent(pacer, "ltp", clock)[timedelta(minutes=30)] == 1
        pacer.close()


def test_refused_token_is_sent_once_and_then_waited_for(
    stub: Stub, clock: VirtualClock, tmp_path: Path
) -> None:
    env_file = tmp_path / ".env"
    token = keeper("first-token", env_file)
    stub.script = only("second-token")
    api = api_for(stub.url, clock, token=token)
    for _ in range(3):
        with pytest.raises(TokenRejected, match="no restart is needed"):
            api.ltp([RELIANCE], live(clock))
    assert len(stub.seen) == 1
    env_file.write_text("UPSTOX_ACCESS_TOKEN=second-token\n")
    assert api.ltp([RELIANCE], live(clock)).data


def test_two_bad_tokens_in_a_row_are_each_sent_once(
    stub: Stub, clock: VirtualClock, tmp_path: Path
) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("UPSTOX_ACCESS_TOKEN=second-token\n")
    stub.script = only("third-token")
    with pytest.raises(TokenRejected, match="no restart is needed"):
        api_for(stub.url, clock, token=keeper("first-token", env_file)).ltp([RELIANCE], live(clock))
    assert len(stub.seen) == 2


def test_no_token_sends_nothing(stub: Stub, clock: VirtualClock) -> None:
    token = TokenKeeper("", env_file=None, in_environment=False)
    with pytest.raises(TokenRejected, match="no access token"):
        api_for(stub.url, clock, token=token).ltp([RELIANCE], live(clock))
    assert stub.seen == []


# -- side effects of the SDK -----------------------------------------------------------------


def test_making_the_api_does_nothing() -> None:
    """Neither the import nor the object imports the SDK, starts a thread or adds a handler."""
    program = """
import sys, threading, logging
from data_fetch.upstox_ltp_client import UpstoxLtpClient
from data_fetch.sources.upstox.api import UpstoxApi
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS
from data_fetch.sources.transport.file_windows import FileWindows
from data_fetch.sources.transport.pacing import Pacer
from data_fetch.sources.upstox.token import TokenKeeper
from data_fetch.core.clock import SystemClock
from data_fetch.core.world import World
from pathlib import Path
clock = SystemClock()
api = UpstoxApi(world=World.LIVE, base_url="http://127.0.0.1:1",
    token=TokenKeeper("t", env_file=None, in_environment=True),
    pacing=Pacer(FileWindows(Path("/nowhere/at/all"), clock), str, clock, UPSTOX_LIMITS),
    clock=clock)
UpstoxLtpClient(api, clock)
assert "upstox_client" not in sys.modules
assert threading.active_count() == 1
assert not logging.getLogger("urllib3").handlers
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_logging_is_left_alone_and_no_thread_stays(stub: Stub) -> None:
    """In a process of its own, because the SDK does this once per process."""
    program = f"""
import logging, sys, threading
sys.path.insert(0, {str(SUPPORT)!r})
from upstox_stub import RELIANCE, START, api_for, live
from data_fetch.core.clock import VirtualClock
clock = VirtualClock(START)
api_for({stub.url!r}, clock).ltp([RELIANCE], live(clock))
for name in ("upstox_client", "urllib3"):
    logger = logging.getLogger(name)
    assert not [h for h in logger.handlers if type(h) is logging.StreamHandler], logger.handlers
    assert logger.level == logging.NOTSET
assert threading.active_count() == 1, threading.enumerate()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_sandbox_configuration_made_earlier_does_not_reach_us(
    stub: Stub, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = type.__call__(upstox_client.Configuration, sandbox=True)
    monkeypatch.setattr(upstox_client.Configuration, "_default", sandbox)
    assert upstox_client.Configuration().sandbox, "the prototype is a sandbox now"
    assert api_for(stub.url, clock).ltp([RELIANCE], live(clock)).data


def test_our_configuration_does_not_reach_others(
    stub: Stub, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstox_client.Configuration, "_default", None)
    api_for(stub.url, clock).ltp([RELIANCE], live(clock))
    with_defaults = upstox_client.Configuration()
    assert with_defaults.host == "https://api.upstox.com"
    assert with_defaults.access_token == ""


def test_many_clients_leave_no_threads(stub: Stub, clock: VirtualClock) -> None:
    def ours() -> int:
        return sum("Pool" in type(t).__name__ or "_handle" in t.name for t in threading.enumerate())

    before = ours()
    for _ in range(5):
        api_for(stub.url, clock).ltp([RELIANCE], live(clock))
    assert ours() == before


def test_many_threads_share_one_pool(
    stub: Stub, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    api = api_for(stub.url, clock)
    keys = equity_keys(24)
    found: dict[str, object] = {}

    def ask(key: str) -> None:
        found[key] = next(iter(api.ltp([key], live(clock)).data.values()))["instrument_token"]

    threads = [threading.Thread(target=ask, args=(key,)) for key in keys]
    with caplog.at_level(logging.WARNING, logger="urllib3"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {key: key for key in keys}
    assert "pool is full" not in caplog.text
    assert api.requests_sent == len(keys)


def test_no_secret_reaches_the_debug_log(
    stub: Stub, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    stub.script = knowing_all_but("bad")
    with caplog.at_level(logging.DEBUG):
        api_for(stub.url, clock).ltp([RELIANCE], live(clock))
    assert "first-token" not in caplog.text
