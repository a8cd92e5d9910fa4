"""(b) The estimators against masses that can be counted exactly, put through a regression in plain loops."""

import math

import numpy as np

from ..boxes import box_counting
from ..fractals import Cascade, Flower, Lattice, ParetoFanOut, Ring, WeightedFractal
from ..method import ONE_GRAPH, PAPER, SANDBOX
from ..study import measure_spectrum
from .checks import compare, plain_exponents, plain_slope

TOLERANCE = 1e-9
ORDERS = (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0)
WHY = "both are the same sum but for rounding: a thousand times that of its terms"


def finite_size_checks():
    """Checks of analyze() and box_counting() on every object."""
    rows = []
    for part in (_lattice, _ring, _flower, _weighted, _cascade_balls, _grid_balls, _cascade_boxes, _pareto):
        rows += part()
    return rows


def _row(name, quantity, q, exact, measured):
    return compare("finite size", name, quantity, q, (exact, measured), TOLERANCE, WHY)


def _compare(name, spectrum, radii, masses, weights, itself=0):
    """Rows for the exponents and the masses themselves.

    Args:
        radii: list; masses: for each radius the list of masses of all centres, exact; weights: the same of w_i.
        itself: what of a mass its share leaves out. Shares are of the largest mass; in the standard convention Z_q has
            the power q - 1, but boxes, which have no masses here, the power q.
    """
    whole = max(map(max, masses)) - itself
    shares = [[(mass - itself) / whole for mass in of_radius] for of_radius in masses]
    balls = spectrum.masses is not None and spectrum.convention == "standard"
    exponents = [plain_exponents(radii, shares, weights, q - balls) for q in ORDERS]
    return _compare_exponents(name, spectrum, exponents) + _compare_masses(name, spectrum, radii, masses)


def _compare_exponents(name, spectrum, exponents):
    """Rows for tau, alpha, f and, in the standard convention, D_q of all ORDERS, alpha_0 and the width."""
    rows, alphas = [], [alpha for _, alpha in exponents]
    standard = spectrum.convention == "standard"
    for number, (q, (tau, alpha)) in enumerate(zip(ORDERS, exponents, strict=True)):
        rows.append(_row(name, "tau", q, tau, spectrum.tau[number]))
        rows.append(_row(name, "alpha", q, alpha, spectrum.alpha[number]))
        rows.append(_row(name, "f", q, q * alpha - tau, spectrum.f[number]))
        if standard:
            dimension = alpha if q == 1 else tau / (q - 1)
            rows.append(_row(name, "dimension", q, dimension, spectrum.dimension[number]))
    rows.append(_row(name, "alpha0", None, alphas[ORDERS.index(0.0)], spectrum.alpha0))
    rows.append(_row(name, "width", None, max(alphas) - min(alphas), spectrum.width))
    return rows


def _compare_masses(name, spectrum, radii, masses):
    """Rows for the radii and, but for boxes, the mass that is farthest off."""
    rows = [_row(name, "number of radii", None, len(radii), len(spectrum.radii))]
    rows.append(_row(name, "largest radius", None, radii[-1], spectrum.radii[-1]))
    if spectrum.masses is not None:
        exact, measured = np.array(masses, float).T, spectrum.masses.counts
        # Other radii have other masses: nothing to hold them against, which fails.
        ratio = measured / exact if measured.shape == exact.shape else np.array([np.nan])
        rows.append(_row(name, "mass (worst)", None, 1, ratio.flat[np.argmax(np.abs(ratio - 1))]))
    return rows


def _alike(values, centres):
    """The lists of all centres, where every one has the same masses; and their weights."""
    return [[value] * centres for value in values], [[1 / centres] * centres for _ in values]


def _lattice():
    lattice, radii = Lattice((41, 41)), list(range(3, 19))
    centres = lattice.centres(18)
    spectrum = measure_spectrum(lattice, SANDBOX.replace(radii=radii, q=ORDERS), centres=centres)
    masses, weights = _alike([2 * r * r + 2 * r + 1 for r in radii], len(centres))
    return _compare("lattice, balls 2 r^2 + 2 r + 1", spectrum, radii, masses, weights)


def _ring():
    ring, radii = Ring(300, 6), list(range(1, 50))
    spectrum = measure_spectrum(ring, ONE_GRAPH.replace(radii=radii, q=ORDERS))
    masses, weights = _alike([6 * r + 1 for r in radii], ring.n)
    return _compare("ring without the node itself, k r", spectrum, radii, masses, weights, itself=1)


def _flower():
    flower = Flower(2, 3, 4)
    spectrum = measure_spectrum(flower, SANDBOX.replace(q=ORDERS), centres=flower.centres())
    farthest = next(r for r in range(flower.nodes) if flower.exact_ball(r) >= flower.nodes)
    radii = list(range(1, farthest + 1))
    masses, weights = _alike([flower.exact_ball(r) for r in radii], len(flower.centres()))
    return _compare("(2,3)-flower, balls of hubs by recursion", spectrum, radii, masses, weights)


def _weighted():
    rows = []
    for scales in ((1 / 2,) * 3, (0.5, 0.25)):
        network = WeightedFractal(scales, 6)
        radii = network.diameters().tolist()
        spectrum = measure_spectrum(network, SANDBOX.replace(radii="natural", q=ORDERS), centres=network.centres())
        masses, weights = _alike([network.exact_ball(r) for r in radii], 1)
        name = f"weighted ({', '.join(f'{scale:.3g}' for scale in scales)}), balls of the root"
        rows += _compare(name, spectrum, radii, masses, weights)
    return rows


def _cascade_balls():
    cascade, reaches = Cascade([0.3, 0.7], 6), [0, 1, 3, 7, 15]
    radii = [r + 0.5 for r in reaches]
    spectrum = measure_spectrum(cascade, SANDBOX.replace(radii=radii, q=ORDERS))
    masses = [[cascade.exact_ball(centre, r) for centre in range(cascade.boxes)] for r in reaches]
    return _compare("cascade (0.3, 0.7), balls", spectrum, radii, masses, [masses[0]] * len(radii))


def _grid_balls():
    """Squares on the product of two cascades: their mass is the product of the masses of two intervals."""
    down, across, reaches = Cascade([0.3, 0.7], 4), Cascade([0.2, 0.5, 0.3], 3), [0, 1, 2, 5, 7]
    radii = [r + 0.5 for r in reaches]
    measure = np.multiply.outer(down.measure(), across.measure())
    spectrum = measure_spectrum(measure, SANDBOX.replace(radii=radii, q=ORDERS))
    masses = []
    for r in reaches:
        columns = [across.exact_ball(centre, r) for centre in range(across.boxes)]
        masses.append([down.exact_ball(centre, r) * column for centre in range(down.boxes) for column in columns])
    return _compare("product of two cascades, squares", spectrum, radii, masses, [masses[0]] * len(radii))


def _cascade_boxes():
    cascade = Cascade([0.1, 0.2, 0.3, 0.4], 5)
    spectrum = box_counting(cascade, method=SANDBOX.replace(q=ORDERS))
    levels = [cascade.exact_boxes(level) for level in range(5, 0, -1)]
    rows = _compare(
        "cascade (0.1, 0.2, 0.3, 0.4), boxes",
        spectrum,
        [4.0**level for level in range(5)],
        [mass.tolist() for mass, _ in levels],
        [number.tolist() for _, number in levels],
    )
    counted = math.exp(spectrum.log_partition[ORDERS.index(0.0)][0])
    rows.append(_row(rows[0].object, "boxes", None, 4**5, counted))
    return rows


def _pareto():
    fan = ParetoFanOut(1.5, 20, 300)
    network, radii = fan.network(), list(range(5, 151, 5))
    spectrum = measure_spectrum(network, PAPER.replace(radii=radii, q=ORDERS))
    weights = network.blocks[0].weights()
    distances = [[1 / abs(w) for w in weights[:, neuron].tolist()] for neuron in range(fan.neurons)]
    distances = [[round(d) for d in of_neuron if 1 < d <= 150] for of_neuron in distances]
    counts = [[1 + sum(d <= r for d in of_neuron) for of_neuron in distances] for r in radii]
    name = "Pareto fan-out 1.5, connections counted"
    x, shares = [math.log(r) for r in radii], [[a / b for a, b in zip(row, counts[-1], strict=True)] for row in counts]
    exponents = [plain_exponents(radii, shares, [[1.0] * fan.neurons] * len(radii), q) for q in ORDERS]
    rows = _compare_exponents(name, spectrum, exponents) + _compare_masses(name, spectrum, radii, counts)
    slopes = [plain_slope(x, [math.log(row[neuron]) for row in counts]) for neuron in range(fan.neurons)]
    rows.append(_row(name, "alpha0, mean dimension", None, math.fsum(slopes) / len(slopes), spectrum.alpha0))
    return rows
