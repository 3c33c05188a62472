"""Figures of a chain over time from files: the answers are those of the store, to the last bit.

The chains have what is special in files: a look repeated several times, content that did not
change overnight, two sources, a renamed underlying, an expiry that was moved.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from candle_shelf import environment_for, renamed, stock
from chain_shelf import STRIKE, chain, keep, received
from psycopg2 import sql
from sealed_days import clear, seal
from sqlalchemy import make_url

from data_fetch import reading
from data_fetch.core.archive.days import Dataset, DayState
from data_fetch.core.chains.chains import ChainLeg, ChainSource, OptionType
from data_fetch.core.chains.valuation import Metric
from data_fetch.core.clock import IST
from data_fetch.core.errors import SetupError
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.storage.chains.snapshots import Received
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.instruments.instruments import save_master

TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (date(2025, 6, day) for day in (10, 11, 12, 13))
EXPIRY, MOVED_TO = date(2025, 6, 24), date(2025, 6, 26)
FORMER = stock("TATAMOTORS", "INE155A01022")
PRESENT = renamed(FORMER, "TMPV")


def ist(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=IST).astimezone(UTC)


def look(at: datetime, content: float, underlying: str = "NIFTY", **facts: Any) -> Received:
    call = ChainLeg(strike=STRIKE, option_type=OptionType.CALL, ltp=content, oi=75.0)
    of = chain(content, call, underlying=underlying, **{"expiry": EXPIRY, **facts})
    known = received(of, at, lot_size=75)
    ratio = {"pcr_oi": Metric(value=content / 3, used=1, of=2)}
    return replace(known, summary=replace(known.summary, metrics=ratio))


def contracts(expiry: date) -> list[Instrument]:
    """Options that are known by their tokens, as a master with this expiry has them."""
    return [
        Instrument(
            instrument_key=f"NSE_FO|{number}|{expiry:%d-%m-%Y}",
            live_key=f"NSE_FO|{number}",
            symbol=f"TMPV {number} CE {expiry}",
            segment="NSE_FO",
            instrument_type="CE",
            underlying_key=PRESENT.instrument_key,
            underlying_symbol=PRESENT.symbol,
            expiry=expiry,
            strike=Decimal(number),
        )
        for number in (100, 101, 102)
    ]


NSE = {"source": ChainSource.NSE}
LOOKS = (
    # Five times the same, four of them within minutes.
    *(look(ist(TUESDAY, 10, minute), 1.0) for minute in range(4)),
    look(ist(TUESDAY, 15), 1.0),
    look(ist(TUESDAY, 15, 1), 2.0),
    # Not changed overnight, nor in the night after it.
    *(look(ist(WEDNESDAY, 10, minute), 2.0) for minute in range(3)),
    look(ist(WEDNESDAY, 11), 3.0),
    look(ist(THURSDAY, 9, 30), 3.0),
    look(ist(THURSDAY, 10), 4.0),
    look(ist(FRIDAY, 9, 20), 4.0),
    look(ist(FRIDAY, 9, 21), 4.0),
    look(ist(FRIDAY, 9, 40), 5.0),
    # From another source, which has more receipts on some days; and another expiry.
    *(look(ist(WEDNESDAY, 12, minute), 9.0 + minute // 2, **NSE) for minute in range(9)),
    *(look(ist(day, 13), 7.0, expiry=MOVED_TO) for day in (TUESDAY, WEDNESDAY, FRIDAY)),
)
OF_FORMER = (look(ist(TUESDAY, 10), 1.5, "TATAMOTORS"), look(ist(TUESDAY, 11), 2.5, "TATAMOTORS"))
OF_PRESENT = (look(ist(WEDNESDAY, 10), 2.5, "TMPV"), look(ist(WEDNESDAY, 10, 1), 3.5, "TMPV"))
OF_MOVED = tuple(
    look(ist(day, 10, minute), 4.5, "TMPV", expiry=MOVED_TO)
    for day, minute in ((THURSDAY, 0), (THURSDAY, 1), (FRIDAY, 0))
)

WEEK = (TUESDAY, FRIDAY)
ASKED: Mapping[str, tuple[Any, ...]] = {
    "a day": ("NIFTY", None, WEDNESDAY, WEDNESDAY),
    "every day": ("NIFTY", None, *WEEK),
    "one expiry": ("NIFTY", EXPIRY, *WEEK),
    "from between receipts of a look": ("NIFTY", EXPIRY, ist(TUESDAY, 10, 2), THURSDAY),
    "from between two looks": ("NIFTY", None, ist(WEDNESDAY, 10, 30), ist(THURSDAY, 9, 45)),
    "the day that is left": ("NIFTY", None, FRIDAY, FRIDAY),
    "before all of them": ("NIFTY", None, date(2025, 6, 2), date(2025, 6, 6)),
    "under the present symbol": ("TMPV", None, *WEEK),
    "under the former ones": ("TATAMOTORS", EXPIRY, *WEEK),
    "before the move": ("TMPV", MOVED_TO, TUESDAY, WEDNESDAY),
    "an expiry that is not stored": ("NIFTY", date(2025, 7, 1), *WEEK),
}
KINDS: Mapping[str, Mapping[str, Any]] = {
    "each hour": {"every": "1h"},
    "as of Wednesday": {"as_of": ist(WEDNESDAY, 10, 1)},
    "as of Friday": {"as_of": ist(FRIDAY, 9, 20)},
    "from NSE": {"source": "nse"},
    "one figure": {"columns": ("pcr_oi",)},
    "a fact of the snapshot": {"columns": ("lot_size",)},
}


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with closing(open_store(database_url, World.LIVE)) as store:
        masters = {
            TUESDAY: [FORMER, *contracts(EXPIRY)],
            WEDNESDAY: [PRESENT, *contracts(EXPIRY)],
            THURSDAY: [PRESENT, *contracts(MOVED_TO)],
        }
        for day, listed in masters.items():
            save_master(store, iter(listed), day, ist(day, 8))
        keep(store, *LOOKS, *OF_FORMER, *OF_PRESENT, *OF_MOVED)
        yield store


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings.load(environment_for(database_url), tmp_path)


def answers(settings: Settings) -> dict[str, Any]:
    found = {asked: answered(settings, *given) for asked, given in ASKED.items()}
    for kind, more in KINDS.items():
        found[kind] = answered(settings, *ASKED["every day"], **more)
    return found


def answered(settings: Settings, *given: Any, **more: Any) -> Any:
    try:
        found = reading.chain_history(*given, **more, settings=settings)
    except SetupError as refused:
        return str(refused)
    facts = found.completeness.document(), found.freshness.newest, found.freshness.sources
    return found.table.replace_schema_metadata(), facts


def in_files(store: Store, settings: Settings, state: DayState, days: Sequence[date]) -> None:
    for day in days:
        seal(store, settings.data_folder, Dataset.CHAINS, day, state)
        if state is DayState.CLEARED:
            clear(store, Dataset.CHAINS, day)


def test_figures_are_the_same_from_files(store: Store, settings: Settings) -> None:
    before = answers(settings)

    def different() -> list[str]:
        after = answers(settings)
        return [asked for asked in before if before[asked] != after[asked]]

    in_files(store, settings, DayState.CLEARED, [TUESDAY])
    assert different() == []

    in_files(store, settings, DayState.DROPPED, [THURSDAY])
    assert different() == [], "and nothing is found twice"

    in_files(store, settings, DayState.CLEARED, [WEDNESDAY, THURSDAY])
    assert different() == []


def test_only_columns_that_were_named_are_read(store: Store, settings: Settings) -> None:
    in_files(store, settings, DayState.CLEARED, [WEDNESDAY])

    found = reading.chain_history(
        "NIFTY", None, WEDNESDAY, WEDNESDAY, columns=("pcr_oi", "spot"), settings=settings
    )

    assert found.table.column_names == [
        *("at", "timestamp", "expiry", "source", "last_confirmed", "unconfirmed_seconds"),
        *("confirmations", "spot", "pcr_oi"),
    ]
    with pytest.raises(SetupError, match="column 'pcr' is not known"):
        reading.chain_history(
            "NIFTY", None, WEDNESDAY, WEDNESDAY, columns=["pcr"], settings=settings
        )


def test_files_that_do_not_belong_together_are_refused(store: Store, settings: Settings) -> None:
    in_files(store, settings, DayState.CLEARED, [TUESDAY, WEDNESDAY])
    one, other = sorted(settings.data_folder.rglob("chain_summary/**/*.parquet"))
    one.write_bytes(other.read_bytes())

    with pytest.raises(SetupError, match="do not belong together"):
        reading.chain_history("NIFTY", None, TUESDAY, TUESDAY, settings=settings)


def test_a_replica_has_figures_and_names_the_primary_for_the_rest(
    postgres_url: str, tmp_path: Path
) -> None:
    settings = Settings.load(environment_for(postgres_url), tmp_path)
    with closing(open_store(postgres_url, World.LIVE)) as store:
        keep(store, *LOOKS)
        before = answered(settings, "NIFTY", None, TUESDAY, FRIDAY)
        in_files(store, settings, DayState.CLEARED, [TUESDAY, WEDNESDAY, THURSDAY])
    with read_only(postgres_url):
        assert answered(settings, "NIFTY", None, TUESDAY, FRIDAY) == before
        assert reading.chain("NIFTY", EXPIRY, settings=settings).spot == 5.0
        with pytest.raises(SetupError, match="is read-only") as refused:
            reading.chain("NIFTY", EXPIRY, ist(TUESDAY, 12), settings=settings)
    assert "primary" in refused.value.hint


@contextmanager
def read_only(url: str) -> Iterator[None]:
    """Let the database be like a replica of it."""
    with closing(psycopg2.connect(url.replace("+psycopg2", ""))) as session:
        session.autocommit = True
        name = sql.Identifier(make_url(url).database or "")
        session.cursor().execute(
            sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name)
        )
        yield
        session.cursor().execute(
            sql.SQL("ALTER DATABASE {} RESET default_transaction_read_only").format(name)
        )
