"""Both sources of option chains behind one interface: a chain, or a problem with a kind."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from threading import Event
from typing import Any

import orjson
import pytest
from nse_bodies import body
from nse_bodies import row as nse_row
from nse_stub import DENIED, INFO, PAGE, json, paths, site_for, visiting
from upstox_rows import NIFTY_KEY, contract
from upstox_rows import row as upstox_row
from upstox_stub import FreePacing, Scripted, Seen, Stub, api_for, error, good, in_turn

from data_fetch.core.chains.chains import ChainReply, ChainSource, ListedExpiries
from data_fetch.core.clock import VirtualClock
from data_fetch.core.errors import (
    Stopped,
)
from data_fetch.core.failures import FailureKind
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.ports import ChainProvider, Lane
from data_fetch.sources.nse.chain_client import nse_chain_client
from data_fetch.sources.transport.chain_client import ChainClient
from data_fetch.sources.upstox.chain_client import upstox_chain_client
from data_fetch.sources.upstox.chain_rows import INDEX_SYMBOLS

MORNING = datetime(2026, 9, 11, 4, 0, tzinfo=UTC)
EXPIRY, LATER = date(2026, 9, 15), date(2026, 9, 29)
GO_ON = Event()


def index(key: str = NIFTY_KEY) -> Instrument:
    return Instrument(
        instrument_key=key,
        live_key=key,
        symbol=INDEX_SYMBOLS[key],
        segment="NSE_INDEX",
        instrument_type="INDEX",
    )


def share(symbol: str) -> Instrument:
    key = "NSE_EQ|INE101A01026"
    return Instrument(
        instrument_key=key, live_key=key, symbol=symbol, segment="NSE_EQ", instrument_type="EQ"
    )


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub() as server:
        yield server


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(MORNING)


@pytest.fixture
def pacing() -> FreePacing:
    return FreePacing()


@pytest.fixture
def upstox(stub: Stub, clock: VirtualClock, pacing: FreePacing) -> ChainClient:
    return upstox_chain_client(api_for(stub.url, clock, pacing=pacing), clock)


@pytest.fixture
def nse(stub: Stub, clock: VirtualClock, pacing: FreePacing) -> ChainClient:
    return nse_chain_client(site_for(stub.url, clock, pacing), clock)


def problem_of(reply: ChainReply | ListedExpiries) -> FailureKind:
    assert not (reply.parsed if isinstance(reply, ChainReply) else reply.expiries)
    assert reply.problem is not None
    return reply.problem.kind


class TestUpstoxChains:
    def test_are_returned(self, stub: Stub, upstox: ChainClient, pacing: FreePacing) -> None:
        stub.script = lambda _: good([upstox_row()])
        reply = upstox.chain(index(), EXPIRY, GO_ON)

        assert (reply.source, reply.problem, reply.requests) == (ChainSource.UPSTOX, None, 1)
        assert reply.parsed is not None
        (chain,) = reply.parsed.chains
        assert (chain.underlying, chain.expiry, len(chain.legs)) == ("NIFTY", EXPIRY, 2)
        (seen,) = stub.seen
        assert seen.path == "/v2/option/chain"
        assert seen.query == {"instrument_key": [NIFTY_KEY], "expiry_date": ["2026-09-15"]}
        assert pacing.granted == [("option-chain", Lane.CHAIN)]

    def test_come_with_their_bytes(
        self, stub: Stub, upstox: ChainClient, clock: VirtualClock
    ) -> None:
        stub.script = lambda _: good([upstox_row()])
        reply = upstox.chain(index(), EXPIRY, GO_ON)
        (kept,) = reply.raw_responses
        assert (kept.status, orjson.loads(kept.body)["data"]) == (200, [upstox_row()])
        assert kept.received_at == reply.received_at == clock.now()

    @pytest.mark.parametrize(
        ("response", "kind"),
        [
            pytest.param(good([]), FailureKind.EMPTY_LIST, id="an expiry that is not listed"),
            pytest.param(
                good([upstox_row(expiry="2026-09-22")]), FailureKind.OTHER_CHAIN, id="expiry"
            ),
            pytest.param(
                good([upstox_row(underlying_key="NSE_INDEX|Nifty Bank")]),
                FailureKind.OTHER_CHAIN,
                id="underlying",
            ),
            pytest.param(good({"candles": []}), FailureKind.NOT_A_CHAIN, id="another answer"),
            pytest.param(Scripted(200, b"{}"), FailureKind.EMPTY_OBJECT, id="empty object"),
            pytest.param(PAGE, FailureKind.HTML, id="a page"),
            pytest.param(Scripted(200, b'{"status": "suc'), FailureKind.NOT_JSON, id="truncated"),
            pytest.param(Scripted(200, b""), FailureKind.EMPTY_BODY, id="nothing"),
            pytest.param(
                good([upstox_row()], "partial_success"), FailureKind.NOT_A_CHAIN, id="part"
            ),
            pytest.param(error(401, "UDAPI100050"), FailureKind.UNAUTHORISED, id="401"),
            pytest.param(DENIED, FailureKind.FORBIDDEN, id="403"),
            pytest.param(error(404, "UDAPI100060"), FailureKind.NOT_FOUND, id="404"),
            pytest.param(Scripted(404, b"<html>"), FailureKind.NOT_FOUND, id="404 page"),
            pytest.param(Scripted(421, b"<html>"), FailureKind.MISDIRECTED, id="421"),
            pytest.param(error(400, "UDAPI1087"), FailureKind.UNKNOWN_INSTRUMENT, id="unknown key"),
            pytest.param(error(429, "UDAPI10005"), FailureKind.RATE_LIMITED, id="429"),
            pytest.param(error(500, "UDAPI100500"), FailureKind.SERVER_ERROR, id="500"),
            pytest.param(Scripted(reset=True), FailureKind.UNREACHABLE, id="reset"),
        ],
    )
    def test_that_are_not_there_have_a_reason(
        self, stub: Stub, upstox: ChainClient, response: Scripted, kind: FailureKind
    ) -> None:
        stub.script = lambda _: response
        reply = upstox.chain(index(), EXPIRY, GO_ON)
        assert problem_of(reply) is kind
        assert reply.requests == len(stub.seen)
        if not response.reset:
            assert {kept.body for kept in reply.raw_responses} == {response.body}
            assert {kept.status for kept in reply.raw_responses} == {response.status}

    def test_keep_the_bad_responses_before_the_good_one(
        self, stub: Stub, upstox: ChainClient
    ) -> None:
        stub.script = in_turn(error(500, "UDAPI100500"), good([upstox_row()]))
        reply = upstox.chain(index(), EXPIRY, GO_ON)
        assert reply.parsed is not None
        assert [kept.status for kept in reply.raw_responses] == [500, 200]
        assert reply.requests == 2

    def test_a_stop_is_a_problem_too(self, stub: Stub, upstox: ChainClient) -> None:
        stop = Event()

        def script(_: Seen) -> Scripted:
            stop.set()
            return error(500, "UDAPI100500")

        stub.script = script
        reply = upstox.chain(index(), EXPIRY, stop)
        assert isinstance(reply.problem, Stopped)
        assert len(stub.seen) == 1


class TestUpstoxExpiries:
    def test_are_those_of_its_contracts(self, stub: Stub, upstox: ChainClient) -> None:
        rows = [contract(1, "2026-09-29"), contract(2, "2026-09-15"), contract(3, "2026-09-15")]
        stub.script = lambda _: good(rows)
        listed = upstox.expiries(index(), GO_ON)
        assert (listed.expiries, listed.requests) == ((EXPIRY, LATER), 1)
        (seen,) = stub.seen
        assert (seen.path, seen.query) == ("/v2/option/contract", {"instrument_key": [NIFTY_KEY]})

    def test_spend_from_their_own_budget(
        self, stub: Stub, upstox: ChainClient, pacing: FreePacing
    ) -> None:
        stub.script = lambda _: good([contract()])
        upstox.expiries(index(), GO_ON)
        assert pacing.granted == [("option-contract", Lane.CHAIN)]

    @pytest.mark.parametrize(
        ("response", "kind"),
        [
            pytest.param(good([]), FailureKind.EMPTY_LIST, id="none"),
            pytest.param(good([{"a": 1}]), FailureKind.EMPTY_LIST, id="none that can be read"),
            pytest.param(
                good([contract(underlying_key="NSE_INDEX|Nifty Bank")]),
                FailureKind.EMPTY_LIST,
                id="of another underlying",
            ),
            pytest.param(PAGE, FailureKind.HTML, id="a page"),
            pytest.param(error(401, "UDAPI100050"), FailureKind.UNAUTHORISED, id="401"),
        ],
    )
    def test_that_are_not_there_are_a_problem(
        self, stub: Stub, upstox: ChainClient, response: Scripted, kind: FailureKind
    ) -> None:
        stub.script = lambda _: response
        listed = upstox.expiries(index(), GO_ON)
        assert problem_of(listed) is kind
        assert listed.requests == len(listed.raw_responses) > 0


class TestNseChains:
    def test_are_returned(self, stub: Stub, nse: ChainClient) -> None:
        visiting(stub, json(body(nse_row())))
        reply = nse.chain(index(), EXPIRY, GO_ON)

        assert (reply.source, reply.problem, reply.requests) == (ChainSource.NSE, None, 2)
        assert reply.parsed is not None
        (chain,) = reply.parsed.chains
        assert (chain.underlying, chain.expiry, len(chain.legs)) == ("NIFTY", EXPIRY, 2)
        assert [kept.status for kept in reply.raw_responses] == [200]
        assert stub.seen[-1].query["type"] == ["Indices"]

    def test_of_shares_are_requested_as_equity(self, stub: Stub, nse: ChainClient) -> None:
        visiting(stub, json(body(nse_row())))
        reply = nse.chain(share("M&M"), EXPIRY, GO_ON)
        assert stub.seen[-1].query["symbol"] == ["M&M"]
        assert stub.seen[-1].query["type"] == ["Equity"]
        assert problem_of(reply) is FailureKind.OTHER_CHAIN

    @pytest.mark.parametrize(
        ("response", "kind"),
        [
            pytest.param(json({}), FailureKind.EMPTY_OBJECT, id="empty object"),
            pytest.param(PAGE, FailureKind.HTML, id="a page"),
            pytest.param(json(body()), FailureKind.EMPTY_LIST, id="no rows"),
            pytest.param(json(INFO), FailureKind.NOT_A_CHAIN, id="contracts"),
            pytest.param(json({}, 503), FailureKind.SERVER_ERROR, id="503"),
            pytest.param(Scripted(reset=True), FailureKind.UNREACHABLE, id="reset"),
        ],
    )
    def test_that_are_not_there_have_a_reason(
        self, stub: Stub, nse: ChainClient, response: Scripted, kind: FailureKind
    ) -> None:
        visiting(stub, response)
        reply = nse.chain(index(), EXPIRY, GO_ON)
        assert problem_of(reply) is kind
        assert reply.requests == len(stub.seen)

    def test_of_another_day_are_refused(self, stub: Stub, nse: ChainClient) -> None:
        visiting(stub, json(body(nse_row())))
        assert problem_of(nse.chain(index(), LATER, GO_ON)) is FailureKind.OTHER_CHAIN

    def test_a_stop_is_a_problem_too(self, stub: Stub, clock: VirtualClock) -> None:
        class Stopping(FreePacing):
            def request(self, *_: Any, **__: Any) -> Any:
                raise Stopped("called off")

        client = nse_chain_client(site_for(stub.url, clock, Stopping()), clock)
        assert isinstance(client.chain(index(), EXPIRY, GO_ON).problem, Stopped)
        assert stub.seen == []

    def test_switched_off(self, stub: Stub, clock: VirtualClock) -> None:
        client = nse_chain_client(site_for(stub.url, clock, FreePacing(), enabled=False), clock)
        reply = client.chain(index(), EXPIRY, GO_ON)
        assert (problem_of(reply), reply.requests) == (FailureKind.SWITCHED_OFF, 0)
        assert problem_of(client.expiries(index(), GO_ON)) is FailureKind.SWITCHED_OFF


def answering(source: ChainSource, stub: Stub, *bad: Scripted) -> None:
    """Let *source* list its expiries, after some bad answers."""
    if source is ChainSource.NSE:
        visiting(stub, *bad, json(INFO))
    else:
        stub.script = in_turn(*bad, good([contract(1, "2026-09-29"), contract(2, "2026-09-15")]))


@pytest.mark.parametrize("source", ChainSource)
class TestListedExpiries:
    """Of either provider: contracts are listed before the open and stay for the day."""

    @pytest.fixture
    def client(self, source: ChainSource, upstox: ChainClient, nse: ChainClient) -> ChainProvider:
        return nse if source is ChainSource.NSE else upstox

    def test_are_requested_once_a_day(
        self, source: ChainSource, client: ChainProvider, stub: Stub, clock: VirtualClock
    ) -> None:
        answering(source, stub)
        first = client.expiries(index(), GO_ON)
        requests = len(stub.seen)
        clock.sleep(timedelta(hours=12))
        again = client.expiries(index(), GO_ON)
        assert first.expiries == again.expiries == (EXPIRY, LATER)
        assert (first.requests, again.requests, len(stub.seen)) == (requests, 0, requests)

    def test_are_requested_again_on_the_next_indian_day(
        self, source: ChainSource, client: ChainProvider, stub: Stub, clock: VirtualClock
    ) -> None:
        answering(source, stub)
        client.expiries(index(), GO_ON)
        # 00:00 in India.
        clock.sleep(timedelta(hours=14, minutes=30))
        assert client.expiries(index(), GO_ON).requests > 0

    def test_of_each_underlying_are_its_own(
        self, source: ChainSource, client: ChainProvider, stub: Stub
    ) -> None:
        answering(source, stub)
        client.expiries(index(), GO_ON)
        before = len(stub.seen)
        client.expiries(index("NSE_INDEX|Nifty Bank"), GO_ON)
        assert len(stub.seen) > before

    def test_are_requested_again_after_a_failure(
        self, source: ChainSource, client: ChainProvider, stub: Stub
    ) -> None:
        stub.script = lambda _: DENIED
        refused = client.expiries(index(), GO_ON)
        assert refused.problem is not None
        assert refused.raw_responses
        answering(source, stub)
        assert client.expiries(index(), GO_ON).expiries == (EXPIRY, LATER)


def test_a_session_is_shared_by_lists_and_chains(stub: Stub, nse: ChainClient) -> None:
    visiting(stub, json(INFO), json(body(nse_row())))
    nse.expiries(index(), GO_ON)
    nse.chain(index(), EXPIRY, GO_ON)
    assert paths(stub).count("option-chain") == 1
