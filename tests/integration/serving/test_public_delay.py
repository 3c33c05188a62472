"""The role `public` sees nothing that is newer than PUBLIC_DELAY_MINUTES.

What it gets from a store that has newer data is what it gets from one that has none: every
status, header and byte, whatever a user asked the same server before.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import cycle, zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import pytest
from account_shelf import PASSWORD, SECRET, accounts_in
from candle_shelf import TUESDAY, WEDNESDAY, Shelf, environment_for, stock
from described_api import operations
from effort import PATIENCE_SECONDS
from live_shelf import live_candle, live_leg
from raw_requests import Answer, Target
from served import served
from served_market import (
    EXPIRY,
    M_AND_M,
    NEXT_EXPIRY,
    NIFTY,
    chain_of,
    keep_quotes,
    market_shelf,
    receive,
    trade,
)
from servers import DatabaseCopies, redis_database_on
from stream_clients import DOORS, Door

from data_fetch.core.accounts.accounts import Role, Scope
from data_fetch.core.chains.chains import ChainLeg, OptionType
from data_fetch.core.clock import SystemClock
from data_fetch.core.settings import Settings
from data_fetch.serving.troubles import Troubles
from data_fetch.storage.live_prices import LivePrices

MINUTE = timedelta(minutes=1)
OPENING = datetime(2025, 6, 11, 3, 45, tzinfo=UTC)
NEWER = datetime(2025, 6, 11, 11, 45, tzinfo=UTC)
NOW = datetime(2025, 6, 11, 12, 0, 30, tzinfo=UTC)
LIMIT = datetime(2025, 6, 11, 4, 0, 30, tzinfo=UTC)
DELAY = (NOW - LIMIT) // MINUTE
# In the newer data only.
NEW_EXPIRY, NEW_STRIKE = date(2025, 8, 28), 26_000
NEW = stock("NEWLY", "INE999Z01011")
NEW_LEG = ChainLeg(
    strike=Decimal(NEW_STRIKE), option_type=OptionType.CALL, ltp=1.0, oi=75.0, volume=75.0
)
# Answers differ in them without data.
OF_THE_REQUEST = {"x-request-id", "date", "ratelimit"}
LATER = "2030-01-01T00:00:00Z"
SYMBOLS = ["NIFTY", "NEWLY", "M&M"]
EXAMPLES: Mapping[str, Sequence[str]] = {
    "symbol": ["NIFTY", "NEWLY"],
    "cursor": ["x"],
    "symbols": ["NIFTY,M&M,NEWLY"],
    "expiry": [f"{EXPIRY}", f"{NEW_EXPIRY}"],
    "strike": ["24100", f"{NEW_STRIKE}"],
    "option_type": ["CE"],
    "date": [f"{TUESDAY}", f"{WEDNESDAY}"],
    "from": [f"{TUESDAY}", f"{WEDNESDAY}"],
    "to": [f"{WEDNESDAY}", "2025-06-12"],
    "start": [f"{WEDNESDAY}"],
    "end": ["2025-06-12", LATER],
    "at": [LATER, NOW.isoformat(), "2025-06-11T03:50:00Z"],
    "as_of": [LATER, NOW.isoformat(), "2025-06-11T03:50:00Z"],
    "interval": ["15minute", "day"],
    "every": ["1m"],
    "format": ["csv", "arrow"],
    "limit": ["3"],
    "offset": ["1"],
    "history": ["true"],
    "window": ["1", "15"],
    "source": ["upstox", "nse"],
    "require": ["complete"],
    "underlying": ["NIFTY", "NEWLY"],
    "segment": ["NSE_FO"],
    "kind": ["auction"],
    "job": ["chains"],
    "cause": ["missed"],
}
WAYS: Sequence[Mapping[str, str]] = [
    {"If_None_Match": "{tag}"},
    {"Accept": "text/csv"},
    {"Accept_Encoding": "gzip"},
]
# Calls that are not delayed. They have no market data: lists of instruments and calendars are
# published before the day they are about.
ALIKE = {"/", "/health/live", "/health/ready", "/api/data/instruments", "/api/data/calendar"}
# Ranges are of both days.
USUAL = {"date": f"{TUESDAY}", "from": f"{TUESDAY}", "to": "2025-06-12", "expiry": f"{EXPIRY}"}
FILTERS = [{}, {"symbol": "NIFTY"}, {"symbol": "NEWLY"}, {"strike_price_min": 25_000}, {"limit": 1}]


@dataclass(frozen=True)
class Reader:
    """Requests of one account."""

    target: Target
    key: str

    def get(self, path: str, **more: str) -> Answer:
        return self.send("GET", path, None, **more)

    def send(self, method: str, path: str, body: bytes | None, **more: str) -> Answer:
        sent = {"X-API-Key": self.key, **{name.replace("_", "-"): more[name] for name in more}}
        if body is not None:
            sent["Content-Type"] = "application/json"
        return self.target.send(method, path, list(sent.items()), body)


@dataclass(frozen=True)
class Readers:
    """*user* and *public* of a server over newer data; *other* is public at a server beside it,
    over the same store and Redis; *expected* is public at a server without the newer data."""

    user: Reader
    public: Reader
    other: Reader
    expected: Reader

    def fault(self, reader: Reader, address: str, **headers: str) -> str | None:
        """What *reader* gets, where it is not what is expected; None where it is."""
        answer, expected = (each.get(address, **headers) for each in (reader, self.expected))
        fault = reader.target.fault(answer)
        if fault is not None:
            return f"{address} {headers}: {fault}"
        found, wanted = facts(answer), facts(expected)
        if found == wanted:
            return None
        pairs = enumerate(zip_longest(found, wanted))
        place = max(0, next(number for number, (one, other) in pairs if one != other) - 60)
        return f"{address} {headers}: {found[place:][:200]} and not {wanted[place:][:200]}"


def older(shelf: Shelf) -> None:
    """What was stored by LIMIT: a day, and the first minutes of the next one."""
    shelf.lists(TUESDAY, NEW)
    trade(shelf, TUESDAY)
    closes = {number: 24_200.0 + number for number in range(10)}
    shelf.keeps(NIFTY, WEDNESDAY, closes, at=OPENING + 11 * MINUTE)
    keep_quotes(shelf, NIFTY, [OPENING + number * MINUTE for number in range(10)], 24_200.0)
    receive(shelf, OPENING + 5 * MINUTE, chain_of(NIFTY, EXPIRY, 24_200.0))
    at = OPENING + 12 * MINUTE
    LivePrices(shelf.store).record(
        [live_candle(NIFTY, OPENING + 11 * MINUTE, at)], [live_leg(NIFTY, 24_200, EXPIRY, at)]
    )


def newer(shelf: Shelf) -> None:
    """What was stored after LIMIT: other prices, corrections, another receipt of the newest chain,
    and data of a symbol, an expiry and a strike that had none."""
    begin = OPENING + 16 * MINUTE
    receive(shelf, begin, chain_of(NIFTY, EXPIRY, 24_200.0))
    minutes = [begin + number * MINUTE for number in range(20)]
    for of, price in ((NIFTY, 29_200.0), (M_AND_M, 7_900.0), (NEW, 7_900.0)):
        for day in (TUESDAY, WEDNESDAY):
            shelf.keeps(of, day, {number: price + number for number in range(375)}, at=NEWER)
            shelf.answered(of, day, at=NEWER)
        keep_quotes(shelf, of, minutes, price)
        for expiry in (EXPIRY, NEXT_EXPIRY, NEW_EXPIRY):
            of_m_and_m = chain_of(NIFTY if of is NIFTY else M_AND_M, expiry, price)
            with_leg = replace(of_m_and_m, underlying=of.symbol, legs=(*of_m_and_m.legs, NEW_LEG))
            receive(shelf, minutes[9], with_leg)
    LivePrices(shelf.store).record(
        [live_candle(NIFTY, NEWER, NEWER)], [live_leg(NIFTY, 29_200, EXPIRY, NEWER)]
    )


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def readers(
    request: pytest.FixtureRequest, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Readers]:
    with ExitStack() as opened:
        folders = [tmp_path_factory.mktemp(name) for name in ("expected", "shown", "beside")]
        urls, keys = [], []
        for folder, filled in zip(folders, ((older,), (older, newer)), strict=False):
            if request.param == "sqlite":
                url = f"sqlite:///{folder / 'store.db'}"
            else:
                copies: DatabaseCopies = request.getfixturevalue("postgres_copies")
                url = opened.enter_context(copies.one())
            with market_shelf(url, folder) as shelf:
                for fill in filled:
                    fill(shelf)
                keys.append({role: key_of(shelf, role) for role in Role})
            urls.append(url)
        patched = opened.enter_context(pytest.MonkeyPatch.context())
        patched.setattr(SystemClock, "now", lambda _: NOW)
        # On a slow machine a beat through Redis is late, and an answer of one server says so.
        patched.setattr(Troubles, "degraded", None)
        redis_url = opened.enter_context(redis_database_on(redis_server))
        expected, shown, beside = (
            Target(opened.enter_context(served(settings_of(url, folder, redis_url))).url)
            for url, folder in zip((*urls, urls[-1]), folders, strict=True)
        )
        yield Readers(
            user=Reader(shown, keys[1][Role.USER]),
            public=Reader(shown, keys[1][Role.PUBLIC]),
            other=Reader(beside, keys[1][Role.PUBLIC]),
            expected=Reader(expected, keys[0][Role.PUBLIC]),
        )


def key_of(shelf: Shelf, role: Role) -> str:
    accounts, email = accounts_in(shelf.store), f"{role}@example.com"
    accounts.add(email, "A", PASSWORD, role)
    return accounts.add_key(email, "a bot", list(Scope)).secret


def settings_of(url: str, folder: Path, redis_url: str) -> Settings:
    (folder / "nse_fo_stock_symbols.txt").write_text("NIFTY\nM&M\nNEWLY\n")
    given = {
        "API_AUTHENTICATION": "on",
        "JWT_SECRET": SECRET.decode(),
        "PUBLIC_DELAY_MINUTES": f"{DELAY}",
        "REDIS_URL": redis_url,
    }
    return Settings.load({**environment_for(url), **given}, folder)


def questions() -> Iterator[Any]:
    for method, path, operation in operations():
        if method == "GET" and not path.startswith("/api/auth/"):
            yield pytest.param(path, operation.get("parameters", []), id=path)


def addresses(path: str, parameters: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The path with each value of each of its parameters; those of other symbols as they are."""
    in_path = [each["name"] for each in parameters if each["in"] == "path"]
    in_query = {
        each["name"]: each.get("required", False) for each in parameters if each["in"] == "query"
    }
    usual = {name: EXAMPLES[name][0] for name, required in in_query.items() if required}
    usual |= {name: USUAL[name] for name in in_query if name in USUAL}
    first, *others = [named(path, in_path, symbol) for symbol in SYMBOLS] if in_path else [path]
    for place in others:
        yield f"{place}?{urlencode(usual)}"
    yield f"{first}?{urlencode(usual)}"
    for name in in_query:
        for value in EXAMPLES[name]:
            yield f"{first}?{urlencode({**usual, name: value})}"


def named(path: str, parameters: Sequence[str], symbol: str) -> str:
    for name in parameters:
        path = path.replace(f"{{{name}}}", quote(symbol, safe=""))
    return path


@pytest.mark.parametrize(("path", "parameters"), list(questions()))
def test_newer_data_change_nothing_that_public_gets(
    readers: Readers, path: str, parameters: Sequence[Mapping[str, Any]]
) -> None:
    faults, shown = [], False
    ways = cycle(WAYS)
    for address in addresses(path, parameters):
        newest = readers.user.get(address)
        known = {"tag": newest.headers.get("ETag", "none")}
        headers = {name: value.format(**known) for name, value in next(ways).items()}
        faults += [
            readers.fault(readers.public, address),
            readers.fault(readers.other, address, **headers),
        ]
        if page := following(newest):
            faults.append(readers.fault(readers.public, page))
        again = readers.user.get(address)
        assert again.headers.get("ETag", "none") == known["tag"]
        shown = shown or facts(newest) != facts(readers.public.get(address))

    assert list(filter(None, faults)) == []
    assert shown is (path not in ALIKE)


@pytest.mark.parametrize("wanted", FILTERS, ids=str)
def test_newer_legs_change_nothing_that_a_filter_finds(
    readers: Readers, wanted: Mapping[str, Any]
) -> None:
    body = orjson.dumps(wanted)
    found, public, expected = (
        facts(each.send("POST", "/option-chain/filter", body))
        for each in (readers.user, readers.public, readers.expected)
    )

    assert public == expected
    assert public != found


# Each connection has its own.
OF_THE_CONNECTION = {"stream", "client_id"}
OF_ROOMS = [{"type": kind, "symbol": each} for kind in ("product", "chain") for each in SYMBOLS]


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_newer_data_change_nothing_that_public_is_streamed(readers: Readers, door: Door) -> None:
    async def story() -> list[list[str]]:
        return await asyncio.gather(
            *(
                streamed(reader, door)
                for reader in (readers.user, readers.public, readers.other, readers.expected)
            )
        )

    user, public, other, expected = asyncio.run(story())

    assert public == expected
    assert other == expected
    assert user != expected
    assert {each.split()[0] for each in public} >= {"underlying_update", "chain_update", "products"}


async def streamed(reader: Reader, door: Door) -> list[str]:
    """What a client is sent that is in every room, until the first heartbeat after that."""
    found = []
    async with door(reader.target.url, headers={"X-API-Key": reader.key}) as client:
        for room in OF_ROOMS:
            await client.send("subscribe", room)
        await client.send("get_products", None)
        event, has_products = "", False
        async with asyncio.timeout(PATIENCE_SECONDS):
            while event != "heartbeat" or not has_products:
                event, data = await client.events.get()
                has_products |= event == "products"
                shown = {name: data[name] for name in sorted(data.keys() - OF_THE_CONNECTION)}
                found.append(f"{event} {shown}")
    # A heartbeat may come before the last answer as well; of those the last one counts.
    return [each for each in found[:-1] if not each.startswith("heartbeat")] + found[-1:]


def following(answer: Answer) -> str | None:
    """The path of the next page."""
    if answer.status != 200 or answer.media_type != "application/json":
        return None
    path: str | None = orjson.loads(answer.body).get("next")
    return path


def facts(answer: Answer) -> str:
    """What an answer tells: its status, body and headers."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    body = answer.body.replace(headers["x-request-id"].encode(), b"")
    told = {name: headers[name] for name in sorted(headers) if name not in OF_THE_REQUEST}
    return f"{answer.status} {body!r} {told}"
