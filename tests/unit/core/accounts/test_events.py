"""The audit has every refusal, and a flood of them in few rows."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.accounts.events import (
    ALL_IN_A_MINUTE,
    EACH_IN_A_MINUTE,
    MOST_KINDS_AND_ADDRESSES,
    OTHERS,
    AccountEvent,
    EventKind,
    RefusalBudget,
)

AT = datetime(2026, 9, 16, 10, 0, tzinfo=UTC)
KINDS = [EventKind.SIGN_IN_FAILED, EventKind.RATE_LIMITED, EventKind.FORBIDDEN]


def refusal(kind: EventKind, address: str, at: datetime = AT) -> AccountEvent:
    return AccountEvent(at=at, kind=kind, address=address, email="a@b.c", request_id="r")


def recorded(refusals: list[AccountEvent]) -> list[AccountEvent]:
    budget = RefusalBudget()
    rows = [row for each in refusals for row in budget.rows_for(each)]
    return [*rows, *budget.rows_left()]


floods = st.lists(
    st.builds(
        lambda kind, sender, minute: refusal(
            kind, f"192.0.2.{sender}", AT + minute * timedelta(minutes=1)
        ),
        st.sampled_from(KINDS),
        st.integers(0, 3),
        st.integers(0, 2),
    ),
    max_size=300,
).map(lambda several: sorted(several, key=lambda each: each.at))


@given(floods)
def test_every_refusal_is_counted_once(refusals: list[AccountEvent]) -> None:
    rows = recorded(refusals)

    for kind in KINDS:
        assert sum(row.count for row in rows if row.kind is kind) == sum(
            each.kind is kind for each in refusals
        )


@given(floods)
def test_a_minute_has_a_bounded_number_of_rows(refusals: list[AccountEvent]) -> None:
    rows = recorded(refusals)

    for minute in {row.at for row in rows}:
        assert sum(row.at == minute for row in rows) <= ALL_IN_A_MINUTE + MOST_KINDS_AND_ADDRESSES


def test_one_sender_does_not_use_up_the_rows_of_others() -> None:
    loud = [refusal(EventKind.SIGN_IN_FAILED, "192.0.2.1") for _ in range(10_000)]
    quiet = refusal(EventKind.SIGN_IN_FAILED, "192.0.2.2")

    rows = recorded([*loud, quiet])

    assert quiet in rows
    assert [row.count for row in rows if row.address == "192.0.2.1"] == [
        *[1] * EACH_IN_A_MINUTE,
        10_000 - EACH_IN_A_MINUTE,
    ]


def test_a_flood_from_everywhere_ends_in_one_row_for_the_rest() -> None:
    refusals = [refusal(EventKind.FORBIDDEN, f"2001:db8:{n:x}::/64") for n in range(5_000)]

    rows = recorded(refusals)

    assert len(rows) <= ALL_IN_A_MINUTE + MOST_KINDS_AND_ADDRESSES + 1
    [rest] = [row for row in rows if row.address == OTHERS]
    assert rest.count == 5_000 - len(rows) + 1


def test_a_new_minute_has_rows_of_its_own() -> None:
    refusals = [refusal(EventKind.FORBIDDEN, "192.0.2.1") for _ in range(100)]
    later = refusal(EventKind.FORBIDDEN, "192.0.2.1", AT + timedelta(minutes=1))

    rows = recorded([*refusals, later])

    assert rows[-2].count == 100 - EACH_IN_A_MINUTE
    assert rows[-1] is later
