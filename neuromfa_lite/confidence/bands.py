"""Bands: from the values of resamples to an interval, in four ways."""

from statistics import NormalDist

import numpy as np

from ..errors import NeuroMFAError

KINDS = ("percentile", "basic", "bias-corrected", "accelerated")


def band(point, resampled, level, kind, left_out=None):
    """Return (2, ...): the low and the high end of the band of each quantity.

    Args:
        point: (...) the values of the sample itself.
        resampled: (resamples, ...) those of the resamples.
        level: nominal probability that the band holds the value of the whole population.
        kind: "percentile", the quantiles of the resamples, t_(a) ... t_(1-a) with a = (1 - level)/2;
            "basic", these reflected at the point, 2 t - t_(1-a) ... 2 t - t_(a): a bias that the resamples show against
            the sample is taken off the sample, where the percentile band has it twice;
            "bias-corrected", quantiles of the resamples moved by their median bias (Efron's BC);
            "accelerated", BC with a correction for a spread that depends on the value (BCa).
        left_out: (neurons, ...) values of the sample without one neuron each, for "accelerated".

    Source: A. C. Davison and D. V. Hinkley, Bootstrap Methods and their Application, 1997, sections 5.2 and 5.3.

    Example:
        >>> band(np.array(1.0), np.linspace(0, 4, 101), 0.9, "percentile").round(2)
        array([0.2, 3.8])
        >>> band(np.array(1.0), np.linspace(0, 4, 101), 0.9, "basic").round(2)
        array([-1.8,  1.8])
    """
    tail = (1 - level) / 2
    if kind == "percentile":
        return np.quantile(resampled, [tail, 1 - tail], axis=0)
    if kind == "basic":
        return 2 * point - np.quantile(resampled, [1 - tail, tail], axis=0)
    if kind not in KINDS:
        raise NeuroMFAError(f"kind={kind!r} is unknown: use one of {', '.join(map(repr, KINDS))}")
    acceleration = np.zeros(np.shape(point)) if kind == "bias-corrected" else _acceleration(left_out)
    return _corrected(np.asarray(point), resampled, tail, acceleration)


def _acceleration(left_out):
    pull = left_out.mean(axis=0) - left_out
    size = (pull**2).sum(axis=0)
    return np.where(size > 0, (pull**3).sum(axis=0) / (6 * np.where(size > 0, size, 1.0) ** 1.5), 0.0)


def _corrected(point, resampled, tail, acceleration):
    """Quantiles of the resamples at levels that their median bias and the acceleration move, of each quantity."""
    normal, resamples = NormalDist(), len(resampled)
    ordered = np.sort(resampled, axis=0).reshape(resamples, -1)
    flat = point.reshape(-1)
    below = ((ordered < flat).sum(axis=0) + 0.5 * (ordered == flat).sum(axis=0)) / resamples
    result = np.empty((2, len(flat)))
    for j, (share, pull) in enumerate(zip(below, acceleration.reshape(-1), strict=True)):
        bias = normal.inv_cdf(min(max(share, 0.5 / resamples), 1 - 0.5 / resamples))
        for end, probability in enumerate((tail, 1 - tail)):
            z = bias + normal.inv_cdf(probability)
            moved = normal.cdf(bias + z / max(1 - pull * z, 0.1))
            result[end, j] = np.quantile(ordered[:, j], moved)
    return result.reshape(2, *point.shape)
