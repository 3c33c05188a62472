"""Tokens that the paper exchange issued: they end at 03:30 IST of the market's clock, whichever
process has issued them."""

from datetime import UTC, datetime, timedelta

import pytest

from data_fetch.paper_exchange.upstox.tokens import Tokens
from data_fetch.paper_exchange.wire import ApiError

ISSUED = datetime(2026, 9, 16, 2, 0, tzinfo=UTC)
# 03:30 IST of the next day.
END = datetime(2026, 9, 16, 22, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def is_taken(tokens: Tokens, token: str, at: datetime) -> bool:
    try:
        tokens.check(f"Bearer {token}", at)
    except ApiError:
        return False
    return True


@pytest.mark.parametrize("issued_only", [True, False])
def test_an_issued_token_ends_at_half_past_three(issued_only: bool) -> None:
    token = Tokens().issue(ISSUED)
    another_process = Tokens(issued_only=issued_only)
    assert is_taken(another_process, token, END - SECOND)
    assert not is_taken(another_process, token, END)


@pytest.mark.parametrize("token", ["paper-analytics", "any", "a.b.c"])
def test_other_tokens_are_taken_unless_a_login_is_required(token: str) -> None:
    assert is_taken(Tokens(), token, ISSUED)
    assert not is_taken(Tokens(issued_only=True), token, ISSUED)


def test_no_two_tokens_are_alike() -> None:
    tokens = Tokens()
    assert tokens.issue(ISSUED) != tokens.issue(ISSUED)
