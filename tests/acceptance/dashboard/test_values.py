"""What is on the screen is what the HTTP API answers, over the same store."""

import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import orjson
import pytest
import urllib3
from effort import PATIENCE_SECONDS
from playwright.sync_api import Locator, Page
from programs import Desk, end

from data_fetch.dashboard.ladder import signed
from data_fetch.dashboard.numbers import UNKNOWN, brief_time, clock_time, grouped, short

pytestmark = pytest.mark.long

Answer = dict[str, Any]
# A call of the API by its path.
Api = Callable[[str], Answer]
Values = Mapping[str, Any]

DAY, EXPIRY = "from=2025-10-21&to=2025-10-21", "2025-10-28"
FORTNIGHT = "from=2025-10-07&to=2025-10-21"
MOST_RUNS, LOT = 50, 65
CHART = ".js-plotly-plot:has(.main-svg)"
TRACES = """figure => Object.fromEntries(figure._fullData.map(trace => [
    trace.name,
    Object.fromEntries(["y", "open", "high", "low", "close"].map(
        axis => [axis, Array.from(trace[axis] ?? [])]
    )),
]))"""


@pytest.fixture(scope="module")
def api(rehearsed: Desk) -> Iterator[Api]:
    """The API over the store of the dashboard."""
    server = rehearsed.start("serve", "--port", "0", "--json")
    assert server.stdout is not None
    url = orjson.loads(server.stdout.readline())["url"]

    def asked(path: str) -> Answer:
        answer = urllib3.request("GET", url + path, timeout=PATIENCE_SECONDS)
        assert answer.status == 200, answer.data
        found: Answer = orjson.loads(answer.data)
        return found

    yield asked
    end(server, signal.SIGTERM)


def instants(texts: list[str | None]) -> list[datetime]:
    return [datetime.fromisoformat(each) for each in texts if each]


def table_of(rows: Locator) -> list[list[str]]:
    """The texts of the cells of each row, the head included."""
    rows.nth(1).wait_for()
    found: list[list[str]] = rows.evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim()))"
    )
    return found


def traces(page: Page) -> dict[str, dict[str, list[Any]]]:
    """The values of the first chart by trace and axis."""
    page.wait_for_selector(CHART)
    found: dict[str, dict[str, list[Any]]] = page.locator(CHART).first.evaluate(TRACES)
    return found


# --- Today ------------------------------------------------------------------------------------


def today_shown(page: Page) -> Values:
    head, *rows = table_of(page.get_by_test_id("stTable").first.locator("tr"))
    by_class = {name: {row[0]: row[at] for row in rows} for at, name in enumerate(head) if at}
    quotes = [by_class["index quotes"], by_class["stock quotes"]]
    words = ("fresh", "stopped", "frozen", "never seen", "market closed")
    return {
        "quotes": {word: sum(int(each[word]) for each in quotes) for word in words},
        "chains": {word: int(by_class["option chains"][word]) for word in words},
        "newest": (max(each["newest"] for each in quotes), by_class["option chains"]["newest"]),
        "slots": page.locator('.strip-hour i[title*=" collected"]').count(),
        "stored": page.get_by_test_id("stMetricValue").nth(1).inner_text(),
    }


def today_answered(api: Api) -> Values:
    fresh, runs = api("/api/data/freshness"), api(f"/api/data/runs?{DAY}&job=quotes")["columns"]
    rows = list(
        zip(*(fresh["columns"][name] for name in ("data", "state", "last_receipt")), strict=True)
    )
    words = ("fresh", "stopped", "frozen", "never seen", "market closed")
    counted = Counter((data, state.replace("_", " ")) for data, state, _ in rows)
    newest = {
        data: max(instants([at for each, _, at in rows if each == data]))
        for data in ("quotes", "chains")
    }
    return {
        "quotes": {word: counted["quotes", word] for word in words},
        "chains": {word: counted["chains", word] for word in words},
        "newest": (clock_time(newest["quotes"]), clock_time(newest["chains"])),
        "slots": Counter(runs["outcome"])["completed"],
        "stored": grouped(sum(runs["stored"])),
    }


# --- Coverage ---------------------------------------------------------------------------------


def coverage_shown(page: Page) -> Values:
    legend = page.get_by_text(re.compile(r"^of [\d,]+ minutes$")).locator("xpath=..")
    counts = re.findall(r"(\w+) [\d.]+ % \(([\d,]+)\)", legend.inner_text())
    return dict(counts)


def coverage_answered(api: Api) -> Values:
    columns = api(f"/api/data/coverage?{FORTNIGHT}")["columns"]
    sums = {state: sum(columns[state]) for state in ("present", "missed", "pending")}
    return {state: grouped(minutes) for state, minutes in sums.items() if minutes}


# --- Option chain -----------------------------------------------------------------------------


def chain_shown(page: Page) -> Values:
    cells = table_of(page.locator(".ladder tbody tr:not(.s)"))
    figures = page.locator(".figures div").evaluate_all(
        "figures => figures.map(each => ['dt', 'dd'].map(part => "
        "each.querySelector(part).firstChild.data))"
    )
    return {
        "calls": [row[:4] for row in cells],
        "strikes": [re.findall(r"^[\d,]+", row[4])[0] for row in cells],
        "puts": [row[:4:-1] for row in cells],
        **{title: text for title, text in figures if title in CHAIN_FIGURES},
    }


CHAIN_FIGURES: Mapping[str, Callable[[Answer], str]] = {
    "Spot": lambda chain: grouped(chain["spot_price"], 2),
    "PCR": lambda chain: grouped(chain["pcr_oi"], 2),
    "PCR volume": lambda chain: grouped(chain["pcr_volume"], 2),
    "ATM strike": lambda chain: grouped(chain["atm_strike"]),
    "Straddle": lambda chain: grouped(chain["atm_straddle_price"], 2),
    "Max pain": lambda chain: grouped(chain["max_pain_strike"]),
}


def chain_answered(api: Api) -> Values:
    [chain] = api(f"/api/data/chain/NIFTY?expiry={EXPIRY}&limit=1")["chains"]

    def cells(leg: Answer) -> list[str]:
        return [
            short(leg["open_interest"]),
            UNKNOWN if leg["iv"] is None else f"{leg['iv'] * 100:.2f}",
            UNKNOWN if leg["delta"] is None else f"{leg['delta']:.2f}",
            grouped(leg["last"], 0 if leg["last"] >= 1_000 else 2),
        ]

    return {
        "calls": [cells(leg) for leg in chain["calls"]],
        "strikes": [grouped(strike) for strike in chain["strikes"]],
        "puts": [cells(leg) for leg in chain["puts"]],
        **{title: text(chain) for title, text in CHAIN_FIGURES.items()},
    }


# --- Analytics --------------------------------------------------------------------------------


def pcr_shown(page: Page) -> Values:
    return {"PCR": round(traces(page)["PCR"]["y"][-1], 4)}


def pcr_answered(api: Api) -> Values:
    [newest] = api("/api/analytics/pcr/NIFTY")["latest"]
    return {"PCR": newest["pcr_oi"]}


def pain_shown(page: Page) -> Values:
    found = page.get_by_text(re.compile(r"^max pain [\d,]+$")).first
    return {"max pain": found.text_content()}


def pain_answered(api: Api) -> Values:
    found = api(f"/api/analytics/max-pain/NIFTY?expiry={EXPIRY}")
    return {"max pain": f"max pain {grouped(found['max_pain_strike'])}"}


# --- Candles ----------------------------------------------------------------------------------


def candles_shown(page: Page) -> Values:
    found = traces(page)
    [bars] = [trace for trace in found.values() if trace["close"]]
    prices = {name: bars[name][-1] for name in ("open", "high", "low", "close")}
    return {**prices, "volume": found["volume"]["y"][-1], "bars": len(bars["close"])}


def candles_answered(api: Api) -> Values:
    columns = api(f"/api/data/candles/TCS?{DAY}&limit=1000")["columns"]
    last = {name: columns[name][-1] for name in ("open", "high", "low", "close", "volume")}
    return {**last, "bars": len(columns["close"])}


# --- System -----------------------------------------------------------------------------------


def system_shown(page: Page) -> Values:
    _, *rows = table_of(page.get_by_test_id("stTable").nth(2).locator("tr"))
    return {"runs": [row[1:6] for row in rows]}


def system_answered(api: Api) -> Values:
    columns = api(f"/api/data/runs?{DAY}&job=quotes")["columns"]
    names = ("job", "due_slot", "outcome", "stored", "requests")
    newest = list(zip(*(columns[name] for name in names), strict=True))[: -MOST_RUNS - 1 : -1]
    return {
        "runs": [
            [job, brief_time(datetime.fromisoformat(slot)), outcome, grouped(rows), grouped(sent)]
            for job, slot, outcome, rows, sent in newest
        ]
    }


# --- Option chain, compared with a second instant ---------------------------------------------

THEN, SINCE = "2025-10-21T14:31:00+05:30", "2025-10-21T14:02:00+05:30"


def in_address(instant: str) -> str:
    return instant.replace("+", "%2B")


def changes_shown(page: Page) -> Values:
    cells = table_of(page.locator(".ladder tbody tr:not(.s)"))
    return {"calls": [row[:2] for row in cells], "puts": [row[:2:-1] for row in cells]}


def changes_answered(api: Api) -> Values:
    """The differences of two answers, in shares."""
    now, before = (
        api(f"/option-chain/NIFTY?expiry=21-Oct-2025&at={in_address(at)}&limit=500")
        for at in (THEN, SINCE)
    )

    def changes(side: str) -> list[list[str]]:
        legs = zip(now[side], before[side], strict=True)
        return [
            [
                signed(short, LOT * (leg["open_interest"] - earlier["open_interest"])),
                signed(rupees, leg["last_price"] - earlier["last_price"]),
            ]
            for leg, earlier in legs
        ]

    return {"calls": changes("calls"), "puts": changes("puts")}


def rupees(value: float) -> str:
    return grouped(value, 2)


LADDER = "strikes=all&columns=oi,iv,delta,ltp"


@pytest.mark.parametrize(
    ("address", "shown", "answered"),
    [
        pytest.param("/", today_shown, today_answered, id="Today"),
        pytest.param(
            "/coverage?days=15&until=2025-10-21", coverage_shown, coverage_answered, id="Coverage"
        ),
        pytest.param(
            f"/option-chain?symbol=NIFTY&{LADDER}", chain_shown, chain_answered, id="Option chain"
        ),
        pytest.param(
            f"/option-chain?symbol=NIFTY&strikes=all&columns=oi_change,price_change"
            f"&at={in_address(THEN)}&baseline={in_address(SINCE)}",
            changes_shown,
            changes_answered,
            id="Option chain, compared",
        ),
        pytest.param("/analytics?symbol=NIFTY", pcr_shown, pcr_answered, id="Analytics, PCR"),
        pytest.param(
            "/analytics?symbol=NIFTY&charts=Open+interest",
            pain_shown,
            pain_answered,
            id="Analytics, max pain",
        ),
        pytest.param(f"/candles?symbol=TCS&{DAY}", candles_shown, candles_answered, id="Candles"),
        pytest.param("/system?job=quotes", system_shown, system_answered, id="System"),
    ],
)
def test_the_screen_has_what_the_api_answers(
    screen: Callable[[str], Page],
    api: Api,
    address: str,
    shown: Callable[[Page], Values],
    answered: Callable[[Api], Values],
) -> None:
    assert shown(screen(address)) == answered(api)
