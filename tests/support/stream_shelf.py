"""A store with a present: prices and option chains of the last minutes, to be streamed."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from chain_shelf import a_run, chain, keep, received

from data_fetch.core.chains.valuation import Metric, Reason
from data_fetch.core.clock import IST, SystemClock, minute_of
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.quotes.quotes import Quote, StoredQuote
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.storage.chains.snapshots import Received
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.instruments.instruments import save_master
from data_fetch.storage.quotes import QuoteStore

NIFTY = Instrument(
    instrument_key="NSE_INDEX|Nifty 50",
    live_key="NSE_INDEX|Nifty 50",
    symbol="NIFTY",
    segment="NSE_INDEX",
    instrument_type="INDEX",
)
TCS = Instrument(
    instrument_key="NSE_EQ|INE467B01029",
    live_key="NSE_EQ|INE467B01029",
    symbol="TCS",
    segment="NSE_EQ",
    instrument_type="EQ",
)
KNOWN = {"pcr_oi": 1.25, "pcr_volume": 0.8, "straddle": 210.5, "max_pain": 24_000.0}


@dataclass
class LiveStore:
    """A store of the real world that knows NIFTY and TCS, and a program that writes into it."""

    url: str
    store: Store
    begin: datetime

    @classmethod
    def at(cls, url: str) -> "LiveStore":
        now = SystemClock().now()
        store = open_store(url, World.LIVE)
        save_master(store, [NIFTY, TCS], now.astimezone(IST).date(), now)
        return cls(url, store, minute_of(now) - timedelta(hours=1))

    def settings(self, folder: Path, **more: str) -> Settings:
        (folder / "nse_fo_stock_symbols.txt").write_text("NIFTY\nTCS\n")
        given = {"DATA_SOURCE": "upstox", "UPSTOX_ACCESS_TOKEN": "x", "DATABASE_URL": self.url}
        return Settings.load({**given, **more}, folder)

    def price(self, of: Instrument, value: float, minute: int) -> None:
        """Store a quote of a slot, *minute* minutes after the beginning."""
        slot = self.begin + timedelta(minutes=minute)
        quote = StoredQuote(
            symbol=of.symbol,
            slot=slot,
            quote=Quote(instrument_key=of.instrument_key, last_price=value),
            off_session=False,
            received_at=slot + timedelta(seconds=30),
            source="upstox",
            run_id="run",
        )
        QuoteStore(self.store).record_slot(a_run(), [quote], [])

    def chain(self, spot: float, second: int, *legs: Any, **facts: Any) -> None:
        """Store a chain that was received *second* seconds after the beginning."""
        self.keep(self.received(spot, second, *legs, **facts))

    def received(self, spot: float, second: int, *legs: Any, **facts: Any) -> Received:
        week = (self.begin.astimezone(IST) + timedelta(days=7)).date()
        made = received(
            chain(spot, *legs, **{"expiry": week, **facts}),
            self.begin + timedelta(seconds=second),
            lot_size=75,
        )
        metrics = {name: Metric(value=value, used=1, of=1) for name, value in KNOWN.items()}
        return replace(made, summary=replace(made.summary, metrics=metrics))

    def keep(self, *several: Received) -> None:
        keep(self.store, *several)


def without(figure: str, of: Received) -> Received:
    """*of*, but one of its figures is not known."""
    unknown = Metric(value=None, used=0, of=1, reason=Reason.NO_OPEN_INTEREST)
    summary = replace(of.summary, metrics={**of.summary.metrics, figure: unknown})
    return replace(of, summary=summary)
