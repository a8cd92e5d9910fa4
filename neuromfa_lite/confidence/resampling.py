"""Exponents of resampled neurons: every resample is a row of weights, all of them together a matrix product."""

from typing import NamedTuple

import numpy as np

from ..errors import NeuroMFAError
from ..masses import Masses
from ..partition import log_masses

LARGEST_BLOCK = 1 << 22  # numbers in a block of a matrix product, 32 MB


class Exponents(NamedTuple):
    """Exponents of resamples: tau (resamples, q), alpha and f (resamples, orders of alpha), alpha0, width (resamples,).

    The orders of alpha are q, with derivative="forward" q[:-1].
    """

    tau: np.ndarray
    alpha: np.ndarray
    f: np.ndarray
    alpha0: np.ndarray
    width: np.ndarray


class Strata(NamedTuple):
    """What is resampled: one draw of ``sizes`` neurons from each stratum.

    Attributes:
        of_neuron: (neurons,) stratum of each neuron used.
        sizes: (strata,) neurons drawn from each, those that the method left out of the spectrum included.
    """

    of_neuron: np.ndarray
    sizes: np.ndarray


def strata_of(masses, by_layer=True):
    """Return the Strata of masses: its layers, or all neurons as one.

    A sampled network holds a fixed number of neurons of every layer, so that is what is drawn again. Neurons of these
    layers that the method left out (too few connections) take part as neurons of weight nowhere: how many are used
    varies between resamples as it would between samples. Where the masses hold a part of a layer only (chosen centres,
    a subset), the neurons used alone are drawn.
    """
    layers, of_neuron = np.unique(masses.layer, return_inverse=True)
    used = np.bincount(of_neuron)
    sizes = np.array([len(masses.layers[layer]) for layer in layers])
    if sizes.sum() > masses.neurons_total or (sizes < used).any():
        sizes = used
    if by_layer:
        return Strata(of_neuron, sizes)
    return Strata(np.zeros(len(of_neuron), np.int64), np.array([sizes.sum()]))


def draw_weights(strata, resamples, seed):
    """Yield (rows, neurons) float64: how often each neuron is drawn, in blocks of resamples.

    Each stratum has a stream of its own, read one resample after another, so blocks of any size hold the same numbers.
    """
    streams = [np.random.default_rng([seed, stratum]) for stratum in range(len(strata.sizes))]
    neurons = len(strata.of_neuron)
    members = [np.flatnonzero(strata.of_neuron == stratum) for stratum in range(len(strata.sizes))]
    at_once = max(1, LARGEST_BLOCK // max(neurons, int(strata.sizes.max())))
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        weights = np.zeros((rows, neurons))
        for stream, places, size in zip(streams, members, strata.sizes, strict=True):
            drawn = stream.integers(0, size, (rows, size)) + size * np.arange(rows)[:, None]
            counts = np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)
            weights[:, places] = counts[:, : len(places)]
        yield weights


def left_out_one(strata):
    """(neurons, neurons) weights of the jackknife: row i without neuron i, the others of its stratum making up for it.

    A stratum of one neuron has no other: its row keeps it, and it adds nothing to the acceleration.
    """
    neurons, of_neuron = len(strata.of_neuron), strata.of_neuron
    weights = np.ones((neurons, neurons))
    for stratum, size in enumerate(strata.sizes):
        places = np.flatnonzero(of_neuron == stratum)
        if size > 1:
            weights[np.ix_(places, places)] = size / (size - 1)
            weights[places, places] = 0.0
    return weights


class Resampler:
    """The exponents of masses for any weights of their neurons, radii and fitted range fixed.

    Args:
        masses: Masses; method: Method; chosen: (radii,) bool, the radii that lines are fitted to.

    Formula: Z_q(r) = sum_i v_i w_i mu_i(r)^q with v_i how often neuron i was drawn (in the standard convention q - 1
    in place of q), and the slopes of ln Z_q and of d ln Z_q/d q as for the spectrum itself.
    """

    def __init__(self, masses: Masses, method, chosen):
        self.method, self.q = method, np.array(method.q)
        self.logs = log_masses(masses, method)[chosen]
        x = np.log(masses.radii[chosen] / masses.radii[-1])
        centred = x - x.mean()
        self.fit = centred / (centred @ centred)
        standard = method.convention == "standard"
        self.orders = np.append(self.q, 0.0) - standard
        self.measure = masses.weight if standard else None

    def exponents(self, weights):
        """The Exponents for weights (resamples, neurons) >= 0."""
        weights = weights if self.measure is None else weights * self.measure
        total = weights.sum(axis=1)
        if not (total > 0).all():
            raise NeuroMFAError(
                "a resample holds no neuron that the method uses: so few neurons allow no band, draw a larger sample"
            )
        weights = np.ascontiguousarray(weights)
        tau, slope = self._slopes(weights, np.log(total))
        if self.method.derivative == "exact":
            alpha, alpha0 = slope[:, :-1], slope[:, -1]
            f = self.q * alpha - tau
        else:
            alpha, f, alpha0 = _forward(self.q, tau)
        return Exponents(tau, alpha, f, alpha0, alpha.max(axis=1) - alpha.min(axis=1))

    def _slopes(self, weights, log_total):
        """(tau (resamples, q), slopes of d ln Z/d q (resamples, q + 1)), summed over blocks of radii."""
        orders, (radii, neurons), resamples = len(self.orders), self.logs.shape, len(weights)
        tau, slope = np.zeros((resamples, orders)), np.zeros((resamples, orders))
        at_once = max(1, LARGEST_BLOCK // (orders * (neurons + resamples)))
        for start in range(0, radii, at_once):
            logs = self.logs[start : start + at_once]
            fit = self.fit[start : start + at_once]
            exponent = self.orders[:, None, None] * logs  # (q, radii, neurons)
            shift = exponent.max(axis=2)
            powers = np.exp(exponent - shift[:, :, None])
            z = weights @ powers.reshape(-1, neurons).T
            powers *= logs
            moment = weights @ powers.reshape(-1, neurons).T
            with np.errstate(divide="ignore", invalid="ignore"):
                log_z = np.log(z).reshape(resamples, *shift.shape) + shift - log_total[:, None, None]
                mean_log = (moment / z).reshape(log_z.shape)
            tau += log_z @ fit
            slope += mean_log @ fit
        if not (np.isfinite(tau).all() and np.isfinite(slope).all()):
            raise NeuroMFAError(
                f"orders q from {self.q[0]:g} to {self.q[-1]:g} make single neurons outweigh all others by more than a "
                "float64 can hold, so resamples without them have no Z: use a smaller range of q"
            )
        tau[:, self.orders == 0] = 0.0  # flat by definition
        return tau[:, :-1], slope


def _forward(q, tau):
    """The authors' difference quotient, of every resample; see spectrum.py."""
    alpha = np.diff(tau, axis=1) / np.diff(q)
    f = q[:-1] * alpha - tau[:, :-1]
    top = np.argmax(f > f.max(axis=1, keepdims=True) - 1e-12, axis=1)
    return alpha, f, alpha[np.arange(len(alpha)), top]
