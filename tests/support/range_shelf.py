"""A store with candles, quotes and chains, for the routes that answer ranges.

RELIANCE has the whole of Tuesday, half of Wednesday and nothing of Thursday, and five quotes; TCS
and M&M are known and have nothing. NIFTY has six snapshots of a chain, a minute apart, the last of
them received twice, and one of the next expiry.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from candle_shelf import (
    RELIANCE,
    TUESDAY,
    WEDNESDAY,
    Shelf,
    shelf_at,
    stock,
    whole_day,
)
from chain_shelf import NEXT_EXPIRY, STRIKE, chain, keep, minute, received
from served import Served, served

from data_fetch.core.chains.chains import ChainLeg, OptionType
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.quotes.quotes import Quote, StoredQuote
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.storage.quotes import QuoteStore

TCS = stock("TCS", "INE467B01029")
M_AND_M = stock("M&M", "INE101A01026")
HALF = 188
LEGS = [
    ChainLeg(strike=STRIKE, option_type=kind, ltp=100.5, oi=75.0, volume=150.0)
    for kind in OptionType
]
QUOTED = [datetime(2025, 6, 11, 4, minute, tzinfo=UTC) for minute in range(5)]
EARLIER = datetime(2025, 6, 11, 14, 30, tzinfo=UTC)


@contextmanager
def range_shelf(database_url: str, folder: Path) -> Iterator[Shelf]:
    shelf = shelf_at(database_url, folder)
    (folder / "nse_fo_stock_symbols.txt").write_text("RELIANCE\nTCS\nM&M\n")
    shelf.lists(TUESDAY, RELIANCE, TCS, M_AND_M)
    shelf.keeps(RELIANCE, TUESDAY, whole_day(), at=EARLIER)
    shelf.answered(RELIANCE, TUESDAY, at=EARLIER)
    half = {minute: 1600.0 + minute for minute in range(HALF)}
    shelf.keeps(RELIANCE, WEDNESDAY, half, at=EARLIER)
    keep_quotes(shelf, RELIANCE, *QUOTED)
    chains = [chain(24_000.0 + number, *LEGS) for number in (0, 1, 2, 3, 4, 5, 5)]
    keep(shelf.store, *(received(each, minute(n)) for n, each in enumerate(chains)))
    keep(shelf.store, received(chain(24_000.0, *LEGS, expiry=NEXT_EXPIRY), minute(2)))
    try:
        yield shelf
    finally:
        shelf.store.close()


def keep_quotes(shelf: Shelf, of: Instrument, *slots: datetime) -> None:
    """A quote of each slot: 100, 101, ... rupees, received a second after the slot began."""
    run = SyncRun.begin("quotes", slots[0]).finish(slots[0], Outcome.COMPLETED)
    rows = [
        StoredQuote(
            symbol=of.symbol,
            slot=slot,
            quote=Quote(
                instrument_key=of.instrument_key,
                last_price=100.0 + number,
                volume=number,
                prev_close=100.0,
            ),
            off_session=False,
            received_at=slot + timedelta(seconds=1),
            source="upstox",
            run_id=run.run_id,
        )
        for number, slot in enumerate(slots)
    ]
    QuoteStore(shelf.store).record_slot(run, rows, ())


@dataclass(frozen=True)
class RangeServer:
    """A server over a `range_shelf`."""

    shelf: Shelf
    served: Served

    def json(self, path: str) -> dict[str, Any]:
        """The document of an answer with data."""
        answer = self.served.ask(path)
        assert answer.status == 200, answer.data
        document: dict[str, Any] = orjson.loads(answer.data)
        return document

    def refused(self, path: str, **headers: str) -> tuple[int, dict[str, Any]]:
        """Status and document of a refusal."""
        answer = self.served.ask(path, **headers)
        assert answer.headers["content-type"] == "application/problem+json", answer.data
        return answer.status, orjson.loads(answer.data)


@contextmanager
def range_server(database_url: str, folder: Path) -> Iterator[RangeServer]:
    with range_shelf(database_url, folder) as shelf, served(shelf.settings) as server:
        yield RangeServer(shelf, server)
