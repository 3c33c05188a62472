"""The legs of chains as columns. Missing values are NaN."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, starmap
from typing import Self

import numpy as np
from numpy.typing import NDArray

from data_fetch.core.chains.chains import Chain, ChainLeg, OptionType

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LegColumns:
    """One row per leg, in order. Prices are rupees, quantities in the chain's unit."""

    strike: Floats
    is_call: Bools
    last: Floats
    bid: Floats
    ask: Floats
    volume: Floats
    oi: Floats
    prev_close: Floats
    prev_oi: Floats

    @classmethod
    def of(cls, legs: Sequence[ChainLeg]) -> Self:
        return cls(
            strike=floats([float(leg.strike) for leg in legs]),
            is_call=np.array([leg.option_type is OptionType.CALL for leg in legs], dtype=bool),
            last=floats([leg.ltp for leg in legs]),
            bid=floats([leg.bid for leg in legs]),
            ask=floats([leg.ask for leg in legs]),
            volume=floats([leg.volume for leg in legs]),
            oi=floats([leg.oi for leg in legs]),
            prev_close=floats([leg.prev_close for leg in legs]),
            prev_oi=floats([leg.prev_oi for leg in legs]),
        )

    def __getitem__(self, rows: slice) -> Self:
        return type(self)(*(getattr(self, name)[rows] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class StrikeColumns:
    """Calls and puts side by side: one row per strike, lowest first; a missing side is NaN."""

    strike: Floats
    call: Floats
    put: Floats

    def __getitem__(self, rows: slice) -> Self:
        return type(self)(self.strike[rows], self.call[rows], self.put[rows])


@dataclass(frozen=True, slots=True)
class Ladder:
    """The row of each leg in `StrikeColumns`."""

    strike: Floats
    row: NDArray[np.intp]
    is_call: Bools

    @classmethod
    def of(cls, columns: LegColumns, firsts: Sequence[int] = (0,)) -> Self:
        """The ladder of chains whose legs are sorted by strike; *firsts* are the first rows of
        the chains."""
        begins = np.empty(len(columns.strike), np.bool_)
        np.not_equal(columns.strike[1:], columns.strike[:-1], out=begins[1:])
        begins[list(firsts)] = True
        return cls(columns.strike[begins], begins.cumsum() - 1, columns.is_call)

    def sides(self, values: Floats) -> StrikeColumns:
        """*values* of the legs, by strike."""
        call, put = np.full((2, len(self.strike)), np.nan)
        call[self.row[self.is_call]] = values[self.is_call]
        put[self.row[~self.is_call]] = values[~self.is_call]
        return StrikeColumns(self.strike, call, put)

    def rows_of(self, legs: slice) -> slice:
        """The strike rows of the *legs* of one chain."""
        return slice(self.row[legs.start], self.row[legs.stop - 1] + 1)


def floats(values: Sequence[float | None]) -> Floats:
    """A column of numbers; None becomes NaN."""
    return np.array(values, dtype=np.float64)


def or_zero(values: Floats) -> Floats:
    """*values* with 0 for NaN."""
    return np.where(np.isfinite(values), values, 0.0)


def stacked(chains: Sequence[Chain]) -> tuple[LegColumns, list[slice]]:
    """The legs of all *chains* one after the other, and the rows of each chain."""
    bounds = accumulate((len(chain.legs) for chain in chains), initial=0)
    legs = LegColumns.of([leg for chain in chains for leg in chain.legs])
    return legs, list(starmap(slice, pairwise(bounds)))
