"""The ledger against the truth: gaps of every cause in random places, each named rightly.

An oracle follows what the paper exchange really traded, which faults were ordered and what was
asked, and works out minute by minute what can be known from the wire. It shares no code with
the ledger. `CHAOS=1` (`make chaos`) runs a hundred times as many examples.
"""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from backfill_env import CALENDAR, BackfillEnv, backfill_env, ist
from effort import times
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import DatabaseCopies
from sqlalchemy import select

from data_fetch.core.candles.candles import CandleInterval, Kind
from data_fetch.core.candles.coverage import DayCoverage
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.candles.findings import Finding, FindingKind
from data_fetch.core.candles.request_planner import Window
from data_fetch.core.clock import IST
from data_fetch.core.market.calendar import F_AND_O_STOCK
from data_fetch.core.runs import Outcome
from data_fetch.paper_exchange.market.listings import Listing
from data_fetch.services.backfill_run import BackfillPlan
from data_fetch.services.missing_days import BackfillOrder
from data_fetch.sources.upstox.candle_endpoints import INTRADAY
from data_fetch.storage.candles.audit import recount
from data_fetch.storage.candles.coverage_counts import CoverageQuery
from data_fetch.storage.database.tables import LtpData
from data_fetch.storage.instruments.instruments import save_master

EXAMPLES, EXAMPLES_ON_POSTGRES = times(20, 5000), times(5, 400)

pytestmark = pytest.mark.long

# An index, an illiquid share and a liquid one (at the share of illiquid names used here).
SYMBOLS = ("NIFTY", "TCS", "RELIANCE")
MINUTES, DAYS = CandleInterval.MINUTE, CandleInterval.DAY
ONE_DAY = timedelta(days=1)

# The closing auction of shares and indices, since 2026-08-03; it ends at 15:35.
AUCTION_IS_OVER = time(15, 35)
# Seconds from midnight: until then the row of a day may still change.
DAY_BAR_IS_OVER = 15.75 * 3600

# The last day of the orders: just after auctions began and long after; Muhurat at noon and two
# days later, a Sunday, and the day of two halves with the exchange's long outage.
WITH_AUCTION = (date(2026, 9, 16), date(2026, 8, 4))
WITHOUT_AUCTION = (date(2025, 10, 23), date(2025, 10, 21), date(2026, 2, 1), date(2021, 2, 24))

# Before the open, in mid-session at both sides of a bar's publication, around the close.
TIMES = ("08:40:08", "10:02:08", "11:17:33", "14:01:08", "15:20:33", "15:31:08", "15:37:08",
         "15:41:33", "17:10:08", "20:00:08")  # fmt: skip

# What a request can meet: is the answer complete, and does it bring its rows?
TROUBLES: Mapping[str, tuple[bool, bool]] = {
    "none": (True, True),
    "shuffled-candles": (True, True),
    "duplicated-candles": (True, True),
    "empty-data": (True, False),
    "partial-success": (False, True),
    "unparsable-candle": (False, True),
    "future-candles": (False, True),
    "unknown-key": (False, False),
    "error-in-200": (False, False),
    "html-in-200": (False, False),
    "server-error": (False, False),
    "maintenance": (False, False),
    "truncated-json": (False, False),
    "cut-mid-body": (False, False),
    "reset": (False, False),
    "rate-limited": (False, False),
}
OFTEN = ["none"] * len(TROUBLES)


@dataclass(frozen=True)
class Hole:
    """Bars that the provider lost, or (if not *lost*) shows only from the second pass on.

    *length* 0 stands for the whole day, `days_back` trading days before the last one.
    """

    symbol: str
    days_back: int
    first: int
    length: int
    lost: bool


@dataclass(frozen=True)
class Scenario:
    """What happens: which days, when it is asked, what was seen of the market, what goes wrong."""

    seed: int
    today: date
    days: int
    at: str
    quotes: tuple[tuple[int, int, int], ...]
    closing_quotes: bool
    day_candles_first: bool
    interval: CandleInterval
    holes: tuple[Hole, ...]
    troubles: tuple[str, ...]
    troubles_later: tuple[str, ...]
    later: str


holes = st.builds(
    Hole,
    symbol=st.sampled_from(SYMBOLS),
    days_back=st.integers(0, 3),
    first=st.integers(0, 374),
    length=st.sampled_from([0, 0, 1, 2, 7, 40]),
    lost=st.booleans(),
)
troubles = st.lists(st.sampled_from([*OFTEN, *TROUBLES]), min_size=1, max_size=6).map(tuple)

# From which minute of the day on quotes are collected, how many of them, and at which second:
# a minute's trades come from its 5th second to its 50th.
watches = st.tuples(st.integers(0, 370), st.integers(2, 5), st.sampled_from([0, 3, 55]))


def scenarios(places: Sequence[date]) -> st.SearchStrategy[Scenario]:
    return st.builds(
        Scenario,
        seed=st.integers(1, 1_000_000),
        today=st.sampled_from(places),
        days=st.integers(1, 4),
        at=st.sampled_from(TIMES),
        quotes=st.lists(watches, max_size=2).map(tuple),
        closing_quotes=st.booleans(),
        day_candles_first=st.sampled_from([False, False, True]),
        interval=st.sampled_from([MINUTES, MINUTES, MINUTES, DAYS]),
        holes=st.lists(holes, max_size=5).map(tuple),
        troubles=troubles,
        troubles_later=troubles,
        later=st.sampled_from(["--retry-failed the same evening", "a day and a half later"]),
    )


@dataclass
class TrueDay:
    """What can be known of one instrument on one day, by minute (epoch seconds)."""

    over: datetime
    states: dict[int, str]
    provisional: set[int] = field(default_factory=set)
    attempts: int = 0
    confirmations: int = 0
    failed: bool = False

    def having(self, *states: str) -> set[int]:
        return {start for start, state in self.states.items() if state in states}

    def turn(self, starts: set[int], state: str) -> None:
        self.states.update(dict.fromkeys(starts, state))


class Oracle:
    """Works out from the truth what the ledger ought to say of one order."""

    def __init__(self, env: BackfillEnv, order: BackfillOrder) -> None:
        self._env = env
        self._order = order
        self._market = env.exchange.market
        self._minutes = order.interval is MINUTES
        self.stored: dict[tuple[str, date], set[int]] = {}
        self.seen: dict[str, list[tuple[datetime, int]]] = {symbol: [] for symbol in SYMBOLS}
        self.day_candles: set[tuple[str, date]] = set()
        self.days: dict[tuple[str, date], TrueDay] = {}
        for symbol in SYMBOLS:
            for day in self._market.days.between(order.first, order.last):
                if self._market.trades_on(self.listing(symbol), day):
                    self.days[symbol, day] = self._unasked(symbol, day)

    def listing(self, symbol: str) -> Listing:
        return self._market.listings[self._env.instrument(symbol).instrument_key]

    def rows(self, symbol: str, day: date) -> dict[int, tuple[bool, bool, int]]:
        """Of every minute of that day: is it continuous trading, was there a trade, how much."""
        rows = self._market.rows(self.listing(symbol), day)
        return {
            start: (
                number < rows.hours.continuous,
                not rows.quiet[number],
                int(rows.volume[number]),
            )
            for number, start in enumerate(rows.hours.starts.tolist())
        }

    def see_quotes(self) -> None:
        """Remember the day's volume at this instant, at which quotes are collected."""
        now = self._env.clock.now()
        day = now.astimezone(IST).date()
        for symbol in SYMBOLS:
            if not self._market.trades_on(self.listing(symbol), day):
                continue
            rows = self.rows(symbol, day)
            if now.timestamp() >= min(rows):
                traded = sum(
                    volume for start, (*_, volume) in rows.items() if start + 5 <= now.timestamp()
                )
                self.seen[symbol].append((now, traded))

    def age(self) -> None:
        """Time has passed: what has become due and was not requested is missed."""
        for day in self.days.values():
            day.turn({start for start in day.having("pending") if self._due(day, start)}, "missed")

    def wanted(self) -> set[tuple[str, date]]:
        """The days that a request could better."""
        today = self._env.clock.now().astimezone(IST).date()
        return {
            (symbol, day)
            for (symbol, day), known in self.days.items()
            if known.having("missed", "source_empty", "not_expected")
            or (known.provisional and day < today)
        }

    def answered(
        self, window: Window, trouble: str, wanted: set[tuple[str, date]], holes: Sequence["Cut"]
    ) -> None:
        """A request for *window* met with *trouble*, while *holes* were not shown."""
        complete, brings = TROUBLES[trouble]
        # A day candle of another window makes those beside it doubtful.
        brings = brings and (self._minutes or trouble != "future-candles")
        symbol = window.instrument.symbol
        # Not the end of the run: time may pass while other windows are requested again.
        now = self._received(window)
        own = [day for name, day in self.days if name == symbol]
        asked = [day for day in own if window.first <= day <= window.last]
        for day in asked:
            known = self.days[symbol, day]
            shown = self._shown(symbol, day, holes, now) if brings else set()
            self.stored.setdefault((symbol, day), set()).update(shown)
            bars = shown & set(known.states)
            new = bars - known.having("present")
            if bars:
                known.turn(known.having("not_expected"), "source_empty")
            known.turn(bars, "present")
            if window.endpoint == INTRADAY:
                known.provisional |= new
            else:
                known.provisional -= bars
            if (symbol, day) not in wanted:
                continue
            known.turn(self._without_trade(symbol, day, known, now), "no_trade")
            known.attempts += 1
            known.failed = not complete
            if complete and not bars and self._contradicted(symbol, day, known, now):
                known.failed = True
                if settled := known.having("source_empty", "not_expected"):
                    known.turn(settled, "missed")
                    known.confirmations = 0
                continue
            if complete and now >= known.over + timedelta(minutes=5):
                known.confirmations += 1
                known.turn(known.having("missed", "pending"), "source_empty")
        self._follow_first_bar(symbol)

    def _received(self, window: Window) -> datetime:
        """When the last response to the window, or to a part of it, was received.

        One of an unknown key may never have been sent.
        """
        received = [
            at
            for sent, at in self._env.source.received.items()
            if sent.instrument == window.instrument
            and (sent.interval, sent.endpoint) == (window.interval, window.endpoint)
            and window.first <= sent.first
            and sent.last <= window.last
        ]
        return max(received, default=self._env.clock.now())

    def compare(self, ledger: Mapping[tuple[str, date], DayCoverage]) -> None:
        """Every minute of every day of the ledger says what can be known, and no other thing."""
        assert ledger.keys() == self.days.keys()
        for (symbol, day), known in self.days.items():
            row = ledger[symbol, day]
            said = {
                minute * 60: str(one.state)
                for one in row.intervals
                for minute in range(one.first, one.end)
            }
            assert said == known.states, (symbol, day, _differences(said, known.states))
            unconfirmed = {
                minute * 60 for first, end in row.provisional for minute in range(first, end)
            }
            assert unconfirmed == known.provisional, (symbol, day)
            counted = (row.attempts, row.confirmations, row.last_error is not None)
            assert counted == (known.attempts, known.confirmations, known.failed), (symbol, day)
            if known.failed:
                assert row.next_attempt is not None
            if not self._minutes:
                continue
            quiet = {
                start for start, (_, traded, _) in self.rows(symbol, day).items() if not traded
            }
            assert known.having("no_trade") <= quiet, "proved what is not so"

    def compare_candles(self) -> None:
        """What is stored is what was traded, minute by minute."""
        for symbol in SYMBOLS:
            candles = self._env.candles(symbol, self._order.interval)
            ours = {start for (name, _), starts in self.stored.items() if name == symbol
                    for start in starts}  # fmt: skip
            assert candles.keys() == ours
            traded = {start for start, row in candles.items() if row.kind == Kind.TRADED}
            present = {start for (name, _), known in self.days.items() if name == symbol
                       for start in known.having("present")}  # fmt: skip
            assert traded == present
            if self._minutes:
                volumes = {start: row.volume for start, row in candles.items()}
                truth = {
                    start: volume
                    for name, day in self.days
                    if name == symbol
                    for start, (*_, volume) in self.rows(symbol, day).items()
                }
                assert volumes == {start: truth[start] for start in volumes}

    def shown(self, symbol: str, first: date, last: date, holes: Sequence["Cut"]) -> bool:
        """Whether a response about these days has any row."""
        return any(
            self._shown(symbol, day, holes, self._env.clock.now())
            for name, day in self.days
            if name == symbol and first <= day <= last
        )

    def _unasked(self, symbol: str, day: date) -> TrueDay:
        rows = self.rows(symbol, day)
        trading = [start for start, (continuous, *_) in rows.items() if continuous]
        last = datetime.fromtimestamp(max(trading) + 60, IST)
        auction = len(trading) < len(rows)
        over = datetime.combine(day, AUCTION_IS_OVER, IST) if auction else last
        starts = trading if self._minutes else [_midnight(day)]
        return TrueDay(over, dict.fromkeys(starts, "pending"))

    def _due(self, day: TrueDay, start: int) -> bool:
        now = self._env.clock.now()
        if self._minutes:
            return now.timestamp() >= start + 60 + 30
        return now >= day.over + timedelta(minutes=5) and now.timestamp() >= start + DAY_BAR_IS_OVER

    def _shown(self, symbol: str, day: date, holes: Sequence["Cut"], now: datetime) -> set[int]:
        """The starts of the bars that an answer about that day holds *now*, and that are over."""
        if self._minutes:
            starts = {
                start
                for start, (continuous, traded, _) in self.rows(symbol, day).items()
                if (traded or not continuous) and now.timestamp() >= start + 65
            }
        else:
            starts = (
                {_midnight(day)} if now.timestamp() >= _midnight(day) + DAY_BAR_IS_OVER else set()
            )
        return {
            start for start in starts
            if not any(cut.symbol == symbol and cut.first <= start < cut.end for cut in holes)
        }  # fmt: skip

    def _without_trade(self, symbol: str, day: date, known: TrueDay, now: datetime) -> set[int]:
        """The missing minutes that volume proves to be without trades."""
        if not self._minutes or self.listing(symbol).isin is None:
            return set()
        lacking = known.having("missed", "source_empty")
        seen = [
            (at, volume) for at, volume in self.seen[symbol] if at.astimezone(IST).date() == day
        ]
        if self._all_is_stored(symbol, day, known, seen, now):
            return lacking
        return {
            start
            for start in lacking
            for before, volume in seen
            if before.timestamp() <= start
            and any(after.timestamp() >= start + 60 and hint == volume for after, hint in seen)
        }

    def _contradicted(self, symbol: str, day: date, known: TrueDay, now: datetime) -> bool:
        """Whether stored rows show trading on a day of which an answer *now* had no bar."""
        published = now - timedelta(minutes=5)
        if any(start < published.timestamp() for start in known.having("present")):
            return True
        trading = {start for start, (own, *_) in self.rows(symbol, day).items() if own}
        of_an_index = self.listing(symbol).isin is None
        seen = {
            volume
            for at, volume in self.seen[symbol]
            if at < published and int(at.timestamp()) // 60 * 60 in trading
        }
        if len(seen) > 1 and not of_an_index:
            return True
        if now < known.over + timedelta(minutes=5):
            return False
        if of_an_index and self._prices_seen(symbol, trading) > 1:
            return True
        older = any(self.stored.get((symbol, each)) for name, each in self.days
                    if name == symbol and each < day)  # fmt: skip
        return not of_an_index and older and self._minutes and (symbol, day) in self.day_candles

    def _prices_seen(self, symbol: str, trading: set[int]) -> int:
        """How many prices the stored quotes of these minutes have."""
        query = select(LtpData.ltp, LtpData.timestamp).where(LtpData.symbol == symbol)
        with self._env.store.reading() as connection:
            rows = connection.execute(query).all()
        return len({price for price, slot in rows if int(slot.timestamp()) in trading})

    def _all_is_stored(
        self,
        symbol: str,
        day: date,
        known: TrueDay,
        seen: Sequence[tuple[datetime, int]],
        now: datetime,
    ) -> bool:
        if now < known.over + timedelta(minutes=5):
            return False
        rows = self.rows(symbol, day)
        whole = sum(volume for *_, volume in rows.values())
        is_known = any(at >= known.over for at, _ in seen) or (symbol, day) in self.day_candles
        held = sum(rows[start][2] for start in self.stored[symbol, day])
        return is_known and held == whole

    def _follow_first_bar(self, symbol: str) -> None:
        """Empty days before the first bar that was ever shown are not expected."""
        own = {day: known for (name, day), known in self.days.items() if name == symbol}
        with_candles = [day for day, known in own.items() if known.having("present")]
        for day, known in own.items():
            if not with_candles or not known.confirmations or known.having("present", "no_trade"):
                continue
            older = day < min(with_candles)
            was, now = (
                ("source_empty", "not_expected") if older else ("not_expected", "source_empty")
            )
            known.turn(known.having(was), now)


@dataclass(frozen=True)
class Cut:
    """Bars of *symbol* that start from *first* until before *end* (epoch seconds) are not shown."""

    symbol: str
    first: int
    end: int
    until: datetime | None

    def fault(self, env: BackfillEnv) -> dict[str, Any]:
        row = {
            "kind": "withheld-minutes" if self.until else "lost-minutes",
            "api": "candles",
            "instruments": [env.instrument(self.symbol).instrument_key],
            "bars_from": datetime.fromtimestamp(self.first, IST).isoformat(),
            "bars_until": datetime.fromtimestamp(self.end, IST).isoformat(),
        }
        return row | ({"until": self.until.isoformat()} if self.until else {})


def _midnight(day: date) -> int:
    return int(ist(day, "00:00:00").timestamp())


def _differences(said: Mapping[int, str], true: Mapping[int, str]) -> Counter[str]:
    return Counter(
        f"{said.get(start)} for {true.get(start)}"
        for start in said.keys() | true.keys()
        if said.get(start) != true.get(start)
    )


class Play:
    """Plays a scenario, and compares the ledger with the truth after each act."""

    def __init__(self, env: BackfillEnv, scenario: Scenario, days: Sequence[date]) -> None:
        self._env = env
        self._scenario = scenario
        self._days = days
        self._asked_at = ist(days[-1], scenario.at)
        order = env.order(days[0], days[-1], scenario.interval)
        self._order = order
        self._oracle = Oracle(env, order)
        evening = self._asked_at + timedelta(hours=2)
        next_time = self._asked_at + timedelta(hours=36)
        self._later = evening if "evening" in scenario.later else next_time
        self._cuts = [cut for hole in scenario.holes if (cut := self._cut(hole))]

    def _cut(self, hole: Hole) -> Cut | None:
        if hole.days_back >= len(self._days):
            return None
        day = self._days[-1 - hole.days_back]
        if hole.length == 0:
            first, end = _midnight(day), _midnight(day + ONE_DAY)
        else:
            starts = sorted(self._oracle.rows(hole.symbol, day))
            first = starts[hole.first % len(starts)]
            end = first + 60 * hole.length
        return Cut(hole.symbol, first, end, None if hole.lost else self._later)

    def run(self) -> None:
        self._watch_the_market()
        self._env.until(self._asked_at)
        self._compare()  # nothing has been requested yet
        if self._scenario.day_candles_first and self._scenario.interval is MINUTES:
            self._fetch_day_candles()
        self._pass(self._order, self._scenario.troubles)
        self._compare()
        self._nothing_is_asked_twice()
        self._env.until(self._later)
        self._compare()
        retried = self._env.order(
            self._days[0], self._days[-1], self._scenario.interval, retry_failed=True
        )
        by_hand = "--retry-failed" in self._scenario.later
        self._pass(retried if by_hand else self._order, self._scenario.troubles_later)
        self._compare()
        self._nothing_is_asked_twice()
        self._oracle.compare_candles()
        self._audit_agrees()

    def _watch_the_market(self) -> None:
        """Collect quotes here and there on the last two days, and perhaps after their close."""
        watched = [
            ist(day, "09:15:00") + timedelta(minutes=first + minute, seconds=second)
            for day, (first, length, second) in zip(
                self._days[-2:], self._scenario.quotes, strict=False
            )
            for minute in range(length)
        ]
        if self._scenario.closing_quotes:
            watched += [ist(day, "15:46:00") for day in self._days[-2:]]
        for instant in sorted(set(watched)):
            if self._env.clock.now() <= instant <= self._asked_at:
                self._env.until(instant)
                self._env.collect_quotes()
                self._oracle.see_quotes()

    def _fetch_day_candles(self) -> None:
        self._env.faults(*(cut.fault(self._env) for cut in self._cuts))
        order = self._env.order(self._days[0], self._days[-1], DAYS)
        self._env.backfill(order)
        for symbol in SYMBOLS:
            stored = self._env.candles(symbol, DAYS)
            self._oracle.day_candles |= {
                (symbol, day) for day in self._days if _midnight(day) in stored
            }

    def _pass(self, order: BackfillOrder, troubles: Sequence[str]) -> None:
        """One backfill, in which the nth window meets the nth trouble."""
        self._oracle.age()
        plan = self._env.service.plan(order)
        wanted = self._oracle.wanted()
        self._asks_for(plan, wanted)
        cuts = [cut for cut in self._cuts if not cut.until or self._env.clock.now() < cut.until]
        met = self._meetings(plan.windows, troubles, cuts)
        struck = [_strike(window, trouble) for window, trouble in met if trouble != "none"]
        self._env.faults(*(cut.fault(self._env) for cut in cuts), *struck)
        report = self._env.service.run(plan)
        for window, trouble in met:
            self._oracle.answered(window, trouble, wanted, cuts)
        missed = sum(len(day.having("missed")) for day in self._oracle.days.values())
        assert report.missed == missed
        assert (report.outcome is Outcome.COMPLETED) == (missed == 0)

    def _meetings(
        self, windows: Sequence[Window], troubles: Sequence[str], cuts: Sequence["Cut"]
    ) -> list[tuple[Window, str]]:
        """An unknown key is unknown at every door."""
        met = {window: troubles[n % len(troubles)] for n, window in enumerate(windows)}
        # One bad row costs its own day: a longer window is requested again in halves, which this
        # trouble does not meet.
        confined = {w for w, trouble in met.items() if self._is_halved(w, trouble, cuts)}
        met |= dict.fromkeys(confined, "none")
        if met and not any(_answers(trouble) for trouble in met.values()):
            # Otherwise it would be an outage, after which the same is requested again at once.
            met[windows[0]] = "none"
        unknown = {w.instrument.symbol for w, trouble in met.items() if trouble == "unknown-key"}
        return [
            (window, "unknown-key" if window.instrument.symbol in unknown else trouble)
            for window, trouble in met.items()
        ]

    def _is_halved(self, window: Window, trouble: str, cuts: Sequence["Cut"]) -> bool:
        bad_rows = {"unparsable-candle"} | (
            {"future-candles"} if window.interval is MINUTES else set()
        )
        shown = self._oracle.shown(window.instrument.symbol, window.first, window.last, cuts)
        return window.days > 1 and trouble in bad_rows and shown

    def _asks_for(self, plan: BackfillPlan, wanted: set[tuple[str, date]]) -> None:
        """All that is wanted is asked for, today at its own door, and no window is idle."""
        today = self._env.clock.now().astimezone(IST).date()
        covered = {
            (window.instrument.symbol, day)
            for window in plan.windows
            for day in self._days
            if window.first <= day <= window.last
        }
        assert wanted <= covered
        for window in plan.windows:
            symbol = window.instrument.symbol
            assert {(symbol, window.first), (symbol, window.last)} <= wanted
            assert (window.endpoint == INTRADAY) == (window.last == today)

    def _compare(self) -> None:
        self._oracle.age()
        self._oracle.compare(self._env.ledger(self._order))

    def _nothing_is_asked_twice(self) -> None:
        sent = self._env.api.requests_sent
        plan = self._env.service.plan(self._order)
        assert plan.windows == []
        self._env.service.run(plan)
        assert self._env.api.requests_sent == sent

    def _audit_agrees(self) -> None:
        """The candles, counted again, are those of the ledger, and nothing else is found.

        An auction that the provider lost is found, as one that somebody deleted would be.
        """
        order = self._order
        criteria = CoverageQuery(
            instruments=order.instruments,
            interval=order.interval,
            first=order.first,
            last=order.last,
            expectation=Expectation(CALENDAR, self._env.clock.now()),
        )
        with self._env.store.reading() as connection:
            found = recount(connection, criteria)
        assert found.differences == []
        assert [one for one in found.findings if not self._was_lost(one)] == []

    def _was_lost(self, one: Finding) -> bool:
        symbol, day = one.instrument.symbol, one.day
        auction = {
            start for start, (continuous, *_) in self._oracle.rows(symbol, day).items()
            if not continuous
        }  # fmt: skip
        lost = auction - self._oracle.stored.get((symbol, day), set())
        return one.kind is FindingKind.AUCTION and bool(lost)


def _answers(trouble: str) -> bool:
    """Whether the provider answers in spite of a trouble, so that it is no outage."""
    return all(TROUBLES[trouble]) or trouble in {"empty-data", "partial-success", "unknown-key"}


def _strike(window: Window, trouble: str) -> dict[str, Any]:
    key = window.instrument.instrument_key
    unit = "minutes" if window.interval is MINUTES else "days"
    endpoint = "/v3/historical-candle"
    path = f"{endpoint}/{key}/{unit}/1/{window.last}/{window.first}"
    if window.endpoint == INTRADAY:
        path = f"{endpoint}/intraday/{key}/{unit}/1"
    return {"kind": trouble, "path": path}


def trading_days(last: date, days: int) -> list[date]:
    """The last so many days up to *last* on which shares trade, oldest first."""
    found: list[date] = []
    day = last
    while len(found) < days:
        if CALENDAR.session(day, F_AND_O_STOCK).open:
            found.append(day)
        day -= ONE_DAY
    return found[::-1]


def play(database_url: str, folder: Path, scenario: Scenario) -> None:
    days = trading_days(scenario.today, scenario.days)
    start = ist(days[-2] if len(days) > 1 else days[-1], "08:00:00")
    with backfill_env(database_url, folder, start, SYMBOLS, seed=scenario.seed) as env:
        # A key that is listed is one that the provider should know.
        save_master(env.store, iter(env.instruments), start.date(), start)
        Play(env, scenario, days).run()


def on_a_new_file(template: Path, folder: Path, scenario: Scenario) -> None:
    """Play *scenario* on a copy of the *template*."""
    for leftover in folder.iterdir():
        leftover.unlink()
    file = folder / "store.db"
    shutil.copyfile(template, file)
    play(f"sqlite:///{file}", folder, scenario)


@settings(max_examples=EXAMPLES)
@given(scenario=scenarios(WITHOUT_AUCTION))
def test_every_minute_has_its_true_state(
    sqlite_template: Path, tmp_path: Path, scenario: Scenario
) -> None:
    on_a_new_file(sqlite_template, tmp_path, scenario)


@settings(max_examples=EXAMPLES)
@given(scenario=scenarios(WITH_AUCTION))
def test_every_minute_has_its_true_state_on_auction_days(
    sqlite_template: Path, tmp_path: Path, scenario: Scenario
) -> None:
    on_a_new_file(sqlite_template, tmp_path, scenario)


@settings(max_examples=EXAMPLES_ON_POSTGRES)
@given(scenario=scenarios((*WITHOUT_AUCTION, *WITH_AUCTION)))
def test_every_minute_has_its_true_state_on_postgres(
    postgres_copies: DatabaseCopies, tmp_path: Path, scenario: Scenario
) -> None:
    with postgres_copies.one() as url:
        play(url, tmp_path, scenario)
