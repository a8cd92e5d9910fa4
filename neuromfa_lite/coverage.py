"""Coverage: how often bands were measured to hold the value of the whole population, and what that allows to say.

The measurements travel with the package as a table, made by ``benchmarks/band_coverage.py`` with
:func:`neuromfa_lite.measure_coverage`.
"""

import json
from functools import cache
from importlib.resources import files

import numpy as np

from . import arguments
from .errors import NeuroMFAError
from .method import PAPER, SCALE_FREE

LEVEL = 0.9
ALLOWED = (0.85, 0.95)  # a band is called one of 90 % where all measured coverages lie here
ENOUGH = 300  # neurons: a sample of the paper (k = 32) has 320 in two blocks
MEASURED = tuple("join distance reach window rounding mass convention derivative scaling_range".split())
ORDERS = (-3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0)


def quantities(q):
    """The names of the columns of Estimates: "alpha0", "width", "tau(-3)", ..., "alpha(-3)", ..., "f(-3)", ..."""
    return ["alpha0", "width", *(f"{name}({order:g})" for name in ("tau", "alpha", "f") for order in q)]


@cache
def measured():
    """The table that travels with the package, as a dict: level, simulations, resamples, versions, recipes, rows."""
    return json.loads((files("neuromfa_lite") / "coverage.json").read_text(encoding="utf-8"))


def measured_frame():
    """pandas DataFrame of the measured coverages, a row per recipe, radii, quantity and kind of band.

    Columns as in :func:`measure_coverage`; limit: the value for infinitely many neurons or full fan-out, where it is
    known, bias_against_limit: how far the mean of samples lies above it.
    """
    import pandas as pd

    table = measured()
    return pd.DataFrame(table["rows"], columns=table["columns"])


def refuse_no_quantity(quantity, named):
    """Refuse what is neither one of these names nor one with an order behind it, such as "tau(1)"."""
    name, _, order = arguments.text("quantity", quantity).partition("(")
    try:
        known = name in named and (not order or np.isfinite(float(order.removesuffix(")"))))
    except ValueError:
        known = False
    if not known:
        said = ", ".join(map(repr, named))
        raise NeuroMFAError(f"there is no band of {arguments.shown(quantity)}: ask for {said}, or such as 'tau(1)'")


def claim(quantity, kind, level=LEVEL, neurons=0, given_radii=True):
    """What may be said of a band, in words: "90 % ..." only where every measured coverage lies in .85-.95.

    Args:
        quantity: a name of :func:`quantities` or "emergence"; an order that was not measured takes the one measured
            farther out.
        kind: of band; level: nominal; neurons: how many were resampled (at least 300: the recipes of that size alone
            are looked at), 0 for an analysis of a kind for which nothing was measured.
        given_radii: whether the radii are numbers named by the method; else they come from the sample, and the band
            is one of 90 % only if it holds the value that the population has on radii of its own, too.

    Example:
        >>> claim("alpha0", "studentised", level=0.5, neurons=320)
        'nominal 50 %, coverage not measured'
        >>> claim("tau(0)", "studentised", neurons=320)
        '0 by definition'
    """
    if neurons and quantity in ("tau(0)", "f(0)"):  # of the paper's convention, the only one that was measured
        return "0 by definition"
    found = coverage_range(quantity, kind, neurons) if level == LEVEL else None
    if found is None:
        return f"nominal {100 * level:g} %, coverage not measured"
    own = coverage_range(quantity, kind, neurons, "own")
    low, high = found if given_radii else own
    head = "90 %:" if ALLOWED[0] <= low and high <= ALLOWED[1] else "nominal 90 %,"
    error = np.sqrt(low * (1 - low) / measured()["simulations"])
    places = f"{_range(*found)} at given radii", f"{_range(*own)} where each sample has radii of its own"
    first, second = places if given_radii else places[::-1]
    return f"{head} measured {first} (\u00b1 {_short(error)}, {measured()['simulations']} simulations each), {second}"


def short_claim(quantity, kind, neurons=0, given_radii=True):
    """The measured coverages of a band of 90 % in a few letters, ".86-.91"; "" where there are none."""
    found = coverage_range(quantity, kind, neurons, "population" if given_radii else "own")
    return _range(*found) if found else ""


def coverage_range(quantity, kind, neurons, radii="population"):
    """(lowest, highest) measured coverage over the recipes; None where it was not measured, or for so few neurons."""
    sizes = {recipe["name"]: recipe["neurons"] for recipe in measured()["recipes"]}
    if neurons < min(sizes.values()):
        return None
    name = _measured_name(quantity)
    least = ENOUGH if neurons >= ENOUGH else 0
    found = [row[4] for row in _rows() if row[1:4] == (kind, radii, name) and sizes[row[0]] >= least]
    return (min(found), max(found)) if found else None


@cache
def _rows():
    table = measured()
    columns = [table["columns"].index(name) for name in ("recipe", "kind", "radii", "quantity", "coverage")]
    return [tuple(row[column] for column in columns) for row in table["rows"]]


def _measured_name(quantity):
    if "(" not in quantity:
        return quantity
    name, order = quantity.rstrip(")").split("(")
    order = float(order)
    farther = [each for each in ORDERS if each * order >= 0 and abs(each) >= abs(order) and (each != 0 or order == 0)]
    return f"{name}({min(farther, key=abs):g})" if farther else quantity


def _range(low, high):
    return _short(low) if _short(low) == _short(high) else f"{_short(low)}\u2013{_short(high)}"


def _short(share):
    return f"{share:.2f}".removeprefix("0")


def is_measured(method, by_layer=True):
    """Whether coverage was measured of such analyses: those of PAPER and SCALE_FREE, at any radii, for |q| up to 3."""
    chosen = [getattr(method, part) for part in MEASURED]
    alike = any(chosen == [getattr(other, part) for part in MEASURED] for other in (PAPER, SCALE_FREE))
    return bool(by_layer) and alike and max(map(abs, method.q)) <= max(ORDERS)


def measured_neurons(quantity, neurons, measured, q):
    """Of how many neurons a coverage may be quoted: all, or 0 where none was measured of the quantity at orders q."""
    return neurons * (measured and (quantity != "width" or width_is_measured(q)))


def width_is_measured(q):
    """Whether orders q reach from -3 to 3, as those of the measured width and E do."""
    return min(q) == min(ORDERS) and max(q) == max(ORDERS)
