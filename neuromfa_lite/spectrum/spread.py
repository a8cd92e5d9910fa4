"""Spread: standard errors of exponents from how far each neuron pulls them, the neurons of a layer among themselves.

The pull (influence) of a neuron on a value is the derivative of the value in how often the neuron counts; neurons drawn
anew within their layers would move the value by about the root of the summed squares of the pulls.
"""

from functools import partial
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from ..errors.arguments import whole
from ..kernels.influence import influence_of_counts, influence_of_neurons
from ..kernels.threads import together
from .fit import FEW_NEURONS, weights_of_fit
from .partition import counts_and_logarithms, has_logarithms, log_masses

LEVEL = 0.9  # nominal: docs/coverage.md says how often such bands held the value
LARGEST_BLOCK = 1 << 21  # influences held at once, 16 MB of each kind
LARGEST_EXPONENT = 300.0  # of powers that are looked up, far from what a float64 can hold
SHARED_FROM = 1_000_000  # shares: fewer are summed sooner than a second thread is woken
NO_NEURONS = "no band: boxes cover the whole object, nothing was drawn"
TOO_FEW = f"no band: fewer than {FEW_NEURONS} neurons, or none of them with another one in its layer"


class Strata(NamedTuple):
    """Groups of neurons that are compared with each other: the layers."""

    of_neuron: np.ndarray  # (neurons,) stratum of each one used
    sizes: np.ndarray  # (strata,) with those that the method left out


class TwoErrors(NamedTuple):
    """Standard errors of alpha0 and of the width."""

    alpha0: float
    width: float


class NeuronErrors(NamedTuple):
    """Standard errors of all exponents of a spectrum: alpha0, width; tau (q,); alpha, f (orders of alpha,)."""

    alpha0: float
    width: float
    tau: np.ndarray
    alpha: np.ndarray
    f: np.ndarray


def strata_of(layer, layers, total):
    """The Strata of neurons of the layers layer (neurons,); total: how many were used and left out.

    Neurons that the method left out take part without weight: how many are used varies between resamples as it would
    between samples. Of a part of a layer (chosen centres, a subset) the neurons used alone are drawn.
    """
    there, of_neuron = np.unique(layer, return_inverse=True)
    used = np.bincount(of_neuron)
    sizes = np.array([len(layers[position]) for position in there])
    if sizes.sum() > total or (sizes < used).any():
        sizes = used
    return Strata(of_neuron, sizes)


def strata_of_masses(masses):
    """The Strata of the neurons of Masses; of chosen centres the chosen ones alone."""
    return strata_of(masses.layer, masses.layers, 0 if masses.chosen else masses.neurons_total)


def knows_spread(strata):
    """Whether any stratum has two neurons used, without which nothing is known about their spread."""
    return np.bincount(strata.of_neuron).max() > 1


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


def normal_band(value, error, level=LEVEL):
    """(2, ...) the ends of the band that a normal distribution with this standard error allows."""
    half = NormalDist().inv_cdf((1 + level) / 2) * np.asarray(error)
    return np.stack([value - half, value + half])


def with_ends(value, ends, digits=4):
    """A number with the ends of its band as text, the number alone where ends is None.

    >>> with_ends(0.5, (0.25, 0.75), 2)
    '0.50 [0.25 \u2026 0.75]'
    """
    digits = whole("digits", digits, 0, 17)
    if ends is None:
        return f"{value:.{digits}f}"
    low, high = (round(float(end), digits) + 0.0 for end in ends)  # no minus in front of a 0
    return f"{value:.{digits}f} [{low:.{digits}f} \u2026 {high:.{digits}f}]"


def notes_on(masses, strata, method, seed):
    """What to know about a band over neurons, in words; seed: of the sample, None for a whole network."""
    notes = []
    if seed is None and masses.weight is None:
        notes.append("this is a whole network: the band is for one with ever more neurons like these in every layer")
    alone = int((strata.sizes == 1).sum())
    if alone:
        have = "1 layer has" if alone == 1 else f"{alone} layers have"
        notes.append(f"{have} a single neuron, whose spread the bands leave out")
    if method.reach != "one-hop" or masses.weight is not None:
        notes.append("balls overlap: the band says what the choice of centres does, not what another object would give")
    return tuple(notes)


# --- of a spectrum -------------------------------------------------------------------------------------------------


def is_comparable(spectrum):
    """Whether a Spectrum holds masses of neurons enough to know their spread."""
    enough = spectrum.masses is not None and spectrum.neurons_used >= FEW_NEURONS
    return enough and knows_spread(strata_of_masses(spectrum.masses))


def errors_of(spectrum):
    """The NeuronErrors of a Spectrum with masses, in blocks of orders."""
    at_once = max(1, LARGEST_BLOCK // len(spectrum.masses.layer))
    starts = range(0, len(spectrum.q), at_once)
    parts = [_errors_of_orders(spectrum, start, start + at_once) for start in starts]
    return NeuronErrors(*spectrum.errors_of_two, *map(np.concatenate, zip(*parts, strict=True)))


def _errors_of_orders(spectrum, start, stop):
    forward = len(spectrum.alpha) < len(spectrum.q)
    q = spectrum.q[start : stop + forward]
    tau, alpha = influences_of(spectrum, q)
    alpha = _forward(q, tau) if forward else alpha
    tau, f = tau[: stop - start], q[: len(alpha), None] * alpha - tau[: len(alpha)]
    return [over_neurons(spectrum, each) for each in (tau, alpha, f)]


def over_neurons(spectrum, influences):
    """(rows,) standard errors of values of a Spectrum with these influences (rows, neurons)."""
    return standard_error(influences, np.ones((1, influences.shape[1])), strata_of_masses(spectrum.masses))


def influences_of_two(spectrum):
    """(2, neurons) influence of every neuron on alpha0 and on the width; the places of the extremes stay."""
    high, low, at_zero = places_of_extremes(spectrum)
    if len(spectrum.alpha) == len(spectrum.q):
        of_zero, of_high, of_low = influences_of(spectrum, [0.0, *spectrum.q[[high, low]]])[1]
    else:
        q = spectrum.q[[[place, place + 1] for place in (high, low, at_zero)]]
        of_high, of_low, of_zero = (_forward(each, influences_of(spectrum, each)[0])[0] for each in q)
    return np.stack([of_zero, of_high - of_low])


def places_of_extremes(spectrum):
    """The places of the largest alpha, of the smallest, and of alpha0, which behind an exact derivative is the last."""
    alpha, q = spectrum.alpha, spectrum.q
    at_zero = len(q) if len(alpha) == len(q) else int(np.argmin(np.abs(alpha - spectrum.alpha0)))
    return int(np.argmax(alpha)), int(np.argmin(alpha)), at_zero


def _forward(q, of_tau):
    return np.diff(of_tau, axis=0) / np.diff(q)[:, None]


def influences_of(spectrum, q):
    """(2, q, neurons) the influence of every neuron on tau and on alpha = d tau/d q at orders q, v_i its weight.

    d tau/d v_i = sum_r c_r p_i(r) and d alpha/d v_i = sum_r c_r p_i(r) [ln mu_i(r) - sum_k p_k(r) ln mu_k(r)], with
    p_i(r) = w_i mu_i(r)^q / Z_q(r) (standard convention: q - 1) and c_r the weight of a radius in the regression.
    """
    fit, measure, shift = fit_of(spectrum)
    orders = np.asarray(q, dtype=np.float64) - shift
    found, work = np.empty((2, len(orders), len(measure))), _kernel_for(spectrum, orders)
    at_once = len(orders) if found.size * len(fit) < SHARED_FROM else 1

    def some(start):
        work(measure, orders, fit, start, min(start + at_once, len(orders)), *found)

    together(some, range(0, len(orders), at_once))
    return found


def fit_of(spectrum):
    """(weights c_r of the fitted radii, weights w_i of the neurons, what is taken off q): how a Spectrum was fitted."""
    masses, standard = spectrum.masses, spectrum.choices.convention == "standard"
    fit = weights_of_fit(np.log(masses.radii[spectrum.fitted] / masses.radii[-1]))
    measure = masses.weight if standard and masses.weight is not None else np.ones(len(masses.layer))
    return fit, measure, standard


def _kernel_for(spectrum, orders):
    """The kernel with its masses: by their counts where the powers of these can be looked up, else by logarithms."""
    masses, method, chosen = spectrum.masses, spectrum.choices, spectrum.fitted
    if has_logarithms(masses, method):
        counts, logarithms = counts_and_logarithms(masses)
        if np.abs(orders).max() * logarithms[-1] < LARGEST_EXPONENT:
            return partial(influence_of_counts, counts[chosen], counts[-1], logarithms)
    return partial(influence_of_neurons, np.ascontiguousarray(log_masses(masses, method)[chosen]))
