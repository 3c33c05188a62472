"""Implied volatility and Greeks: against other libraries and the bare formulas, and counted.

The options are 100,000 at random, moneyness 0.5 to 2, a day to two years, 3 % to 200 %, calls
and puts. Those with a tick of time value are counted one by one, there and on a whole grid:
a solver whose median error looks perfect may have lost hundreds of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from benchmarks.figure import Figure, interleaved, seconds
from data_fetch.analytics.greeks import forward_greeks
from data_fetch.analytics.iv import implied_volatility
from data_fetch.analytics.pricing import black

Floats = NDArray[np.float64]

FORWARD, TICK, RATE = 24_000.0, 0.05, 0.065
MANY, FEW, CHAIN = 100_000, 2_000, 200
ROUNDS = 15
LARGEST_ERROR = 1e-11
INSTALL = "missing: pip install -r requirements-bench.txt"


@dataclass(frozen=True, slots=True)
class Options:
    """Options with the volatility they were priced at; prices are undiscounted."""

    price: Floats
    forward: Floats
    strike: Floats
    years: Floats
    is_call: NDArray[np.bool_]
    volatility: Floats

    def first(self, count: int) -> "Options":
        return Options(*(getattr(self, name)[:count] for name in self.__slots__))

    def solved(self) -> Floats:
        return implied_volatility(
            self.price, self.forward, self.strike, self.years, self.is_call
        ).volatility

    def errors(self, volatility: Floats) -> Floats:
        """By how much *volatility* is off, where the time value is a tick or more."""
        out = self.strike >= self.forward
        time_value = black(self.forward, self.strike, self.years, self.volatility, out)
        return np.abs(volatility - self.volatility)[time_value >= TICK]


def measure() -> Iterator[Figure]:
    options = _at_random()
    yield from _against_the_kernel(options)
    yield from _against_the_scalar(options)
    yield _of_a_chain(options.first(CHAIN))
    yield from _counted(_on_a_grid())
    yield _greeks(options)


def _against_the_kernel(options: Options) -> Iterator[Figure]:
    name = "implied volatility, fast_vollib"
    try:
        from fast_vollib.jackel.jackel_iv import jackel_iv_black
        from numba import set_num_threads
    except ImportError:
        yield Figure(name, float("nan"), "x its speed", detail=INSTALL)
        return
    # One core each: it would take all there are.
    set_num_threads(1)

    def kernel() -> Floats:
        found: Floats = jackel_iv_black(
            options.price, options.forward, options.strike, options.years, options.is_call
        )
        return found

    # The first call compiles.
    wrong = _wrong(options.errors(kernel()))
    mine, theirs, ratio = interleaved(options.solved, kernel, ROUNDS)
    detail = f"{_millions(mine)}, its numba kernel {_millions(theirs)}, {wrong} wrong"
    yield Figure(name, 1 / ratio, "x its speed", detail=detail, least=0.9)


def _against_the_scalar(options: Options) -> Iterator[Figure]:
    name = "implied volatility, one by one"
    try:
        from lets_be_rational import implied_volatility_from_a_transformed_rational_guess as solve
    except ImportError:
        yield Figure(name, float("nan"), "x its speed", detail=INSTALL)
        return
    side = np.where(options.is_call, 1.0, -1.0)
    columns = (options.price, options.forward, options.strike, options.years, side)
    rows = list(zip(*(column[:FEW].tolist() for column in columns), strict=True))

    def one_by_one() -> None:
        for row in rows:
            solve(*row)

    mine, theirs, ratio = interleaved(options.solved, one_by_one, ROUNDS)
    detail = f"{_millions(mine)}, lets_be_rational {FEW / theirs / 1e3:.0f} thousand"
    yield Figure(name, MANY / FEW / ratio, "x its speed", detail=detail, least=50)


def _of_a_chain(options: Options) -> Figure:
    milliseconds = float(np.median([seconds(options.solved) for _ in range(ROUNDS)])) * 1e3
    return Figure("implied volatility, 200 legs", milliseconds, "ms", bound=2)


def _counted(options: Options) -> Iterator[Figure]:
    errors = options.errors(options.solved())
    detail = f"of {errors.size} options on a grid"
    yield Figure("volatilities off by 1e-11", _wrong(errors), "options", bound=0, detail=detail)
    yield Figure("largest error", float(np.max(errors)) * 1e12, "e-12", bound=10, detail=detail)


def _greeks(options: Options) -> Figure:
    arguments = (
        *(options.forward, options.strike, options.years, options.volatility),
        options.is_call,
        RATE,
    )
    mine, theirs, ratio = interleaved(
        lambda: forward_greeks(*arguments), lambda: _bare_greeks(*arguments), ROUNDS
    )
    detail = f"{_millions(mine)}, bare NumPy {_millions(theirs)}"
    return Figure("five Greeks", 1 / ratio, "x bare speed", detail=detail, least=0.7)


def _bare_greeks(
    forward: Floats,
    strike: Floats,
    years: Floats,
    volatility: Floats,
    is_call: NDArray[np.bool_],
    rate: float,
) -> tuple[Floats, ...]:
    """The textbook's formulas, as one writes them down."""
    root = np.sqrt(years)
    d1 = np.log(forward / strike) / (volatility * root) + volatility * root / 2
    d2 = d1 - volatility * root
    side = np.where(is_call, 1.0, -1.0)
    discount = np.exp(-rate * years)
    n1, n2 = ndtr(side * d1), ndtr(side * d2)
    density = np.exp(-d1 * d1 / 2) / np.sqrt(2 * np.pi)
    price = discount * side * (forward * n1 - strike * n2)
    return (
        discount * side * n1,
        discount * density / (forward * volatility * root),
        (rate * price - discount * forward * density * volatility / (2 * root)) / 365,
        discount * forward * density * root / 100,
        -years * price / 100,
    )


def _at_random() -> Options:
    random = np.random.default_rng(76)
    return _priced(
        FORWARD * np.exp(random.uniform(np.log(0.5), np.log(2), MANY)),
        random.uniform(1 / 365, 2, MANY),
        random.uniform(0.03, 2, MANY),
        random.random(MANY) < 0.5,
    )


def _on_a_grid() -> Options:
    axes = np.meshgrid(
        FORWARD * np.exp(np.linspace(np.log(0.5), np.log(2), 101)),
        np.concatenate([np.arange(1, 31), np.linspace(31, 730, 30)]) / 365,
        np.concatenate([np.arange(3, 30), np.linspace(30, 200, 35)]) / 100,
        [True, False],
    )
    return _priced(*(axis.ravel() for axis in axes))


def _priced(
    strike: Floats, years: Floats, volatility: Floats, is_call: NDArray[np.bool_]
) -> Options:
    forward = np.full_like(strike, FORWARD)
    price = black(forward, strike, years, volatility, is_call)
    return Options(price, forward, strike, years, is_call, volatility)


def _wrong(errors: Floats) -> int:
    """NaN counts."""
    return int((~(errors <= LARGEST_ERROR)).sum())


def _millions(duration: float) -> str:
    return f"{MANY / duration / 1e6:.1f} million a second"
