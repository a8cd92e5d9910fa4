"""Is it right? What the calls of the package return, against answers known in closed form."""

import math
from typing import NamedTuple

import numpy as np

from ..masses import geodesic_distances
from ..method import GEODESIC, PAPER, PUBLISHED, SANDBOX, SCALE_FREE
from ..network import NeuronNetwork
from ..spectrum import box_counting, neuron_fractal_dimension
from ..spectrum.fit import quietly
from ..study import analyze, degree_of_emergence
from .cascade import Cascade
from .flower import Flower
from .lattice import Lattice
from .pareto import ParetoFanOut
from .ring import Ring
from .weighted import WeightedFractal

Q = (-2.0, -0.5, 0.0, 0.7, 1.0, 1.5, 3.0)
BROKEN = "could not be checked"


class Check(NamedTuple):
    """One number held against another; the columns of the table of :func:`verify`."""

    check: str
    object: str
    quantity: str
    q: float | None
    exact: float
    measured: float
    error: float
    tolerance: float | None
    passed: bool
    why: str


def verify(progress=True):
    """Hold what the calls of the package return against answers known in closed form; takes some seconds.

    Args:
        progress: show a progress bar.

    Returns:
        pandas DataFrame, a row per object, quantity and q: check ("formula", "exact", "identity" or "limit"), object,
        quantity, q, exact, measured, error (relative above 1), tolerance (of a "limit" from the error of the size
        before; the smallest has none), passed, why (the reason for it; of a failed part its exception).

    Example:
        >>> table = verify(progress=False)
        >>> bool(table["passed"].all()), len(table) > 500
        (True, True)
    """
    import pandas as pd
    from tqdm.auto import tqdm

    sections = [(check, section) for check, of_check in SECTIONS.items() for section in of_check]
    bar = tqdm(sections, desc="verify", unit="part", disable=not progress, delay=1)
    return pd.DataFrame([row for each in bar for row in rows_of(*each)], columns=Check._fields)


def rows_of(check, section):
    """The rows of one of the SECTIONS; an exception is a failed row."""
    try:
        with quietly():  # objects as small as these have flags
            return [_judged(check, row) for row in section()]
    except Exception as error:  # whatever it is: the table must say so, and the other sections be checked
        name, why = section.__name__.strip("_").replace("_", " "), f"{type(error).__name__}: {error}"
        return [Check(check, name, BROKEN, None, math.nan, math.nan, math.nan, None, False, why)]


def _judged(check, row):
    name, quantity, q, exact, measured, tolerance, why = row
    error = float(abs(measured - exact) / max(1.0, abs(exact)))
    passed = bool(error <= (math.inf if tolerance is None else tolerance))  # NaN fails, too
    return Check(check, name, quantity, q, float(exact), float(measured), error, tolerance, passed, why)


def summary_of(table):
    """The table of :func:`verify` as text: a line per object and quantity, and all that failed."""
    lines = []
    for check, of_check in table.groupby("check", sort=False):
        lines += ["", TITLES[check], f"     {'object':36s} {'quantity':26s} checks  largest error  tolerance"]
        for (name, quantity), rows in of_check.groupby(["object", "quantity"], sort=False):
            verdict = "ok  " if rows["passed"].all() else "FAIL"
            error, tolerance = rows["error"].max(), rows["tolerance"].max()
            lines.append(f"{verdict} {name:36s} {quantity:26s} {len(rows):6d} {error:14.1e} {tolerance:10.1e}")
        lines += [f"     ({why})" for why in dict.fromkeys(of_check["why"])]
    failed = table[~table["passed"]]
    lines += ["", f"{len(table) - len(failed)} of {len(table)} checks passed"]
    if len(failed):
        lines += ["", "FAILED:", failed.drop(columns="why").to_string(index=False, na_rep="-")]
        lines += [f"{row.object}: {row.why}" for row in failed[failed["quantity"] == BROKEN].itertuples()]
    return "\n".join(lines[1:])


TITLES = {
    "formula": "The exact exponents of an object, against its formula written out",
    "exact": "What the calls measure, against what it must be at this very size",
    "identity": "What must hold for any network",
    "limit": "Balls against the formula of the infinite object: the larger, the nearer",
}
ROUNDING = 1e-9
OF_ROUNDING = "the same but for rounding: a thousand times that of sums of a thousand terms"
STEP = 1e-4
OF_STEP = "exact alpha by central differences of 1e-4, whose error is a sixth of their square times a third derivative"
OF_LENGTH = "balls are no power law at both ends: the error falls at least as fast as one over the scales between"


def _rows(name, quantity, exact, measured, orders=None):
    """A row for a number or each of several; more or fewer of them than there should be is an error."""
    exact, measured = np.atleast_1d(exact), np.atleast_1d(measured)
    orders = [None] * len(exact) if orders is None else orders
    for q, right, found in zip(orders, exact, measured, strict=True):
        yield name, quantity, q, right, found, ROUNDING, OF_ROUNDING


def _formulas():
    """Every formula once more, as a book writes it (golden: x = 2^tau solves x + x^2 = 2^q); the others follow."""
    golden = WeightedFractal((1 / 2, 1 / 4), 3)
    for name, thing, tau in (
        ("cascade (0.3, 0.7)", Cascade([0.3, 0.7], 3), lambda q: -math.log2(0.3**q + 0.7**q)),
        ("Cantor's set, unequal", Cascade([1 / 3, 0, 2 / 3], 3), lambda q: -math.log((1 + 2**q) / 3**q, 3)),
        ("(2,2)-flower", Flower(2, 2, 2), lambda q: min(2 * (q - 1), q)),
        ("(2,3)-flower", Flower(2, 3, 2), lambda q: min((q - 1) * math.log2(5), q * math.log2(5 / 2))),
        ("Sierpinski network", WeightedFractal.sierpinski(3), lambda q: (q - 1) * math.log2(3)),
        ("Cantor dust network", WeightedFractal.cantor_dust(3), lambda q: (q - 1) * math.log(4, 5)),
        ("weighted (1/2, 1/4)", golden, lambda q: math.log2((math.sqrt(1 + 4 * 2**q) - 1) / 2)),
        ("lattice, 1 dimension", Lattice(9), lambda q: q - 1),
        ("lattice, 3 dimensions", Lattice((9, 9, 9)), lambda q: 3 * (q - 1)),
        ("ring", Ring(30, 4), lambda q: q - 1),
        ("Pareto fan-out 1.5", ParetoFanOut(1.5, 5, 20), lambda q: 1.5 * q),
    ):
        for q in Q:
            alpha = (tau(q + STEP) - tau(q - STEP)) / (2 * STEP)
            dimension = 1.5 if "Pareto" in name else alpha if q == 1 else tau(q) / (q - 1)
            yield from _rows(name, "tau", tau(q), thing.exact_tau(q), [q])
            for quantity, exact in (("alpha", alpha), ("f", q * alpha - tau(q)), ("dimension", dimension)):
                yield name, quantity, q, exact, getattr(thing, f"exact_{quantity}")(q), 1e-6, OF_STEP


def _boxes():
    """A cascade is made of boxes, and the product of two is on a grid: box counting returns the formula itself."""
    import networkx as nx

    method = SANDBOX.replace(q=Q)
    for p in ((0.3, 0.7), (1 / 3, 0.0, 2 / 3), (0.1, 0.2, 0.3, 0.4)):
        cascade, name = Cascade(p, 6), f"boxes of a cascade of {len(p)} parts"
        spectrum = box_counting(cascade, method=method)
        for quantity in ("tau", "alpha", "f", "dimension"):
            yield from _rows(name, quantity, getattr(cascade, f"exact_{quantity}")(Q), getattr(spectrum, quantity), Q)
        yield from _rows(name, "alpha0", cascade.exact_alpha(0), spectrum.alpha0)
        yield from _rows(name, "width", np.ptp(cascade.exact_alpha(Q)), spectrum.width)
    down, across = Cascade([0.3, 0.7], 5), Cascade([0.4, 0.6], 5)
    spectrum = box_counting(np.multiply.outer(down.measure(), across.measure()), method=method)
    yield from _rows("boxes of a product of two", "tau", down.exact_tau(Q) + across.exact_tau(Q), spectrum.tau, Q)
    star = nx.star_graph(9)  # its rays are 2 apart: boxes of size 2 hold one each, one of them the middle too
    nx.set_edge_attributes(star, 1.0, "distance")
    spectrum = box_counting(star, [1.0, 2.0, 3.0], method=SANDBOX.replace(q=[0.0, 2.0]))
    number, squares = np.exp(spectrum.log_partition)
    yield from _rows("greedy boxes of a star", "number of boxes", [10, 9, 1], number)
    yield from _rows("greedy boxes of a star", "squared shares", [0.1, 0.12, 1], squares)


def _balls():
    """Where all balls of a radius are alike, tau(q) = (q - 1) D, D the slope of the logarithm of their mass."""
    lattice, ring, flower = Lattice((41, 41)), Ring(300, 6), Flower(2, 3, 4)
    sierpinski, unequal = WeightedFractal.sierpinski(6), WeightedFractal((0.5, 0.25), 6)
    given, natural = SANDBOX.replace(radii=range(3, 19)), SANDBOX.replace(radii="natural")
    for name, thing, method, centres in (
        ("balls in a lattice", lattice, given, lattice.centres(18)),
        ("the same, radii 5 to 12", lattice, given.replace(scaling_range=(5, 12)), lattice.centres(18)),
        ("balls in a ring", ring, natural, ring.centres()),
        ("balls around hubs of a flower", flower, SANDBOX.replace(radii=range(1, 17)), flower.centres()),
        ("balls around a Sierpinski root", sierpinski, natural, sierpinski.centres()),
        ("balls around an unequal root", unequal, natural, unequal.centres()),
    ):
        spectrum = analyze(thing, method.replace(q=Q), centres=centres)
        balls, fitted = thing.exact_ball(spectrum.radii), spectrum.fitted
        slope = np.polyfit(np.log(spectrum.radii[fitted]), np.log(balls[fitted]), 1)[0]
        yield from _power_law(name, spectrum, slope)
        farthest = np.abs(spectrum.masses.counts - balls).argmax(axis=0)
        yield from _rows(name, "N(r)", balls, spectrum.masses.counts[farthest, range(len(balls))])
    others = SANDBOX.replace(radii="natural", mass="others-share", q=Q)  # k r without the node itself
    yield from _power_law("balls in a ring, without itself", analyze(ring, others), 1.0)


def _power_law(name, spectrum, slope):
    yield from _rows(name, "tau", (np.array(Q) - 1) * slope, spectrum.tau, Q)
    for quantity in ("alpha", "f", "dimension"):
        yield from _rows(name, quantity, np.full(len(Q), slope), getattr(spectrum, quantity), Q)
    yield from _rows(name, "width", 0.0, spectrum.width)


def _balls_of_a_cascade():
    """Balls of very different masses: Z_q = sum_i mu_i M_i(r)^(q - 1), every M_i known exactly."""
    cascade, radii, name = Cascade([0.3, 0.7], 6), np.array([0.5, 1.5, 3.5, 7.5, 15.5]), "balls in a cascade"
    spectrum = analyze(cascade, SANDBOX.replace(radii="natural", q=Q))
    balls = np.array([[cascade.exact_ball(centre, int(r)) for r in radii] for centre in range(cascade.boxes)])
    for q, tau in zip(Q, spectrum.tau, strict=True):
        log_z = np.log(cascade.measure() @ balls ** (q - 1))
        yield from _rows(name, "tau", np.polyfit(np.log(radii), log_z, 1)[0], tau, [q])
    for quantity, pick in (("smallest M(r)", np.min), ("largest M(r)", np.max)):
        yield from _rows(name, quantity, pick(balls, axis=0), pick(spectrum.masses.counts, axis=0))


def _two_neurons():
    """Two neurons, two radii 1 : 4, shares 1/4 and 1/16 at the first: tau(q) = -log_4 of the mean of 4^-q and 16^-q."""
    lengths = [10] * 3 + [40] * 12 + [10] * 1 + [40] * 30
    network = NeuronNetwork.from_edges([0] * 15 + [1] * 31, range(2, 48), 1 / np.array(lengths))
    orders = np.array(Q)
    tau = -np.log((4**-orders + 16**-orders) / 2) / math.log(4)
    slopes = (4**-orders + 2 * 16**-orders) / (4**-orders + 16**-orders)
    for method in (PAPER, GEODESIC, SCALE_FREE.replace(radii=(0.25, 1.0), name="scale-free"), PUBLISHED):
        name, spectrum = f"two neurons, {method.name}", analyze(network, method.replace(q=Q))
        alpha = np.diff(tau) / np.diff(orders) if method is PUBLISHED else slopes
        n = len(alpha)
        yield from _rows(name, "tau", tau, spectrum.tau, Q)
        yield from _rows(name, "alpha", alpha, spectrum.alpha, Q[:n])
        yield from _rows(name, "f", orders[:n] * alpha - tau[:n], spectrum.f, Q[:n])
        # of the two intervals where f is largest, those around q = 0, the published alpha0 is that of the first
        yield from _rows(name, "alpha0", alpha[1] if method is PUBLISHED else 1.5, spectrum.alpha0)
        yield from _rows(name, "width", np.ptp(alpha), spectrum.width)
        yield from _rows(name, "N(r)", [4, 2, 16, 32], spectrum.masses.counts.T.ravel())
    yield from _rows("two neurons", "dimension of each", [1, 2], neuron_fractal_dimension(network).dimension)
    exact = 0.5 / 0.4 * math.log(1.6 / 1.2)
    yield from _rows("two checkpoints", "E(1.2, 0.5; 1.6, 0.4)", exact, degree_of_emergence(1.2, 0.5, 1.6, 0.4))


def _published_choices():
    """1 < d <= 150, rounded with halves to even, more than ten of them; for own radii 0 < d <= 200."""
    name = "the authors' window and rounding"
    lengths = [0.4, 1.0, 1.25, 2.5, 3.5, *[20.0] * 6, 149.6, 150.0, 151.0, 201.0]
    network = NeuronNetwork.from_edges([0] * 15 + [1] * 10, range(2, 27), 1 / np.array([*lengths, *[20.0] * 10]))
    spectrum = analyze(network, PAPER)
    yield from _rows(name, "neurons used", 1, spectrum.neurons_used)
    yield from _rows(name, "share inside", 11 / 25, spectrum.share_inside)
    yield from _rows(name, "radii", [1, 2, 4, 20, 150], spectrum.radii)
    yield from _rows(name, "N(r)", [2, 3, 4, 10, 12], spectrum.masses.counts[0])
    yield from _rows(name, "orders", np.arange(-30, 31) / 10, spectrum.q)
    own = [1, 2, 4, 20, 150, 151], [4, 5, 6, 12, 14, 15]  # 0.4 rounds to 0: mass, but no radius
    dimension = neuron_fractal_dimension(network, grid="own").dimension
    yield from _rows(name, "dimension, own radii", np.polyfit(*np.log(own), 1)[0], dimension)


def _paths():
    """Shortest paths that can be seen: a detour that pays, no way back, a lattice, a ring, a tree."""
    network = NeuronNetwork.from_edges([0, 1, 0, 3], [1, 2, 2, 2], [1 / 1, 1 / 2, 1 / 4, 1 / 1])
    both_ways = GEODESIC.replace(reach="geodesic-undirected")
    one_way = [0, 1, 3, -1, -1, 0, 2, -1, -1, -1, 0, -1, -1, -1, 1, 0]  # -1: no way
    for method, exact in ((GEODESIC, one_way), (both_ways, [0, 1, 3, 4, 1, 0, 2, 3, 3, 2, 0, 1, 4, 3, 1, 0])):
        found = geodesic_distances(network, method)
        yield from _rows("paths of four neurons", method.reach, exact, np.where(np.isinf(found), -1, found).ravel())
    lattice, ring, tree = Lattice((6, 9)), Ring(24, 4), WeightedFractal((1 / 2, 1 / 4), 3)
    rows, columns = np.unravel_index(range(lattice.nodes), lattice.shape)
    around = np.minimum(np.arange(24), 24 - np.arange(24))
    in_tree = [0, 1, 1, 1.5, 1.5, 1.25, 1.25, 1.75, 1.75, 1.625, 1.625, 1.375, 1.375, 1.3125, 1.3125]
    from_first = ((lattice, rows + columns), (ring, -(-around // 2)), (tree, in_tree))
    for name, (thing, exact) in zip(("lattice", "ring", "weighted tree"), from_first, strict=True):
        found = geodesic_distances(NeuronNetwork.from_networkx(thing.graph()), both_ways)
        yield from _rows(f"paths in a {name}", "distance from node 0", exact, found[0])


def _of_any_network():
    draw, name = np.random.default_rng(0), "Gaussian weights"
    sources, targets = np.repeat(np.arange(20), 60), np.tile(np.arange(20, 80), 20)
    weights = draw.normal(0, 0.05, sources.size).astype(np.float32).astype(np.float64)
    moved = draw.permuted(weights.reshape(20, 60), axis=1).ravel() * draw.choice([-1.0, 1.0], weights.size)
    network, other = (NeuronNetwork.from_edges(sources, targets, each) for each in (weights, moved))
    for method in (PAPER, PUBLISHED, SCALE_FREE):
        spectrum = analyze(network, method.replace(q=Q))
        yield from _rows(name, f"tau(0) = 0, {method.name}", 0, spectrum.tau[Q.index(0.0)])
        yield from _rows(name, f"largest f = 0, {method.name}", 0, spectrum.f.max())
        again = analyze(other, method.replace(q=Q))
        yield from _rows(name, f"order and sign, {method.name}", spectrum.tau, again.tau, Q)
    for method in (PAPER, SCALE_FREE):
        mean = neuron_fractal_dimension(network, method).dimension.mean()
        yield from _rows(name, f"alpha0 a mean, {method.name}", mean, analyze(network, method).alpha0)
    grown = NeuronNetwork.from_edges(sources, targets, 8 * weights)
    now, start = (analyze(each, SCALE_FREE.replace(q=Q)) for each in (grown, network))
    yield from _rows(name, "scale-free: w or 8 w", start.tau, now.tau, Q)
    emergence = degree_of_emergence(now.alpha0, now.width, start.alpha0, start.width)
    yield from _rows(name, "scale-free: E of growth", 0, emergence)


def _of_two_conventions():
    """tau of the paper is that of the standard one order higher; D_1 is alpha(1)."""
    flower, name = Flower(2, 2, 4), "(2,2)-flower"
    paper = analyze(flower, SANDBOX.replace(convention="paper", mass="final-share", q=Q))
    standard = analyze(flower, SANDBOX.replace(q=[q + 1 for q in Q]))
    for quantity, right in (("tau", standard.tau), ("alpha", standard.alpha), ("f", standard.f - standard.alpha)):
        yield from _rows(name, f"{quantity} one order apart", right, getattr(paper, quantity), Q)
    one = standard.q == 1
    yield from _rows(name, "tau(1) = 0, standard", 0, standard.tau[one])
    yield from _rows(name, "D_1 = alpha(1)", standard.alpha[one], standard.dimension[one])


def _limits():
    natural = SANDBOX.replace(radii="natural")
    lattices = [(math.log(r / 5), Lattice((2 * r + 11,) * 2), range(5, r + 1)) for r in (25, 50, 100)]
    lattices = [(n, each, SANDBOX.replace(radii=radii), each.centres(radii[-1])) for n, each, radii in lattices]
    yield from _falling("lattice", lattices, (2.0,))
    cascades = [(levels, Cascade([0.3, 0.7], levels), natural, None) for levels in (8, 10, 12)]
    yield from _falling("cascade (0.3, 0.7)", cascades, (0.0, 0.5, 1.5, 2.0, 3.0))
    flowers = [(generation, Flower(2, 2, generation), SANDBOX, None) for generation in (4, 5, 6)]
    yield from _falling("(2,2)-flower", flowers, (3.0,))
    for name, scales, generations in (
        ("Sierpinski network", (1 / 2,) * 3, (5, 6, 7)),
        ("Cantor dust network", (1 / 5,) * 4, (3, 4, 5)),
        ("three copies of 1/3", (1 / 3,) * 3, (5, 6, 7)),
    ):
        networks = [(generation, WeightedFractal(scales, generation), natural, None) for generation in generations]
        yield from _falling(name, networks, (2.0, 3.0))


def _falling(name, sizes, orders):
    """Rows of growing sizes [(number of scales, object, method, centres)]; each is held against the one before."""
    bounds = [None] * len(orders)
    for scales, thing, method, centres in sizes:
        spectrum, exact = analyze(thing, method.replace(q=orders), centres=centres), thing.exact_tau(orders)
        errors = np.abs(spectrum.tau - exact) / np.maximum(1, np.abs(exact))
        size = f"{name}, {thing.boxes if isinstance(thing, Cascade) else thing.nodes:,}"
        for q, right, measured, bound in zip(orders, exact, spectrum.tau, bounds, strict=True):
            yield size, "tau", q, right, measured, bound and bound / scales, OF_LENGTH
        bounds = errors * scales


SECTIONS = {
    "formula": (_formulas,),
    "exact": (_boxes, _balls, _balls_of_a_cascade, _two_neurons, _published_choices, _paths),
    "identity": (_of_any_network, _of_two_conventions),
    "limit": (_limits,),
}
