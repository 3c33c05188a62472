"""The paper exchange as both providers, a virtual clock, a store, and what polls chains."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import orjson
import urllib3
from paced import file_pacer
from sqlalchemy import func, select
from watcher import Watcher

from data_fetch.archive.raw_responses import RawResponseStore
from data_fetch.core.chains.polling import Target
from data_fetch.core.clock import VirtualClock
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.ports import ChainProvider
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.runtime.chains import ChainContext, chain_poller_at, chain_service_at
from data_fetch.runtime.sources import chain_providers
from data_fetch.services.chain_enrichment import ChainEnricher
from data_fetch.services.chain_jobs import ChainPoller
from data_fetch.services.chains import ChainService
from data_fetch.sources.instruments.rows import read_instruments
from data_fetch.sources.transport.file_windows import FileWindows
from data_fetch.sources.transport.retrying import RetryPolicy
from data_fetch.sources.upstox.api import UpstoxApi
from data_fetch.sources.upstox.token import TokenKeeper
from data_fetch.storage.chains.snapshots import ChainStore
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.database.tables import Base, table
from data_fetch.storage.instruments.contracts import listed_expiries
from data_fetch.storage.instruments.instruments import instruments_named, save_master

CALENDAR = MarketCalendar.reviewed()
SYMBOLS = ("NIFTY", "BANKNIFTY", "RELIANCE", "M&M")


@dataclass
class ChainEnv:
    """Everything that polling needs, and ways to look at what it left behind."""

    exchange: PaperExchange
    clock: VirtualClock
    store: Store
    api: UpstoxApi
    context: ChainContext
    symbols: Sequence[str] = SYMBOLS
    remarks: list[str] = field(default_factory=list)

    @property
    def chains(self) -> ChainStore:
        return ChainStore(self.store)

    @property
    def raw_store(self) -> RawResponseStore:
        return RawResponseStore(self.context.settings.raw_folder, 7)

    def service(self) -> ChainService:
        return chain_service_at(self.context)

    def service_of(self, providers: Sequence[ChainProvider]) -> ChainService:
        """One that asks others than the exchange."""
        context = self.context
        return ChainService(
            providers=providers,
            chains=self.chains,
            enricher=ChainEnricher(self.store, CALENDAR),
            raw_store=self.raw_store,
            stored_expiries=self._stored_expiries,
            calendar=CALENDAR,
            clock=self.clock,
            stop=context.stop,
            report=context.reporter.message,
        )

    def _stored_expiries(self, underlying: Instrument) -> list[date]:
        with self.store.reading() as connection:
            return listed_expiries(connection, [underlying.instrument_key], date.min)

    def poller(self) -> ChainPoller:
        return chain_poller_at(self.context, [self.instrument(symbol) for symbol in self.symbols])

    def instrument(self, symbol: str) -> Instrument:
        with self.store.reading() as connection:
            return instruments_named(connection, [symbol]).members[0]

    def target(self, symbol: str = "NIFTY", **how: Any) -> Target:
        return Target(self.instrument(symbol), **how)

    def until(self, instant: datetime) -> None:
        """Let the market go on to *instant*."""
        self.clock.sleep(instant - self.clock.now())

    def faults(self, *faults: dict[str, Any]) -> None:
        """From now on the exchange has these faults and no others."""
        where = f"{self.exchange.url}/paper/faults"
        urllib3.request("DELETE", where)
        answer = urllib3.request("POST", where, body=orjson.dumps({"fault": list(faults)}))
        assert answer.status < 300, answer.data

    def requests(self) -> dict[str, int]:
        """What the exchange was asked so far, by its own names."""
        state = urllib3.request("GET", f"{self.exchange.url}/paper/state")
        found: dict[str, int] = orjson.loads(state.data)["requests"]
        return found

    def exchange_truth(self, symbol: str, expiry: date) -> dict[tuple[float, str], dict[str, Any]]:
        """What the exchange's legs are really worth, by strike and type."""
        legs = self._truth(symbol, expiry)["legs"]
        return {(leg["strike"], leg["option_type"]): leg for leg in legs}

    def true_forward(self, symbol: str, expiry: date) -> float:
        forward: float = self._truth(symbol, expiry)["forward"]
        return forward

    def _truth(self, symbol: str, expiry: date) -> dict[str, Any]:
        where = f"{self.exchange.url}/paper/chain-truth?symbol={symbol}&expiry={expiry}"
        truth: dict[str, Any] = orjson.loads(urllib3.request("GET", where).data)
        return truth

    def rows(self, of: type[Base]) -> list[dict[str, Any]]:
        with self.store.reading() as connection:
            query = select(table(of)).order_by(*table(of).primary_key.columns)
            return [dict(row) for row in connection.execute(query).mappings()]

    def count(self, of: type[Base]) -> int:
        with self.store.reading() as connection:
            return connection.scalar(select(func.count()).select_from(table(of))) or 0


@contextmanager
def chain_env(
    database_url: str,
    folder: Path,
    start: datetime,
    *,
    stop: Event | None = None,
    symbols: Sequence[str] = SYMBOLS,
    **settings: Any,
) -> Iterator[ChainEnv]:
    """A shop at *start*; *settings* by the names of the environment."""
    clock = VirtualClock(start)
    hold = clock.hold()
    exchange = PaperExchange(clock, calendar=CALENDAR, symbols=symbols)
    store = open_store(database_url, World.PAPER)
    remarks: list[str] = []
    with exchange:
        _listed(store, exchange, clock, folder)
        api = UpstoxApi(
            world=World.PAPER,
            base_url=exchange.url,
            token=TokenKeeper("paper-analytics", env_file=None, in_environment=False),
            pacing=file_pacer(folder, clock),
            clock=clock,
            timeout_seconds=5,
            policy=RetryPolicy(clock, random=Random(0)),
        )
        loaded = Settings.load({"DATA_SOURCE": "paper", **settings}, folder)
        context = ChainContext(
            settings=loaded,
            providers=chain_providers(loaded, api, clock, exchange.url, FileWindows(folder, clock)),
            clock=clock,
            calendar=CALENDAR,
            store=store,
            guard=None,
            stop=stop or Event(),
            reporter=Watcher(remarks),
        )
        yield ChainEnv(exchange, clock, store, api, context, symbols, remarks)
    hold.release()
    store.close()


def _listed(store: Store, exchange: PaperExchange, clock: VirtualClock, folder: Path) -> None:
    """Store the instrument master of the day, as a collector does in the morning."""
    day, master = clock.now().date(), folder / "NSE.json.gz"
    master.write_bytes(exchange.market.master.file(day))
    save_master(store, read_instruments(master), day, clock.now())
