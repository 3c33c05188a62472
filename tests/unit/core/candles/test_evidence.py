"""The ledger row of a day after volumes, after a response, and after a first candle."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

import pytest

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.coverage import (
    CoverageInterval,
    DayCoverage,
    Proof,
    State,
    with_candles,
)
from data_fetch.core.candles.evidence import (
    BY_DAY_VOLUME,
    VolumeEvidence,
    after_request,
    answered,
    reconsidered,
    with_first_candle,
)
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.candles.volume_proofs import VolumeSeen
from data_fetch.core.clock import IST
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar, Segment, Session, group_of
from data_fetch.core.market.session import minute_number
from data_fetch.core.spans import Spans

DAY = date(2026, 9, 15)
EVENING = datetime(2026, 9, 15, 12, 0, tzinfo=UTC)
NOON = datetime(2026, 9, 15, 6, 30, tzinfo=UTC)
CALENDAR = MarketCalendar.reviewed()
MINUTE, DAYS = CandleInterval.MINUTE, CandleInterval.DAY
STOCK = Instrument(
    instrument_key="NSE_EQ|A",
    live_key="NSE_EQ|A",
    symbol="A",
    segment="NSE_EQ",
    instrument_type="EQ",
)
INDEX = replace(STOCK, segment="NSE_INDEX", instrument_type="INDEX")


@dataclass
class Volumes:
    quotes: Sequence[VolumeSeen] = ()
    day: int | None = None
    minutes: int = 0
    standing: Spans = ()
    older: bool = True
    moved: bool = False

    def of_quotes(self, day: date) -> Sequence[VolumeSeen]:
        return self.quotes

    def of_day_candle(self, day: date) -> int | None:
        return self.day

    def of_minutes(self, session: Session) -> int:
        return self.minutes

    def of_standing_feed(self, day: date) -> Spans:
        return self.standing

    def has_minutes(self, day: date) -> bool:
        return bool(self.minutes)

    def has_older(self, day: date) -> bool:
        return self.older

    def prices_moved(self, session: Session) -> bool:
        return self.moved


def session(of: Instrument = STOCK) -> Session:
    return CALENDAR.session(DAY, group_of(of, DAY))


def at(clock: str) -> datetime:
    return datetime.combine(DAY, time.fromisoformat(clock), IST).astimezone(UTC)


def day_without(missing: int, now: datetime = EVENING, of: Instrument = STOCK) -> DayCoverage:
    """The day with all its candles but the first *missing*."""
    open_day = Expectation(CALENDAR, now).day(of.instrument_key, MINUTE, session(of), None)
    opens, closes = session(of).spans[0]
    arrived = ((opens + missing, closes),)
    return with_candles(open_day, arrived, arrived)


def evidence(
    volumes: Volumes, now: datetime = EVENING, interval: CandleInterval = MINUTE
) -> VolumeEvidence:
    return VolumeEvidence(volumes, interval, "run", Expectation(CALENDAR, now))


def quotes(*seen: tuple[str, int]) -> list[VolumeSeen]:
    return [VolumeSeen(at(clock), volume) for clock, volume in seen]


def test_a_minute_without_volume_between_two_quotes_had_no_trade() -> None:
    still = Volumes(quotes(("09:15", 0), ("09:16", 0), ("09:16:30", 9)))

    after = evidence(still).applied(day_without(2), session())

    opens = minute_number(at("09:15"))
    assert after.spans(State.NO_TRADE) == ((opens, opens + 1),)
    assert after.spans(State.MISSED) == ((opens + 1, opens + 2),)


def test_quotes_from_before_the_opening_prove_nothing() -> None:
    early = Volumes(quotes(("09:00", 0), ("09:16", 0)))

    assert evidence(early).applied(day_without(2), session()) == day_without(2)


@pytest.mark.parametrize(
    ("volumes", "proved"),
    [
        pytest.param(Volumes(day=700, minutes=700), True, id="a day candle of the same volume"),
        pytest.param(Volumes(day=701, minutes=700), False, id="a day candle of more"),
        pytest.param(Volumes(minutes=700), False, id="no total"),
        pytest.param(
            Volumes(quotes(("15:45", 700)), minutes=700), True, id="a quote after the close"
        ),
        pytest.param(
            Volumes(quotes(("15:10", 700)), minutes=700), False, id="a quote before the close"
        ),
    ],
)
def test_stored_minutes_with_the_days_volume_prove_that_the_others_had_none(
    volumes: Volumes, proved: bool
) -> None:
    after = evidence(volumes).applied(day_without(5), session())

    assert after.minutes(State.NO_TRADE) == (5 if proved else 0)
    assert not proved or after.intervals[0].proof == Proof(BY_DAY_VOLUME, "run", EVENING)


def test_the_volume_of_a_day_in_progress_proves_nothing() -> None:
    before = day_without(5, NOON)

    assert evidence(Volumes(day=7, minutes=7), NOON).applied(before, session()) == before


def test_nothing_is_proved_of_an_index_or_of_a_day_candle() -> None:
    all_stored = Volumes(day=7, minutes=7)
    of_index = day_without(5, of=INDEX)

    assert session(INDEX).group.segment is Segment.INDEX
    assert evidence(all_stored).applied(of_index, session(INDEX)) == of_index
    of_days = evidence(all_stored, interval=CandleInterval.DAY)
    assert of_days.applied(day_without(5), session()) == day_without(5)


def test_a_complete_response_settles_a_finished_day_and_not_one_in_progress() -> None:
    proof = Proof("a complete answer", "run", EVENING)
    judge = answered(proof, Expectation(CALENDAR, EVENING))
    [(opens, closes)] = session().spans
    before, tail = day_without(375), ((opens + 5, closes),)
    settled = after_request(before, session(), tail, tail, evidence(Volumes()), judge)

    assert settled.minutes(State.SOURCE_EMPTY) == 5
    assert settled.confirmations == 1

    judge = answered(replace(proof, at=NOON), Expectation(CALENDAR, NOON))
    before = day_without(375, NOON)
    running = after_request(before, session(), (), (), evidence(Volumes(), NOON), judge)
    assert running.minutes(State.SOURCE_EMPTY) == 0
    assert running.attempts == 1


def test_a_complete_day_is_not_judged() -> None:
    def judge(known: DayCoverage, _session: Session, _contradiction: str | None) -> DayCoverage:
        raise AssertionError(known)

    before = day_without(0)
    after = after_request(before, session(), (), (), evidence(Volumes()), judge)
    assert after == before


def test_empty_days_before_the_first_candle_are_not_expected() -> None:
    proof = Proof("a complete answer", "run", EVENING)
    judge = answered(proof, Expectation(CALENDAR, EVENING))
    nothing = Expectation(CALENDAR, EVENING).day(STOCK.instrument_key, MINUTE, session(), None)
    empty = judge(nothing, session(), None)

    [earlier] = with_first_candle([empty], DAY + timedelta(days=1))
    assert earlier.minutes(State.NOT_EXPECTED) == empty.minutes(State.SOURCE_EMPTY)
    assert list(with_first_candle([earlier], DAY + timedelta(days=1))) == []
    [later] = with_first_candle([earlier], DAY - timedelta(days=1))
    assert later == empty


def test_an_empty_day_with_a_proof_of_no_trade_stays_expected() -> None:
    """The instrument had quotes that day, so that it was listed."""
    [(opens, closes)] = session().spans
    noon = opens + 165
    proof = Proof("a complete answer", "run", EVENING)
    halves = (
        CoverageInterval(opens, noon, State.NO_TRADE, proof),
        CoverageInterval(noon, closes, State.SOURCE_EMPTY, proof),
    )
    known = replace(day_without(375), intervals=halves, confirmations=1)

    assert list(with_first_candle([known], DAY + timedelta(days=1))) == []
    assert known.expected == 375


RISING = quotes(("09:16", 100), ("11:00", 250))
RUNNING = quotes(("11:58", 100), ("11:59", 250))
SHOWN_BY_QUOTES = "the response has no candles of the day, but stored quotes show trades"


@pytest.mark.parametrize(
    ("of", "now", "interval", "volumes", "shown"),
    [
        pytest.param(STOCK, EVENING, MINUTE, Volumes(), None, id="nothing is stored"),
        pytest.param(STOCK, EVENING, MINUTE, Volumes(RISING), "quotes", id="rising volumes"),
        pytest.param(
            STOCK, EVENING, MINUTE, Volumes(quotes(("09:16", 9), ("11:00", 9))), None, id="the same"
        ),
        pytest.param(
            STOCK, EVENING, MINUTE, Volumes(quotes(("09:08", 1), ("09:16", 9))), None, id="pre-open"
        ),
        pytest.param(
            STOCK, EVENING, MINUTE, Volumes(quotes(("15:29", 1), ("15:36", 9))), None, id="after it"
        ),
        pytest.param(STOCK, NOON, MINUTE, Volumes(RISING), "quotes", id="of the running day"),
        pytest.param(STOCK, NOON, MINUTE, Volumes(RUNNING), None, id="too new to be published"),
        pytest.param(STOCK, EVENING, DAYS, Volumes(RISING), "quotes", id="quotes, no day candle"),
        pytest.param(STOCK, EVENING, MINUTE, Volumes(day=5), "whole day", id="a day candle"),
        pytest.param(STOCK, EVENING, MINUTE, Volumes(day=0), None, id="a day without volume"),
        pytest.param(
            STOCK, EVENING, MINUTE, Volumes(day=5, older=False), None, id="the first minutes"
        ),
        pytest.param(STOCK, EVENING, DAYS, Volumes(minutes=5), "minutes", id="minutes of the day"),
        pytest.param(INDEX, EVENING, MINUTE, Volumes(), None, id="an index, alone"),
        pytest.param(
            INDEX, EVENING, MINUTE, Volumes(moved=True), "quotes moved", id="quotes of an index"
        ),
        pytest.param(INDEX, NOON, MINUTE, Volumes(moved=True), None, id="an index, while it runs"),
    ],
)
def test_an_empty_response_against_stored_rows_is_a_fault(
    of: Instrument, now: datetime, interval: CandleInterval, volumes: Volumes, shown: str | None
) -> None:
    empty = Expectation(CALENDAR, now).day(of.instrument_key, interval, session(of), None)

    fault = evidence(volumes, now, interval).contradiction(empty, session(of))

    assert fault is None if shown is None else shown in (fault or "")


def test_stored_candles_contradict_an_empty_response() -> None:
    assert evidence(Volumes()).contradiction(day_without(5), session()) is not None


def test_a_contradicted_response_settles_nothing() -> None:
    judge = answered(Proof("a response", "run", EVENING), Expectation(CALENDAR, EVENING))
    before = day_without(375)

    after = after_request(before, session(), (), (), evidence(Volumes(RISING)), judge)

    assert (after.minutes(State.MISSED), after.confirmations) == (375, 0)
    assert (after.attempts, after.last_error) == (1, SHOWN_BY_QUOTES)
    assert after.next_attempt == EVENING + timedelta(minutes=5)


def test_what_it_settled_before_is_to_be_fetched_again() -> None:
    judge = answered(Proof("a response", "run", EVENING), Expectation(CALENDAR, EVENING))
    settled = after_request(
        day_without(375), session(), (), (), evidence(Volumes(older=False)), judge
    )
    assert settled.minutes(State.SOURCE_EMPTY) == 375

    again = reconsidered(settled, session(), evidence(Volumes(day=5)))

    assert (again.minutes(State.MISSED), again.next_attempt) == (375, None)
    assert reconsidered(settled, session(), evidence(Volumes())) == settled


def test_minutes_of_a_standing_feed_are_not_proved_to_have_no_trade() -> None:
    opens = minute_number(at("09:15"))
    still = quotes(("09:15", 7), ("09:18", 7))
    standing = ((opens + 1, opens + 2),)

    after = evidence(Volumes(still, standing=standing)).applied(day_without(4), session())

    assert after.spans(State.NO_TRADE) == ((opens, opens + 1), (opens + 2, opens + 3))
