"""What single responses of the provider cost: slots, requests, symbols.

The service, the SDK, the batches and the store are real; the provider is a scripted server, and
time is virtual.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event

import pytest
from upstox_stub import (
    FreePacing,
    Scripted,
    Seen,
    Stub,
    api_for,
    equity_keys,
    error,
    good,
    keeper,
    quotes_of,
    row,
)

from data_fetch.cli.shared.run_lines import slot_line
from data_fetch.core.clock import IST, MINUTE, VirtualClock
from data_fetch.core.errors import OutsideError
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.market.members import Members
from data_fetch.core.quotes.freshness import FreshnessRules
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.world import World
from data_fetch.services.freshness import FreshnessMonitor
from data_fetch.services.quotes import LtpService
from data_fetch.sources.upstox.api import UpstoxApi
from data_fetch.sources.upstox.chain_client import upstox_chain_client
from data_fetch.sources.upstox.ltp_client import UpstoxLtpClient
from data_fetch.storage.database.store import open_store
from data_fetch.storage.quotes import QuoteStore

TEN = datetime(2026, 7, 15, 10, 0, tzinfo=IST)
PAGE = Scripted(401, b"<html><title>Log in to the proxy</title></html>")
REFUSED = error(401, "UDAPI100050", "Invalid token used to access API")


def stock(key: str) -> Instrument:
    return Instrument(
        instrument_key=key,
        live_key=key,
        symbol=key[-6:],
        segment="NSE_EQ",
        instrument_type="EQ",
    )


MEMBERS = Members.as_of([*map(stock, equity_keys(4))], TEN)


@dataclass
class Wire:
    """A collector of four stocks at 10:01 and the server that it sends requests to."""

    stub: Stub
    clock: VirtualClock
    env_file: Path
    api: UpstoxApi
    quotes: QuoteStore
    service: LtpService
    monitor: FreshnessMonitor
    runs: list[SyncRun]

    def minutes(self, count: int) -> list[str]:
        """The outcome of each of the next slots; *count* of them, each at its due time."""
        first = len(self.runs)
        for _ in range(count):
            with suppress(OutsideError):
                self.service.collect_due()
            due = self.clock.now().replace(second=0, microsecond=0) + MINUTE
            self.clock.sleep(due - self.clock.now())
        return [str(run.outcome) for run in self.runs[first:]]

    def sent(self, path: str) -> int:
        return sum(seen.path == path for seen in self.stub.seen)


LTP_PATH = "/v3/market-quote/ltp"


@pytest.fixture
def wire(tmp_path: Path, sqlite_url: str) -> Iterator[Wire]:
    clock = VirtualClock(TEN + MINUTE)
    hold = clock.hold()
    env_file = tmp_path / ".env"
    env_file.write_text("UPSTOX_ACCESS_TOKEN=first-token\n")
    store = open_store(sqlite_url, World.LIVE)
    runs: list[SyncRun] = []
    with Stub() as stub:
        api = api_for(stub.url, clock, token=keeper(env_file=env_file), pacing=FreePacing())
        service = LtpService(
            source=UpstoxLtpClient(api, clock),
            source_name="upstox",
            quotes_repository=QuoteStore(store),
            members=MEMBERS,
            calendar=MarketCalendar.reviewed(),
            clock=clock,
            last_recorded_slot=TEN - MINUTE,
            running_since=clock.now(),
            listeners=[lambda run, quotes: runs.append(run)],
        )
        monitor = FreshnessMonitor(
            quotes_repository=QuoteStore(store),
            members=MEMBERS,
            calendar=MarketCalendar.reviewed(),
            clock=clock,
            rules=FreshnessRules(),
            chains=list,
            repair=service.repair,
        )
        yield Wire(stub, clock, env_file, api, QuoteStore(store), service, monitor, runs)
    store.close()
    hold.release()


# -- the token ------------------------------------------------------------------------------------


def test_a_401_of_something_else_costs_its_own_request_only(wire: Wire) -> None:
    answers = iter([quotes_of, lambda _: PAGE])
    wire.stub.script = lambda seen: next(answers, quotes_of)(seen)

    assert wire.minutes(4) == ["completed"] * 4
    assert wire.sent(LTP_PATH) == 5


def test_a_401_of_something_else_that_lasts_is_no_matter_of_the_token(wire: Wire) -> None:
    wire.stub.script = lambda _: PAGE

    assert wire.minutes(2) == ["failed", "failed"]
    assert sum(run.requests for run in wire.runs) == wire.sent(LTP_PATH) > 2
    assert "401: a page titled 'Log in to the proxy'" in (wire.runs[-1].error or "")
    wire.stub.script = quotes_of
    assert wire.minutes(1) == ["completed"]


@pytest.mark.parametrize("status", [401, 200], ids=["401", "in a 200"])
def test_a_refused_token_is_tried_again_by_one_request_every_few_minutes(
    wire: Wire, status: int
) -> None:
    wire.stub.script = lambda _: error(status, "UDAPI100050")

    assert wire.minutes(10) == ["missed"] * 10
    assert wire.sent(LTP_PATH) == 4, "at 10:01, 10:04, 10:07 and 10:10"
    assert {run.error for run in wire.runs} == {wire.runs[0].error}, "the screen shows it once"
    assert "401 since 10:01:00 IST" in (wire.runs[0].error or "")

    wire.stub.script = quotes_of
    assert wire.minutes(4) == ["missed", "missed", "completed", "completed"]


def test_saving_the_env_file_tries_the_token_in_it_at_once(wire: Wire) -> None:
    wire.stub.script = lambda _: REFUSED
    wire.minutes(1)
    wire.stub.script = quotes_of
    wire.env_file.write_text("UPSTOX_ACCESS_TOKEN=first-token\n")

    assert wire.minutes(1) == ["completed"]


def test_what_the_chain_api_refuses_stops_no_slot(wire: Wire) -> None:
    healed_at = TEN + timedelta(minutes=2, seconds=30)

    def script(seen: Seen) -> Scripted:
        if not seen.path.startswith("/v2/option"):
            return quotes_of(seen)
        return REFUSED if wire.clock.now() < healed_at else good([])

    wire.stub.script = script
    chains = upstox_chain_client(wire.api, wire.clock)
    outcomes = []
    for _ in range(5):
        chains.chain(MEMBERS.instruments[0], TEN.date(), Event())
        outcomes += wire.minutes(1)

    assert outcomes == ["completed"] * 5
    assert wire.sent("/v2/option/chain") == 3, "10:01, one more after three minutes, then as usual"


def test_a_refused_token_sends_no_repairs(wire: Wire) -> None:
    wire.minutes(1)
    wire.stub.script = lambda _: REFUSED
    # The token was tried three minutes ago: the next try belongs to the next slot.
    wire.minutes(9)
    before = len(wire.stub.seen)
    wire.clock.sleep(timedelta(seconds=20))

    wire.monitor.check()

    assert {one.state for one in wire.monitor.judge_all()} == {"stopped"}
    assert len(wire.stub.seen) == before
    assert wire.runs[-1].outcome is Outcome.MISSED


# -- one bad thing costs itself -----------------------------------------------------------------


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "9" * 5000], ids=lambda n: n[:6])
def test_a_price_beyond_any_range_costs_its_own_row(wire: Wire, number: str) -> None:
    def script(seen: Seen) -> Scripted:
        rows = {f"NSE_EQ:{n}": row(key) for n, key in enumerate(seen.keys)}
        rows["NSE_EQ:1"]["last_price"] = "@"
        return Scripted(body=good(rows).body.replace(b'"@"', number.encode()))

    wire.stub.script = script
    wire.minutes(1)

    [run] = wire.runs
    assert (run.stored, run.rejected, run.requests) == (3, 1, 1)


NOTHING = good({})


def nulls(seen: Seen) -> Scripted:
    return good({f"NSE_EQ:{number}": None for number, _ in enumerate(seen.keys)})


def misnamed(seen: Seen) -> Scripted:
    return good({key: row(key.replace("|", ":")) for key in seen.keys})


@pytest.mark.parametrize(
    ("response", "reason", "kind"),
    [
        pytest.param(lambda _: NOTHING, "no row at all", "empty_object", id="nothing"),
        pytest.param(nulls, "the first is null, not a row", "retyped_field", id="null rows"),
        pytest.param(misnamed, "whose instrument_token is", "retyped_field", id="misnamed rows"),
    ],
)
def test_a_response_without_a_usable_row_is_a_fault_and_requested_again(
    wire: Wire, response: Callable[[Seen], Scripted], reason: str, kind: str
) -> None:
    answers = iter([response])
    wire.stub.script = lambda seen: next(answers, quotes_of)(seen)
    assert wire.minutes(1) == ["completed"]
    assert wire.runs[0].requests == 2

    wire.stub.script = response
    assert wire.minutes(1) == ["failed"]
    assert reason in (wire.runs[1].error or "")
    assert wire.runs[1].details["failure_kinds"] == {kind: 4}


def test_fields_that_cannot_be_are_counted_by_reason(wire: Wire) -> None:
    def script(seen: Seen) -> Scripted:
        rows = {f"NSE_EQ:{n}": row(key) for n, key in enumerate(seen.keys)}
        rows["NSE_EQ:0"] |= {"volume": None, "cp": -3}
        rows["NSE_EQ:1"] |= {"volume": None}
        return good(rows)

    wire.stub.script = script
    assert wire.minutes(2) == ["completed"] * 2

    dropped = wire.runs[0].details["dropped_fields"]
    assert dropped["reasons"] == {"volume is missing": 2, "cp -3 cannot be": 1}
    latest = wire.quotes.latest()
    first = latest[MEMBERS.instruments[0].symbol].quote
    assert (first.volume, first.prev_close, first.last_price) == (None, None, 100.5)
    assert {one.state for one in wire.monitor.judge_all()} == {"fresh"}


def test_parts_of_a_slot_that_failed_are_counted_with_their_reasons(wire: Wire) -> None:
    first = MEMBERS.instruments[0]

    def script(seen: Seen) -> Scripted:
        if first.instrument_key in seen.keys:
            return Scripted(404, b"<html><title>Not here</title></html>")
        return quotes_of(seen)

    wire.stub.script = script
    assert wire.minutes(1) == ["incomplete"]
    [run] = wire.runs
    assert run.stored == 3
    assert run.details["failed"]["sample"].keys() == {first.symbol}
    assert run.details["failure_kinds"] == {"not_found": 1}
    assert "1 failed" in slot_line(run)
    assert "a page titled 'Not here'" in slot_line(run)
