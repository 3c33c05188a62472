"""Enriches chains before storage: IV and Greeks, summary, lot sizes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from threading import Lock
from typing import NamedTuple

from sqlalchemy import Connection

from data_fetch.analytics.chain_pricing import price_dated
from data_fetch.analytics.conventions import OWN, Convention
from data_fetch.analytics.summary import Subject, summarise
from data_fetch.core.chains.chains import Chain, ChainSource, DoubtfulLeg
from data_fetch.core.chains.valuation import PricedChain
from data_fetch.core.clock import IST
from data_fetch.core.instruments.bearers import bearer_of
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.storage.chains.snapshots import LegKey, Received
from data_fetch.storage.database.store import Store
from data_fetch.storage.instruments.contracts import contract_keys, lots_at, underlying_keys
from data_fetch.storage.instruments.expiries import moved_expiries


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedResponse:
    """The chains of one response, its *rejected* legs, and when it was received."""

    chains: Sequence[Chain]
    received_at: datetime
    rejected: Sequence[DoubtfulLeg] = ()

    def rejected_of(self, chain: Chain) -> int:
        """How many legs *chain* has lost; a leg of unknown expiry is of the only chain there is."""
        alone = len(self.chains) == 1
        return sum(
            leg.expiry == chain.expiry or (alone and leg.expiry is None) for leg in self.rejected
        )


class _TermsKey(NamedTuple):
    """The key of a look-up."""

    underlying: str
    expiry: date
    source: ChainSource
    day: date


class _Terms(NamedTuple):
    """The lot size in force, if it is known, and the instrument keys of the contracts."""

    lot_size: int | None
    contracts: Mapping[LegKey, str]


# Prices chains, each as of its instant.
Price = Callable[
    [Sequence[tuple[Chain, datetime | None]], Convention, MarketCalendar], list[PricedChain]
]


class ChainEnricher:
    """Prices chains by *price*, and adds lots and contracts from *store*, which are cached for a
    day.

    Thread-safe.
    """

    def __init__(self, store: Store, calendar: MarketCalendar, price: Price = price_dated) -> None:
        self._store = store
        self._calendar = calendar
        self._price = price
        self._day = date.min
        self._underlyings: dict[str, tuple[str, ...]] = {}
        self._terms: dict[_TermsKey, _Terms] = {}
        self._lock = Lock()

    def received(self, responses: Sequence[ParsedResponse]) -> list[Received]:
        """The chains of *responses* in their order, each with its valuation and summary."""
        each_chain = [(chain, response) for response in responses for chain in response.chains]
        if not each_chain:
            return []
        terms = self._look_up(each_chain)
        priced = self._price(
            [(chain, priced_at(chain, response.received_at)) for chain, response in each_chain],
            OWN,
            self._calendar,
        )
        summaries = summarise(
            [
                Subject(numbers, response.received_at, term.lot_size)
                for numbers, (_, response), term in zip(priced, each_chain, terms, strict=True)
            ]
        )
        return [
            Received(
                summary=summary,
                received_at=response.received_at,
                lot_size=term.lot_size,
                instrument_keys=term.contracts,
                rejected=response.rejected_of(chain),
            )
            for summary, (chain, response), term in zip(summaries, each_chain, terms, strict=True)
        ]

    def _look_up(self, each_chain: Sequence[tuple[Chain, ParsedResponse]]) -> list[_Terms]:
        """The terms of all these chains, from the store where they are not cached."""
        keys = [_key_of(chain, response) for chain, response in each_chain]
        with self._lock:
            self._forget_yesterday(max(key.day for key in keys))
            missing = [key for key in dict.fromkeys(keys) if key not in self._terms]
            if missing:
                with self._store.reading() as connection:
                    names = {key.underlying for key in missing} - self._underlyings.keys()
                    self._underlyings |= underlying_keys(connection, names) if names else {}
                    self._terms |= {key: self._terms_in(connection, key) for key in missing}
            return [self._terms[key] for key in keys]

    def _terms_in(self, connection: Connection, key: _TermsKey) -> _Terms:
        underlyings = self._underlyings[key.underlying]
        if not underlyings:
            return _Terms(None, {})
        moved = moved_expiries(connection, underlyings, [key.expiry])
        expiry = bearer_of(key.expiry, moved, key.day) or key.expiry
        lots = lots_at(connection, underlyings, [expiry], key.day)
        contracts = contract_keys(connection, underlyings, expiry)
        if key.source.names_contracts:
            # The others are named by their token and the expiry of the chain.
            dated = f"|{key.expiry:%d-%m-%Y}"
            contracts = {leg: of for leg, of in contracts.items() if not of.endswith(dated)}
        return _Terms(lots.get(expiry), contracts)

    def _forget_yesterday(self, day: date) -> None:
        """Clear the cache on a new day: its master may have other terms."""
        if day > self._day:
            self._day = day
            self._underlyings.clear()
            self._terms.clear()


def _key_of(chain: Chain, response: ParsedResponse) -> _TermsKey:
    day = response.received_at.astimezone(IST).date()
    return _TermsKey(chain.underlying, chain.expiry, chain.source, day)


def priced_at(chain: Chain, received_at: datetime) -> datetime:
    """The instant of the prices of a chain: the exchange's timestamp, else the receipt."""
    return min(chain.exchange_time or received_at, received_at)
