"""Which source of chains answers, and which poll tries a failing one again."""

from datetime import UTC, datetime, timedelta

import pytest

from data_fetch.core.chains.chains import ChainError, ChainSource
from data_fetch.core.chains.source_health import BACKOFF, BACKOFF_ALONE, SourceHealth
from data_fetch.core.failures import FailureKind

START = datetime(2026, 9, 16, 4, 0, tzinfo=UTC)
UPSTOX, NSE = ChainSource.UPSTOX, ChainSource.NSE


def failure(kind: FailureKind = FailureKind.FORBIDDEN) -> ChainError:
    return ChainError(kind, "as the test needs it")


def health() -> SourceHealth:
    return SourceHealth([UPSTOX, NSE])


def test_the_first_source_answers_until_it_fails_and_again_when_it_works() -> None:
    sources = health()
    assert sources.answering is UPSTOX

    sources.failed(UPSTOX, "NIFTY", failure(), START)
    assert sources.answering is NSE

    sources.works(UPSTOX, "BANKNIFTY")
    assert sources.answering is UPSTOX


def test_the_first_source_answers_when_none_works() -> None:
    sources = health()
    sources.failed(UPSTOX, "NIFTY", failure(), START)
    sources.failed(NSE, "NIFTY", failure(), START)

    assert sources.answering is UPSTOX


@pytest.mark.parametrize(("failing", "answering"), [(1, UPSTOX), (2, UPSTOX), (3, NSE)])
def test_a_source_that_fails_for_most_symbols_does_not_answer(
    failing: int, answering: ChainSource
) -> None:
    sources = health()
    symbols = ["A", "B", "C", "D"]
    for symbol in symbols:
        sources.skip(UPSTOX, symbol, START)
    for symbol in symbols[:failing]:
        sources.failed(UPSTOX, symbol, failure(FailureKind.SERVER_ERROR), START)

    assert sources.answering is answering


def test_a_chain_that_is_not_listed_says_nothing_about_the_source() -> None:
    sources = health()
    sources.failed(UPSTOX, "NIFTY", failure(FailureKind.EMPTY_LIST), START)

    assert sources.answering is UPSTOX
    assert sources.skip(UPSTOX, "NIFTY", START) is None


def test_one_poll_tries_a_failing_source_and_the_others_skip_it() -> None:
    sources = health()
    sources.failed(UPSTOX, "NIFTY", failure(), START)
    later = START + BACKOFF

    assert sources.skip(UPSTOX, "NIFTY", later - timedelta(seconds=1)) is not None
    assert sources.skip(UPSTOX, "BANKNIFTY", later) is None
    assert sources.skip(UPSTOX, "NIFTY", later) is not None
    assert sources.skip(UPSTOX, "NIFTY", later + BACKOFF) is None


def test_a_failing_source_is_tried_sooner_when_the_others_fail_too() -> None:
    sources = health()
    sources.failed(UPSTOX, "NIFTY", failure(), START)
    sources.failed(NSE, "NIFTY", failure(), START)
    later = START + BACKOFF_ALONE

    assert sources.skip(UPSTOX, "NIFTY", later - timedelta(seconds=1)) is not None
    assert sources.skip(UPSTOX, "NIFTY", later) is None


def test_trouble_with_one_symbol_skips_only_that_symbol() -> None:
    sources = health()
    sources.failed(UPSTOX, "NIFTY", failure(FailureKind.SERVER_ERROR), START)

    assert sources.skip(UPSTOX, "NIFTY", START) is not None
    assert sources.skip(UPSTOX, "BANKNIFTY", START) is None
    assert not sources.out(UPSTOX)
