"""Implied volatility and Greeks of options, without a store: python examples/compute_greeks.py"""

import numpy as np

from data_fetch.analytics.greeks import forward_greeks
from data_fetch.analytics.iv import implied_volatility

FORWARD, RATE, YEARS = 24_850.0, 0.065, 6 / 365
STRIKES = np.array([24_600.0, 24_800.0, 25_000.0, 25_200.0])
PRICES = np.array([352.1, 218.4, 118.75, 55.3])
ARE_CALLS = np.array([True, True, True, True])


def main() -> None:
    """Print a line for each strike."""
    undiscounted = PRICES * np.exp(RATE * YEARS)
    solved = implied_volatility(undiscounted, FORWARD, STRIKES, YEARS, ARE_CALLS)
    greeks = forward_greeks(FORWARD, STRIKES, YEARS, solved.volatility, ARE_CALLS, RATE)
    print("strike      iv   delta    gamma    theta    vega")
    for row in zip(
        STRIKES,
        solved.volatility,
        greeks.delta,
        greeks.gamma,
        greeks.theta,
        greeks.vega,
        strict=True,
    ):
        print("{:6.0f} {:7.4f} {:7.3f} {:8.5f} {:8.2f} {:7.2f}".format(*row))


if __name__ == "__main__":
    main()
