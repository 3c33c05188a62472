"""Functions of the normal distribution, from SciPy.

SciPy takes a fifth of a second to load, and most commands compute no option: it is loaded by
the first call.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def ndtr(x: NDArray[np.float64]) -> Any:
    """The standard normal distribution function at *x*."""
    from scipy import special

    return special.ndtr(x)


def erfcx(x: NDArray[np.float64]) -> Any:
    """The scaled complementary error function, exp(x^2) erfc(x), at *x*."""
    from scipy import special

    return special.erfcx(x)
