"""(a) The exact exponents against independent routes: other mathematics, the same object."""

import math
from itertools import pairwise, product

from ..fractals import Cascade, Flower, Lattice, ParetoFanOut, Ring, WeightedFractal
from .checks import compare

TOLERANCE = 1e-6
STEP = 1e-4  # of the central differences for alpha: their error is a third of its square
ORDERS = (-2.0, -0.5, 0.0, 0.7, 1.0, 1.5, 3.0)


def formula_checks():
    """Checks of exact_tau, exact_alpha, exact_f and exact_dimension of every object, and of the masses they state."""
    rows = []
    for thing, name, route, why in _routes():
        why = f"{why}; tolerance: that of the route's arithmetic"
        for q in ORDERS:
            for quantity, value in _from_tau(route, q, isinstance(thing, ParetoFanOut)).items():
                measured = getattr(thing, f"exact_{quantity}")(q)
                rows.append(compare("formula", name, quantity, q, (value, measured), TOLERANCE, why))
    for thing, quantity, why, exact, measured in _counted():
        why = f"{why}; tolerance: that of all formulas"
        if len(exact) != len(measured):
            measured = [math.nan] * len(exact)
        # The number that is farthest off; NaN before all others.
        worst = max(zip(exact, measured, strict=True), key=lambda pair: _off(*pair))
        rows.append(compare("formula", thing, quantity, None, worst, TOLERANCE, why))
    return rows


def _off(exact, measured):
    error = abs(measured - exact) / max(1.0, abs(exact))
    return math.inf if math.isnan(error) else error


def _counted():
    """(name, quantity, which way, numbers by another way, the object's own) of masses and radii that objects state."""
    for dimension in (1, 2, 3):
        own = Lattice((25,) * dimension).exact_ball(range(13)).tolist()
        way = "points within r - 1 steps and those of one dimension less, added up"
        yield f"lattice in {dimension} dimensions", "balls", way, _lattice_balls(dimension), own
    around = [sum(-(-min(i, 50 - i) // 2) <= r for i in range(50)) for r in range(16)]
    yield "ring", "balls", "nodes looked at one by one", around, Ring(50, 4).exact_ball(range(16)).tolist()
    for p in ((0.3, 0.7), (1 / 3, 0.0, 2 / 3), (0.1, 0.2, 0.3, 0.4)):
        pairs = zip(*Cascade(p, 4).exact_boxes(), strict=True)
        own = sorted(mass / min(_boxes(p, 4)) for mass, number in pairs for _ in range(number))
        # As multiples of the lightest: as masses they are so small that 1 % of them would pass.
        boxes = sorted(mass / min(_boxes(p, 4)) for mass in _boxes(p, 4))
        yield f"cascade {_short(p)}", "boxes / lightest", "every box of four levels by itself", boxes, own
    for scales in ((1 / 2,) * 3, (0.5, 0.25), (0.7, 0.4, 0.2)):
        own = WeightedFractal(scales, 4).diameters().tolist()
        yield f"weighted {_short(scales)}", "diameters", "two sweeps of every copy", _diameters(scales, 4), own
    for exponent in (0.7, 2.0):
        fan, radii = ParetoFanOut(exponent, 5, 20), (10, 50, 150)
        expected = [1 + 20 * _pareto_share(exponent, r) for r in radii]
        way = "numerical integration of the density of the weights"
        yield f"Pareto fan-out {exponent:g}", "mean balls", way, expected, fan.expected_ball(radii).tolist()


def _routes():
    """(object, its name, tau(q) by another way, which way) of every object."""
    for p in ((0.3, 0.7), (1 / 3, 0.0, 2 / 3), (0.1, 0.2, 0.3, 0.4)):
        why = "every box of four levels summed one by one"
        yield Cascade(p, 4), f"cascade {_short(p)}", lambda q, p=p: _cascade_tau(p, q), why
    for u, v in ((2, 2), (2, 3), (3, 4)):
        why = "masses of the boxes that renormalisation leaves one node each"
        yield Flower(u, v, 3), f"({u},{v})-flower", lambda q, u=u, v=v: _flower_tau(u, v, q), why
    for scales in ((1 / 2,) * 3, (1 / 5,) * 4, (0.5, 0.25), (0.7, 0.4, 0.2)):
        why = "root of sum s^-q f^-tau = 1 by bisection"
        yield WeightedFractal(scales, 3), f"weighted {_short(scales)}", lambda q, f=scales: _weighted_tau(f, q), why
    for dimension in (1, 2, 3):
        why = "degree of the polynomial that counts the points within r steps, by its differences"
        growth = _degree(_lattice_balls(dimension))
        thing = Lattice((4,) * dimension)
        yield thing, f"lattice in {dimension} dimensions", lambda q, d=growth: (q - 1) * d, why
    growth = _degree([1 + 4 * r for r in range(12)])
    yield Ring(50, 4), "ring", lambda q, d=growth: (q - 1) * d, why
    for exponent in (0.7, 2.0):
        why = "share of distances within 50 and 150 by numerical integration of the density of the weights"
        growth = _pareto_growth(exponent)
        yield ParetoFanOut(exponent, 5, 20), f"Pareto fan-out {exponent:g}", lambda q, m=growth: q * m, why


def _short(numbers):
    return "(" + ", ".join(f"{number:.3g}" for number in numbers) + ")"


def _from_tau(tau, q, paper):
    """tau, alpha, f and dimension at q of a function tau; in the paper's convention the exponent of N stays D."""
    alpha = (tau(q + STEP) - tau(q - STEP)) / (2 * STEP)
    if paper:
        dimension = tau(1.0)
    else:
        dimension = alpha if q == 1 else tau(q) / (q - 1)
    return {"tau": tau(q), "alpha": alpha, "f": q * alpha - tau(q), "dimension": dimension}


def _cascade_tau(p, q, levels=4):
    return -math.log(math.fsum(box**q for box in _boxes(p, levels))) / (levels * math.log(len(p)))


def _boxes(p, levels):
    return [math.prod(parts) for parts in product([weight for weight in p if weight > 0], repeat=levels)]


def _diameters(scales, generation):
    """Diameters of all copies: of a tree, the farthest node from a node that is farthest from another."""
    import networkx as nx

    found = []
    for own in range(1, generation + 1):
        tree = WeightedFractal(scales, own).graph()
        end = 0
        for _ in range(2):
            away = nx.single_source_dijkstra_path_length(tree, end, weight="distance")
            end = max(away, key=away.get)
        found += [away[end] * math.prod(way) for way in product(scales, repeat=generation - own)]
    return _apart(sorted(found))


def _apart(ascending):
    """The numbers without those that differ from the one before by rounding only."""
    return [b for a, b in pairwise([-1.0, *ascending]) if b - a > 1e-9]


def _flower_tau(u, v, q, n=1000):
    """A box of size u^k around a node holds a flower of generation k for each of its edges: its mass is its degree.

    A node keeps its edges doubling: w^j (w - 2) nodes are new in generation j + 1, and w are there from the first.
    """
    w = u + v

    def log_partition(size):
        born = [(math.log(w), size)]  # ln number, ln_2 degree
        born += [(j * math.log(w) + math.log(w - 2), size - j) for j in range(1, size)]
        terms = [number + q * (age * math.log(2) - math.log(2) - size * math.log(w)) for number, age in born]
        top = max(terms)
        return top + math.log(math.fsum(math.exp(term - top) for term in terms))

    return (log_partition(n) - log_partition(n + 1)) / math.log(u)


def _weighted_tau(scales, q):
    def excess(tau):
        return math.fsum(len(scales) ** -q * scale**-tau for scale in scales) - 1

    low, high = -100.0, 100.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return (low + high) / 2


def _lattice_balls(dimension, largest=12):
    """Points within r = 0, 1, ... steps: V_d(r) = V_d(r-1) + V_(d-1)(r) + V_(d-1)(r-1), V_0 = 1."""
    balls = [1] * (largest + 1)
    for _ in range(dimension):
        fewer, balls = balls, [1]
        for r in range(1, largest + 1):
            balls.append(balls[r - 1] + fewer[r] + fewer[r - 1])
    return balls


def _degree(values):
    """The degree of the polynomial that the values of whole numbers come from: differences until all are alike."""
    degree = 0
    while len(set(values)) > 1:
        values, degree = [b - a for a, b in pairwise(values)], degree + 1
    return degree


def _pareto_growth(exponent):
    """ln of the ratio of P(d <= 150) and P(d <= 50) over ln 3."""
    return math.log(_pareto_share(exponent, 150) / _pareto_share(exponent, 50)) / math.log(3)


def _pareto_share(exponent, distance, steps=2000):
    """P(d <= distance): Simpson's rule on P's density over ln |w|."""
    low, high = math.log(1 / distance), math.log(1 / distance) + 40 / exponent
    width = (high - low) / steps
    terms = [exponent * (150 * math.exp(low + i * width)) ** -exponent for i in range(steps + 1)]
    return width / 3 * math.fsum(t * (1 if i in (0, steps) else 4 if i % 2 else 2) for i, t in enumerate(terms))
