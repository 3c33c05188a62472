"""What was told of chains, made ready to be stored: priced, summed up, with the lots of the day."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime

from data_fetch.analytics.chain_pricing import price_chains
from data_fetch.analytics.conventions import OWN
from data_fetch.analytics.summary import summarise
from data_fetch.core.chain_numbers import ChainSummary, PricedChain
from data_fetch.core.chains import Chain, ChainSource
from data_fetch.core.clock import IST
from data_fetch.core.market import MarketCalendar
from data_fetch.storage.chains import LegKey, Received
from data_fetch.storage.contracts import contract_keys, lots_at
from data_fetch.storage.store import Store

Lots = Mapping[date, int]


class ChainEnricher:
    """Looks lots and contracts up in *store*, and remembers them for the day they are of."""

    def __init__(self, store: Store, calendar: MarketCalendar) -> None:
        self._store = store
        self._calendar = calendar
        self._lots: dict[tuple[str, date], dict[date, int | None]] = {}
        self._keys: dict[tuple[str, date], Mapping[LegKey, str]] = {}

    def received(
        self,
        chains: Sequence[Chain],
        received_at: datetime,
        *,
        strikes: int | None = None,
        set_aside: int = 0,
    ) -> list[Received]:
        """*chains* of one answer, each with its numbers.

        Figures are of the whole chain; of its legs those within *strikes* of the money are
        kept (None: all).
        """
        if not chains:
            return []
        day = received_at.astimezone(IST).date()
        lots = self._lots_of(chains, day)
        priced = price_chains(chains, priced_at(chains[0], received_at), OWN, self._calendar)
        return [
            Received(
                summary=_cropped(summarise(each, received_at, lots[each.chain.expiry]), strikes),
                received_at=received_at,
                lot_size=lots[each.chain.expiry],
                instrument_keys=self._keys_of(each.chain),
                set_aside=set_aside,
            )
            for each in priced
        ]

    def forget(self) -> None:
        """A new day, a new master: look lots and contracts up again."""
        self._lots.clear()
        self._keys.clear()

    def _lots_of(self, chains: Sequence[Chain], day: date) -> Mapping[date, int | None]:
        underlying = chains[0].underlying
        known = self._lots.setdefault((underlying, day), {})
        missing = [chain.expiry for chain in chains if chain.expiry not in known]
        if missing:
            with self._store.reading() as connection:
                found = lots_at(connection, underlying, missing, day)
            known |= {expiry: found.get(expiry) for expiry in missing}
        return known

    def _keys_of(self, chain: Chain) -> Mapping[LegKey, str]:
        """Dated keys for a source that names none."""
        if chain.source is ChainSource.UPSTOX:
            return {}
        place = chain.underlying, chain.expiry
        if place not in self._keys:
            with self._store.reading() as connection:
                self._keys[place] = contract_keys(connection, *place)
        return self._keys[place]


def priced_at(chain: Chain, received_at: datetime) -> datetime:
    """The instant that the prices of a chain are of: the exchange's stamp, where there is one."""
    return min(chain.exchange_time or received_at, received_at)


def around_the_money(chain: Chain, strikes: int | None) -> Chain:
    """*chain* with at most *strikes* strikes on each side of the spot's own (None: all)."""
    if strikes is None:
        return chain
    listed = sorted({leg.strike for leg in chain.legs})
    middle = len(listed) // 2
    if chain.spot is not None:
        spot = chain.spot
        middle = min(range(len(listed)), key=lambda n: abs(float(listed[n]) - spot))
    kept = set(listed[max(0, middle - strikes) : middle + strikes + 1])
    return replace(chain, legs=tuple(leg for leg in chain.legs if leg.strike in kept))


def _cropped(summary: ChainSummary, strikes: int | None) -> ChainSummary:
    whole = summary.priced
    chain = around_the_money(whole.chain, strikes)
    if chain is whole.chain:
        return summary
    kept = {leg.key for leg in chain.legs}
    numbers = tuple(
        numbers
        for leg, numbers in zip(whole.chain.legs, whole.numbers, strict=True)
        if leg.key in kept
    )
    priced: PricedChain = replace(whole, chain=chain, numbers=numbers)
    return replace(summary, priced=priced)
