"""Straight lines through many curves at once: the regression behind every exponent here."""

from typing import NamedTuple

import numpy as np

from ..errors import NeuroMFAError


class Lines(NamedTuple):
    """slope, intercept, r2 (curves,) and residuals (curves, points) of least squares lines."""

    slope: np.ndarray
    intercept: np.ndarray
    r2: np.ndarray
    residuals: np.ndarray

    def distance_from(self, x, curves):
        """(curves, points) how far curves lie above the lines at abscissas x (points,), others than fitted ones too."""
        return curves - self.intercept[:, None] - self.slope[:, None] * x


def fit_lines(x, curves):
    """The Lines (least squares, free intercept, points of equal weight) through curves (curves, points) at x (points,).

    slope = sum (x - mean x) y / sum (x - mean x)^2. The r2 of a constant curve is 1: its line meets every point.

    Example:
        >>> fit_lines(np.array([0.0, 1.0, 2.0]), np.array([[1.0, 3.0, 5.0]])).slope
        array([2.])
    """
    centred, slope = x - x.mean(), fit_slopes(x, curves)
    start = curves[:, -1:]
    raised = curves - start
    level = raised.mean(axis=1)
    residuals = raised - level[:, None] - slope[:, None] * centred
    variation = ((raised - level[:, None]) ** 2).sum(axis=1)
    unexplained = (residuals**2).sum(axis=1)
    r2 = np.where(variation > 0, 1 - unexplained / np.where(variation > 0, variation, 1), 1.0)
    return Lines(slope, level + start[:, 0] - slope * x.mean(), r2, residuals)


def fit_slopes(x, curves):
    """The slopes of :func:`fit_lines` alone, (curves,); fewer than two different abscissas define none."""
    if not np.ptp(x) > 0:
        raise NeuroMFAError(
            f"an exponent needs at least two different radii, this network gives {len(x)}: "
            "draw a larger sample, widen the window, or name radii with method.replace(radii=...)"
        )
    # The last value is taken off first, so that a constant curve has slope 0 exactly.
    return (curves - curves[:, -1:]) @ weights_of_fit(x)


def r2_of_slopes(x, curves, slopes):
    """(curves,) the r2 of :func:`fit_lines` alone, of lines with known slopes."""
    centred = x - x.mean()
    variation = ((curves - curves.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    explained = slopes**2 * (centred @ centred)
    return np.where(variation > 0, explained / np.where(variation > 0, variation, 1), 1.0)


def weights_of_fit(x):
    """(points,) the weight c of every point in a slope: slope = sum c y, where sum c = 0."""
    centred = x - x.mean()
    return centred / (centred @ centred)
