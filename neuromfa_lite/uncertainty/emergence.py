"""Confidence of the degree of emergence: the same neurons resampled at step 0 and t."""

import numpy as np

from ..emergence import degree_of_emergence
from ..errors import NeuroMFAError
from .resampling import Resampler, draw_weights, standard_error, strata_of


class Pair:
    """The masses of one sample of neurons at two steps, resampled together.

    A neuron is known by its layer and its number in it. One that the method uses at one of the steps only is drawn
    with the others and counts at that step alone.

    Args:
        start, now: Masses of networks with the same neurons; method: Method; by_layer: draw each layer apart.
    """

    def __init__(self, start, now, method, by_layer=True):
        _refuse_other_neurons(start, now)
        names = [each.layer.astype(np.int64) << 40 | each.number for each in (start, now)]
        both = np.union1d(*names)
        places = [np.searchsorted(both, each) for each in names]
        total = max(start.neurons_total, now.neurons_total)
        self.strata = strata_of(both >> 40, now.layers, total, by_layer)
        self.neurons, self.places, self.method = len(both), places, method
        self.only_start = len(both) - len(names[1])
        self.only_now = len(both) - len(names[0])
        self.steps = [
            Resampler(each, method, strata_of(each.layer, each.layers, each.neurons_total, by_layer))
            for each in (start, now)
        ]
        self.point = self.estimates(np.ones((1, self.neurons)))

    def resampled(self, resamples, seed):
        """(values, errors), (resamples, 3) each: E, alpha0 and width now of resampled neurons."""
        parts = [self.estimates(weights) for weights in draw_weights(self.strata, resamples, seed)]
        return tuple(np.concatenate(each) for each in zip(*parts, strict=True))

    def emergence(self, resamples, seed):
        """(values, errors) of the sample, (1,) each, and of resamples, (resamples, 1) each: E alone."""
        point, resampled = self.point, self.resampled(resamples, seed)
        return tuple(each[0, :1] for each in point), tuple(each[:, :1] for each in resampled)

    def estimates(self, weights):
        """(values, errors), (rows, 3) each, for weights (rows, neurons); the error of E by the chain rule."""
        parts = [step.alpha0_and_width(weights[:, place]) for step, place in zip(self.steps, self.places, strict=True)]
        (alpha0_start, width_start), (alpha0, width) = (part.values.T for part in parts)
        values = np.stack([alpha0, width, alpha0_start, width_start])
        influence = np.zeros(weights.shape)
        for row, name in enumerate(("alpha0", "width", "alpha0", "width")):
            step = 1 - row // 2  # values begin with those of now
            change = np.zeros_like(values)
            change[row] = 1e-6 * values[row]
            slope = (self._score(values + change) - self._score(values - change)) / (2e-6 * values[row])
            influence[:, self.places[step]] += slope[:, None] * parts[step].influence[name]
        error = standard_error(influence, weights, self.strata)
        return (
            np.column_stack([self._score(values), alpha0, width]),
            np.column_stack([error, parts[1].errors]),
        )

    def _score(self, values):
        return np.asarray(degree_of_emergence(*values, method=self.method), dtype=np.float64)


def _refuse_other_neurons(start, now):
    same = len(start.layers) == len(now.layers) and all(
        one.name == other.name and np.array_equal(one.numbers, other.numbers)
        for one, other in zip(start.layers, now.layers, strict=True)
    )
    if not same:
        raise NeuroMFAError(
            "the two networks do not hold the same neurons: draw both samples with the same size and seed, as in "
            "start.sample(32, seed=0) and now.sample(32, seed=0)"
        )
