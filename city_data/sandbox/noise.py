"""Repeatable randomness: a number for a key, the same on every machine, in any order, at every call.

Belongs here: hashing integer keys to bits, uniform numbers and smooth curves. Does not: what the numbers mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
_STEP, _MIX_1, _MIX_2 = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def bits(*keys: ArrayLike) -> NDArray[np.uint64]:
    """64 bits for each combination of integer keys, which broadcast (the finaliser of SplitMix64, key after key)."""
    state = np.zeros(1, np.uint64)
    with np.errstate(over="ignore"):
        for key in keys:
            state = (state ^ np.asarray(key).astype(np.int64).astype(np.uint64)) + _STEP
            state = (state ^ (state >> np.uint64(30))) * _MIX_1
            state = (state ^ (state >> np.uint64(27))) * _MIX_2
            state = state ^ (state >> np.uint64(31))
    return state


def uniform(*keys: ArrayLike) -> Floats:
    """In [0, 1)."""
    return np.asarray((bits(*keys) >> np.uint64(11)) * 2.0**-53, np.float64)


def one(*keys: int) -> float:
    """One uniform number."""
    return float(uniform(*keys)[0])


def bell(*keys: ArrayLike) -> Floats:
    """About normal, mean 0 and deviation 1, never beyond 3.5: four 16-bit uniforms of one hash, added."""
    raw = bits(*keys)
    parts = [(raw >> np.uint64(shift)) & np.uint64(0xFFFF) for shift in (0, 16, 32, 48)]
    return np.asarray((sum(part.astype(np.float64) for part in parts) / 65536.0 - 2.0) * np.sqrt(3.0))


def smooth(seed: int, x: Floats, period: float) -> Floats:
    """A curve through random heights every `period` of x, without corners; deviation about 0.8."""
    position = x / period
    knot = np.floor(position)
    share = (1.0 - np.cos(np.pi * (position - knot))) / 2.0
    return bell(seed, knot.astype(np.int64)) * (1.0 - share) + bell(seed, knot.astype(np.int64) + 1) * share
