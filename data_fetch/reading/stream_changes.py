"""What has changed in a store since it was looked at last: prices and option chains.

A look costs two look-ups in indexes while nothing changes. Legs are read only of chains that
clients follow.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection

from data_fetch.core.clock import MINUTE
from data_fetch.core.settings import Settings
from data_fetch.reading.records import clock_of, store_of
from data_fetch.storage.chains.heads import ChainHead, newest_heads, not_over
from data_fetch.storage.chains.lineage import chain_lineage
from data_fetch.storage.chains.records import ChainRecord, chain_record
from data_fetch.storage.changes import (
    NewestSlots,
    new_snapshots,
    newest_slots,
    quotes_between,
    snapshot_marks,
)
from data_fetch.storage.database.store import Store
from data_fetch.storage.quotes import QuoteStore, present_symbols

# After a longer one the newest quote of each product is looked up instead.
LONGEST_GAP = 10 * MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """The last price of a product, in rupees, as it was received at *at*.

    *source* is the provider of a quote, or of the chain whose spot it is.
    """

    product: str
    value: float
    at: datetime
    source: str


@dataclass(frozen=True, slots=True)
class Changes:
    """New prices, oldest first, and chains with new content."""

    prices: tuple[Price, ...]
    chains: tuple[ChainRecord, ...]


# What names the content of a chain: its snapshot, the hash of that, and the run that wrote it.
Content = tuple[object, ...]


class ChangeFollower:
    """Compares the store of *settings* with what it was at the last look, each time as of *delay*
    before the present. Not thread-safe.

    The first look returns the newest price of every product.
    """

    def __init__(self, settings: Settings, delay: timedelta = timedelta(0)) -> None:
        self._settings = settings
        self._delay = delay
        self._slots: NewestSlots | None = None
        self._snapshots: object = None
        self._marks: dict[tuple[str, date, str], Content] = {}
        self._prices: dict[str, Price] = {}
        self._quoted: set[str] = set()
        self._everything = False
        self._chains: dict[str, dict[date, Content]] = {}

    def changes(self, followed: Collection[str]) -> Changes:
        """What is new; chains only of the products *followed*, whose first look returns all
        that are not over. Raises what the store and the paper market's clock raise."""
        try:
            return self._changes(followed)
        except BaseException:
            # Also when it is cancelled: a part may be noted as seen, and no client got it.
            self.start_over()
            raise

    def look_again(self) -> None:
        """Compare everything at the next look, not only what is recent."""
        self._slots = self._snapshots = None
        self._everything = True

    def start_over(self) -> None:
        """Return everything at the next look, as the first one does."""
        self.look_again()
        for seen in (self._marks, self._prices, self._chains):
            seen.clear()

    def _changes(self, followed: Collection[str]) -> Changes:
        now = clock_of(self._settings).now() - self._delay
        with store_of(self._settings) as store, store.reading() as connection:
            prices = list(self._new_quotes(store, connection, now))
            changed = self._changed_underlyings(connection, now, prices)
            for product in self._chains.keys() - set(followed):
                del self._chains[product]
            chains = [
                record
                for product in followed
                if self._everything or product in changed or product not in self._chains
                for record in self._new_chains(connection, product, now)
            ]
        self._everything = False
        return Changes(tuple(prices), tuple(chains))

    def _new_quotes(self, store: Store, connection: Connection, now: datetime) -> Iterator[Price]:
        slots, before = newest_slots(connection, now), self._slots
        if slots is None or slots == before:
            return
        if before is None or slots.newest - before.newest > LONGEST_GAP:
            quotes = list(QuoteStore(store).latest(now).values())
        else:
            quotes = quotes_between(connection, before.newest - MINUTE, slots.newest, now)
        names = present_symbols(connection, {each.quote.instrument_key for each in quotes})
        for each in quotes:
            product = names.get(each.quote.instrument_key, each.symbol)
            price = Price(
                product=product,
                value=each.quote.last_price,
                at=each.received_at,
                source=each.source,
            )
            self._quoted.add(product)
            if self._is_new(price):
                yield price
        self._slots = slots

    def _changed_underlyings(
        self, connection: Connection, now: datetime, prices: list[Price]
    ) -> set[str]:
        """The underlyings with a new snapshot; the spots of those without quotes are *prices*."""
        found = new_snapshots(connection, now)
        if found == self._snapshots:
            return set()
        changed = set()
        for mark in snapshot_marks(connection, now):
            series = (mark.underlying, mark.expiry, mark.source)
            content = (mark.timestamp, mark.content_hash, mark.run_id)
            if self._marks.get(series) == content:
                continue
            self._marks[series] = content
            changed.add(mark.underlying)
            if mark.spot is not None and mark.underlying not in self._quoted:
                spot = Price(
                    product=mark.underlying,
                    value=mark.spot,
                    at=mark.timestamp,
                    source=mark.source,
                )
                if self._is_new(spot):
                    prices.append(spot)
        self._snapshots = found
        return changed

    def _new_chains(
        self, connection: Connection, product: str, now: datetime
    ) -> Iterator[ChainRecord]:
        lineage = chain_lineage(connection, product)
        known = self._chains.setdefault(product, {})
        heads = newest_heads(connection, lineage, now)
        # After the last expiry its final chain is still the newest one.
        for head in not_over(connection, heads, now) or heads[-1:]:
            content = _content(head)
            if known.get(head.shown.expiry) != content:
                record = chain_record(connection, head)
                if record is not None:
                    known[head.shown.expiry] = content
                    yield record

    def _is_new(self, price: Price) -> bool:
        known = self._prices.get(price.product)
        if known is not None and (price.at < known.at or price == known):
            return False
        self._prices[price.product] = price
        return True


def _content(head: ChainHead) -> Content:
    return (*head.stored.key, head.stored.content_hash, head.stored.run_id)
