"""Bands: from the values of resamples to an interval, in five ways."""

from statistics import NormalDist

import numpy as np

from ..errors import NeuroMFAError
from ..influence import normal_band

KINDS = ("normal", "percentile", "basic", "bias-corrected", "studentised")


def band(point, resampled, level, kind):
    """Return (2, quantities): the low and the high end of the band of each quantity.

    Args:
        point: (values, errors), (quantities,) each: those of the sample itself and their standard errors.
        resampled: (values, errors), (resamples, quantities) each: those of the resamples.
        level: nominal probability that the band holds the value of the whole population.
        kind: "normal", the point and its standard error alone, as every Spectrum shows it;
            "percentile", the quantiles of the resamples, t(a) ... t(1-a) with a = (1 - level)/2;
            "basic", these reflected at the point, 2 t - t(1-a) ... 2 t - t(a): a bias that the resamples show against
            the sample is taken off the sample, where the percentile band has it twice;
            "bias-corrected", quantiles of the resamples moved by their median bias (Efron's BC);
            "studentised", the basic band of (resample - sample) in units of each resample's own standard error, so that
            a sample that happens to lack the rare neurons, and has too small a spread for it, gets a longer tail.

    Source: A. C. Davison and D. V. Hinkley, Bootstrap Methods and their Application, 1997, sections 5.2 and 5.3.

    Example:
        >>> resamples = np.linspace(0, 4, 101)[:, None]
        >>> for kind in ("percentile", "basic"):
        ...     band((np.ones(1), np.ones(1)), (resamples, np.ones((101, 1))), 0.9, kind).round(2).ravel()
        array([0.2, 3.8])
        array([-1.8,  1.8])
    """
    (point, error), (values, errors) = point, resampled
    tails = [(1 - level) / 2, (1 + level) / 2]
    if kind == "normal":
        return normal_band(point, error, level)
    if kind == "percentile":
        return np.quantile(values, tails, axis=0)
    if kind == "basic":
        return 2 * point - np.quantile(values, tails[::-1], axis=0)
    if kind == "bias-corrected":
        return np.stack([_corrected(*each, tails) for each in zip(point, values.T, strict=True)], axis=1)
    if kind != "studentised":
        raise NeuroMFAError(f"kind={kind!r} is unknown: use one of {', '.join(map(repr, KINDS))}")
    # A resample of one neuron many times has no spread of its own to be measured in: it is far out.
    moved = np.where(errors > 0, values - point, 0.0) / np.where(errors > 0, errors, 1.0)
    return point - np.quantile(moved, tails[::-1], axis=0) * error


def _corrected(point, values, tails):
    """The quantiles of the values at levels moved by the share of them that lies below the point."""
    normal, resamples = NormalDist(), len(values)
    below = (np.count_nonzero(values < point) + 0.5 * np.count_nonzero(values == point)) / resamples
    bias = normal.inv_cdf(min(max(below, 0.5 / resamples), 1 - 0.5 / resamples))
    return np.quantile(values, [normal.cdf(2 * bias + normal.inv_cdf(tail)) for tail in tails])
