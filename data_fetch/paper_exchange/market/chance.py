"""Numbers that look drawn by lot and are always the same.

Everything invented hangs on a name and a seed, never on the order of questions: the same
question has the same answer in every process, and any date can be asked for first.
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
    """64 bits that belong to these words."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def share(*parts: object) -> float:
    """A fraction of one, in [0, 1), that belongs to these words."""
    return fingerprint(*parts) / 2**64


def shares(roots: Seeds, number: int) -> Floats:
    """A fraction of one for each of *roots*, another one for every *number*."""
    # As an array: NumPy warns of a scalar that overflows, and of an array it does not.
    step = np.array([number], dtype=np.uint64) * _GAMMA
    return _mixed(roots + step) / 2.0**64


def generator(*parts: object) -> np.random.Generator:
    """A stream of random numbers that belongs to these words."""
    return np.random.Generator(np.random.SFC64(fingerprint(*parts)))


def wander(root: int, days: Floats) -> Floats:
    """How far a price has strayed by each of *days*, as a log ratio per unit of volatility.

    Value noise over ten octaves, one day to 512: near by it looks like a random walk, and
    over the years it stays within sight of where it began.
    """
    at = days[None, :] / _PERIODS
    left = np.floor(at)
    along = at - left
    heights = _lattice(root, left) * (1 - along) + _lattice(root, left + 1) * along
    strayed: Floats = (np.sqrt(_PERIODS) * heights).sum(axis=0)
    return strayed


def _lattice(root: int, points: Floats) -> Floats:
    """One number in [-1, 1) for every whole point of every octave."""
    bits = points.astype(np.int64).view(np.uint64) * _GAMMA
    bits = bits ^ (np.uint64(root) + _OCTAVES * _MIX_1)
    return _mixed(bits) / 2.0**63 - 1.0


def _mixed(bits: Seeds) -> Floats:
    """The finisher of splitmix64: 64 well-mixed bits, as floats from 0 to 2^64."""
    bits = (bits ^ (bits >> np.uint64(30))) * _MIX_1
    bits = (bits ^ (bits >> np.uint64(27))) * _MIX_2
    bits = bits ^ (bits >> np.uint64(31))
    return bits.astype(np.float64)
