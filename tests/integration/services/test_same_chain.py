"""One chain through every way to ask for it: the same answer, under whatever name.

Stocks are renamed, take each other's former symbols and get new ISINs; the exchange moves the
expiries of their options. Chains are stored under the symbol and the expiry of their day.
"""

import json
import random
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from candle_shelf import environment_for, stock
from chain_shelf import STRIKE, keep, received
from chain_shelf import chain as a_chain
from effort import times
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_fetch.cli.main import main
from data_fetch.core.clock import IST
from data_fetch.core.errors import SetupError
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.reading import chain, chain_history, leg_history
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.instruments.instruments import save_master

START, DAYS = date(2025, 6, 2), 8
LAST = START + timedelta(days=DAYS)
EXPIRIES = (date(2025, 6, 17), date(2025, 6, 24))
WHAT_HAPPENS = (("rename", 3), ("take", 3), ("new ISIN", 1), ("move", 4))
CONTRACTS = 3


@dataclass(eq=False)
class Series:
    """The options of one underlying and expiry, and what was stored of them: spot by instant."""

    contracts: list[Instrument]
    first_expiry: date
    expiry: date
    stored: dict[datetime, float] = field(default_factory=dict)
    stored_under: set[date] = field(default_factory=set)

    def is_known_as(self, expiry: date) -> bool:
        """False for a day that it was moved to and back from before anything was stored."""
        moved = self.expiry != self.first_expiry
        return moved or expiry == self.expiry or expiry in self.stored_under

    def at(self, instant: datetime) -> float | None:
        """The spot of the snapshot in force at that instant."""
        received_at = sorted(self.stored)
        place = bisect_right(received_at, instant)
        return self.stored[received_at[place - 1]] if place else None


@dataclass(eq=False)
class Company:
    """A stock, and its option chains by every expiry that they had."""

    listed: Instrument
    chains: dict[date, Series]

    @property
    def series(self) -> list[Series]:
        return sorted(set(self.chains.values()), key=lambda one: one.expiry)


class Story:
    """Companies from day to day, and the masters and chains that a store has of them."""

    def __init__(self, store: Store, chance: random.Random) -> None:
        self.store = store
        self.chance = chance
        self.numbers = iter(range(10, 1000))
        self.changed: set[Company | Series] = set()
        self.named: dict[str, Company] = {}
        """Every name that was used, and the company that has it now or had it last."""
        for _ in range(3):
            self._found()

    @property
    def companies(self) -> list[Company]:
        return sorted(set(self.named.values()), key=lambda one: one.listed.symbol)

    def happen(self, what: str) -> None:
        """At most one change of a company, and of each of its chains, before a master."""
        company = self.chance.choice(self.companies)
        series = self.chance.choice(company.series)
        if what == "move" and series not in self.changed:
            self._move(company, series)
        elif company not in self.changed:
            self.changed.add(company)
            self._change(company, what)

    def master(self, day: date) -> None:
        """The master of *day*: every company, and its contracts with their present expiry."""
        listed = []
        for company in self.companies:
            listed.append(company.listed)
            for series in company.series:
                listed += [dated(each, series.expiry, company) for each in series.contracts]
        save_master(self.store, iter(listed), day, morning(day))
        self.changed.clear()

    def trade(self, day: date) -> None:
        """Some chains of *day*, under the symbols and expiries of that day."""
        for company in self.companies:
            for series in company.series:
                for minute in self.chance.sample(range(60, 400), self.chance.choice((0, 2))):
                    at, spot = morning(day) + timedelta(minutes=minute), float(next(self.numbers))
                    facts = {"underlying": company.listed.symbol, "expiry": series.expiry}
                    keep(self.store, received(a_chain(spot, **facts), at))
                    series.stored[at] = spot
                    series.stored_under.add(series.expiry)

    def _change(self, company: Company, what: str) -> None:
        given_up = sorted(self.named.keys() - {each.listed.symbol for each in self.companies})
        free = [name for name in given_up if "|" not in name]
        if what == "rename" or (what == "take" and free):
            symbol = self.chance.choice(free) if what == "take" else f"NAME{next(self.numbers)}"
            company.listed = replace(company.listed, symbol=symbol)
        elif what == "new ISIN":
            company.listed = company_stock(company.listed.symbol, next(self.numbers))
        self._name(company)

    def _move(self, company: Company, series: Series) -> None:
        self.changed.add(series)
        days = [series.expiry + timedelta(days=number) for number in (-2, -1, 1, 2)]
        others = {each.expiry for each in company.series}
        possible = [day for day in days if day > LAST and day not in others]
        if possible:
            series.expiry = self.chance.choice(possible)
            company.chains[series.expiry] = series

    def _found(self) -> None:
        number = next(self.numbers)
        one = company_stock(f"NAME{number}", number)
        chains = {
            expiry: Series([option(next(self.numbers)) for _ in range(CONTRACTS)], expiry, expiry)
            for expiry in EXPIRIES
        }
        self._name(Company(one, chains))

    def _name(self, company: Company) -> None:
        for name in (company.listed.symbol, company.listed.instrument_key):
            self.named[name] = company


def morning(day: date) -> datetime:
    return datetime.combine(day, time(8), IST).astimezone(UTC)


def company_stock(symbol: str, number: int) -> Instrument:
    return stock(symbol, f"INE000000{number:03}")


def option(number: int) -> Instrument:
    return Instrument(
        instrument_key="",
        live_key=f"NSE_FO|{number}",
        symbol="",
        segment="NSE_FO",
        instrument_type="CE",
        strike=Decimal(24000 + number),
        lot_size=75,
    )


def dated(contract: Instrument, expiry: date, of: Company) -> Instrument:
    """*contract* as a master has it that lists it with this expiry."""
    return replace(
        contract,
        instrument_key=f"{contract.live_key}|{expiry:%d-%m-%Y}",
        symbol=f"{of.listed.symbol} {contract.strike} CE {expiry}",
        underlying_key=of.listed.instrument_key,
        underlying_symbol=of.listed.symbol,
        expiry=expiry,
    )


def spot_at(settings: Settings, name: str, expiry: date, at: datetime) -> float | None:
    try:
        found = chain(name, expiry, at, settings=settings)
    except SetupError:
        return None
    return found.spot


@pytest.fixture
def show(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Any:
    """Runs `chain show` on a store and returns its JSON document."""
    monkeypatch.chdir(tmp_path)

    def run(settings: Settings, name: str, expiry: date, at: datetime) -> dict[str, Any]:
        for variable, value in environment_for(settings.store_url).items():
            monkeypatch.setenv(variable, value)
        capsys.readouterr()
        options = ("--expiry", str(expiry), "--at", at.isoformat(), "--json")
        with pytest.raises(SystemExit):
            main(("chain", "show", name, *options))
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        return document

    return run


@given(
    days=st.lists(
        st.lists(
            st.sampled_from([what for what, often in WHAT_HAPPENS for _ in range(often)]),
            max_size=4,
        ),
        min_size=DAYS,
        max_size=DAYS,
    ),
    seed=st.integers(0, 2**16),
)
@settings(
    max_examples=times(2, 100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_chain_is_the_same_under_every_name(
    tmp_path_factory: pytest.TempPathFactory, show: Any, days: list[list[str]], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("story")
    settings = Settings.load(environment_for(f"sqlite:///{folder}/store.db"), folder)
    store = open_store(settings.store_url, World.LIVE)
    story = Story(store, random.Random(seed))
    for number, events in enumerate([[], *days]):
        day = START + timedelta(days=number)
        for what in events:
            story.happen(what)
        story.master(day)
        story.trade(day)

    for name, company in story.named.items():
        for expiry, series in company.chains.items():
            if not series.is_known_as(expiry):
                continue
            _agree(settings, name, expiry, company, series)
            at = morning(START) + timedelta(hours=story.chance.randrange(24 * DAYS))
            assert spot_at(settings, name, expiry, at) == series.at(at)
    store.close()
    _command_agrees(story, settings, show)


def _agree(settings: Settings, name: str, expiry: date, company: Company, series: Series) -> None:
    """The history of the chain by one of its names and one of its expiries."""
    spots = [series.stored[at] for at in sorted(series.stored)]
    if not spots:
        return
    found = chain_history(name, expiry, START, LAST, settings=settings)
    legs = leg_history(name, expiry, STRIKE, "CE", START, LAST, settings=settings)
    assert found.table["spot"].to_pylist() == legs.table["spot"].to_pylist() == spots
    assert found.underlying == company.listed.symbol
    assert set(found.table["expiry"].to_pylist()) == {series.expiry}
    assert [each.receipts for each in found.completeness.expiries] == [len(spots)]


def _command_agrees(story: Story, settings: Settings, show: Any) -> None:
    for name, company in list(story.named.items())[:2]:
        for expiry, series in company.chains.items():
            for at in sorted(series.stored)[:1]:
                document = show(settings, name, expiry, at)
                assert datetime.fromisoformat(document["received_at"]) == at
                assert document["underlying"] == company.listed.symbol
                assert document["expiry"] == str(series.expiry)
