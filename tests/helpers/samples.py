"""Simulated runs: times with the skew, outliers and memory that real ones have."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def quiet(scale: float = 1.0, seed: int = 0, n: int = 30) -> list[float]:
    """Times around 10 ms that differ by half a percent."""
    return list(scale * np.random.default_rng(seed).normal(10, 0.05, n))


def skewed(rng: np.random.Generator, rows: int, samples: int, noise: float = 0.02) -> Floats:
    """Log-normal around 10 ms, one in twenty 1.2 to 5 times as long."""
    times = 10 * rng.lognormal(0, noise, (rows, samples))
    outliers = rng.random((rows, samples)) < 0.05
    return times * np.where(outliers, rng.uniform(1.2, 5, (rows, samples)), 1)


def drifting(rng: np.random.Generator, rows: int, samples: int, correlation: float, noise: float) -> Floats:
    """Each sample resembles the one before (AR(1) in logarithms), as on a machine whose other load comes and goes."""
    steps = rng.normal(0, np.sqrt(1 - correlation**2), (rows, samples))
    state = rng.normal(0, 1, rows)
    states = []
    for step in steps.T:
        state = correlation * state + step
        states.append(state)
    return 10 * np.exp(noise * np.stack(states, axis=1))
