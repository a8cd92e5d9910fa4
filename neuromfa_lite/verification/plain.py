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


def plain_pulls(x, shares, weights, order, flat):
    """([d tau/d v_i], [d alpha/d v_i]), how far every centre i pulls the slopes of ln Z and of d ln Z/d q.

    Args:
        x: abscissas; shares, weights: as for plain_partition(); flat: whether ln Z has no slope by definition.
    """
    mean, (log_z, mean_log) = math.fsum(x) / len(x), plain_partition(shares, weights, order)
    spread = math.fsum((a - mean) ** 2 for a in x)
    part = [(a - mean) / spread / math.exp(of_radius) for a, of_radius in zip(x, log_z, strict=True)]
    of_tau, of_alpha = [], []
    for i in range(len(shares[0])):
        mine = [share[i] for share in shares]
        pulls = [c * w[i] * mu**order for c, w, mu in zip(part, weights, mine, strict=True)]
        of_tau.append(0.0 if flat else math.fsum(pulls))
        above = [math.log(mu) - level for mu, level in zip(mine, mean_log, strict=True)]
        of_alpha.append(math.fsum(pull * rise for pull, rise in zip(pulls, above, strict=True)))
    return of_tau, of_alpha


def plain_error(pulls, groups, sizes):
    """The standard error of a sum of pulls: of n in a group the variance is n times that of a single one."""
    variance = 0.0
    for group, n in sizes.items():
        mine = [pull for pull, other in zip(pulls, groups, strict=True) if other == group]
        mean = math.fsum(mine) / n  # those that are no centre pull by 0
        squares = math.fsum((pull - mean) ** 2 for pull in mine) + (n - len(mine)) * mean**2
        variance += n / (n - 1) * squares if n > 1 else 0.0
    return math.sqrt(variance)


def plain_error_of_one(x, masses):
    """The standard error of the slope of ln N over the connections of a neuron, one after another.

    Args:
        x: ln r; masses: N(r), the neuron itself counted as 1.
    """
    mean = math.fsum(x) / len(x)
    spread = math.fsum((a - mean) ** 2 for a in x)
    squares, before = [], 1
    for place, mass in enumerate(masses):
        pull = math.fsum((a - mean) / spread / n for a, n in zip(x[place:], masses[place:], strict=True))
        squares += [pull**2] * (mass - before)
        before = mass
    return math.sqrt(math.fsum(squares))


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
