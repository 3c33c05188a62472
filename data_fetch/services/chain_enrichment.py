"""What was told of chains, made ready to be stored: priced, summed up, with the lots of the day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from threading import Lock
from typing import NamedTuple

from sqlalchemy import Connection

from data_fetch.analytics.chain_pricing import price_dated
from data_fetch.analytics.conventions import OWN
from data_fetch.analytics.summary import Subject, summarise
from data_fetch.core.chains.chains import Chain, ChainSource
from data_fetch.core.clock import IST
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.storage.chains.snapshots import LegKey, Received
from data_fetch.storage.database.store import Store
from data_fetch.storage.instruments.contracts import contract_keys, lots_at, underlying_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedResponse:
    """Chains of one answer, and when it was received; *rejected* legs could not be true."""

    chains: Sequence[Chain]
    received_at: datetime
    rejected: int = 0


class _Place(NamedTuple):
    """What a look-up is for."""

    underlying: str
    expiry: date
    source: ChainSource
    day: date


class _Terms(NamedTuple):
    """The lot in force, where it is known, and the dated keys of the contracts."""

    lot_size: int | None
    contracts: Mapping[LegKey, str]


class ChainEnricher:
    """Looks lots and contracts up in *store*, and remembers them for the day they are of.

    Safe between threads.
    """

    def __init__(self, store: Store, calendar: MarketCalendar) -> None:
        self._store = store
        self._calendar = calendar
        self._day = date.min
        self._underlyings: dict[str, tuple[str, ...]] = {}
        self._terms: dict[_Place, _Terms] = {}
        self._lock = Lock()

    def received(self, told: Sequence[ParsedResponse]) -> list[Received]:
        """The chains of several answers, in their order, each with its numbers and figures."""
        each_chain = [(chain, answer) for answer in told for chain in answer.chains]
        if not each_chain:
            return []
        terms = self._look_up(each_chain)
        priced = price_dated(
            [(chain, priced_at(chain, answer.received_at)) for chain, answer in each_chain],
            OWN,
            self._calendar,
        )
        summaries = summarise(
            [
                Subject(numbers, answer.received_at, of_chain.lot_size)
                for numbers, (_, answer), of_chain in zip(priced, each_chain, terms, strict=True)
            ]
        )
        return [
            Received(
                summary=summary,
                received_at=answer.received_at,
                lot_size=of_chain.lot_size,
                instrument_keys=of_chain.contracts,
                rejected=answer.rejected,
            )
            for summary, (_, answer), of_chain in zip(summaries, each_chain, terms, strict=True)
        ]

    def _look_up(self, each_chain: Sequence[tuple[Chain, ParsedResponse]]) -> list[_Terms]:
        """The terms of all these chains, from the store where they are not at hand."""
        places = [_place_of(chain, answer) for chain, answer in each_chain]
        with self._lock:
            self._forget_yesterday(max(place.day for place in places))
            missing = [place for place in dict.fromkeys(places) if place not in self._terms]
            if missing:
                with self._store.reading() as connection:
                    names = {place.underlying for place in missing} - self._underlyings.keys()
                    self._underlyings |= underlying_keys(connection, names) if names else {}
                    self._terms |= {place: self._terms_in(connection, place) for place in missing}
            return [self._terms[place] for place in places]

    def _terms_in(self, connection: Connection, place: _Place) -> _Terms:
        keys = self._underlyings[place.underlying]
        if not keys:
            return _Terms(None, {})
        lots = lots_at(connection, keys, [place.expiry], place.day)
        # Where the source names its contracts there is nothing to look up.
        named = place.source.names_contracts
        contracts = {} if named else contract_keys(connection, keys, place.expiry)
        return _Terms(lots.get(place.expiry), contracts)

    def _forget_yesterday(self, day: date) -> None:
        """A new day brings a new master: what was looked up may be other by now."""
        if day > self._day:
            self._day = day
            self._underlyings.clear()
            self._terms.clear()


def _place_of(chain: Chain, answer: ParsedResponse) -> _Place:
    day = answer.received_at.astimezone(IST).date()
    return _Place(chain.underlying, chain.expiry, chain.source, day)


def priced_at(chain: Chain, received_at: datetime) -> datetime:
    """The instant that the prices of a chain are of: the exchange's stamp, where there is one."""
    return min(chain.exchange_time or received_at, received_at)
