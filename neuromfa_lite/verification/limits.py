"""(c) The estimators against the formula of the infinite object, over three fixed sizes whose errors must shrink."""

import numpy as np

from ..fractals import Cascade, Flower, Lattice, WeightedFractal
from ..method import SANDBOX
from ..study import analyze
from .checks import Check

CENTRES = 300  # of the larger weighted networks, drawn once
BIASED = -2.0  # the order at which the table says how far off balls are, which hold no light part alone


def _sequence(name, things, orders, tolerance, relative, why):
    """Rows of three measurements [(size in words, object, method, centres)]; the errors of every q must shrink.

    In ``why`` {bias} becomes the errors at q = -2, of which nothing is asked.
    """
    rows, before, bias = [], None, []
    for number, (size, thing, method, centres) in enumerate(things):
        spectrum = analyze(thing, method.replace(q=(BIASED, *orders)), centres=centres)
        exact = thing.exact_tau((BIASED, *orders))
        errors = np.abs(spectrum.tau - exact) / (np.abs(exact) if relative else 1)
        bias.append(f"{errors[0]:.1%}" if relative else f"{errors[0]:.3f}")
        exact, taus, errors = exact[1:], spectrum.tau[1:], errors[1:]
        for q, right, measured, error in zip(orders, exact, taus, errors, strict=True):
            last = number == len(things) - 1
            # q = 1 is exact at every size (tau(1) = 0 by definition) and cannot shrink any more.
            shrinks = before is None or error < before[q] or (q == 1 and error < 1e-9)
            passed = bool(shrinks and (not last or error <= tolerance))
            limit = tolerance if last else None
            rows.append(Check("limit", f"{name}, {size}", "tau", q, right, measured, error, limit, passed, why))
        before = dict(zip(orders, errors, strict=True))
    why = why.format(bias=", ".join(bias))
    return [row._replace(why=why) for row in rows]


def _cascade():
    things = [
        (f"{2**levels:,} boxes", Cascade([0.3, 0.7], levels), SANDBOX.replace(radii="natural"), None)
        for levels in (8, 10, 12)
    ]
    why = (
        "balls overlap and reach beyond the line, which costs less the more sizes there are; abscissa 2 r + 1. At "
        "q < 0 the lightest boxes decide, which balls never hold alone: tau(-2) is {bias} off at these sizes, so q < 0 "
        "is left to boxes"
    )
    return _sequence("cascade (0.3, 0.7) by balls", things, (0.0, 0.5, 1.0, 1.5, 2.0, 3.0), 0.05, False, why)


def _lattice():
    things = []
    for largest in (25, 50, 100):
        lattice = Lattice((2 * largest + 11,) * 2)
        radii = range(5, largest + 1)
        things.append((f"r = 5 ... {largest}", lattice, SANDBOX.replace(radii=radii), lattice.centres(largest)))
    why = (
        "2 r^2 + 2 r + 1 is no power law at small r, which bends a line less the farther it reaches; centres far from "
        "the border. All balls are alike, so tau(q) is off by the same share at every q: tau(-2) is {bias} off"
    )
    return _sequence("lattice", things, (2.0,), 0.05, False, why)


def _flower():
    things = [(f"generation {generation}", Flower(2, 2, generation), SANDBOX, None) for generation in (4, 5, 6)]
    why = (
        "all centres, all radii from 1 to the diameter: at both ends balls are no power law, and few generations fit "
        "between; errors fall at least as fast as one over the generation. At q < 0 the lightest balls decide: tau(-2) "
        "is {bias} off at these sizes"
    )
    return _sequence("(2,2)-flower", things, (3.0,), 0.4, False, why)


def _weighted():
    rows = []
    families = (
        ("Sierpinski", WeightedFractal.sierpinski, (8, 9, 10)),
        ("Cantor dust", WeightedFractal.cantor_dust, (4, 5, 6)),
        ("three copies of 1/3", lambda generation: WeightedFractal((1 / 3,) * 3, generation), (6, 7, 8)),
    )
    why = (
        "radii: the diameters of the copies; the smallest copies are stars of a few nodes, an error that falls at "
        "least as fast as one over the generation; 300 centres drawn with seed 0. At q < 0 the lightest balls decide: "
        "tau(-2) is {bias} off at these sizes, no better with more nodes"
    )
    for name, make, generations in families:
        things = []
        for generation in generations:
            network = make(generation)
            draw = np.random.default_rng(0)
            centres = np.sort(draw.choice(network.nodes, min(CENTRES, network.nodes), replace=False))
            things.append((f"{network.nodes:,} nodes", network, SANDBOX.replace(radii="natural"), centres))
        rows += _sequence(f"weighted, {name}", things, (2.0, 3.0), 0.08, True, why)
    return rows


SECTIONS = {"cascade": _cascade, "lattice": _lattice, "flower": _flower, "weighted": _weighted}
