"""A chain that the store has not is requested from the provider, by a click or by the command."""

import shlex
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import orjson
import pytest
import urllib3
from effort import PATIENCE_SECONDS
from playwright.sync_api import Page
from programs import SYMBOLS, Desk, behave, order, paper_exchange

from data_fetch.core.world import World
from data_fetch.dashboard.live_chains import MOST_AT_ONCE, LiveChains, WantedChain
from data_fetch.storage.database.store import open_store
from data_fetch.storage.runs import recent_runs

pytestmark = pytest.mark.long

DashboardOf = Callable[..., AbstractContextManager[str]]
SESSIONS = 20
MONTHLY, FAR = "2026-09-29", "2026-10-27"
NOTE = '[data-testid="stCaptionContainer"]'
REJECTED = {"kind": "token-expired", "api": "option-chain"}


@dataclass(frozen=True)
class Market:
    """A paper exchange in the morning, and a desk that has polled NIFTY once."""

    exchange: str
    desk: Desk

    def requests(self) -> int:
        """How many chains the exchange was asked for."""
        state = orjson.loads(urllib3.request("GET", f"{self.exchange}/paper/state").data)
        found: int = state["requests"].get("option-chain", 0)
        return found

    def runs(self) -> list[tuple[str, int]]:
        """The recorded minutes of polling, newest first: how they ended, and new chains."""
        store = open_store(self.desk.environment["DATABASE_URL"], World.PAPER)
        found = [(each.outcome.value, each.stored) for each in recent_runs(store, job="chains")]
        store.close()
        return found


@contextmanager
def opened_market(place: Path) -> Iterator[Market]:
    (exchange := place / "exchange").mkdir()
    (folder := place / "desk").mkdir()
    with paper_exchange(exchange, "2026-09-16T10:00:00", 1) as url:
        store = f"sqlite:///{folder / 'store.db'}"
        desk = Desk.at(
            folder,
            DATA_SOURCE="paper",
            UPSTOX_BASE_URL=url,
            DATABASE_URL=store,
            # Without a second source a refusal is one.
            NSE_ENABLED="false",
        )
        desk.json("chain", "collect", "--symbols", "NIFTY")
        yield Market(url, desk)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with opened_market(tmp_path_factory.mktemp("live-chain")) as market:
        yield market


@pytest.fixture(scope="module")
def controlling(market: Market, dashboard_of: DashboardOf) -> Iterator[str]:
    """A dashboard that may request chains."""
    with dashboard_of(market.desk, "--control") as url:
        yield url


def note(page: Page, words: str) -> str:
    """The line under the controls, once it has these words."""
    return page.locator(NOTE, has_text=words).first.inner_text()


def test_a_symbol_without_a_chain_is_requested_after_its_refusal_is_mended(
    open_page: Callable[..., Page], controlling: str, market: Market
) -> None:
    page = open_page(f"{controlling}/option-chain?symbol=TCS")
    asks = page.get_by_role("button", name="Request it now")
    page.get_by_text("The store has no chain of TCS 29 Sep 2026.").wait_for()
    asked, runs = market.requests(), market.runs()

    order(market.exchange, REJECTED)
    asks.click()
    refusal = page.get_by_text("brought no chain").inner_text()
    behave(market.exchange)
    asks.click()
    shown = note(page, "requested live at 10:")
    again = page.get_by_role("button", name="Request it again")
    again.click()
    page.get_by_text("Requesting TCS 29 Sep 2026").wait_for()
    meanwhile = note(page, "legs priced")
    again.wait_for()

    assert "Upstox rejects the access token" in refusal
    assert "UPSTOX_ACCESS_TOKEN" in refusal
    assert shown.startswith("source upstox, paper world, requested live at 10:")
    assert "not by the collector" in shown
    assert f"expiry={MONTHLY}" in page.url
    legs = market.desk.json("chain", "show", "TCS")["legs"]
    page.locator(".ladder tbody th", has_text=f"{legs[0]['strike']:,}").first.wait_for()
    assert "requested live at 10:" in meanwhile
    assert "requested live at 10:" in note(page, "legs priced")
    assert market.requests() == asked + 3
    assert [ended for ended, _ in market.runs()[:3]] == ["completed", "completed", "failed"]
    assert len(market.runs()) == len(runs) + 3


def test_an_expiry_without_a_chain_is_chosen_and_requested_for_every_session(
    open_page: Callable[..., Page], controlling: str, market: Market
) -> None:
    page = open_page(f"{controlling}/option-chain?symbol=NIFTY")
    page.get_by_text("not stored", exact=True).click()
    page.get_by_role("combobox", name="Expiry, not stored").fill("29 Sep")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**expiry={MONTHLY}**")
    other = open_page(f"{controlling}/analytics?symbol=NIFTY&expiry={MONTHLY}")

    other.get_by_role("button", name="Request it now").click()

    shown = [note(each, "requested live at") for each in (page, other)]
    assert all("legs priced" in each for each in shown)
    chosen = page.get_by_role("radio", name="29 Sep")
    assert chosen.get_attribute("aria-checked") == "true"
    assert f"expiry={MONTHLY}" in page.url


def test_a_dashboard_for_reading_has_the_command_and_shows_what_it_brought(
    open_page: Callable[..., Page], dashboard_of: DashboardOf, market: Market
) -> None:
    with dashboard_of(market.desk) as url:
        page = open_page(f"{url}/option-chain?symbol=INFY")
        page.get_by_text("The store has no chain of INFY 29 Sep 2026.").wait_for()
        page.get_by_text("This dashboard is for reading only.").wait_for()
        typed = page.locator("code.language-bash").inner_text()
        assert page.get_by_role("button", name="Request").count() == 0
        _, *arguments = shlex.split(typed)

        assert market.desk.run(*arguments).returncode == 0

        assert note(page, "legs priced").startswith("source upstox, paper world · as of")


def test_sessions_that_ask_for_the_same_chain_make_one_request(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in market.desk.environment.items():
        monkeypatch.setenv(name, value)
    chains, wanted = LiveChains(), WantedChain("SBIN", date.fromisoformat(FAR))
    asked = market.requests()

    def session(_: int) -> None:
        chains.start(wanted, market.desk.folder, None)

    with ThreadPoolExecutor(SESSIONS) as sessions:
        list(sessions.map(session, range(SESSIONS)))
    last = chains.last(wanted)
    assert last is not None
    last.child.process.wait(PATIENCE_SECONDS)
    # One whose page has not followed yet.
    session(SESSIONS)

    assert last.answer.problem is None
    assert chains.last(wanted) is last
    assert market.requests() == asked + 1


def test_no_more_requests_at_once_than_allowed(market: Market) -> None:
    chains = LiveChains()
    wanted = [WantedChain(symbol, date.fromisoformat(FAR)) for symbol in SYMBOLS]
    started = []
    for each in wanted[:MOST_AT_ONCE]:
        chains.start(each, market.desk.folder, None)
        request = chains.last(each)
        assert request is not None
        # None of them ends meanwhile.
        request.child.process.send_signal(signal.SIGSTOP)
        started.append(request)

    chains.start(wanted[-1], market.desk.folder, None)

    assert (chains.busy, chains.last(wanted[-1])) == (True, None)
    for request in started:
        request.child.process.kill()
        request.child.process.wait(PATIENCE_SECONDS)
    assert not chains.busy
