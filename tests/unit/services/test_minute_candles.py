"""One answer of running bars: what is stored of it, what is not, and what the audit says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from upstox_stub import Stub, api_for, good, row

from data_fetch.core.candles.candles import CandleInterval, OhlcResponse
from data_fetch.core.candles.coverage import State
from data_fetch.core.clock import IST, MINUTE, VirtualClock
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.market.session import INDIA_VIX_KEY
from data_fetch.core.runs import SyncRun
from data_fetch.services.minute_candles import CandleService
from data_fetch.sources.upstox.ohlc_client import UpstoxOhlcClient
from data_fetch.storage.candles.coverage import load_days
from data_fetch.storage.candles.repository import CandleRepository
from data_fetch.storage.database.store import Store
from data_fetch.storage.database.tables import CandleRow
from data_fetch.storage.runs import recent_runs

OPEN = datetime(2026, 9, 16, 9, 15, tzinfo=IST)


def member(symbol: str, key: str, segment: str = "NSE_EQ") -> Instrument:
    return Instrument(
        instrument_key=key,
        symbol=symbol,
        segment=segment,
        instrument_type="EQ",
        cas_eligible=segment == "NSE_EQ",
        live_key=key,
    )


A, B = member("A", "NSE_EQ|ZZP000000A01"), member("B", "NSE_EQ|ZZP000000B01")
VIX = member("INDIAVIX", INDIA_VIX_KEY, "NSE_INDEX")


@dataclass
class LateResponses:
    """A source whose responses take *late* to arrive."""

    source: UpstoxOhlcClient
    clock: VirtualClock
    late: timedelta

    def minute_candles(self, instrument_keys: Sequence[str]) -> OhlcResponse:
        response = self.source.minute_candles(instrument_keys)
        self.clock.sleep(self.late)
        return replace(response, received_at=self.clock.now())


@dataclass
class ServiceEnv:
    """The service at its clock, and a provider with scripted responses."""

    clock: VirtualClock
    stub: Stub
    store: Store
    service: CandleService

    def collect(self, time: str, *rows: dict[str, Any]) -> SyncRun:
        """Collect at an IST time of day; the audit row of it."""
        instant = datetime.fromisoformat(f"2026-09-16 {time}").replace(tzinfo=IST)
        found = rows or (row("NSE_EQ|ZZP000000X01"),)
        self.stub.script = lambda _: good({str(n): one for n, one in enumerate(found)})
        self.clock.sleep(instant - self.clock.now())
        self.service.collect()
        [run] = recent_runs(self.store, limit=1, job="candles")
        return run

    def stored(self) -> dict[tuple[str, str], Any]:
        with self.store.reading() as connection:
            rows = list(connection.execute(select(CandleRow)))
        return {(row.instrument_key, f"{row.timestamp.astimezone(IST):%H:%M}"): row for row in rows}


@pytest.fixture
def env(store: Store) -> Iterator[ServiceEnv]:
    clock = VirtualClock(OPEN - timedelta(hours=1))
    hold = clock.hold()
    with Stub() as stub:
        service = CandleService(
            source=UpstoxOhlcClient(api_for(stub.url, clock), clock),
            source_name="paper",
            repository=CandleRepository(store),
            members=[A, B, VIX],
            calendar=MarketCalendar.reviewed(),
            clock=clock,
        )
        yield ServiceEnv(clock, stub, store, service)
    hold.release()


def test_minutes_are_judged_as_of_the_response_and_not_of_the_request(
    env: ServiceEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requested just before the end of a minute, and received after the next one is due."""
    requested = "15:13:59.9"
    source = UpstoxOhlcClient(api_for(env.stub.url, env.clock), env.clock)
    late = LateResponses(source, env.clock, timedelta(seconds=91))
    monkeypatch.setattr(env.service, "_source", late)
    env.collect(requested, bar(A, "15:12"), bar(B, "15:12"), bar(VIX, "15:12"))

    day = OPEN.date()
    with env.store.reading() as connection:
        days = load_days(connection, [A.instrument_key], CandleInterval.MINUTE, day, day)
    [known] = days.values()
    pending = known.spans(State.PENDING)
    assert known.day == day
    # Until 15:15:30.9 the candles up to 15:14 are due; 15:14 is the last of the session.
    assert pending == ()


def bar(of: Instrument, time: str, close: float = 100.5, **changed: Any) -> dict[str, Any]:
    start = datetime.fromisoformat(f"2026-09-16 {time}").replace(tzinfo=IST)
    said = {"open": 100.0, "high": 101.0, "low": 99.0, "close": close, "volume": 7}
    quote = {**said, "ts": int(start.timestamp() * 1000), **changed}
    return row(of.instrument_key, prev_ohlc=quote, live_ohlc=None)


def test_a_candle_is_stored_under_its_own_minute(env: ServiceEnv) -> None:
    run = env.collect("09:30:10", bar(A, "09:29"), bar(B, "09:27"), bar(VIX, "09:29"))

    assert set(env.stored()) == {
        (A.instrument_key, "09:29"),
        (B.instrument_key, "09:27"),
        (VIX.instrument_key, "09:29"),
    }
    assert (run.outcome, run.requested, run.stored, run.requests) == ("completed", 3, 3, 1)
    assert run.due_slot == OPEN + 14 * MINUTE
    assert {row.run_id for row in env.stored().values()} == {run.run_id}


def test_a_repeated_candle_writes_nothing(env: ServiceEnv) -> None:
    first = env.collect("09:30:10", bar(A, "09:29"), bar(B, "09:29"), bar(VIX, "09:29"))
    second = env.collect("09:31:10", bar(A, "09:30"), bar(B, "09:29"), bar(VIX, "09:30"))

    assert (second.stored, second.details["repeated"]) == (2, 1)
    assert env.stored()[B.instrument_key, "09:29"].run_id == first.run_id


def test_a_repeated_candle_with_other_values_is_corrected(env: ServiceEnv) -> None:
    env.collect("09:30:10", bar(A, "09:29"), bar(B, "09:29"), bar(VIX, "09:29"))
    second = env.collect("09:31:10", bar(A, "09:29", close=99.5))

    assert (second.stored, env.stored()[A.instrument_key, "09:29"].close) == (1, 99.5)


def test_rejected_candles_are_counted_with_their_reason(env: ServiceEnv) -> None:
    stray = member("X", "NSE_EQ|ZZP000000X01")

    run = env.collect("09:30:10", bar(A, "09:30"), bar(B, "09:29", high=1.0), bar(stray, "09:29"))

    assert env.stored() == {}
    assert (run.outcome, run.stored, run.rejected, run.absent) == ("incomplete", 0, 3, 1)
    assert run.details["rejected"]["sample"].keys() == {"A", "B"}
    assert run.details["unrequested"]["sample"].keys() == {stray.instrument_key}
    assert run.details["absent"]["sample"].keys() == {"INDIAVIX"}


def test_a_candle_outside_its_session_is_counted_and_not_stored(env: ServiceEnv) -> None:
    run = env.collect("09:16:10", bar(A, "09:14"), bar(B, "09:15"), bar(VIX, "09:15"))

    assert set(env.stored()) == {(B.instrument_key, "09:15"), (VIX.instrument_key, "09:15")}
    assert (run.rejected, run.details["outside_sessions"]["sample"]) == (1, ["A"])


@pytest.mark.parametrize(
    ("time", "asked"),
    [
        pytest.param("09:16:10", [A, B, VIX], id="after the first minute everybody"),
        pytest.param("15:15:10", [A, B, VIX], id="after the last minute before the auction"),
        pytest.param("15:16:10", [VIX], id="while the stocks are in their auction"),
        pytest.param("15:30:10", [VIX], id="after its last minute"),
    ],
)
def test_only_symbols_that_trade_in_the_minute_are_requested(
    env: ServiceEnv, time: str, asked: list[Instrument]
) -> None:
    run = env.collect(time)

    [seen] = env.stub.seen
    assert seen.keys == [instrument.instrument_key for instrument in asked]
    assert run.requested == len(asked)


def test_no_request_is_sent_when_no_symbol_trades(env: ServiceEnv) -> None:
    env.clock.sleep(timedelta(hours=8))
    env.service.collect()

    assert env.stub.seen == []
    assert recent_runs(env.store, job="candles") == []
