"""Pseudo-random numbers that depend only on a name and a seed.

They never depend on the order of requests: the same request has the same response in every
process, whichever date is requested first.
"""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Seeds = NDArray[np.uint64]

_OCTAVES = np.arange(10, dtype=np.uint64)[:, None]
_PERIODS = np.exp2(np.arange(10, dtype=np.float64))[:, None]

# The mixing constants of splitmix64.
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def fingerprint(*parts: object) -> int:
    """A 64-bit hash of *parts*."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def uniform(*parts: object) -> float:
    """A number in [0, 1), determined by *parts*."""
    return fingerprint(*parts) / 2**64


def uniforms(roots: Seeds, number: int) -> Floats:
    """A number in [0, 1) for each of *roots*, different for every *number*."""
    # An array, because NumPy warns when a scalar overflows, but not when an array does.
    step = np.array([number], dtype=np.uint64) * _GAMMA
    return _mix(roots + step) / 2.0**64


def generator(*parts: object) -> np.random.Generator:
    """A random generator seeded by *parts*."""
    return np.random.Generator(np.random.SFC64(fingerprint(*parts)))


def fractal_walk(root: int, days: Floats) -> Floats:
    """The price displacement on each of *days*, as a log ratio per unit of volatility.

    Value noise over ten octaves, one day to 512: over short periods it looks like a random
    walk, and over years it stays near its start.
    """
    at = days[None, :] / _PERIODS
    left = np.floor(at)
    fraction = at - left
    heights = _lattice(root, left) * (1 - fraction) + _lattice(root, left + 1) * fraction
    displacement: Floats = (np.sqrt(_PERIODS) * heights).sum(axis=0)
    return displacement


def _lattice(root: int, points: Floats) -> Floats:
    """A number in [-1, 1) for every integer point of every octave."""
    bits = points.astype(np.int64).view(np.uint64) * _GAMMA
    bits = bits ^ (np.uint64(root) + _OCTAVES * _MIX_1)
    return _mix(bits) / 2.0**63 - 1.0


def _mix(bits: Seeds) -> Floats:
    """The finisher of splitmix64: 64 well-mixed bits, as floats from 0 to 2^64."""
    bits = (bits ^ (bits >> np.uint64(30))) * _MIX_1
    bits = (bits ^ (bits >> np.uint64(27))) * _MIX_2
    bits = bits ^ (bits >> np.uint64(31))
    return bits.astype(np.float64)
