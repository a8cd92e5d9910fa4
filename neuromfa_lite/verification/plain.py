"""The plain arithmetic that the estimators are held against: loops over lists, nothing shared with what they use."""

import math
from typing import NamedTuple


class Line(NamedTuple):
    """A least squares line: slope, intercept, r2, and the residuals of its points."""

    slope: float
    intercept: float
    r2: float
    residuals: list


def plain_line(x, y):
    """The least squares Line through points."""
    n = len(x)
    mean_x, mean_y = math.fsum(x) / n, math.fsum(y) / n
    above = math.fsum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    slope = above / math.fsum((a - mean_x) ** 2 for a in x)
    residuals = [b - mean_y - slope * (a - mean_x) for a, b in zip(x, y, strict=True)]
    total, left = math.fsum((b - mean_y) ** 2 for b in y), math.fsum(r * r for r in residuals)
    r2 = 1 - left / total if max(y) - min(y) > 1e-13 else 1.0  # a constant but for rounding
    return Line(slope, mean_y - slope * mean_x, r2, residuals)


def plain_slope(x, y):
    """The least squares slope."""
    return plain_line(x, y).slope


def plain_bend(x, y):
    """How much the slope of the least squares parabola changes over the points, as a share of the line's slope.

    The parabola's normal equations are solved by Cramer's rule.
    """
    slope, mean = plain_slope(x, y), math.fsum(x) / len(x)
    if slope == 0:
        return 0.0
    x = [value - mean for value in x]
    power = [math.fsum(value**k for value in x) for k in range(5)]
    moment = [math.fsum(b * a**k for a, b in zip(x, y, strict=True)) for k in range(3)]
    rows = [power[k : k + 3] for k in range(3)]
    square = _determinant([[*row[:2], right] for row, right in zip(rows, moment, strict=True)]) / _determinant(rows)
    return 2 * square * (x[-1] - x[0]) / slope


def _determinant(rows):
    (a, b, c), (d, e, f), (g, h, i) = rows
    return math.fsum([a * e * i, b * f * g, c * d * h, -c * e * g, -b * d * i, -a * f * h])


def plain_partition(shares, weights, order):
    """(ln Z, d ln Z/d q) at every radius, Z = sum_i w_i mu_i^order.

    Args:
        shares: for each radius the list of mu_i; weights: for each radius the list of w_i.
    """
    log_z, mean_log = [], []
    for of_radius, of_weights in zip(shares, weights, strict=True):
        terms = [w * mu**order for mu, w in zip(of_radius, of_weights, strict=True)]
        total = math.fsum(terms)
        log_z.append(math.log(total))
        mean_log.append(math.fsum(t * math.log(mu) for t, mu in zip(terms, of_radius, strict=True)) / total)
    return log_z, mean_log
