"""Simulation: how often a band holds the value of the whole population.

A simulation draws neurons of a finite population with replacement (so there is no correction for a finite population to
be made), a share of every layer, each with all its outgoing weights, makes the bands, and looks whether the value that
the whole population gives lies in them. The table of such measurements that travels with the package is made by
``benchmarks/band_coverage.py``.
"""

from dataclasses import replace

import numpy as np
from tqdm.auto import tqdm

from .. import arguments
from ..coverage import LEVEL, ORDERS, quantities
from ..emergence import degree_of_emergence
from ..errors import NeuroMFAError
from ..masses import Masses, count_masses
from ..method import PAPER, refuse_no_method
from ..network import refuse_no_network
from ..resampling import Resampler
from ..spectrum import spectrum_of_masses
from .bands import KINDS, band
from .emergence import Pair


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

    refuse_no_method(method)
    simulations = arguments.whole("simulations", simulations, 2, MOST_SIMULATIONS)  # some hundreds mean something
    resamples, seed = arguments.whole("resamples", resamples, 2), arguments.seed(seed)
    if not 0 < arguments.number(share) <= LARGEST_SHARE:
        raise NeuroMFAError(f"share={arguments.shown(share)} must lie between 0 and {LARGEST_SHARE}, such as 0.375")
    method = method.replace(q=ORDERS, name=method.name)
    steps = [_masses(each, method) for each in ([population] if start is None else [population, start])]
    truths, names = _truths(steps, method)
    rows = []
    for radii in ("population", "own") if method.radii == "integer" and method.rounding else ("population",):
        hits, found = np.zeros((len(KINDS), len(names))), []
        for simulation in tqdm(range(simulations), desc=f"{radii} radii", unit="simulation", delay=1, leave=False):
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


MOST_SIMULATIONS = 1_000_000
LARGEST_SHARE = 100


def _masses(what, method):
    return what if isinstance(what, Masses) else count_masses(refuse_no_network("a population", what), method)


def _truths(steps, method):
    spectra = [spectrum_of_masses(each, method) for each in steps]
    first = spectra[0]
    if len(steps) == 2:
        ends = (first.alpha0, first.width, spectra[1].alpha0, spectra[1].width)
        return np.array([degree_of_emergence(*ends, method=method)]), ["emergence"]
    return np.concatenate([[first.alpha0, first.width], first.tau, first.alpha, first.f]), quantities(ORDERS)


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
    one = Resampler(spectrum_of_masses(sample[0], method))
    return (one.point.values[0], one.point.errors[0]), one.resampled(resamples, seed)
