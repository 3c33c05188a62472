"""The second line between the worlds: a live store refuses rows of invented instruments.

The first one is the mark of the paper exchange (`sources.transport.world_check`). Instruments,
chains and polled symbols: see the tests of their stores.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from candle_shelf import stock
from sqlalchemy import func, select

from data_fetch.core.candles.candles import (
    CandleBlock,
    CandleInterval,
    Kind,
    Provenance,
    SessionCandles,
    placed,
)
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.errors import WrongWorld
from data_fetch.core.market.calendar import MarketCalendar, group_of
from data_fetch.core.market.session import midnight_number
from data_fetch.core.quotes.quotes import Quote, StoredQuote
from data_fetch.core.runs import Outcome, SyncAttempt, SyncRun, SyncState
from data_fetch.core.world import World
from data_fetch.storage.candles.repository import CandleRepository, InstrumentDays
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.database.tables import Base
from data_fetch.storage.quotes import QuoteStore

INVENTED = stock("INKWELL", "ZZP000000001")
CALENDAR = MarketCalendar.reviewed()
DAY = date(2026, 9, 16)
NOON = datetime(2026, 9, 16, 6, 30, tzinfo=UTC)
RUN = SyncRun.begin("test", NOON).finish(NOON, Outcome.COMPLETED)
ATTEMPT = SyncAttempt(
    symbol=INVENTED.symbol,
    data_type="test",
    state=SyncState.OK,
    attempted_at=NOON,
    records=1,
    error=None,
    run_id=RUN.run_id,
)
EXPECTATION = Expectation(CALENDAR, NOON)


def came(*, final: bool) -> Provenance:
    return Provenance(source="upstox", is_final=final, fetched_at=NOON, run_id=RUN.run_id)


def candles(interval: CandleInterval) -> SessionCandles:
    opening = midnight_number(DAY) + (9 * 60 + 15 if interval is CandleInterval.MINUTE else 0)
    block = CandleBlock(
        instrument_key=INVENTED.instrument_key,
        interval=interval,
        starts=[opening],
        open=[1.0],
        high=[1.0],
        low=[1.0],
        close=[1.0],
        volume=[1],
        oi=[0],
        kinds=[Kind.TRADED],
    )
    return placed(block, lambda day: CALENDAR.session(day, group_of(INVENTED, day)))


def days(interval: CandleInterval) -> InstrumentDays:
    return InstrumentDays(instrument=INVENTED, interval=interval, first=DAY, last=DAY)


def store_quotes(store: Store) -> None:
    quote = Quote(
        instrument_key=INVENTED.instrument_key, last_price=1, volume=1, ltq=1, prev_close=1
    )
    row = StoredQuote(
        symbol=INVENTED.symbol,
        slot=NOON,
        quote=quote,
        off_session=False,
        received_at=NOON,
        source="upstox",
        run_id=RUN.run_id,
    )
    QuoteStore(store).record_slot(RUN, [row], [ATTEMPT])


def store_history(store: Store, interval: CandleInterval) -> None:
    CandleRepository(store).record_response(
        days(interval),
        candles(interval),
        came(final=True),
        by="history",
        run=RUN,
        attempt=ATTEMPT,
        expectation=EXPECTATION,
    )


def store_a_part_of_history(store: Store) -> None:
    CandleRepository(store).record_failure(
        days(CandleInterval.MINUTE),
        candles(CandleInterval.MINUTE),
        came(final=True),
        fail=lambda known: known,
        run=RUN,
        attempt=ATTEMPT,
        expectation=EXPECTATION,
    )


def store_todays(store: Store) -> None:
    CandleRepository(store).record_todays_candles(
        [(INVENTED, candles(CandleInterval.MINUTE))], came(final=False), RUN, EXPECTATION
    )


WRITES: dict[str, Callable[[Store], None]] = {
    "quotes": store_quotes,
    "minutes": lambda store: store_history(store, CandleInterval.MINUTE),
    "day candles": lambda store: store_history(store, CandleInterval.DAY),
    "a part of a response": store_a_part_of_history,
    "the running day": store_todays,
}


def rows(store: Store) -> int:
    tables = [each for name, each in Base.metadata.tables.items() if name != "store_meta"]
    with store.reading() as connection:
        return sum(
            connection.scalar(select(func.count()).select_from(each)) or 0 for each in tables
        )


@pytest.mark.parametrize("dataset", WRITES)
def test_a_live_store_refuses_them_and_stays_empty(database_url: str, dataset: str) -> None:
    live = open_store(database_url, World.LIVE)

    with pytest.raises(WrongWorld, match="ZZP"):
        WRITES[dataset](live)

    assert rows(live) == 0
    live.close()


@pytest.mark.parametrize("dataset", WRITES)
def test_a_paper_store_takes_them(store: Store, dataset: str) -> None:
    WRITES[dataset](store)

    assert rows(store) > 0
