"""Cases in which a backfill could go wrong, one by one: the provider's limits, its stale and
invented rows, contracts, and runs that are refused, cut off or stopped in their middle."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from backfill_env import BackfillEnv, backfill_env, instrument_of, ist
from watcher import Watcher

from data_fetch.core.candles.candles import CandleInterval, Kind
from data_fetch.core.candles.coverage import DayCoverage, State
from data_fetch.core.candles.request_planner import Window
from data_fetch.core.clock import IST
from data_fetch.core.errors import AccessDenied, TokenRejected, Unreachable
from data_fetch.core.failures import FailureGroup
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.runs import Outcome
from data_fetch.core.settings import Settings
from data_fetch.paper_exchange.market.contracts import Contract
from data_fetch.runtime.rehearsal import rehearsal_for
from data_fetch.runtime.services import backfill_at
from data_fetch.runtime.stores import selection_at
from data_fetch.services.backfill_report import BackfillReport, Progress
from data_fetch.services.backfill_run import WORKERS
from data_fetch.services.missing_days import BackfillOrder
from data_fetch.sources.upstox.candle_endpoints import EXPIRED, HISTORICAL

SYMBOLS = ("NIFTY", "TCS", "RELIANCE", "INFY", "SBIN")
MINUTES, DAYS = CandleInterval.MINUTE, CandleInterval.DAY
BEFORE_AUCTIONS, WITH_AUCTION = date(2026, 7, 31), date(2026, 8, 3)
TODAY = date(2026, 9, 16)
MUHURAT = date(2021, 11, 4)


@pytest.fixture
def env(database_url: str, tmp_path: Path) -> Iterator[BackfillEnv]:
    """At eleven on an ordinary day."""
    with backfill_env(database_url, tmp_path, ist(TODAY, "11:00:08"), SYMBOLS) as env:
        yield env


def window(env: BackfillEnv, first: date, last: date) -> Window:
    return Window(
        instrument=env.instrument("RELIANCE"),
        interval=MINUTES,
        endpoint=HISTORICAL,
        first=first,
        last=last,
        minutes=1,
    )


@pytest.mark.parametrize(
    ("days", "requests"),
    [
        pytest.param(31, 1, id="a month is accepted"),
        pytest.param(33, 3, id="33 days are refused (UDAPI1148), and asked for in halves"),
    ],
)
def test_a_window_that_the_provider_finds_too_long_is_halved(
    env: BackfillEnv, days: int, requests: int
) -> None:
    last = date(2026, 7, 31)
    first = last - timedelta(days=days - 1)
    order = env.order(first, last, symbols=["RELIANCE"])
    plan = env.service.plan(order)

    report = env.service.run(replace(plan, windows=[window(env, first, last)]))

    assert (report.outcome, report.requests) == (Outcome.COMPLETED, requests)
    assert {day.minutes(State.PRESENT) for day in env.ledger(order).values()} == {375}


def test_today_is_not_requested_before_the_open(env: BackfillEnv) -> None:
    env.until(ist("2026-09-17", "08:50:00"))

    plan = env.service.plan(env.order(date(2026, 9, 17), date(2026, 9, 17)))

    assert plan.windows == []


def test_candles_of_yesterday_prove_nothing_about_today(env: BackfillEnv) -> None:
    env.faults({"kind": "yesterdays-bars"})
    order = env.order(TODAY, TODAY)

    report = env.backfill(order)

    assert (report.outcome, report.inserted) == (Outcome.INCOMPLETE, 0)
    assert report.failures[FailureGroup.SCHEMA] == len(SYMBOLS)
    for day in env.ledger(order).values():
        assert (day.minutes(State.MISSED), day.attempts) == (104, 1)
        assert "another day" in (day.last_error or "")


@pytest.mark.parametrize(
    "kinds", [["duplicated-candles"], ["duplicated-candles", "shuffled-candles"]]
)
def test_rows_that_are_received_twice_are_stored_once(env: BackfillEnv, kinds: list[str]) -> None:
    env.faults(*({"kind": kind} for kind in kinds))
    day = BEFORE_AUCTIONS
    order = env.order(day, day, symbols=["NIFTY", "RELIANCE"])

    report = env.backfill(order)

    assert (report.outcome, report.inserted, report.revised) == (Outcome.COMPLETED, 750, 0)
    assert report.rejected_rows == Counter()


@pytest.mark.parametrize(
    ("symbol", "day", "present", "tail"),
    [
        pytest.param("RELIANCE", BEFORE_AUCTIONS, 375, {}, id="a share, before auctions"),
        pytest.param("NIFTY", BEFORE_AUCTIONS, 375, {}, id="an index, before auctions"),
        pytest.param(
            "RELIANCE", WITH_AUCTION, 360, {Kind.CARRIED: 14, Kind.AUCTION: 1}, id="a share, since"
        ),
        pytest.param(
            "SBIN", WITH_AUCTION, 360, {Kind.CARRIED: 14, Kind.AUCTION: 1}, id="another share"
        ),
        pytest.param("INDIA VIX", WITH_AUCTION, 375, {}, id="India VIX ticks on"),
    ],
)
def test_where_continuous_trading_ends(
    env: BackfillEnv, symbol: str, day: date, present: int, tail: dict[Kind, int]
) -> None:
    instrument = instrument_of(env.exchange, symbol)
    env.instruments = [instrument]
    env.backfill(env.order(day, day))

    [known] = env.ledger(env.order(day, day)).values()
    candles = env.candles(symbol, MINUTES)
    kinds = Counter(Kind(row.kind) for row in candles.values())
    assert (known.expected, known.minutes(State.PRESENT)) == (present, present)
    assert kinds == {Kind.TRADED: present, **tail}
    printed = [start for start, row in candles.items() if row.kind == Kind.AUCTION]
    assert printed == _true_print(env, instrument, day)


def _true_print(env: BackfillEnv, instrument: Instrument, day: date) -> list[int]:
    """When the auction printed, if there was one: at 15:28 or at 15:29."""
    market = env.exchange.market
    rows = market.rows(market.listings[instrument.instrument_key], day)
    after = range(rows.hours.continuous, len(rows.hours.starts))
    found = [int(rows.hours.starts[row]) for row in after if not rows.quiet[row]]
    assert {datetime.fromtimestamp(start, IST).strftime("%H:%M") for start in found} <= {
        "15:28",
        "15:29",
    }
    return found


def future_of(env: BackfillEnv, symbol: str, day: date) -> Instrument:
    """The nearest future on *day*, by the dated key that stays when it has expired."""
    contracts = env.exchange.market.contracts.on(day).values()
    own = [one for one in contracts if one.underlying.symbol == symbol and one.kind == "FUT"]
    nearest: Contract = min(own, key=lambda one: one.expiry)
    return Instrument(
        instrument_key=f"{nearest.key}|{nearest.expiry:%d-%m-%Y}",
        live_key=nearest.key,
        symbol=nearest.trading_symbol,
        segment="NSE_FO",
        instrument_type="FUT",
        underlying_key=nearest.underlying.key,
        underlying_symbol=symbol,
        expiry=nearest.expiry,
    )


@pytest.mark.parametrize(
    ("day", "minutes"),
    [
        pytest.param(BEFORE_AUCTIONS, 375, id="to 15:30"),
        pytest.param(WITH_AUCTION, 385, id="15:40"),
    ],
)
def test_contracts_trade_to_their_own_close(env: BackfillEnv, day: date, minutes: int) -> None:
    future = future_of(env, "RELIANCE", TODAY)
    order = replace(env.order(day, day), instruments=[future])

    report = env.backfill(order)

    assert (report.outcome, report.requests) == (Outcome.COMPLETED, 1)
    [known] = env.ledger(order).values()
    assert known.minutes(State.PRESENT, State.SOURCE_EMPTY) == minutes


@pytest.mark.parametrize("needs_a_larger_plan", [False, True])
def test_expired_contracts_have_an_endpoint_of_their_own(
    env: BackfillEnv, needs_a_larger_plan: bool
) -> None:
    expired = future_of(env, "RELIANCE", date(2026, 8, 10))
    assert expired.expiry is not None
    assert expired.expiry < TODAY
    if needs_a_larger_plan:
        env.faults({"kind": "plan-needed"})
    first = date(2026, 8, 10)
    order = replace(
        env.order(first, TODAY - timedelta(days=1)),
        instruments=[expired, env.instrument("TCS")],
    )

    plan = env.service.plan(order)
    report = env.service.run(plan)

    doors = {one.endpoint for one in plan.windows if one.instrument is expired}
    assert doors == {EXPIRED}
    days = {day: known for (symbol, day), known in env.ledger(order).items() if symbol != "TCS"}
    assert max(days) == expired.expiry  # nothing is expected of it any more
    if needs_a_larger_plan:
        assert (report.outcome, report.failures[FailureGroup.AUTH]) == (Outcome.INCOMPLETE, 1)
        assert all(known.minutes(State.MISSED) == known.expected for known in days.values())
    else:
        assert report.outcome is Outcome.COMPLETED
        assert all(known.settled for known in days.values())
    others = [known for (symbol, _), known in env.ledger(order).items() if symbol == "TCS"]
    assert all(known.settled for known in others)  # one refusal is no reason to stop


def test_a_contract_is_not_expected_before_it_was_listed(env: BackfillEnv) -> None:
    future = future_of(env, "RELIANCE", TODAY)
    order = BackfillOrder(
        instruments=[future],
        interval=MINUTES,
        first=date(2026, 9, 1),
        last=TODAY,
        listed={future.instrument_key: date(2026, 9, 10)},
    )

    assert min(day for _, day in env.ledger(order)) == date(2026, 9, 10)


def test_a_share_that_joined_last_week_is_expected_before_it_joined(tmp_path: Path) -> None:
    listed = tmp_path / "symbols.txt"
    listed.write_text("TCS\nRELIANCE\n")
    settings = Settings.load({"FNO_SYMBOLS_FILE": str(listed)}, tmp_path)
    with rehearsal_for(settings, TODAY, TODAY, Watcher()) as (collector, _):
        hold = collector.provider.clock.hold()
        # The store has seen these instruments for the first time this morning.
        chosen = selection_at(collector.store, collector.universe, ())
        order = BackfillOrder(
            instruments=chosen.instruments,
            interval=MINUTES,
            first=date(2026, 8, 3),
            last=date(2026, 8, 31),
            listed=chosen.listed,
        )
        report = backfill_at(collector.context, collector.calendar).run(
            backfill_at(collector.context, collector.calendar).plan(order)
        )
        hold.release()

    assert (report.outcome, report.requests) == (Outcome.COMPLETED, 2)
    assert report.inserted > 2 * 20 * 360


# More than can be under way at once.
LONG_AGO, LATELY = date(2026, 4, 1), date(2026, 9, 15)


def untouched(env: BackfillEnv, order: BackfillOrder) -> dict[Any, DayCoverage]:
    """The days of *order* that were never requested, as the ledger has them."""
    return {key: known for key, known in env.ledger(order).items() if not known.attempts}


def test_without_access_the_run_stops_and_the_next_attempt_is_not_delayed(env: BackfillEnv) -> None:
    refused = env.instrument("SBIN").instrument_key
    env.faults({"kind": "cloudflare-403", "api": "candles", "instruments": [refused]})
    order = env.order(LONG_AGO, LATELY)
    plan = env.service.plan(order)

    report = env.service.run(plan)

    assert isinstance(report.stopped_by, AccessDenied)
    assert report.outcome is Outcome.INCOMPLETE
    assert report.done < len(plan.windows)
    tried = [known for (symbol, _), known in env.ledger(order).items() if symbol == "SBIN"]
    assert {known.attempts for known in tried} <= {0, 1}
    assert any(known.last_error for known in tried)
    assert all((known.next_attempt or env.clock.now()) <= env.clock.now() for known in tried)
    env.faults()
    _resumes(env, order, report)


def test_a_token_rejected_in_mid_run_stops_it(env: BackfillEnv) -> None:
    expired = future_of(env, "RELIANCE", date(2026, 8, 10))
    order = env.order(LONG_AGO, LATELY)
    order = replace(order, instruments=[*order.instruments[:2], expired, *order.instruments[2:]])
    env.faults({"kind": "token-expired", "api": "expired-candles"})
    plan = env.service.plan(order)

    report = env.service.run(plan)

    assert isinstance(report.stopped_by, TokenRejected)
    assert 0 < report.done < len(plan.windows)
    tried = [known for (symbol, _), known in env.ledger(order).items() if symbol == expired.symbol]
    assert any(known.last_error for known in tried)
    assert all((known.next_attempt or env.clock.now()) <= env.clock.now() for known in tried)


def test_an_outage_that_lasts_stops_the_run_and_holds_nothing_back(env: BackfillEnv) -> None:
    order = env.order(LONG_AGO, LATELY)
    plan = env.service.plan(order)

    def cut(far: Progress) -> None:
        if far.done == WORKERS:
            env.faults({"kind": "reset", "api": "candles"})

    report = env.service.run(plan, advance=cut)

    assert isinstance(report.stopped_by, Unreachable)
    assert report.outcome is Outcome.INCOMPLETE
    assert 0 < report.failures[FailureGroup.NETWORK] <= WORKERS
    assert report.done <= 3 * WORKERS < len(plan.windows)
    env.faults()
    tried = [known for known in env.ledger(order).values() if known.last_error]
    assert tried
    assert all((known.next_attempt or env.clock.now()) <= env.clock.now() for known in tried)
    _resumes(env, order, report)


def test_a_stop_before_anything_is_confirmed_leaves_the_run_incomplete(
    env: BackfillEnv,
) -> None:
    env.until(ist(TODAY, "16:00:00"))
    order = env.order(TODAY, TODAY)
    assert env.backfill(order).outcome is Outcome.COMPLETED
    env.until(ist("2026-09-17", "20:00:00"))
    plan = env.service.plan(order)
    env.stop.set()

    report = env.service.run(plan)

    assert (report.windows, report.done, report.missed) == (len(SYMBOLS), 0, 0)
    assert report.outcome is Outcome.INCOMPLETE


def test_a_stopped_run_finishes_the_requests_in_flight(env: BackfillEnv) -> None:
    order = env.order(LONG_AGO, LATELY)
    plan = env.service.plan(order)

    report = env.service.run(plan, advance=lambda far: env.stop.set() if far.done == 3 else None)

    assert report.outcome is Outcome.INCOMPLETE
    assert 3 <= report.done < 3 + WORKERS
    assert report.requests == report.done
    env.stop.clear()
    _resumes(env, order, report)


def _resumes(env: BackfillEnv, order: BackfillOrder, interrupted: BackfillReport) -> None:
    """The next run asks for the rest alone, and then nothing is left."""
    good = interrupted.done - sum(
        times
        for failure, times in interrupted.failures.items()
        if failure is not FailureGroup.EMPTY
    )
    plan = env.service.plan(order)
    assert len(plan.windows) == interrupted.windows - good
    report = env.service.run(plan)
    assert (report.outcome, report.missed) == (Outcome.COMPLETED, 0)
    assert env.service.plan(order).windows == []


@pytest.mark.parametrize(
    ("day", "now", "state"),
    [
        pytest.param(BEFORE_AUCTIONS, "15:36:08", State.PENDING, id="the row may still change"),
        pytest.param(BEFORE_AUCTIONS, "15:46:08", State.PRESENT, id="the row of the day is good"),
        pytest.param(MUHURAT, "18:45:08", State.PENDING, id="an evening session is under way"),
        pytest.param(MUHURAT, "19:20:08", State.PRESENT, id="an evening session is over"),
    ],
)
def test_the_day_candle_of_today_is_not_stored_before_it_is_final(
    sqlite_url: str, tmp_path: Path, day: date, now: str, state: State
) -> None:
    """On a day without an auction, trading has been over for five minutes at 15:35."""
    with backfill_env(sqlite_url, tmp_path, ist(day, now), SYMBOLS) as env:
        order = env.order(day, day, DAYS)
        env.backfill(order)
        states = {one.state for day in env.ledger(order).values() for one in day.intervals}
        assert states == {state}
        assert bool(env.candles("NIFTY", DAYS)) is (state is State.PRESENT)


def test_day_candles_prove_quiet_minutes_that_were_requested_before(
    env: BackfillEnv,
) -> None:
    """Whichever was fetched first, the day's volume tells what its minutes lack."""
    first, last = date(2026, 9, 7), TODAY - timedelta(days=1)
    order = env.order(first, last)
    env.backfill(order)
    shares = [key for key in env.ledger(order) if key[0] != "NIFTY"]
    empty = {key: env.ledger(order)[key].spans(State.SOURCE_EMPTY) for key in shares}
    assert any(empty.values())

    env.backfill(env.order(first, last, DAYS))

    ledger = env.ledger(order)
    assert {key: ledger[key].spans(State.NO_TRADE) for key in shares} == empty
    assert env.service.plan(replace(order, retry_failed=True)).windows == []
