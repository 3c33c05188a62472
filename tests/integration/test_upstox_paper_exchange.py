"""The client, the pacer and the real SDK against the paper exchange, faults and all."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from data_fetch.core.clock import VirtualClock
from data_fetch.core.errors import AccessDenied, TokenRejected
from data_fetch.core.ports import Lane
from data_fetch.core.records import QuoteAnswer
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.paper_exchange.faults import Fault
from data_fetch.sources.pacing import Pacer
from data_fetch.sources.retrying import RetryPolicy
from data_fetch.sources.token import TokenKeeper
from data_fetch.sources.upstox import UpstoxApi
from data_fetch.upstox_ltp_client import UpstoxLtpClient

# 10:00 in India on a trading day.
MORNING = datetime(2026, 9, 16, 4, 30, tzinfo=UTC)
SYMBOLS = ("RELIANCE", "TCS", "INFY", "NIFTY")


class Desk(NamedTuple):
    """A client of an exchange, and all that is listed there."""

    clock: VirtualClock
    api: UpstoxApi
    client: UpstoxLtpClient
    keys: list[str]
    env_file: Path


@contextmanager
def trading(folder: Path, *faults: Fault) -> Iterator[Desk]:
    clock = VirtualClock(MORNING)
    hold = clock.hold()
    env_file = folder / ".env"
    pacer = Pacer(folder / "pacing.sqlite3", clock)
    with PaperExchange(clock, symbols=SYMBOLS, faults=faults) as exchange:
        api = UpstoxApi(
            base_url=exchange.url,
            token=TokenKeeper("first-token", env_file=env_file, in_environment=False),
            pacing=pacer,
            clock=clock,
            timeout_seconds=1,
            policy=RetryPolicy(clock, random=Random(1)),
        )
        # Stocks also have other series; the exchange lists the index first.
        keys = [
            key for key, listing in exchange.market.listings.items() if listing.symbol in SYMBOLS
        ]
        yield Desk(clock, api, UpstoxLtpClient(api, clock), keys, env_file)
    pacer.close()
    hold.release()


def ask(folder: Path, *faults: Fault) -> QuoteAnswer:
    with trading(folder, *faults) as desk:
        answer = desk.client.quotes(desk.keys)
        assert len(answer.quotes) + len(answer.set_aside) + len(answer.absent) == len(desk.keys)
        return answer


def test_all_that_is_listed_has_a_quote(tmp_path: Path) -> None:
    with trading(tmp_path) as desk:
        answer = desk.client.quotes(desk.keys)
        assert [quote.instrument_key for quote in answer.quotes] == desk.keys
        assert answer.requests == 1
        assert answer.received_at == MORNING


@pytest.mark.parametrize(
    "kind",
    [
        "rate-limited",
        "rate-limited-in-200",
        "error-in-200",
        "html-in-200",
        "server-error",
        "maintenance",
        "reset",
        "slow-body",
        "cut-mid-body",
        "truncated-json",
    ],
)
def test_passing_trouble_costs_one_more_request(tmp_path: Path, kind: str) -> None:
    answer = ask(tmp_path, Fault(kind=kind, api="ltp", times=1))
    assert answer.requests == 2
    assert not answer.absent
    assert answer.error is None


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("nulls", "last_price is missing"),
        ("negative-price", "cannot be"),
        ("nan-price", "last_price is nan"),
    ],
)
def test_spoilt_rows_are_set_aside(tmp_path: Path, kind: str, reason: str) -> None:
    answer = ask(tmp_path, Fault(kind=kind, api="ltp", times=1))
    assert answer.set_aside
    assert all(reason in row.reason for row in answer.set_aside)


def test_numbers_as_text_are_read(tmp_path: Path) -> None:
    spoilt = ask(tmp_path, Fault(kind="strings-for-numbers", api="ltp", times=1))
    (tmp_path / "plain").mkdir()
    assert spoilt.quotes == ask(tmp_path / "plain").quotes


def test_empty_answer_makes_all_absent(tmp_path: Path) -> None:
    answer = ask(tmp_path, Fault(kind="empty-data", api="ltp", times=1))
    assert not answer.quotes
    assert answer.absent


def test_blocked_address_is_told(tmp_path: Path) -> None:
    with (
        trading(tmp_path, Fault(kind="cloudflare-403", api="ltp")) as desk,
        pytest.raises(AccessDenied, match="used Cloudflare to restrict access"),
    ):
        desk.client.quotes(desk.keys)


def test_key_the_exchange_does_not_know(tmp_path: Path) -> None:
    with trading(tmp_path) as desk:
        answer = desk.client.quotes([*desk.keys, "NSE_EQ|INE000000000"])
        assert answer.unknown == ("NSE_EQ|INE000000000",)
        assert len(answer.quotes) == len(desk.keys)


def test_token_dies_at_0330_and_its_successor_is_found(tmp_path: Path) -> None:
    with trading(tmp_path) as desk:
        assert desk.client.quotes(desk.keys).quotes
        desk.clock.sleep(timedelta(hours=18))
        with pytest.raises(TokenRejected, match="no restart is needed"):
            desk.client.quotes(desk.keys)
        desk.env_file.write_text("UPSTOX_ACCESS_TOKEN=second-token\n")
        assert desk.client.quotes(desk.keys).quotes


def test_pacing_meets_the_windows_of_the_exchange_exactly(tmp_path: Path) -> None:
    """Every request is let through, and none is held back longer than it must be."""
    with trading(tmp_path) as desk:
        for _ in range(520):
            desk.api.ltp(desk.keys[:1], Lane.BACKFILL)
        assert desk.api.requests_sent == 520, "the exchange refused none"
        assert timedelta(seconds=60) <= desk.clock.now() - MORNING <= timedelta(seconds=61)


def test_calendar_questions(tmp_path: Path) -> None:
    with trading(tmp_path) as desk:
        exchanges = {row["exchange"] for row in desk.api.timings(date(2026, 9, 16))}
        assert {"NSE", "NFO"} <= exchanges
        assert all("date" in row for row in islice(desk.api.holidays(), 5))
        assert desk.api.market_status("NSE")["status"]
