"""Which failures are a request's own, and which are an outage of the provider."""

from datetime import timedelta

import pytest

from data_fetch.services.outage import USUAL_PATIENCE, OutageWatch, Patience, Verdict

SECOND = timedelta(seconds=1)
NOTHING = Verdict((), ())


def watch() -> OutageWatch[str, str]:
    return OutageWatch(Patience(short=[SECOND, 2 * SECOND], long=[SECOND] * 5))


def test_requests_that_fail_while_nothing_is_answered_are_set_aside() -> None:
    outage = watch()
    for name in "abcdefgh":
        outage.sent(name)
    for name in "abcdefgh":
        assert outage.failed(name, "503") == NOTHING
    assert [name for name, _ in outage.aside] == list("abcdefgh")

    again, own = outage.answered()

    assert (list(again), own, outage.aside) == (list("abcdefgh"), [], [])


def test_a_request_that_fails_twice_while_others_are_answered_fails_on_its_own() -> None:
    outage = watch()
    outage.sent("bad")
    outage.answered()
    assert outage.failed("bad", "503") == Verdict(["bad"], [])
    outage.sent("bad")
    outage.answered()
    assert outage.failed("bad", "503") == Verdict([], [("bad", "503")])


@pytest.mark.parametrize("answer_first", [True, False])
def test_nine_failures_with_an_answer_between_any_two_are_no_outage(answer_first: bool) -> None:
    outage = watch()
    for number in range(9):
        outage.sent(f"bad {number}")
        if answer_first:
            outage.answered()
            assert outage.failed(f"bad {number}", "503").again
        else:
            assert outage.failed(f"bad {number}", "503") == NOTHING
            assert outage.answered().again
        assert outage.aside == []


def test_a_second_failure_in_an_outage_is_not_the_requests_own() -> None:
    outage = watch()
    outage.sent("bad")
    outage.answered()
    outage.failed("bad", "503")
    for name in ("bad", "other"):
        outage.sent(name)
        assert outage.failed(name, "503") == NOTHING
    assert not outage.own


@pytest.mark.parametrize(
    ("answers", "failed_before", "pauses"),
    [
        pytest.param(0, False, 2, id="the provider has never answered"),
        pytest.param(1, False, 5, id="it has answered before"),
        pytest.param(1, True, 2, id="only requests that failed before while it answered"),
    ],
)
def test_the_patience_depends_on_what_is_known(
    answers: int, failed_before: bool, pauses: int
) -> None:
    outage = watch()
    for _ in range(answers):
        outage.answered()
    outage.sent("bad")
    if failed_before:
        outage.answered()
        outage.failed("bad", "503")
        outage.sent("bad")
    outage.failed("bad", "503")

    taken = []
    while (pause := outage.next_pause()) is not None:
        taken.append(pause)

    assert len(taken) == pauses
    assert outage.own is failed_before
    assert outage.given_up() == [("bad", "503")]
    assert outage.aside == []


def test_an_answer_begins_a_new_count_of_pauses() -> None:
    growing = [SECOND, 2 * SECOND, 4 * SECOND]
    outage = OutageWatch[str, str](Patience(short=growing, long=growing))
    for name in ("bad", "worse", "worst"):
        outage.sent(name)
        outage.failed(name, "503")
        assert [outage.next_pause(), outage.next_pause()] == [SECOND, 2 * SECOND]
        outage.answered()


def test_the_usual_pauses_grow_to_some_minutes() -> None:
    for pauses in (USUAL_PATIENCE.short, USUAL_PATIENCE.long):
        assert list(pauses) == sorted(pauses)
    assert sum(USUAL_PATIENCE.short, timedelta()) < timedelta(minutes=1)
    assert timedelta(minutes=5) < sum(USUAL_PATIENCE.long, timedelta()) < timedelta(minutes=10)
