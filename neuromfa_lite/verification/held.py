"""(b) What an estimator should have found, by plain loops from exact masses, and the rows that hold it against that."""

import math
from typing import NamedTuple

import numpy as np

from .checks import compare, worst, worst_ratio
from .plain import plain_bend, plain_error, plain_line, plain_partition, plain_pulls, plain_slope

TOLERANCE = 1e-9
ORDERS = (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0)
NINETY = 1.6448536269514722  # standard deviations of a normal variable on either side hold 90 % of it
WHY = "both are the same sum but for rounding: a thousand times that of its terms"


class Counted(NamedTuple):
    """The masses of an object, counted exactly, and what they are shares of.

    Attributes:
        radii: list; masses: for each radius the list of masses of all centres, None for boxes.
        shares, weights: the same of mu_i and w_i in Z_q = sum_i w_i mu_i^q; of q - 1 in place of q where ``balls``.
        centres: their positions; total: neurons there are; inside: share of the connections that are inside the
            window and leave a centre.
        balls: whether the power is q - 1, that of the sandbox.
        groups: of every centre, those that a band compares with each other; None: all with all.
        sizes: {group: how many it has}, those that are no centre included; None: the centres themselves.
    """

    radii: list
    masses: list | None
    shares: list
    weights: list
    centres: list | None
    total: int
    inside: float = 1.0
    balls: bool = True
    groups: list | None = None
    sizes: dict | None = None

    @classmethod
    def of_nodes(cls, radii, masses, nodes, centres):
        """Balls of a graph as shares of the largest, around centres that all weigh the same."""
        whole, n = max(map(max, masses)), len(centres)
        shares = [[mass / whole for mass in of_radius] for of_radius in masses]
        return cls(radii, masses, shares, [[1 / n] * n] * len(radii), centres, nodes, inside=n / nodes)

    @classmethod
    def of_measure(cls, radii, masses):
        """Balls around all boxes of a measure, the masses of the first radius their weights."""
        whole = max(map(max, masses))
        shares = [[mass / whole for mass in of_radius] for of_radius in masses]
        n = len(masses[0])
        return cls(radii, masses, shares, [masses[0]] * len(radii), list(range(n)), n)

    @classmethod
    def of_boxes(cls, sizes, masses, numbers):
        """Boxes of each size by their masses, and how many have each."""
        return cls(sizes, None, masses, numbers, None, sum(numbers[0]), balls=False)


def row(name, quantity, q, exact, measured):
    """A Check of an estimator."""
    return compare("finite size", name, quantity, q, (exact, measured), TOLERANCE, WHY)


def row_of_many(name, quantity, q, exact, measured):
    """A Check of many numbers, by the one that is farthest off."""
    return row(name, quantity, q, *worst(exact, np.ravel(measured).tolist()))


def held_against(name, spectrum, counted, scaling_range=None):
    """Rows for every number of a Spectrum.

    Args:
        name: what the table calls it; spectrum: Spectrum for the orders ORDERS; counted: Counted.
        scaling_range: (low, high), the method's; None: the lines are fitted to all radii.
    """
    low, high = scaling_range or (counted.radii[0], counted.radii[-1])
    fitted = [low <= radius <= high for radius in counted.radii]
    x = [math.log(radius / counted.radii[-1]) for radius in counted.radii]

    def at_fitted(values):
        return [value for value, there in zip(values, fitted, strict=True) if there]

    rows, bends, r2, alphas, pulls = [], [], [], [], []
    for number, q in enumerate(ORDERS):
        log_z, mean_log = plain_partition(counted.shares, counted.weights, q - counted.balls)
        line, alpha = plain_line(at_fitted(x), at_fitted(log_z)), plain_slope(at_fitted(x), at_fitted(mean_log))
        rows += _of_one_order(name, spectrum, number, line.slope, alpha)
        rows.append(row_of_many(name, "ln Z", q, log_z, spectrum.log_partition[number]))
        residuals = [y - line.intercept - line.slope * a for a, y in zip(x, log_z, strict=True)]
        rows.append(row_of_many(name, "residuals", q, residuals, spectrum.residuals[number]))
        flat = q == (spectrum.convention == "standard")
        of_q = plain_line(at_fitted(x), at_fitted(mean_log)).r2 if flat else line.r2
        rows.append(row(name, "r2", q, of_q, spectrum.r2_by_q[number]))
        r2, alphas = [*r2, of_q], [*alphas, alpha]
        if spectrum.masses is not None:
            given = (at_fitted(each) for each in (x, counted.shares, counted.weights))
            pulls.append(plain_pulls(*given, q - counted.balls, flat))
        if abs(q - (spectrum.convention == "standard")) >= 0.5:
            bends.append(plain_bend(at_fitted(x), at_fitted(log_z)))
        if q == 0:
            of_alpha0 = plain_bend(at_fitted(x), at_fitted(mean_log))
    rows.append(row(name, "alpha0", None, alphas[ORDERS.index(0.0)], spectrum.alpha0))
    rows.append(row(name, "width", None, max(alphas) - min(alphas), spectrum.width))
    rows.append(row(name, "smallest r2", None, min(r2), spectrum.r2))
    rows.append(row(name, "curvature", None, max([*bends, of_alpha0], key=abs), spectrum.curvature))
    ends = at_fitted(counted.radii)
    found = [*spectrum.scaling_range, spectrum.quality.radii]
    rows.append(row_of_many(name, "scaling range, radii", None, [ends[0], ends[-1], len(ends)], found))
    rows += _masses(name, spectrum, counted)
    return rows + bands_held_against(name, spectrum, counted, pulls, alphas, ORDERS.index(0.0))


def bands_held_against(name, spectrum, counted, pulls, alphas, zero):
    """Rows for the bands of all exponents.

    Args:
        pulls: for each order (those on tau, those on alpha) of every centre; alphas: for each order; zero: the place
            of alpha0 among them.
    """
    if spectrum.masses is None:
        return []
    groups = counted.groups or [0] * len(counted.centres)
    sizes = counted.sizes or {group: groups.count(group) for group in groups}
    if max(map(groups.count, groups)) < 2 or len(groups) < 10:
        return [row(name, "no bands of so few", None, 1, int(spectrum.band("tau") is None))]
    tau, alpha = zip(*pulls, strict=True)
    f = [[q * b - a for a, b in zip(*each, strict=True)] for q, *each in zip(ORDERS, tau, alpha, strict=False)]
    rows = []
    for quantity, of_orders in (("tau", tau), ("alpha", alpha), ("f", f)):
        values = getattr(spectrum, quantity)
        errors = [NINETY * plain_error(each, groups, sizes) for each in of_orders]
        ends = [[value + sign * error for value, error in zip(values, errors, strict=False)] for sign in (-1, 1)]
        found = spectrum.band(quantity)
        for number, q in enumerate(ORDERS[: len(errors)]):
            exact = [of_side[number] for of_side in ends]
            rows.append(row_of_many(name, f"band of {quantity}", q, exact, found[:, number]))
    high, low = alphas.index(max(alphas)), alphas.index(min(alphas))
    width = [a - b for a, b in zip(alpha[high], alpha[low], strict=True)]
    for quantity, pull in (("alpha0", alpha[zero]), ("width", width)):
        value, error = getattr(spectrum, quantity), NINETY * plain_error(pull, groups, sizes)
        found = spectrum.band(quantity)
        rows.append(row_of_many(name, f"band of {quantity}", None, [value - error, value + error], found))
    return rows


def _of_one_order(name, spectrum, number, tau, alpha):
    """Rows for tau, alpha, f and, in the standard convention, D_q of one of the ORDERS."""
    q = ORDERS[number]
    rows = [row(name, "tau", q, tau, spectrum.tau[number]), row(name, "alpha", q, alpha, spectrum.alpha[number])]
    rows.append(row(name, "f", q, q * alpha - tau, spectrum.f[number]))
    if spectrum.convention == "standard":
        dimension = alpha if q == 1 else tau / (q - 1)
        rows.append(row(name, "dimension", q, dimension, spectrum.dimension[number]))
    return rows


def _masses(name, spectrum, counted):
    """Rows for the orders, the radii, the centres and, but for boxes, the mass that is farthest off."""
    rows = [row_of_many(name, "orders", None, ORDERS, spectrum.q)]
    rows.append(row(name, "number of radii", None, len(counted.radii), len(spectrum.radii)))
    rows.append(row_of_many(name, "radii (worst)", None, counted.radii, spectrum.radii))
    used = counted.total if counted.centres is None else len(counted.centres)
    found = [spectrum.neurons_used, spectrum.neurons_total, spectrum.share_inside]
    rows.append(row_of_many(name, "neurons, share inside", None, [used, counted.total, counted.inside], found))
    if spectrum.masses is not None:
        rows.append(row_of_many(name, "centres", None, counted.centres, spectrum.masses.number))
        exact = np.array(counted.masses, float).T.ravel().tolist()
        ratio = worst_ratio(exact, spectrum.masses.counts.ravel().tolist())
        rows.append(row(name, "mass (worst)", None, *ratio))
        if spectrum.masses.weight is not None:  # a measure: the smallest balls are the boxes themselves
            ratio = worst_ratio(counted.masses[0], spectrum.masses.weight.tolist())
            rows.append(row(name, "weight (worst)", None, *ratio))
    return rows
