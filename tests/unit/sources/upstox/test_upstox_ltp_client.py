"""Quotes of any number of instruments, whatever single keys or requests do."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upstox_stub import (
    RELIANCE,
    START,
    Script,
    Scripted,
    Seen,
    Stub,
    api_for,
    asked_keys,
    equity_keys,
    error,
    good,
    in_turn,
    keeper,
    knowing_all_but,
    quotes_of,
    row,
    waited,
)

from data_fetch.core.clock import VirtualClock
from data_fetch.core.errors import (
    AccessDenied,
    BadResponse,
    RateLimited,
    TokenRejected,
    UnknownInstrument,
)
from data_fetch.core.failures import FailureKind
from data_fetch.core.ports import Lane
from data_fetch.sources.transport.batches import MOST_SEARCH_REQUESTS
from data_fetch.sources.transport.refused_keys import (
    QUARANTINE,
    REFUSALS_TO_BE_UNKNOWN,
    RefusedKeys,
)
from data_fetch.sources.transport.responses import Response
from data_fetch.sources.transport.retrying import RequestContext
from data_fetch.sources.upstox.ltp_client import UpstoxLtpClient


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub() as stub:
        yield stub


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    clock = VirtualClock(START)
    hold = clock.hold()
    yield clock
    hold.release()


@pytest.fixture
def client(stub: Stub, clock: VirtualClock) -> UpstoxLtpClient:
    return UpstoxLtpClient(api_for(stub.url, clock), clock)


# -- batches ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "batches"),
    [
        pytest.param(0, [], id="nothing to request"),
        pytest.param(1, [1], id="one"),
        pytest.param(500, [500], id="a full request"),
        pytest.param(501, [500, 1], id="the 501st key"),
        pytest.param(1200, [500, 500, 200], id="three requests"),
    ],
)
def test_500_keys_a_request(
    stub: Stub, client: UpstoxLtpClient, count: int, batches: list[int]
) -> None:
    keys = equity_keys(count)
    response = client.quotes(keys)
    assert [quote.instrument_key for quote in response.records] == keys
    assert asked_keys(stub.seen) == batches
    assert response.requests == len(batches)


def test_keys_named_twice_are_requested_once(stub: Stub, client: UpstoxLtpClient) -> None:
    response = client.quotes([RELIANCE, "NSE_EQ|A", RELIANCE])
    assert stub.seen[0].keys == [RELIANCE, "NSE_EQ|A"]
    assert len(response.records) == 2


def test_colon_keys_and_absences(stub: Stub, client: UpstoxLtpClient) -> None:
    stub.script = lambda seen: good({"NSE_EQ:RELIANCE": row(RELIANCE), "X": row("NSE_EQ|B", None)})
    response = client.quotes([RELIANCE, "NSE_EQ|A", "NSE_EQ|B"])
    assert [quote.instrument_key for quote in response.records] == [RELIANCE]
    assert response.absent == ("NSE_EQ|A",)
    assert [aside.instrument_key for aside in response.rejected] == ["NSE_EQ|B"]
    assert response.error is None


def test_received_when_the_last_response_came(
    stub: Stub, client: UpstoxLtpClient, clock: VirtualClock
) -> None:
    stub.script = in_turn(error(429, "UDAPI10005", Retry_After="3"), quotes_of)
    response = client.quotes([RELIANCE])
    assert response.received_at == START + timedelta(seconds=3)
    assert response.requests == 2


# -- unknown keys ---------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 1, 249, 250, 498, 499])
def test_one_bad_key_among_500_costs_few_requests(
    stub: Stub, client: UpstoxLtpClient, place: int
) -> None:
    keys = equity_keys(500)
    stub.script = knowing_all_but(keys[place])
    response = client.quotes(keys)
    assert response.unknown == (keys[place],)
    assert len(response.records) == 499
    assert response.error is None
    assert response.requests == len(stub.seen) <= 19


def test_bad_keys_in_every_batch(stub: Stub, client: UpstoxLtpClient) -> None:
    keys = equity_keys(1500)
    bad = (keys[3], keys[4], keys[777], keys[1499])
    stub.script = knowing_all_but(*bad)
    response = client.quotes(keys)
    assert response.unknown == bad
    assert len(response.records) == 1496


def test_many_bad_keys_are_all_found(stub: Stub, client: UpstoxLtpClient) -> None:
    keys = equity_keys(500)
    bad = tuple(keys[::25])
    stub.script = knowing_all_but(*bad)
    response = client.quotes(keys)
    assert response.unknown == bad
    assert len(response.records) == 480
    assert response.requests < MOST_SEARCH_REQUESTS


def test_only_bad_keys(stub: Stub, client: UpstoxLtpClient) -> None:
    stub.script = knowing_all_but("NSE_EQ|A", "NSE_EQ|B")
    response = client.quotes(["NSE_EQ|A", "NSE_EQ|B"])
    assert response.unknown == ("NSE_EQ|A", "NSE_EQ|B")
    assert response.records == ()


class Knowing:
    """An API in memory that refuses any request holding one of *bad*."""

    def __init__(self, bad: set[str], clock: VirtualClock) -> None:
        self._bad = bad
        self._clock = clock

    def context(self, lane: Lane) -> RequestContext:
        return RequestContext.begin(lane, self._clock.now())

    def ltp(self, keys: list[str], context: RequestContext) -> Response:
        context.requests += 1
        if self._bad & set(keys):
            raise UnknownInstrument("x")
        return Response({str(n): row(key) for n, key in enumerate(keys)})


# Without any good key a search ends early: see below.
@given(st.integers(2, 60), st.data())
@settings(max_examples=50)
def test_every_bad_key_is_found_and_no_good_one_lost(count: int, data: st.DataObject) -> None:
    keys = equity_keys(count)
    bad = data.draw(st.sets(st.sampled_from(keys[1:])))
    clock = VirtualClock(START)
    response = UpstoxLtpClient(Knowing(bad, clock), clock).quotes(keys)
    assert set(response.unknown) == bad
    assert [q.instrument_key for q in response.records] == [key for key in keys if key not in bad]
    # A search down to one key requests at most two groups on each level.
    assert response.requests <= 1 + 2 * max(1, len(bad)) * max(1, (count - 1).bit_length())


def test_searching_never_eats_the_whole_budget(clock: VirtualClock) -> None:
    keys = equity_keys(500)
    client = UpstoxLtpClient(Knowing(set(keys[1::2]), clock), clock)
    first = client.quotes(keys)
    assert first.requests <= 1 + MOST_SEARCH_REQUESTS
    assert len(first.records) + len(first.unknown) + len(first.failed) == 500
    assert "search goes on" in str(first.error)
    second = client.quotes(keys)
    assert len(second.records) > len(first.records)


# -- refused keys: suspects, and unknown ones -----------------------------------------------------


def refuse(client: UpstoxLtpClient, keys: list[str], times: int = REFUSALS_TO_BE_UNKNOWN) -> None:
    for _ in range(times):
        client.quotes(keys)


def test_a_refused_key_is_a_suspect_and_requested_apart(
    stub: Stub, client: UpstoxLtpClient
) -> None:
    keys = equity_keys(20)
    stub.script = knowing_all_but(keys[7])
    client.quotes(keys)
    stub.seen.clear()
    again = client.quotes(keys)
    assert asked_keys(stub.seen) == [19, 1]
    assert again.unknown == (keys[7],)

    stub.script = quotes_of
    assert len(client.quotes(keys).records) == 20
    stub.seen.clear()
    client.quotes(keys)
    assert asked_keys(stub.seen) == [20], "it is an ordinary key again"


def test_a_key_that_is_refused_several_times_is_quarantined(
    stub: Stub, client: UpstoxLtpClient, clock: VirtualClock
) -> None:
    keys = equity_keys(20)
    stub.script = knowing_all_but(keys[7])
    refuse(client, keys)
    stub.seen.clear()
    assert client.quotes(keys).unknown == (keys[7],)
    assert asked_keys(stub.seen) == [19]

    clock.sleep(QUARANTINE)
    stub.seen.clear()
    assert client.quotes(keys).unknown == (keys[7],)
    assert asked_keys(stub.seen) == [19, 1], "now and then it is requested again, apart"
    stub.seen.clear()
    client.quotes(keys)
    assert asked_keys(stub.seen) == [19]


def test_a_key_that_had_a_row_lately_stays_a_suspect(
    stub: Stub, client: UpstoxLtpClient, clock: VirtualClock
) -> None:
    keys = equity_keys(20)
    client.quotes(keys)
    stub.script = knowing_all_but(keys[7])
    for _ in range(29):
        clock.sleep(timedelta(minutes=1))
        assert client.quotes(keys).requests > 1
    clock.sleep(timedelta(minutes=1))
    client.quotes(keys)
    stub.seen.clear()
    client.quotes(keys)
    assert asked_keys(stub.seen) == [19], "half an hour without a row"


def test_a_suspect_whose_request_failed_stays_apart(stub: Stub, client: UpstoxLtpClient) -> None:
    keys = equity_keys(20)
    stub.script = knowing_all_but(keys[7])
    client.quotes(keys)
    stub.script = failing_for(keys[7], error(502, ""))
    assert list(client.quotes(keys).failed) == [keys[7]]
    stub.script = quotes_of
    stub.seen.clear()
    client.quotes(keys)
    assert asked_keys(stub.seen) == [19, 1]


def test_a_provider_that_knows_nothing_for_a_moment_costs_nobody_the_next_slot(
    stub: Stub, client: UpstoxLtpClient
) -> None:
    keys = equity_keys(183)
    stub.script = lambda _: error(400, "UDAPI1087")
    for _ in range(5):
        response = client.quotes(keys)
        assert response.requests < 40
        assert "accepts no key at present" in str(response.error)
        assert len(response.unknown) + len(response.failed) == 183

    stub.script = quotes_of
    assert len(client.quotes(keys).records) == 183


def test_a_provider_that_recovers_while_it_is_searched_quarantines_nothing(
    stub: Stub, client: UpstoxLtpClient
) -> None:
    keys = equity_keys(183)
    refused = error(400, "UDAPI1087")
    stub.script = in_turn(*[refused] * 12, quotes_of)
    client.quotes(keys)
    assert len(client.quotes(keys).records) == 183


def test_refused_keys_are_known_to_the_next_process(
    stub: Stub, clock: VirtualClock, tmp_path: Path
) -> None:
    keys = equity_keys(183)
    stub.script = knowing_all_but(*keys[::9])
    for expected in ("suspects", "suspects", "quarantined", "quarantined"):
        refused_keys = RefusedKeys(clock, tmp_path / "keys" / "refused.json")
        UpstoxLtpClient(api_for(stub.url, clock), clock, refused_keys).quotes(keys)
        known = RefusedKeys(clock, tmp_path / "keys" / "refused.json").sort(keys)
        assert list(getattr(known, expected)) == keys[::9]
        assert len(known.ordinary) == 183 - 21
    stub.seen.clear()
    again = RefusedKeys(clock, tmp_path / "keys" / "refused.json")
    assert UpstoxLtpClient(api_for(stub.url, clock), clock, again).quotes(keys).requests == 1


# -- requests refused for their size or address -------------------------------------------------


def taking_at_most(count: int, status: int) -> Script:
    def script(seen: Seen) -> Scripted:
        return quotes_of(seen) if len(seen.keys) <= count else Scripted(status, b"<html></html>")

    return script


@pytest.mark.parametrize("status", [404, 410, 413, 414, 431])
def test_a_request_that_is_too_long_for_a_server_is_divided(
    stub: Stub, client: UpstoxLtpClient, status: int
) -> None:
    keys = equity_keys(700)
    stub.script = taking_at_most(150, status)
    response = client.quotes(keys)
    assert [quote.instrument_key for quote in response.records] == keys
    assert response.requests == 1 + 2 + 4 + 1 + 2
    assert response.error is None


def test_a_key_that_is_refused_alone_fails_alone(stub: Stub, client: UpstoxLtpClient) -> None:
    keys = equity_keys(100)
    stub.script = failing_for(keys[30], Scripted(404, b""))
    response = client.quotes(keys)
    assert len(response.records) == 99
    assert {key: problem.kind for key, problem in response.failed.items()} == {
        keys[30]: FailureKind.NOT_FOUND
    }
    stub.seen.clear()
    client.quotes(keys)
    assert asked_keys(stub.seen) == [99, 1], "apart from the others"


@pytest.mark.parametrize("status", [404, 410, 413, 414])
def test_an_endpoint_that_is_gone_is_not_searched_for_ever(
    stub: Stub, client: UpstoxLtpClient, status: int
) -> None:
    keys = equity_keys(500)
    stub.script = lambda _: Scripted(status, b"")
    for _ in range(5):
        response = client.quotes(keys)
        assert set(response.failed) == set(keys)
        assert response.requests < 50
        assert f"({status})" in str(response.error)


# -- requests that fail ------------------------------------------------------------------------


def failing_for(key: str, response: Scripted) -> Script:
    def script(seen: Seen) -> Scripted:
        return response if key in seen.keys else quotes_of(seen)

    return script


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(error(500, "UDAPI100500"), id="500 for good"),
        pytest.param(error(400, "UDAPI1028"), id="refused for another reason"),
        pytest.param(Scripted(reset=True), id="reset for good"),
    ],
)
def test_good_batches_outlive_a_failed_one(
    stub: Stub, client: UpstoxLtpClient, response: Scripted
) -> None:
    keys = equity_keys(1200)
    stub.script = failing_for(keys[600], response)
    found = client.quotes(keys)
    assert [q.instrument_key for q in found.records] == keys[:500] + keys[1000:]
    assert list(found.failed) == keys[500:1000]
    assert found.error
    assert found.absent == ()


def test_a_partial_response_proves_no_absence(stub: Stub, client: UpstoxLtpClient) -> None:
    stub.script = lambda seen: good({"X": row(RELIANCE)}, status="partial_success")
    response = client.quotes([RELIANCE, "NSE_EQ|A"])
    assert len(response.records) == 1
    assert list(response.failed) == ["NSE_EQ|A"]
    assert response.absent == ()
    assert "only a part" in str(response.error)


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        pytest.param(error(401, "UDAPI100050"), TokenRejected, id="token"),
        pytest.param(Scripted(403, b"<html></html>"), AccessDenied, id="access"),
        pytest.param(error(500, "UDAPI100500"), BadResponse, id="nothing was answered"),
        pytest.param(error(429, "UDAPI10005", Retry_After="50"), RateLimited, id="rate limit"),
    ],
)
def test_errors_that_come_out(
    stub: Stub, client: UpstoxLtpClient, response: Scripted, expected: type[Exception]
) -> None:
    stub.script = in_turn(response)
    with pytest.raises(expected):
        client.quotes(equity_keys(3))


def test_request_refused_for_another_reason_is_reported(
    stub: Stub, client: UpstoxLtpClient
) -> None:
    stub.script = in_turn(error(400, "UDAPI1028", "Invalid interval"))
    response = client.quotes(equity_keys(3))
    assert list(response.failed) == equity_keys(3)
    assert "UDAPI1028: Invalid interval" in str(response.error)
    assert response.requests == 1


def test_refused_token_in_the_second_batch_comes_out(stub: Stub, client: UpstoxLtpClient) -> None:
    stub.script = in_turn(quotes_of, error(401, "UDAPI100050"))
    with pytest.raises(TokenRejected):
        client.quotes(equity_keys(600))


def test_one_call_stays_within_its_minute(
    stub: Stub, client: UpstoxLtpClient, clock: VirtualClock
) -> None:
    keys = equity_keys(2000)
    limited = error(429, "UDAPI10005", Retry_After="9")
    stub.script = in_turn(quotes_of, limited)
    response = client.quotes(keys)
    assert len(response.records) == 500
    assert len(response.failed) == 1500
    assert waited(clock) <= timedelta(seconds=30)


def test_requests_are_counted_per_call(stub: Stub, clock: VirtualClock) -> None:
    api = api_for(stub.url, clock, token=keeper())
    first, second = UpstoxLtpClient(api, clock), UpstoxLtpClient(api, clock)
    assert first.quotes(equity_keys(700)).requests == 2
    assert second.quotes(equity_keys(1)).requests == 1
    assert api.requests_sent == 3
