"""The role `public` never gets anything newer than its delay, by whatever route, form or cache.

Every GET route of the description is asked, with values for every parameter it has: first by a
user, so that caches are filled, then by a public account. The newer rows have values that nothing
else has, so that they can be looked for in the bytes of any format.
"""

import json
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import urllib3
from account_shelf import accounts_in
from candle_shelf import RELIANCE, Shelf, shelf_at, stock, whole_day
from chain_shelf import STRIKE, chain, keep, received
from effort import PATIENCE_SECONDS, times
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from range_shelf import keep_quotes
from served import Served, served
from servers import DatabaseCopies

from data_fetch.core.accounts.accounts import Role, Scope
from data_fetch.core.chains.chains import ChainLeg, OptionType
from data_fetch.core.clock import IST, SystemClock
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.session import Segment

DELAY = timedelta(days=7)
NIFTY = Instrument(
    instrument_key="NSE_INDEX|Nifty 50",
    live_key="NSE_INDEX|Nifty 50",
    symbol="NIFTY",
    segment="NSE_INDEX",
    instrument_type="INDEX",
)
TCS = stock("TCS", "INE467B01029")
# What only newer rows have. Their quotes are 100, 101, ... like the older ones, of other slots.
NEW_CLOSE, NEW_SPOT, NEW_PRICE, NEW_OI, NEW_STRIKE = (
    71_234.5,
    72_345.25,
    734.65,
    7_412_775.0,
    74_550,
)
MARKERS = [
    *(str(int(value)).encode() for value in (NEW_CLOSE, NEW_SPOT, NEW_OI, NEW_STRIKE)),
    str(NEW_PRICE).encode(),
    *(struct.pack("<d", value) for value in (NEW_CLOSE, NEW_SPOT, NEW_PRICE, NEW_OI, NEW_STRIKE)),
]


@dataclass(frozen=True)
class Delayed:
    """A served store with an older and a newer trading day, and a key of each role."""

    served: Served
    older: date
    newer: date
    expiry: date
    keys: dict[Role, str]

    @cached_property
    def routes(self) -> dict[str, list[dict[str, Any]]]:
        """The parameters of every GET route, by path."""
        document = self.ask(Role.USER, "/openapi.json").json()
        return {
            path: routes["get"].get("parameters", [])
            for path, routes in document["paths"].items()
            if "get" in routes
        }

    def ask(self, role: Role, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        return urllib3.request(
            "GET", f"{self.served.url}{path}", headers={"X-API-Key": self.keys[role], **headers},
            timeout=PATIENCE_SECONDS,
        )  # fmt: skip


def trading_days(shelf: Shelf, now: datetime) -> tuple[date, date]:
    """The last ended trading day, and the last one that a public account may see as a whole."""
    today = now.astimezone(IST).date()
    days = [
        day
        for day in (today - timedelta(days=back) for back in range(1, 40))
        if shelf.calendar.slots_on(day, Segment.CASH)
    ]
    return days[0], next(day for day in days if day < today - DELAY)


def at(day: date, clock: str) -> datetime:
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=IST)


def legs(price: float, oi: float, strike: Any) -> list[ChainLeg]:
    return [
        ChainLeg(strike=strike, option_type=kind, ltp=price, oi=oi, volume=oi)
        for kind in OptionType
    ]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def delayed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Delayed]:
    folder = tmp_path_factory.mktemp("delayed")
    if request.param == "sqlite":
        yield from filled(f"sqlite:///{folder / 'store.db'}", folder)
        return
    copies: DatabaseCopies = request.getfixturevalue("postgres_copies")
    with copies.one() as url:
        yield from filled(url, folder)


def filled(url: str, folder: Path) -> Iterator[Delayed]:
    now = SystemClock().now()
    shelf = shelf_at(url, folder)
    newer, older = trading_days(shelf, now)
    expiry = (now + timedelta(days=10)).astimezone(IST).date()
    (folder / "nse_fo_stock_symbols.txt").write_text("NIFTY\nRELIANCE\nTCS\n")
    shelf.lists(older, NIFTY, RELIANCE, TCS)
    for day, price in ((older, 1_500.0), (newer, NEW_CLOSE)):
        shelf.keeps(RELIANCE, day, whole_day(price), at=at(day, "20:00"))
        shelf.answered(RELIANCE, day, at=at(day, "20:00"))
        keep_quotes(shelf, RELIANCE, *(at(day, f"10:0{minute}") for minute in range(5)))
    strike = type(STRIKE)(NEW_STRIKE)
    old_legs, new_legs = legs(100.5, 75.0, STRIKE), legs(NEW_PRICE, NEW_OI, STRIKE)
    keep(
        shelf.store,
        received(chain(24_000.0, *old_legs, expiry=expiry), at(older, "10:00"), lot_size=75),
        received(chain(24_010.0, *old_legs, expiry=expiry), at(older, "10:01"), lot_size=75),
        received(
            chain(NEW_SPOT, *new_legs, *legs(NEW_PRICE, NEW_OI, strike), expiry=expiry),
            at(newer, "10:00"), lot_size=75,
        ),
    )  # fmt: skip
    accounts = accounts_in(shelf.store)
    keys = {}
    for role in (Role.USER, Role.PUBLIC):
        accounts.add(f"{role}@example.com", role, "a password of tests", role)
        keys[role] = accounts.add_key(f"{role}@example.com", role, {Scope.READ}).secret
    configured = shelf.settings.model_copy(
        update={
            "public_delay_minutes": DELAY // timedelta(minutes=1),
            "api_authentication": "on",
            "api_rate_limit": 0,
        }
    )
    with served(configured) as server:
        yield Delayed(server, older, newer, expiry, keys)
    shelf.store.close()


def values(delayed: Delayed, name: str) -> list[str]:
    """Values worth trying for a parameter."""
    instants = [at(day, clock).isoformat() for day in (delayed.older, delayed.newer)
                for clock in ("09:15", "10:00:30", "23:00")]  # fmt: skip
    dates = [str(delayed.older), str(delayed.newer)]
    known = {
        "symbol": ["NIFTY", "RELIANCE"],
        "product": ["NIFTY", "RELIANCE"],
        "symbols": ["NIFTY,RELIANCE", "RELIANCE"],
        "underlying": ["NIFTY"],
        "expiry": [str(delayed.expiry), delayed.expiry.strftime("%d-%b-%Y")],
        "strike": [str(STRIKE), str(NEW_STRIKE)],
        "option_type": ["CE", "PE", "CALL"],
        "from": dates + instants,
        "to": dates + instants,
        "start": dates + instants,
        "end": dates + instants,
        "at": instants,
        "as_of": instants,
        "interval": ["1minute", "5minute", "15minute", "60minute", "day"],
        "window": ["1", "5", "15"],
        "every": ["1", "60", "300"],
        "history": ["true", "false"],
        "limit": ["1", "100", "500"],
        "format": ["json", "csv", "arrow"],
        "require": ["complete"],
        "kind": ["traded"],
        "source": ["upstox"],
        "cursor": ["x"],
        "offset": ["0", "1"],
        "cause": ["missed"],
        "job": ["quotes", "chains"],
        "segment": ["NSE_EQ"],
    }
    return known.get(name, ["1"])


@st.composite
def paths(draw: st.DrawFn, delayed: Delayed, template: str, parameters: list[Any]) -> str:
    """*template* with a value for each required parameter, and for some of the others."""
    query = {}
    path = template
    for each in parameters:
        name = each["name"]
        if each["in"] == "path":
            path = path.replace(f"{{{name}}}", quote(draw(st.sampled_from(values(delayed, name)))))
        elif each["in"] == "query" and (each.get("required") or draw(st.booleans())):
            query[name] = draw(st.sampled_from(values(delayed, name)))
    return f"{path}?{urlencode(query)}" if query else path


def newer_in(delayed: Delayed, path: str, content: bytes) -> list[bytes]:
    """What *content* has of the newer rows. Instants of their day may be those of the request."""
    found = [each for each in MARKERS if each in content]
    if str(delayed.newer) in path:
        return found
    return found + re.findall(rb"%b[T ]\d\d:\d\d" % str(delayed.newer).encode(), content)


def further(*answers: urllib3.BaseHTTPResponse) -> list[str]:
    """The paths that go on after cut answers in JSON."""
    documents = [
        each.json() for each in answers if each.headers["Content-Type"] == "application/json"
    ]
    return [each["next"] for each in documents if each.get("next")]


MEDIA_TYPES = ["application/json", "text/csv", "application/vnd.apache.arrow.stream", "*/*"]


@settings(max_examples=times(100, 2_000), suppress_health_check=list(HealthCheck), database=None)
@given(data=st.data())
def test_no_route_shows_newer_rows(delayed: Delayed, data: st.DataObject) -> None:
    template = data.draw(st.sampled_from(sorted(delayed.routes)))
    path = data.draw(paths(delayed, template, delayed.routes[template]))
    accept = data.draw(st.sampled_from(MEDIA_TYPES))

    whole = delayed.ask(Role.USER, path, Accept=accept)
    older = delayed.ask(Role.PUBLIC, path, Accept=accept)
    tag = whole.headers.get("ETag", "none")
    conditional = delayed.ask(Role.PUBLIC, path, Accept=accept, **{"If-None-Match": tag})
    followed = [delayed.ask(Role.PUBLIC, each).data for each in further(whole, older)]

    assert older.status < 500, older.data
    for content in (older.data, conditional.data, *followed):
        assert newer_in(delayed, path, content) == []
    if newer_in(delayed, path, whole.data):
        assert conditional.status != 304


@pytest.mark.parametrize("role", [Role.USER, Role.PUBLIC])
@pytest.mark.parametrize(
    "wanted", [{}, {"symbol": "nifty"}, {"strike_price_min": 70_000}, {"option_type": "PE"}]
)
def test_the_filter_shows_them_to_a_user_only(
    delayed: Delayed, role: Role, wanted: dict[str, Any]
) -> None:
    answer = urllib3.request(
        "POST", f"{delayed.served.url}/option-chain/filter", json=wanted,
        headers={"X-API-Key": delayed.keys[role]}, timeout=PATIENCE_SECONDS,
    )  # fmt: skip

    assert answer.status == 200, answer.data
    assert bool(newer_in(delayed, "", answer.data)) is (role is Role.USER)


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        pytest.param("/option-chain/NIFTY", "*/*", id="newest chain"),
        pytest.param("/api/data/candles/RELIANCE?from={newer}&to={newer}", "*/*", id="candles"),
        pytest.param(
            "/api/data/candles/RELIANCE?from={newer}&to={newer}", "text/csv", id="candles as CSV"
        ),
        pytest.param(
            "/api/data/candles/RELIANCE?from={newer}&to={newer}",
            "application/vnd.apache.arrow.stream",
            id="candles as Arrow",
        ),
        pytest.param(
            "/api/data/chain/NIFTY/history?from={newer}&to={newer}&expiry={expiry}", "*/*",
            id="chains of a day",
        ),
    ],
)  # fmt: skip
def test_a_user_sees_them(delayed: Delayed, path: str, accept: str) -> None:
    """Otherwise the test above would find nothing anywhere."""
    asked = path.format(newer=delayed.newer, expiry=delayed.expiry)

    answer = delayed.ask(Role.USER, asked, Accept=accept)

    assert answer.status == 200, answer.data
    assert newer_in(delayed, "", answer.data)


def test_a_public_account_sees_the_older_ones(delayed: Delayed) -> None:
    chain = delayed.ask(Role.PUBLIC, "/option-chain/NIFTY").json()
    day = delayed.older
    candles = delayed.ask(Role.PUBLIC, f"/api/data/candles/RELIANCE?from={day}&to={day}").json()

    assert chain["underlying_value"] == 24_010.0
    assert json.dumps(candles).count("1500.0") > 0
