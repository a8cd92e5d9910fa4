"""Confidence of the degree of emergence: the same neurons resampled at step 0 and t."""

import numpy as np

from ..emergence import degree_of_emergence, slopes_of_score
from ..errors import NeuroMFAError
from ..influence import standard_error, strata_of, strata_of_masses
from ..resampling import Resampler, resampled
from ..spectrum import spectrum_of_masses


class Steps:
    """The masses of one sample of neurons at several steps, the first one untrained, resampled together.

    A neuron is known by its layer and its number in it. One that the method uses at some of the steps only is drawn
    with the others and counts at those steps alone.

    Args:
        masses: Masses of networks with the same neurons; method: Method; by_layer: draw each layer apart.
    """

    def __init__(self, masses, method, by_layer=True):
        for other in masses[1:]:
            _refuse_other_neurons(masses[0], other)
        names = [each.layer.astype(np.int64) << 40 | each.number for each in masses]
        every = np.unique(np.concatenate(names))
        total = max(each.neurons_total for each in masses)
        self.strata = strata_of(every >> 40, masses[0].layers, total, by_layer)
        self.neurons, self.method = len(every), method
        self.places = [np.searchsorted(every, each) for each in names]
        spectra = [spectrum_of_masses(each, method) for each in masses]
        self.steps = [Resampler(each, strata_of_masses(each.masses, by_layer)) for each in spectra]
        self.r2 = np.array([each.r2 for each in spectra])
        self.point = self.estimates(np.ones((1, self.neurons)))

    def resampled(self, resamples, seed):
        """(values, errors), (resamples, quantities) each, of resampled neurons."""
        return resampled(self, resamples, seed)

    def estimates(self, weights):
        """(values, errors) for weights (rows, neurons): (rows, 3 steps) each, E, alpha0 and width of every step."""
        start, columns = self._at(0, weights), []
        for step in range(len(self.steps)):
            now = self._at(step, weights) if step else start
            e, error = self._emergence(start, now, step, weights)
            columns.append((np.column_stack([e, now.values]), np.column_stack([error, now.errors])))
        return tuple(np.concatenate(each, axis=1) for each in zip(*columns, strict=True))

    def _at(self, step, weights):
        return self.steps[step].alpha0_and_width(weights[:, self.places[step]])

    def _emergence(self, start, now, step, weights):
        """E (rows,) of a step against the first one, and its error by the chain rule."""
        values = np.concatenate([now.values.T, start.values.T])  # alpha0 and width now, then those at the start
        influence, slopes = np.zeros(weights.shape), slopes_of_score(values, self.method)
        for row, name in enumerate(("alpha0", "width", "alpha0", "width")):
            part, place = (now, self.places[step]) if row < 2 else (start, self.places[0])
            influence[:, place] += slopes[row][:, None] * part.influence[name]
        return degree_of_emergence(*values, method=self.method), standard_error(influence, weights, self.strata)


class Pair(Steps):
    """Two steps: start, the untrained network, and now; estimates are E, alpha0 and width now, (rows, 3)."""

    def __init__(self, start, now, method, by_layer=True):
        super().__init__([start, now], method, by_layer)
        self.only_start = self.neurons - len(now.layer)
        self.only_now = self.neurons - len(start.layer)

    def estimates(self, weights):
        return tuple(each[:, 3:] for each in super().estimates(weights))

    def emergence(self, resamples, seed):
        """(values, errors) of the sample, (1,) each, and of resamples, (resamples, 1) each: E alone."""
        point, resampled = self.point, self.resampled(resamples, seed)
        return tuple(each[0, :1] for each in point), tuple(each[:, :1] for each in resampled)


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
