"""(a) The exact exponents against independent routes: other mathematics, the same object."""

import math
from functools import lru_cache
from itertools import pairwise, product

from ..fractals import Cascade, Flower, Lattice, ParetoFanOut, Ring, WeightedFractal
from .checks import compare, off

TOLERANCE = 1e-6
STEP = 1e-4  # of the central differences for alpha: their error is a third of its square
ORDERS = (-2.0, -0.5, 0.0, 0.7, 1.0, 1.5, 3.0)
KINK = 0.01  # how far from the q where a flower's two lines meet it is looked at: half a per cent of that q


def _exponents(thing, name, route, why, orders=ORDERS):
    """Rows for exact_tau, exact_alpha, exact_f and exact_dimension, asked for one by one and all at once."""
    why, rows = f"{why}; tolerance: that of the route's arithmetic", []
    right = [_from_tau(route, q, isinstance(thing, ParetoFanOut)) for q in orders]
    for quantity in ("tau", "alpha", "f", "dimension"):
        ask = getattr(thing, f"exact_{quantity}")
        for q, of_q, listed in zip(orders, right, ask(list(orders)).tolist(), strict=True):
            exact = of_q[quantity]
            measured = max(ask(q), listed, key=lambda value, exact=exact: off(exact, value))
            rows.append(compare("formula", name, quantity, q, (exact, measured), TOLERANCE, why))
    return rows


def short(numbers):
    """A tuple of numbers in a few characters."""
    return "(" + ", ".join(f"{number:.3g}" for number in numbers) + ")"


def _from_tau(tau, q, paper):
    """tau, alpha, f and dimension at q of a function tau; in the paper's convention the exponent of N stays D."""
    alpha = (tau(q + STEP) - tau(q - STEP)) / (2 * STEP)
    if paper:
        dimension = tau(1.0)
    else:
        dimension = alpha if q == 1 else tau(q) / (q - 1)
    return {"tau": tau(q), "alpha": alpha, "f": q * alpha - tau(q), "dimension": dimension}


def _cascade():
    rows = []
    for p in ((0.3, 0.7), (1 / 3, 0.0, 2 / 3), (0.1, 0.2, 0.3, 0.4)):
        why = "every box of four levels summed one by one"
        rows += _exponents(Cascade(p, 4), f"cascade {short(p)}", lambda q, p=p: _cascade_tau(p, q), why)
    return rows


def _cascade_tau(p, q, levels=4):
    boxes = [math.prod(parts) for parts in product([weight for weight in p if weight > 0], repeat=levels)]
    return -math.log(math.fsum(box**q for box in boxes)) / (levels * math.log(len(p)))


def _flower():
    rows = []
    for u, v in ((2, 2), (2, 3), (3, 4)):
        meet = math.log2(u + v)
        orders = sorted((*ORDERS, meet - KINK, meet + KINK))
        why = "masses of the boxes that renormalisation leaves one node each"
        rows += _exponents(Flower(u, v, 3), f"({u},{v})-flower", lambda q, u=u, v=v: _flower_tau(u, v, q), why, orders)
    return rows


@lru_cache(maxsize=256)
def _flower_tau(u, v, q, n=3000):
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


def _weighted():
    rows = []
    for scales in ((1 / 2,) * 3, (1 / 5,) * 4, (0.5, 0.25), (0.7, 0.4, 0.2)):
        why = "root of sum s^-q f^-tau = 1 by bisection"
        name = f"weighted {short(scales)}"
        rows += _exponents(WeightedFractal(scales, 3), name, lambda q, f=scales: _weighted_tau(f, q), why)
    return rows


def _weighted_tau(scales, q):
    def excess(tau):
        return math.fsum(len(scales) ** -q * scale**-tau for scale in scales) - 1

    low, high = -100.0, 100.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return (low + high) / 2


POLYNOMIAL = "degree of the polynomial that counts the points within r steps, by its differences"


def _lattice():
    rows = []
    for dimension in (1, 2, 3):
        growth, name = _degree(lattice_balls(dimension)), f"lattice in {dimension} dimensions"
        rows += _exponents(Lattice((4,) * dimension), name, lambda q, d=growth: (q - 1) * d, POLYNOMIAL)
    return rows


def _ring():
    growth = _degree([1 + 4 * r for r in range(12)])
    return _exponents(Ring(50, 4), "ring", lambda q: (q - 1) * growth, POLYNOMIAL)


def lattice_balls(dimension, largest=12):
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


def _pareto():
    rows = []
    for exponent in (0.7, 2.0):
        why = "share of distances within 50 and 150 by numerical integration of the density of the weights"
        growth = math.log(pareto_share(exponent, 150) / pareto_share(exponent, 50)) / math.log(3)
        name = f"Pareto fan-out {exponent:g}"
        rows += _exponents(ParetoFanOut(exponent, 5, 20), name, lambda q, m=growth: q * m, why)
    return rows


def pareto_share(exponent, distance, steps=2000):
    """P(d <= distance): Simpson's rule on P's density over ln |w|."""
    low, high = math.log(1 / distance), math.log(1 / distance) + 40 / exponent
    width = (high - low) / steps
    terms = [exponent * (150 * math.exp(low + i * width)) ** -exponent for i in range(steps + 1)]
    return width / 3 * math.fsum(t * (1 if i in (0, steps) else 4 if i % 2 else 2) for i, t in enumerate(terms))


SECTIONS = {"cascade": _cascade, "flower": _flower, "weighted": _weighted, "lattice": _lattice}
SECTIONS |= {"ring": _ring, "pareto": _pareto}
