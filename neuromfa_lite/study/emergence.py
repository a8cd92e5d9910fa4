"""The degree of emergence: how far the spectrum has moved since the network was untrained."""

import numpy as np

from ..errors import NeuroMFAError
from ..method import PAPER
from ..spectrum.spread import standard_error, strata_of


def degree_of_emergence(alpha0, width, alpha0_start, width_start, method=PAPER):
    """The degree of emergence E of a network against its untrained self, of numbers or arrays.

    E = [w(t) / w(0)] ln[alpha0(0) / alpha0(t)] with the method's score "emergence": positive where the spectrum became
    more regular (alpha0 fell), weighed by the growth of heterogeneity. Source: Xiao et al. 2025, section 3.3.

    Example:
        >>> round(degree_of_emergence(1.0, 0.6, 2.0, 0.3), 6)   # 2 ln 2
        1.386294
    """
    values = [np.asarray(value, dtype=np.float64) for value in (alpha0, width, alpha0_start, width_start)]
    if not (np.isfinite(np.broadcast_arrays(*values)).all() and (values[0] > 0).all() and (values[2] > 0).all()):
        raise NeuroMFAError(
            "the degree of emergence needs finite widths and positive alpha0: look at the spectra first"
        )
    if method.score == "emergence" and not (values[3] > 0).all():
        raise NeuroMFAError(
            "the width at step 0 is 0 (all neurons alike), so w(t)/w(0) is not defined: use another score or start"
        )
    shape = np.broadcast_shapes(*(value.shape for value in values))
    arrays = [np.array(np.broadcast_to(value, shape)).reshape(-1) for value in values]
    score = np.asarray(method.call("score", *arrays))
    if score.shape != arrays[0].shape or score.dtype.kind not in "fiu":
        raise NeuroMFAError(
            f"score of method {method.name!r} returned {score.dtype} of shape {score.shape} for four arrays of shape "
            f"{arrays[0].shape}: it must return one number for each"
        )
    score = score.astype(np.float64).reshape(shape)
    if not np.isfinite(score).all():
        raise NeuroMFAError(f"score of method {method.name!r} is not finite for these alpha0 and widths")
    return float(score) if score.ndim == 0 else score


def slopes_of_score(values, method=PAPER):
    """(4, rows) the derivative of the score in each argument, values (4, rows), by differences: at 0 upwards alone."""
    slopes = np.empty(np.shape(values))
    for row, value in enumerate(values):
        step = np.zeros(np.shape(values))
        step[row] = 1e-6 * np.where(value == 0, 1.0, np.abs(value))
        below = np.where(values == 0, 0.0, step)
        difference = degree_of_emergence(*values + step, method) - degree_of_emergence(*values - below, method)
        slopes[row] = difference / (step + below)[row]
    return slopes


def emergence_errors(starts, nows, method=PAPER):
    """(pairs,) standard errors of E over the neurons, by the chain rule; NaN where too few can be compared."""
    values = [[getattr(each, name) for each in ends] for ends in (nows, starts) for name in ("alpha0", "width")]
    slopes = slopes_of_score(np.array(values), method)
    return np.array([_emergence_error(*each) for each in zip(starts, nows, slopes.T, strict=True)])


def _emergence_error(start, now, slopes):
    if start.errors_of_two is None or now.errors_of_two is None:
        return np.nan
    if start is now:
        return 0.0
    strata, places = neurons_of_steps([start.masses, now.masses])
    influence = np.zeros((1, len(strata.of_neuron)))
    for each, place, by in ((start, places[0], slopes[2:]), (now, places[1], slopes[:2])):
        influence[0, place] += by @ each.influences
    return standard_error(influence, np.ones_like(influence), strata)[0]


def neurons_of_steps(masses):
    """(Strata of all neurons that are used at any step, [their places among these at each step]), of Masses."""
    names = [each.layer.astype(np.int64) << 40 | each.number for each in masses]
    every = np.unique(np.concatenate(names))
    strata = strata_of(every >> 40, masses[-1].layers, max(each.neurons_total for each in masses))
    return strata, [np.searchsorted(every, each) for each in names]
