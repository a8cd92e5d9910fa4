"""Influence: how far a single neuron pulls an exponent, and the spread over neurons that makes a band of it."""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from .arguments import whole


class Strata(NamedTuple):
    """Groups of neurons that are compared, or drawn, each apart.

    Attributes:
        of_neuron: (neurons,) stratum of each neuron used.
        sizes: (strata,) neurons of each, those that the method left out of the spectrum included.
    """

    of_neuron: np.ndarray
    sizes: np.ndarray


class Influence(NamedTuple):
    """A value (rows,) and the influence (rows, neurons) of each neuron on it, a row per set of weights."""

    value: np.ndarray
    influence: np.ndarray

    @classmethod
    def zero(cls, rows, neurons):
        return cls(np.zeros(rows), np.zeros((rows, neurons)))

    def add(self, value, influence):
        self.value[:] += value
        self.influence[:] += influence

    def times(self, factor):
        return Influence(factor * self.value, factor * self.influence)

    def minus(self, other):
        return Influence(self.value - other.value, self.influence - other.influence)


class AlphaWidth(NamedTuple):
    """A number for alpha0 and one for the width."""

    alpha0: float
    width: float


class NeuronErrors(NamedTuple):
    """Standard errors of the exponents of one spectrum, over the neurons within their layers.

    Attributes:
        alpha0, width: float64; tau: (q,); alpha, f: (orders of alpha,).
    """

    alpha0: float
    width: float
    tau: np.ndarray
    alpha: np.ndarray
    f: np.ndarray


def knows_spread(strata):
    """Whether any stratum has two neurons used, without which nothing is known about their spread."""
    return np.bincount(strata.of_neuron).max() > 1


def normal_band(value, error, level):
    """Return (2, ...) the ends of the band that a normal distribution with this standard error allows.

    Args:
        value, error: numbers or arrays of one shape; level: nominal probability.

    Example:
        >>> normal_band(1.0, 0.1, 0.9).round(3)
        array([0.836, 1.164])
    """
    half = NormalDist().inv_cdf((1 + level) / 2) * np.asarray(error)
    return np.stack([value - half, value + half])


def with_ends(value, ends, digits=4):
    """A number with the ends of its band as text, the number alone where ends is None.

    Example:
        >>> with_ends(0.5, (0.25, 0.75), 2)
        '0.50 [0.25 \u2026 0.75]'
    """
    digits = whole("digits", digits, 0, 17)
    if ends is None:
        return f"{value:.{digits}f}"
    low, high = (round(float(end), digits) + 0.0 for end in ends)  # no minus in front of a 0
    return f"{value:.{digits}f} [{low:.{digits}f} \u2026 {high:.{digits}f}]"


def strata_of(layer, layers, total, by_layer=True):
    """Return the Strata of neurons: their layers, or all of them as one.

    A sampled network holds a fixed number of neurons of every layer, so that is what is drawn again. Neurons of these
    layers that the method left out (too few connections) take part as neurons without weight: how many are used
    varies between resamples as it would between samples. Where the masses hold a part of a layer only (chosen centres,
    a subset), the neurons used alone are drawn.

    Args:
        layer: (neurons,) position of each neuron's layer in layers; total: neurons used and left out.
    """
    there, of_neuron = np.unique(layer, return_inverse=True)
    used = np.bincount(of_neuron)
    sizes = np.array([len(layers[position]) for position in there])
    if sizes.sum() > total or (sizes < used).any():
        sizes = used
    if by_layer:
        return Strata(of_neuron, sizes)
    return Strata(np.zeros(len(of_neuron), np.int64), np.array([sizes.sum()]))


def strata_of_masses(masses, by_layer=True):
    """Return the Strata of the neurons of Masses; of chosen centres the chosen ones alone."""
    total = 0 if masses.chosen else masses.neurons_total
    return strata_of(masses.layer, masses.layers, total, by_layer)


def standard_error(influence, weights, strata):
    """(rows,) standard error of a value with the influence (rows, neurons) of each neuron, weights (rows, neurons)."""
    pull, variance = influence * weights, 0.0
    squares = pull * influence
    for stratum, size in enumerate(strata.sizes):
        if size > 1:  # neurons left out count in the size, with an influence of 0
            mine = strata.of_neuron == stratum
            spread = squares[:, mine].sum(axis=1) - pull[:, mine].sum(axis=1) ** 2 / size
            variance = variance + np.maximum(spread, 0) * size / (size - 1)
    return np.sqrt(variance + np.zeros(len(pull)))


def notes_on(method, strata, masses, seed):
    """What to know about a band over neurons, in words; seed: of the sample, None for a whole network."""
    notes = []
    if seed is None and masses.weight is None:
        notes.append("this is a whole network: the band is for one with ever more neurons like these in every layer")
    alone = int((strata.sizes == 1).sum())
    if alone:
        have = "1 layer has" if alone == 1 else f"{alone} layers have"
        notes.append(f"{have} a single neuron, whose spread the bands leave out")
    if method.reach != "one-hop" or masses.weight is not None:
        notes.append(
            "balls of one object overlap: the band says what the choice of centres does, not how another object "
            "would differ"
        )
    return tuple(notes)
