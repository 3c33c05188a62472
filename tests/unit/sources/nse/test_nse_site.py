"""Requests to the website are paced, and each failure has a kind."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from nse_stub import DENIED, INFO, PAGE, json, nse_pacer, page, paths, site_for, visiting
from upstox_stub import START, FreePacing, Scripted, Seen, Stub

from data_fetch.core.chains.chains import ChainError
from data_fetch.core.clock import VirtualClock
from data_fetch.core.errors import DataFetchError, RateLimited, Stopped, Unreachable
from data_fetch.core.failures import FailureKind
from data_fetch.core.ports import Lane
from data_fetch.sources.nse.site import REVISIT_AFTER, NseSite

EXPIRY = date(2026, 9, 15)
SPOILT = Scripted(403, DENIED.body, {"Set-Cookie": "blocked=1; path=/"})
PAGE_AND_INFO = ["option-chain", "option-chain-contract-info"]


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub() as server:
        yield server


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def site(stub: Stub, clock: VirtualClock) -> NseSite:
    return site_for(stub.url, clock, FreePacing())


def problem_of(site: NseSite) -> DataFetchError:
    with pytest.raises(DataFetchError) as refused:
        site.contract_info("NIFTY")
    return refused.value


class TestAsABrowser:
    def test_a_page_comes_before_the_request(self, stub: Stub, site: NseSite) -> None:
        visiting(stub, json(INFO))
        assert site.contract_info("NIFTY") == INFO
        assert paths(stub) == PAGE_AND_INFO
        opened, granted = stub.seen
        assert granted.headers["Referer"] == f"{stub.url}/option-chain"
        assert opened.headers["Sec-Fetch-Mode"] == "navigate"
        assert granted.headers["Sec-Fetch-Mode"] == "cors"
        for seen in stub.seen:
            assert "Mozilla/5.0 (Windows" in seen.headers["User-Agent"]
            assert seen.headers["Accept-Encoding"] == "gzip, deflate"

    def test_the_home_page_is_opened_if_the_first_gave_no_cookie(
        self, stub: Stub, site: NseSite
    ) -> None:
        def script(seen: Seen) -> Scripted:
            if seen.path == "/option-chain":
                return PAGE
            return page() if seen.path == "/" else json(INFO)

        stub.script = script
        site.contract_info("NIFTY")
        assert paths(stub) == ["option-chain", "", "option-chain-contract-info"]

    def test_cookies_are_reused_for_the_next_requests(self, stub: Stub, site: NseSite) -> None:
        visiting(stub, json(INFO))
        for _ in range(3):
            site.contract_info("NIFTY")
        assert paths(stub) == [*PAGE_AND_INFO, *PAGE_AND_INFO[1:] * 2]

    def test_every_few_minutes_a_page_is_opened_again(
        self, stub: Stub, site: NseSite, clock: VirtualClock
    ) -> None:
        visiting(stub, json(INFO))
        site.contract_info("NIFTY")
        clock.sleep(REVISIT_AFTER - timedelta(seconds=1))
        site.contract_info("NIFTY")
        clock.sleep(timedelta(seconds=1))
        site.contract_info("NIFTY")
        assert paths(stub) == [*PAGE_AND_INFO, PAGE_AND_INFO[1], *PAGE_AND_INFO]

    def test_the_page_is_opened_again_after_four_minutes(
        self, stub: Stub, site: NseSite, clock: VirtualClock
    ) -> None:
        visiting(stub, json(INFO))
        for _ in range(3):
            site.contract_info("NIFTY")
            clock.sleep(timedelta(minutes=4))
        assert paths(stub) == PAGE_AND_INFO * 3

    def test_a_new_visit_shows_no_cookie_of_the_old_one(self, stub: Stub, site: NseSite) -> None:
        """A block may be tied to a cookie that no page sets anew."""

        def script(seen: Seen) -> Scripted:
            cookies = seen.headers.get("Cookie", "")
            if seen.path.startswith("/api"):
                refused = "blocked" in cookies or len(stub.seen) == 2
                return SPOILT if refused else json(INFO)
            return page()

        stub.script = script
        assert site.contract_info("NIFTY") == INFO
        assert paths(stub) == PAGE_AND_INFO * 2

    @pytest.mark.parametrize(
        ("is_index", "kind"), [pytest.param(True, "Indices"), pytest.param(False, "Equity")]
    )
    def test_the_question_for_a_chain(
        self, stub: Stub, site: NseSite, is_index: bool, kind: str
    ) -> None:
        visiting(stub, json({"records": {}, "filtered": 1}))
        site.option_chain("M&M", is_index, EXPIRY)
        granted = stub.seen[-1]
        assert granted.path == "/api/option-chain-v3"
        assert granted.query == {"type": [kind], "symbol": ["M&M"], "expiry": ["15-Sep-2026"]}

    def test_gzipped_bodies_are_unpacked(self, stub: Stub, site: NseSite) -> None:
        packed = Scripted(200, gzip.compress(json(INFO).body), {"Content-Encoding": "gzip"})
        visiting(stub, packed)
        assert site.contract_info("NIFTY") == INFO


class TestRefusals:
    @pytest.mark.parametrize(
        ("response", "kind"),
        [
            pytest.param(json({}), FailureKind.EMPTY_OBJECT, id="empty object"),
            pytest.param(PAGE, FailureKind.HTML, id="a page"),
            pytest.param(json({"error": 1}, 401), FailureKind.UNAUTHORISED, id="401"),
        ],
    )
    @pytest.mark.parametrize("better", [True, False], ids=["helps", "does not help"])
    def test_that_may_come_from_old_cookies_are_requested_again_once(
        self, stub: Stub, site: NseSite, response: Scripted, kind: FailureKind, better: bool
    ) -> None:
        visiting(stub, *([response, json(INFO)] if better else [response]))
        if better:
            assert site.contract_info("NIFTY") == INFO
        else:
            assert problem_of(site).kind is kind
        assert paths(stub) == PAGE_AND_INFO * 2

    def test_403_is_requested_again_once_too(self, stub: Stub, site: NseSite) -> None:
        visiting(stub, DENIED, json(INFO))
        assert site.contract_info("NIFTY") == INFO

    def test_a_page_that_is_denied_ends_it(self, stub: Stub, site: NseSite) -> None:
        stub.script = lambda _: DENIED
        assert problem_of(site).kind is FailureKind.FORBIDDEN
        assert paths(stub) == ["option-chain"]

    @pytest.mark.parametrize(
        ("response", "kind"),
        [
            pytest.param(
                Scripted(404, b"<html>Resource not found"), FailureKind.NOT_FOUND, id="404"
            ),
            pytest.param(Scripted(421, b"<html>"), FailureKind.MISDIRECTED, id="421"),
            pytest.param(Scripted(429, b""), FailureKind.RATE_LIMITED, id="429"),
            pytest.param(Scripted(400, b"{}"), FailureKind.REFUSED, id="400"),
            pytest.param(Scripted(500, b"<html>"), FailureKind.SERVER_ERROR, id="500"),
            pytest.param(Scripted(503, b"{}"), FailureKind.SERVER_ERROR, id="503"),
            pytest.param(Scripted(200, b""), FailureKind.EMPTY_BODY, id="nothing"),
            pytest.param(Scripted(200, b'{"records": {"da'), FailureKind.NOT_JSON, id="truncated"),
            pytest.param(Scripted(200, b"\x8b\x1f\x00br"), FailureKind.NOT_JSON, id="brotli"),
            pytest.param(
                Scripted(200, b"no gzip", {"Content-Encoding": "gzip"}),
                FailureKind.NOT_JSON,
                id="no gzip",
            ),
            pytest.param(Scripted(reset=True), FailureKind.UNREACHABLE, id="reset"),
            pytest.param(Scripted(200, b'{"a": 1}', cut=3), FailureKind.UNREACHABLE, id="hung up"),
        ],
    )
    def test_others_are_named_and_not_requested_again(
        self, stub: Stub, site: NseSite, response: Scripted, kind: FailureKind
    ) -> None:
        visiting(stub, response)
        assert problem_of(site).kind is kind
        assert paths(stub) == PAGE_AND_INFO

    def test_their_texts_hold_no_body(self, stub: Stub, site: NseSite) -> None:
        visiting(stub, Scripted(500, b"<html>a secret of theirs</html>"))
        text = str(problem_of(site))
        assert "secret" not in text
        assert "nseappid" not in text

    def test_no_server(self, clock: VirtualClock) -> None:
        site = site_for("http://127.0.0.1:9", clock, FreePacing())
        assert isinstance(problem_of(site), Unreachable)

    def test_a_body_that_trickles_is_bounded(self, stub: Stub, clock: VirtualClock) -> None:
        visiting(stub, Scripted(200, b" " * 400, trickle=0.02))
        site = site_for(stub.url, clock, FreePacing(), seconds=0.3)
        assert isinstance(problem_of(site), Unreachable)

    def test_silence_is_bounded(self, stub: Stub, clock: VirtualClock) -> None:
        visiting(stub, Scripted(200, b"{}", silence=30))
        site = site_for(stub.url, clock, FreePacing(), seconds=0.2)
        assert isinstance(problem_of(site), Unreachable)


class TestRedirects:
    def test_within_the_site_are_followed(self, stub: Stub, site: NseSite) -> None:
        visiting(stub, Scripted(302, b"", {"Location": "/api/moved"}), json(INFO))
        assert site.contract_info("NIFTY") == INFO
        assert paths(stub)[-1] == "moved"

    def test_to_another_site_are_not(self, stub: Stub, site: NseSite) -> None:
        with Stub() as other:
            visiting(stub, Scripted(302, b"", {"Location": f"{other.url}/api/x"}))
            assert problem_of(site).kind is FailureKind.REFUSED
            assert other.seen == []

    def test_in_circles_end(self, stub: Stub, site: NseSite) -> None:
        visiting(stub, Scripted(307, b"", {"Location": "/api/again"}))
        assert problem_of(site).kind is FailureKind.REFUSED
        assert len(stub.seen) == 4


def test_switched_off_it_sends_nothing(stub: Stub, clock: VirtualClock) -> None:
    pacing = FreePacing()
    site = site_for(stub.url, clock, pacing, enabled=False)
    assert problem_of(site).kind is FailureKind.SWITCHED_OFF
    with pytest.raises(ChainError):
        site.option_chain("NIFTY", True, EXPIRY)
    assert (stub.seen, pacing.granted) == ([], [])


def test_a_proxy_of_the_environment_is_not_used_for_this_machine(
    stub: Stub, site: NseSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    visiting(stub, json(INFO))
    assert site.contract_info("NIFTY") == INFO


class TestPace:
    def test_every_request_waits_for_its_turn(
        self, stub: Stub, clock: VirtualClock, tmp_path: Path
    ) -> None:
        """Pages too: 2.5 seconds between any two, whichever thread sends them."""
        visiting(stub, json({}), json(INFO))
        site = site_for(stub.url, clock, nse_pacer(tmp_path / "nse", clock))
        context = site.context()
        site.contract_info("NIFTY", context)
        site.contract_info("NIFTY", context)
        assert context.requests == 5
        assert clock.now() - START >= timedelta(seconds=2.5) * 4

    def test_holds_across_processes(self, stub: Stub, clock: VirtualClock, tmp_path: Path) -> None:
        visiting(stub, json(INFO))
        for _ in range(2):
            site_for(stub.url, clock, nse_pacer(tmp_path / "nse", clock)).contract_info("NIFTY")
        assert clock.now() - START >= timedelta(seconds=2.5) * 3

    def test_spends_from_one_budget_in_the_lane_of_the_context(self, stub: Stub) -> None:
        pacing, clock = FreePacing(), VirtualClock(START)
        visiting(stub, json(INFO))
        site_for(stub.url, clock, pacing).contract_info("NIFTY")
        assert pacing.granted == [("nse", Lane.CHAIN)] * 2

    def test_nothing_is_sent_when_the_turn_comes_too_late(
        self, stub: Stub, clock: VirtualClock, tmp_path: Path
    ) -> None:
        visiting(stub, json(INFO))
        site = site_for(stub.url, clock, nse_pacer(tmp_path / "nse", clock))
        site.contract_info("NIFTY")
        context = site.context()
        context.deadline = clock.now() + timedelta(seconds=1)
        with pytest.raises(RateLimited):
            site.contract_info("NIFTY", context)
        clock.sleep(timedelta(seconds=5))
        with pytest.raises(Unreachable, match="No time is left"):
            site.contract_info("NIFTY", context)
        assert len(stub.seen) == 2

    def test_a_required_pause_holds_for_later_requests(
        self, stub: Stub, clock: VirtualClock, tmp_path: Path
    ) -> None:
        visiting(stub, Scripted(429, b"", {"Retry-After": "600"}))
        site = site_for(stub.url, clock, nse_pacer(tmp_path / "nse", clock))
        assert problem_of(site).kind is FailureKind.RATE_LIMITED
        sent = len(stub.seen)
        assert "pause of nse until 09:40" in str(problem_of(site))
        assert len(stub.seen) == sent

    def test_a_stop_ends_the_wait(self, stub: Stub, clock: VirtualClock, tmp_path: Path) -> None:
        visiting(stub, json(INFO))
        site = site_for(stub.url, clock, nse_pacer(tmp_path / "nse", clock))
        site.contract_info("NIFTY")
        stop = Event()
        stop.set()
        with pytest.raises(Stopped):
            site.contract_info("NIFTY", site.context(stop=stop))


class TestManyThreads:
    def test_take_turns_and_share_one_session(
        self, stub: Stub, clock: VirtualClock, site: NseSite
    ) -> None:
        visiting(stub, json(INFO))
        given: list[Any] = []
        threads = [
            Thread(target=lambda: given.append(site.contract_info("NIFTY"))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert given == [INFO] * 8
        assert paths(stub).count("option-chain") == 1

    @contextmanager
    def somebody_else_at_it(self, stub: Stub, site: NseSite) -> Iterator[None]:
        arrived, go_on = Event(), Event()

        def script(seen: Seen) -> Scripted:
            if seen.path.startswith("/api"):
                arrived.set()
                go_on.wait(20)
                return json(INFO)
            return page()

        stub.script = script
        first = Thread(target=lambda: site.contract_info("NIFTY"))
        first.start()
        assert arrived.wait(20)
        yield
        go_on.set()
        first.join(20)

    def test_a_stop_reaches_those_in_line(self, stub: Stub, site: NseSite) -> None:
        stop = Event()
        with self.somebody_else_at_it(stub, site):
            stop.set()
            with pytest.raises(Stopped):
                site.contract_info("NIFTY", site.context(stop=stop))

    def test_those_in_line_wait_no_longer_than_they_have_time(
        self, stub: Stub, site: NseSite, clock: VirtualClock
    ) -> None:
        late = site.context()
        with self.somebody_else_at_it(stub, site):
            clock.sleep(late.deadline - clock.now())
            with pytest.raises(Unreachable, match="No time is left"):
                site.contract_info("NIFTY", late)
        assert late.requests == 0


def test_every_response_is_recorded(stub: Stub, site: NseSite) -> None:
    visiting(stub, json({}), Scripted(503, b"<html>busy</html>"))
    context = site.context()
    with pytest.raises(ChainError):
        site.contract_info("NIFTY", context)
    assert [(kept.status, kept.body) for kept in context.raw_responses] == [
        (200, b"{}"),
        (503, b"<html>busy</html>"),
    ]
