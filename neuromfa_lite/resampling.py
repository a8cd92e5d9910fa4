"""Exponents of resampled neurons: every resample is a row of weights, all of them together a matrix product."""

from functools import cached_property
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from .errors import NeuroMFAError
from .influence import Influence, standard_error, strata_of_masses
from .kernels.product import multiply
from .memory import refuse_above
from .partition import log_masses
from .regression import weights_of_fit

BYTES_A_NUMBER = 48  # of a resample: value and error, and the copies that a band is made of
SMALLEST_Z = 1e-300  # of its largest term; influences divide by it
LARGEST_BLOCK = 1 << 21  # numbers in a block of a matrix product, 16 MB


def draw_weights(strata, resamples, seed):
    """Yield (rows, neurons) float64 weights of resampled neurons, in blocks of resamples.

    Of n neurons of a stratum n - 1 are drawn with replacement, each of weight n/(n - 1): the spread of their mean is
    then that of the mean of a sample, without the factor (n - 1)/n of drawing n (which counts in layers of 10 neurons).
    Each stratum has a random stream of its own, read one resample after another, so blocks of any size hold the same
    numbers. A stratum of one neuron is always drawn as it is.

    Source: J. N. K. Rao and C. F. J. Wu, Journal of the American Statistical Association 83, 1988.
    """
    streams = [np.random.default_rng([seed, stratum]) for stratum in range(len(strata.sizes))]
    neurons = len(strata.of_neuron)
    members = [np.flatnonzero(strata.of_neuron == stratum) for stratum in range(len(strata.sizes))]
    at_once = max(1, LARGEST_BLOCK // max(neurons, int(strata.sizes.max())))
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        weights = np.zeros((rows, neurons))
        for stream, places, size in zip(streams, members, strata.sizes.tolist(), strict=True):
            number = max(1, size - 1)
            drawn = stream.integers(0, size, (rows, number)) + size * np.arange(rows)[:, None]
            counts = np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)
            weights[:, places] = counts[:, : len(places)] * (size / number)
        yield weights


def resampled(one, resamples, seed):
    """(values, errors), (resamples, quantities) each, of resampled neurons.

    Args:
        one: a Resampler, or what has its strata, estimates(weights) and as point those of the sample itself.

    Raises:
        NeuroMFAError: more resamples than fit in memory.
    """
    quantities = one.point[0].shape[1]
    refuse_above(
        BYTES_A_NUMBER * resamples * quantities,
        f"{resamples:,} resamples of {quantities} numbers each",
        "take fewer resamples, or fewer q (method.replace(q=[...]))",
    )
    parts, short = [], resamples * len(one.strata.of_neuron) <= LARGEST_BLOCK
    with tqdm(total=resamples, desc="resamples", delay=1, leave=False, disable=short) as bar:
        for weights in draw_weights(one.strata, resamples, seed):
            parts.append(one.estimates(weights)[:2])
            bar.update(len(weights))
    return tuple(np.concatenate(each) for each in zip(*parts, strict=True))


class Estimates(NamedTuple):
    """Exponents for each row of weights, and how uncertain each is.

    Attributes:
        values: (rows, quantities) alpha0, width, tau at every q, alpha and f at every order of alpha.
        errors: (rows, quantities) their standard errors within strata, from the influence of each neuron.
        influence: {"alpha0", "width"}: (rows, neurons) the change of the value with the weight of each neuron.
    """

    values: np.ndarray
    errors: np.ndarray
    influence: dict


class Resampler:
    """The exponents of masses for any weights of their neurons, radii and fitted range fixed.

    Formula: Z_q(r) = sum_i v_i w_i mu_i(r)^q with v_i the weight of neuron i in the resample (in the standard
    convention q - 1 in place of q); tau(q) = sum_r c_r ln Z_q(r) with c the weights of the regression. The influence
    of neuron i on tau(q) is d tau/d v_i = sum_r c_r w_i mu_i(r)^q / Z_q(r); that on alpha is its derivative in q.

    Args:
        spectrum: a Spectrum that holds its masses; its method, its scaling range and the places of its extremes stay.
        strata: Strata; None: every layer by itself.
    """

    def __init__(self, spectrum, strata=None):
        masses, method, chosen = spectrum.masses, spectrum.choices, spectrum.fitted
        self.method, self.q = method, spectrum.q
        self.strata = strata_of_masses(masses) if strata is None else strata
        self.logs = log_masses(masses, method)[chosen]
        self.fit = weights_of_fit(np.log(masses.radii[chosen] / masses.radii[-1]))
        standard = method.convention == "standard"
        self.orders = np.append(self.q, 0.0) - standard
        self.measure = masses.weight if standard and masses.weight is not None else np.ones(len(masses.layer))
        self.itself = np.ones((1, len(masses.layer)))
        alpha = spectrum.alpha
        exact = method.derivative == "exact"
        at_zero = len(self.q) if exact else int(np.argmin(np.abs(alpha - spectrum.alpha0)))
        self.extremes = int(alpha.argmax()), int(alpha.argmin()), at_zero

    @cached_property
    def point(self):
        """The Estimates of the sample itself, (1, quantities)."""
        return self.estimates(self.itself)

    def resampled(self, resamples, seed):
        """(values, errors), (resamples, quantities) each, of resampled neurons."""
        return resampled(self, resamples, seed)

    def estimates(self, weights):
        """The Estimates for weights (rows, neurons) >= 0."""
        if not (weights * self.measure).any(axis=1).all():
            raise NeuroMFAError(
                "a resample holds no neuron that the method uses: so few neurons allow no band, draw a larger sample"
            )
        tau, alpha, f, kept = [], [], [], {}
        for place, (q, line, slope) in enumerate(self._lines(weights)):
            if slope is not None:
                kept.update({at: slope for at in self.extremes if at == place})
            if line is not None:
                tau.append(self._with_error(line, weights))
            if line is not None and slope is not None:
                alpha.append(self._with_error(slope, weights))
                f.append(self._with_error(slope.times(q).minus(line), weights))
        return self._gathered(weights, np.array(tau), np.array(alpha), np.array(f), kept)

    def alpha0_and_width(self, weights):
        """The Estimates of these two alone, (rows, 2): what estimates() has first, in a fraction of its time."""
        if self.method.derivative == "forward":
            values, errors, influence = self.estimates(weights)
            return Estimates(values[:, :2], errors[:, :2], influence)
        alpha, kept = [], {}
        for place, order in enumerate(self.orders):
            if place in self.extremes:
                kept[place] = self._line(weights, order)[1]
                alpha.append(kept[place].value)
            else:
                alpha.append(self._alpha(weights, order))
        high, low, at_zero = (kept[at] for at in self.extremes)
        width = Influence(np.ptp(alpha[:-1], axis=0), high.minus(low).influence)
        values, errors = np.array([self._with_error(each, weights) for each in (at_zero, width)]).transpose(1, 2, 0)
        return Estimates(values, errors, {"alpha0": at_zero.influence, "width": width.influence})

    def _gathered(self, weights, tau, alpha, f, kept):
        high, low, at_zero = (kept[at] for at in self.extremes)
        width = Influence(np.ptp(alpha[:, 0], axis=0), high.minus(low).influence)
        alpha0 = at_zero
        if self.method.derivative == "forward":  # at the maximum of f, as the spectrum has it
            top = np.argmax(f[:, 0] > f[:, 0].max(axis=0) - 1e-12, axis=0)
            alpha0 = Influence(alpha[top, 0, np.arange(len(weights))], at_zero.influence)
        first = np.array([self._with_error(each, weights) for each in (alpha0, width)])
        values, errors = np.concatenate([first, tau, alpha, f]).transpose(1, 2, 0)
        return Estimates(values, errors, {"alpha0": alpha0.influence, "width": width.influence})

    def _with_error(self, value, weights):
        return value.value, standard_error(value.influence, weights, self.strata)

    def _lines(self, weights):
        """Yield (q, tau, alpha) as Influences, None where there is none; with "exact" at last alpha0 alone."""
        if self.method.derivative == "exact":
            for q, order in zip(self.q, self.orders, strict=False):
                yield q, *self._line(weights, order)
            yield 0.0, None, self._line(weights, self.orders[-1])[1]
            return
        line = self._line(weights, self.orders[0])[0]
        for j in range(1, len(self.q)):
            following = self._line(weights, self.orders[j])[0]
            yield self.q[j - 1], line, following.minus(line).times(1 / (self.q[j] - self.q[j - 1]))
            line = following
        yield self.q[-1], line, None

    def _line(self, weights, order):
        """(tau, alpha) of one order as Influences: the slopes of ln Z and of its derivative in q."""
        tau, alpha = Influence.zero(*weights.shape), Influence.zero(*weights.shape)
        for fit, shift, powers, moments, z, mean_log in self._sums(weights, order):
            share = fit / z
            slopes = _product(share, moments) - _product(share * mean_log, powers)
            alpha.add((mean_log * fit).sum(axis=1), slopes)
            if order != 0:  # there ln Z is flat by definition
                tau.add(((np.log(z) + shift) * fit).sum(axis=1), _product(share, powers))
        return tau, alpha

    def _alpha(self, weights, order):
        """(rows,) the value of alpha at one order, without influences."""
        return sum((mean_log * fit).sum(axis=1) for fit, *_, mean_log in self._sums(weights, order))

    def _sums(self, weights, order):
        """Yield, for blocks of radii, the regression's weights and the sums over neurons behind Z and d ln Z/d q."""
        for start in range(0, len(self.logs), at_once := max(1, LARGEST_BLOCK // weights.shape[1])):
            logs, fit = self.logs[start : start + at_once], self.fit[start : start + at_once]
            exponent = order * logs
            shift = exponent.max(axis=1)
            powers = np.exp(exponent - shift[:, None]) * self.measure
            z = _product(weights, np.ascontiguousarray(powers.T))
            if not (z > SMALLEST_Z).all():
                raise NeuroMFAError(
                    f"orders q from {self.q[0]:g} to {self.q[-1]:g} make single neurons outweigh all others by more "
                    "than a float64 can hold, so resamples without them have no Z: use a smaller range of q"
                )
            moments = powers * logs
            yield fit, shift, powers, moments, z, _product(weights, np.ascontiguousarray(moments.T)) / z


def _product(left, right):
    """left right, the same to the last bit whatever threads there are."""
    product = np.empty((len(left), right.shape[1]))
    multiply(left, right, product)
    return product
