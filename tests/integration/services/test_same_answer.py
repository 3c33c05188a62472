"""One question through every way to ask it: the same answer, whatever became of the instruments.

Masters, provider and backfill go through random days on which stocks are renamed, get new ISINs,
join and leave, and contracts have their expiries moved.
"""

import json
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from candle_shelf import stock
from effort import times
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from listed_market import ListedMarket, listed_market

from data_fetch.cli.main import main
from data_fetch.core.candles.coverage import State
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.reading import candles, coverage, gaps
from data_fetch.reading.coverage_audit import audit
from data_fetch.reading.coverage_days import DayRange

START, DAYS = date(2025, 6, 2), 9
LAST = START + timedelta(days=DAYS - 1)
WHAT_HAPPENS = (
    ("nothing", 6), ("rename", 2), ("new ISIN", 2), ("leave", 1), ("join", 1), ("move", 2),
    ("backfill", 4), ("forget", 1),
)  # fmt: skip
ABSENT = (State.NO_TRADE, State.SOURCE_EMPTY, State.UNKNOWN_INSTRUMENT, State.MISSED)

Counts = dict[str, int]


class Known(NamedTuple):
    """What was known *at* an instant of the instrument *number*, from START to *last*."""

    at: datetime
    number: int
    last: date
    counts: Counts


class Story:
    """The instruments of the provider from day to day, and every name each has had."""

    def __init__(self, market: ListedMarket, chance: random.Random) -> None:
        self.market = market
        self.chance = chance
        self.numbers = iter(range(10, 99))
        self.listed: dict[int, Instrument] = {}
        self.names: dict[int, list[str]] = {}
        self.changed: set[int] = set()
        self.known: list[Known] = []
        for _ in range(2):
            self._join()
        self._list(self._future(next(iter(self.listed.values()))))

    def happen(self, day: date, what: str) -> None:
        """What happens before the master of *day*: at most one change of an instrument, because
        a change of both symbol and ISIN on one day looks like two instruments."""
        number = self.chance.choice(sorted(self.listed))
        one = self.listed[number]
        if number in self.changed:
            return
        equity = one.segment == "NSE_EQ"
        if what == "rename" and equity:
            self._change(number, replace(one, symbol=f"NAME{next(self.numbers)}"))
        elif what == "new ISIN" and equity:
            fresh = stock(one.symbol, f"INE0000000{next(self.numbers)}")
            self._change(number, replace(fresh, symbol=one.symbol))
        elif what == "leave" and len(self.listed) > 2 and self.names[number]:
            del self.listed[number]
        elif what == "join":
            self._join()
        elif what == "move" and one.expiry is not None and one.expiry > day:
            self._change(number, self._dated(one, one.expiry + timedelta(days=1)))
        elif what == "forget":
            self.market.source.unknown |= self._former_keys()
        elif what == "backfill" and day > START:
            first = START + timedelta(days=self.chance.randrange((day - START).days))
            symbols = [self.listed[each].symbol for each in sorted(self.listed)]
            again = self.chance.random() < 0.3
            self.market.backfill(symbols, first, day - timedelta(days=1), retry_failed=again)

    def trade(self, day: date) -> None:
        """Every listed instrument is traded on *day*, under the key of that day."""
        for one in self.listed.values():
            if self.market.trading_days(one, day, min(day, one.expiry or day)):
                self.market.trades(one.live_key, {day: self.chance.choice((0, 2, 5))})

    def look(self, day: date) -> None:
        """Note what is known of each instrument before *day*; nothing else happens then."""
        self.market.clock.sleep(timedelta(seconds=1))
        at, last = self.market.clock.now(), day - timedelta(days=1)
        for number, names in self.names.items():
            if names:
                found = by_candles(self.market, names[-1], START, last)
                self.known.append(Known(at, number, last, found))
        self.market.clock.sleep(timedelta(seconds=1))

    def master(self, day: date) -> None:
        self.market.lists(day, *self.listed.values())
        self.changed.clear()
        for number, one in self.listed.items():
            if one.symbol not in self.names[number]:
                self.names[number].append(one.symbol)

    def _former_keys(self) -> set[str]:
        present = {one.live_key for one in self.listed.values()}
        return self.market.source.bars.keys() - present

    def _join(self) -> None:
        number = next(self.numbers)
        self._list(stock(f"NAME{number}", f"INE0000000{number}"))

    def _list(self, one: Instrument) -> None:
        number = len(self.names)
        self.listed[number], self.names[number] = one, []
        self.changed.add(number)

    def _change(self, number: int, now: Instrument) -> None:
        self.listed[number] = now
        self.changed.add(number)

    def _future(self, underlying: Instrument) -> Instrument:
        contract = replace(
            underlying,
            live_key="NSE_FO|98918",
            segment="NSE_FO",
            instrument_type="FUT",
            isin=None,
            underlying_key=underlying.instrument_key,
            underlying_symbol="UNDERLYING",
            cas_eligible=False,
        )
        return self._dated(contract, START + timedelta(days=5))

    def _dated(self, contract: Instrument, expiry: date) -> Instrument:
        key = f"{contract.live_key}|{expiry:%d-%m-%Y}"
        return replace(contract, instrument_key=key, symbol=f"FUT {expiry}", expiry=expiry)


def by_candles(
    market: ListedMarket, name: str, day: date, last: date, as_of: datetime | None = None
) -> Counts:
    found = candles(name, day, last, as_of=as_of, settings=market.settings)
    held = found.completeness
    assert len(found.table) == held.present
    lacking = Counter[str]()
    for gap in held.gaps:
        lacking[gap.cause.value] += gap.end - gap.first
    counts = {state.value: getattr(held, state.value) for state in ABSENT}
    assert counts == {state.value: lacking[state.value] for state in ABSENT}
    return {"present": held.present, "expected": held.expected, **counts}


def by_coverage(market: ListedMarket, name: str, day: date, last: date) -> Counts:
    found = coverage(name, day, last, settings=market.settings).completeness.counts
    return _of(found._asdict())


def by_gaps(market: ListedMarket, name: str, day: date, last: date) -> Counts:
    found = gaps(name, day, last, settings=market.settings).completeness.lacking
    return {state.value: found[state] for state in ABSENT}


def _of(counts: Mapping[str, Any]) -> Counts:
    names = ("present", "expected", *(state.value for state in ABSENT))
    return {name: counts[name] for name in names}


@pytest.fixture
def command(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Any:
    """Runs a command on the store of a market and returns its JSON document."""
    monkeypatch.setenv("DATA_SOURCE", "upstox")
    monkeypatch.chdir(tmp_path_factory.mktemp("folder"))

    def run(market: ListedMarket, *arguments: str) -> dict[str, Any]:
        monkeypatch.setenv("DATABASE_URL", market.settings.store_url)
        capsys.readouterr()
        with pytest.raises(SystemExit):
            main(arguments)
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        return document

    return run


@given(
    days=st.lists(
        st.lists(
            st.sampled_from([what for what, often in WHAT_HAPPENS for _ in range(often)]),
            max_size=3,
        ),
        min_size=DAYS,
        max_size=DAYS,
    ),
    seed=st.integers(0, 2**16),
)
@settings(
    max_examples=times(2, 300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_every_way_to_ask_gives_the_same_answer(
    tmp_path_factory: pytest.TempPathFactory, command: Any, days: list[list[str]], seed: int
) -> None:
    folder: Path = tmp_path_factory.mktemp("story")
    start = datetime(2025, 5, 30, 2, tzinfo=UTC)
    with listed_market(f"sqlite:///{folder}/store.db", folder, start) as market:
        story = Story(market, random.Random(seed))
        story.master(START - timedelta(days=1))
        for number, events in enumerate(days):
            day = START + timedelta(days=number)
            for what in events:
                if what != "backfill":
                    story.happen(day, what)
            story.master(day)
            if "backfill" in events:
                story.happen(day, "backfill")
            if day > START:
                story.look(day)
            story.trade(day)
        story.master(LAST + timedelta(days=3))

        for names in story.names.values():
            _agree(market, names)
        _as_known_then(story)
        _command_agrees(story, command)


def _agree(market: ListedMarket, names: list[str]) -> None:
    """All names of one instrument, and all ways to ask in Python."""
    name, former = names[-1], names[0]
    whole = by_candles(market, name, START, LAST)
    assert by_candles(market, former, START, LAST) == whole
    assert by_coverage(market, former, START, LAST) == whole
    assert by_gaps(market, name, START, LAST) == {one.value: whole[one.value] for one in ABSENT}
    recounted = audit(market.settings, DayRange(symbols=(former,), first=START, last=LAST))
    assert (recounted.differences, recounted.findings) == ([], [])
    assert recounted.candles == whole["present"]
    table = coverage(name, START, LAST, settings=market.settings).table.to_pylist()
    assert len({row["date"] for row in table}) == len(table)
    assert sum((Counter(_of(row)) for row in table), Counter()) == +Counter(whole)
    for row in table[:: len(table) // 2 or 1]:
        assert by_candles(market, former, row["date"], row["date"]) == _of(row)


def _as_known_then(story: Story) -> None:
    for known in story.known:
        for name in story.names[known.number]:
            found = by_candles(story.market, name, START, known.last, as_of=known.at)
            assert found == known.counts


def _command_agrees(story: Story, command: Any) -> None:
    market, number = story.market, story.chance.choice(sorted(story.listed))
    names = story.names[number]
    whole = by_candles(market, names[0], START, LAST)
    for name in {names[0], names[-1]}:
        span = ("--from", str(START), "--to", str(LAST))
        of_symbol = ("--symbols", name, *span, "--json")
        totals = command(market, "coverage", *of_symbol)["totals"]
        listed = command(market, "gaps", *of_symbol)["gaps"]
        exported = command(market, "candles", "export", name, *span, "--format", "json")
        assert _of(totals) == _of(exported["completeness"]) == whole
        assert len(exported["candles"]) == whole["present"]
        assert {gap["cause"] for gap in listed} == {one.value for one in ABSENT if whole[one.value]}
    for known in [one for one in story.known if one.number == number][-1:]:
        span = ("--from", str(START), "--to", str(known.last), "--as-of", known.at.isoformat())
        exported = command(market, "candles", "export", names[0], *span, "--format", "json")
        assert _of(exported["completeness"]) == known.counts
