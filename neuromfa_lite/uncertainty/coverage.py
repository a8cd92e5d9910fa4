"""Coverage: how often a band holds the value of the whole population, by simulation, and what that allows to say.

A simulation draws neurons of a finite population with replacement (so there is no correction for a finite population to
be made), a share of every layer, each with all its outgoing weights, makes the bands, and looks whether the value that
the whole population gives lies in them. The table of such measurements that travels with the package is made by
``benchmarks/coverage.py``.
"""

import json
from dataclasses import replace
from functools import cache
from importlib.resources import files

import numpy as np

from ..emergence import degree_of_emergence
from ..errors import NeuroMFAError
from ..masses import Masses, count_masses
from ..method import PAPER
from ..parallel import one_thread_of_algebra
from ..spectrum import spectrum_of_masses
from .bands import KINDS, band
from .emergence import Pair
from .resampling import Resampler, strata_of

LEVEL = 0.9
ALLOWED = (0.85, 0.95)  # a band is called one of 90 % where all measured coverages lie here
ENOUGH = 300  # neurons: a sample of the paper (k = 32) has 320 in two blocks
ORDERS = (-3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0)


@one_thread_of_algebra
def measure_coverage(population, method=PAPER, start=None, share=0.375, simulations=300, resamples=400, seed=0):
    """Measure how often bands of nominal 90 % hold the value of the whole population.

    Args:
        population: NeuronNetwork or Masses, all of whose neurons are the population.
        method: Method; its q are replaced by -3, -2, -1, -.5, 0, .5, 1, 2, 3.
        start: the same network at step 0: measures E as well, and nothing else.
        share: of every layer that a simulation draws, with replacement.
        simulations, resamples: numbers of both; seed: whole number, of both.

    Returns:
        pandas DataFrame, a row per quantity, kind of band and radii: "population" (those of the whole population, as
        with radii named by hand) or "own" (of each sample those that occur in it, for integer radii). Columns
        coverage, its binomial standard error, truth (of the population on its own radii), mean and sd of the samples,
        bias = mean - truth.

    Raises:
        NeuroMFAError: fewer than 2 simulations, a share that leaves a layer empty.

    Example:
        >>> from neuromfa_lite.fractals import ParetoFanOut
        >>> table = measure_coverage(ParetoFanOut(1.5, 100, 60).network(), simulations=2, resamples=20)
        >>> sorted(set(table["radii"])), len(set(table["quantity"]))
        (['own', 'population'], 29)
    """
    import pandas as pd

    if simulations < 2:
        raise NeuroMFAError(f"simulations={simulations!r} must be at least 2, and some hundreds to mean something")
    method = method.replace(q=ORDERS, name=method.name)
    steps = [_masses(each, method) for each in (population, start) if each is not None]
    truths, names = _truths(steps, method)
    rows = []
    for radii in ("population", "own") if method.radii == "integer" and method.rounding else ("population",):
        hits, found = np.zeros((len(KINDS), len(names))), []
        for simulation in range(simulations):
            drawn = _drawn(steps[0].layer, share, np.random.default_rng([seed, simulation]))
            sample = [_numbered(each.subset(drawn)) for each in steps]
            sample = [_own_radii(each) for each in sample] if radii == "own" else sample
            point, resampled = _resampled(sample, method, resamples, simulation)
            found.append(point[0])
            for row, kind in enumerate(KINDS):
                low, high = band(point, resampled, LEVEL, kind)
                hits[row] += (low <= truths) & (truths <= high)
        mean, sd = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
        for row, kind in enumerate(KINDS):
            part = hits[row] / simulations
            error = np.sqrt(part * (1 - part) / simulations)
            columns = zip(names, part, error, truths, mean, sd, mean - truths, strict=True)
            rows += [(kind, radii, *values) for values in columns]
    head = ["kind", "radii", "quantity", "coverage", "error", "truth", "mean", "sd", "bias"]
    return pd.DataFrame(rows, columns=head)


def _masses(what, method):
    return what if isinstance(what, Masses) else count_masses(what, method)


def _truths(steps, method):
    spectra = [spectrum_of_masses(each, method) for each in steps]
    first = spectra[0]
    if len(steps) == 2:
        ends = (first.alpha0, first.width, spectra[1].alpha0, spectra[1].width)
        return np.array([degree_of_emergence(*ends, method=method)]), ["emergence"]
    return np.concatenate([[first.alpha0, first.width], first.tau, first.alpha, first.f]), quantities(ORDERS)


def quantities(q):
    """The names of the columns of Estimates: "alpha0", "width", "tau(-3)", ..., "alpha(-3)", ..., "f(-3)", ..."""
    return ["alpha0", "width", *(f"{name}({order:g})" for name in ("tau", "alpha", "f") for order in q)]


def _drawn(layer, share, random):
    members = [np.flatnonzero(layer == each) for each in np.unique(layer)]
    if min(share * len(each) for each in members) < 1:
        raise NeuroMFAError(f"share={share!r} of the smallest layer is not even one neuron: take a larger share")
    return np.concatenate([random.choice(each, int(share * len(each))) for each in members])


def _numbered(masses):
    """Neurons drawn twice are two neurons of the sample."""
    return replace(masses, number=np.arange(len(masses.number)))


def _own_radii(masses):
    """The masses on the radii at which any of them grows: those the method finds in this sample."""
    grows = (np.diff(masses.counts.astype(np.int64), prepend=1, axis=1) > 0).any(axis=0)
    return replace(masses, radii=masses.radii[grows], counts=masses.counts[:, grows])


def _resampled(sample, method, resamples, seed):
    """(values, errors) of the sample and of its resamples."""
    if len(sample) == 2:
        return Pair(sample[1], sample[0], method).emergence(resamples, seed)
    one = Resampler(sample[0], method, strata_of(sample[0].layer, sample[0].layers, sample[0].neurons_total))
    return (one.point.values[0], one.point.errors[0]), one.resampled(resamples, seed)


@cache
def measured():
    """The table that travels with the package, as a dict: level, simulations, resamples, versions, recipes, rows."""
    return json.loads((files(__package__) / "coverage.json").read_text(encoding="utf-8"))


def measured_frame():
    """pandas DataFrame of the measured coverages, a row per recipe, radii, quantity and kind of band.

    Columns as in :func:`measure_coverage`; limit: the value for infinitely many neurons or full fan-out, where it is
    known, bias_against_limit: how far the mean of samples lies above it.
    """
    import pandas as pd

    table = measured()
    return pd.DataFrame(table["rows"], columns=table["columns"])


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
