"""Baselines: simple numbers of the weights, against which a measure of emergence has to earn its place.

Each is a function of a checkpoint (a Checkpoint, a ChangedCheckpoint, or whatever ``load_network`` takes) to a number:
a mean over the weight matrices of the neuron network, every matrix counting once whatever its size. These are, per
transformer block, query, key, value, attention output, MLP-in and MLP-out; embedding, unembedding, biases and layer
norms are left out. A NeuronNetwork is taken too, a sample for one.

BASELINES holds them with the sign under which a rise stands for more emergence: the two ranks fall as training orders
the weights, so their negatives are there.
"""

import numpy as np

from .. import arguments
from ..errors import NeuroMFAError
from ..network import NeuronNetwork, load_network


def weight_deviation(checkpoint):
    """Standard deviation of a matrix's weights about their mean.

    Args:
        checkpoint: as of this module.

    Returns:
        float, mean over matrices.

    Raises:
        NeuroMFAError: NaN or infinite weights, a matrix of zeros, or a network that is a list of edges.

    Example:
        >>> from neuromfa_lite import load_run
        >>> round(weight_deviation(load_run("induction").checkpoint(0)), 2)
        0.02
    """
    return _mean(_deviation, checkpoint)


def mean_weighted_degree(checkpoint):
    """Sum of |w| over the outgoing weights of a neuron, averaged over the source neurons of a matrix.

    Args, Returns, Raises: as of :func:`weight_deviation`.

    Example:
        >>> from neuromfa_lite import load_run
        >>> round(mean_weighted_degree(load_run("induction").checkpoint(0)))
        2
    """
    return _mean(_degree, checkpoint)


def kurtosis(checkpoint):
    """Excess kurtosis of a matrix's weights, mean((w - m)^4)/s^4 - 3: 0 of Gaussian ones, larger with heavy tails.

    Args, Returns, Raises: as of :func:`weight_deviation`; NeuroMFAError too where all weights of a matrix are equal.

    Example:
        >>> from neuromfa_lite import load_run
        >>> abs(kurtosis(load_run("induction").checkpoint(0))) < 0.1
        True
    """
    return _mean(_kurtosis, checkpoint)


def spectral_norm(checkpoint):
    """Largest singular value of a matrix.

    Args, Returns, Raises: as of :func:`weight_deviation`.

    Example:
        >>> from neuromfa_lite import load_run
        >>> 0.3 < spectral_norm(load_run("induction").checkpoint(0)) < 0.4
        True
    """
    return _mean(_spectral_norm, checkpoint)


def stable_rank(checkpoint):
    """Sum of the squared singular values of a matrix over the largest squared: how many directions carry its size.

    Args, Returns, Raises: as of :func:`weight_deviation`.

    Source: M. Rudelson and R. Vershynin, Journal of the ACM 54, 21, 2007 ("numerical rank").

    Example:
        >>> from neuromfa_lite import load_run
        >>> 17 < stable_rank(load_run("induction").checkpoint(0)) < 25
        True
    """
    return _mean(_stable_rank, checkpoint)


def effective_rank(checkpoint):
    """Exponential of the entropy of a matrix's singular values, these divided by their sum.

    Args, Returns, Raises: as of :func:`weight_deviation`.

    Source: O. Roy and M. Vetterli, European Signal Processing Conference, 2007.

    Example:
        >>> from neuromfa_lite import load_run
        >>> 45 < effective_rank(load_run("induction").checkpoint(0)) < 60
        True
    """
    return _mean(_effective_rank, checkpoint)


def log_step(checkpoint):
    """ln(step + 1): what merely knows how long training took.

    Args:
        checkpoint: Checkpoint or ChangedCheckpoint of a run.

    Returns:
        float.

    Raises:
        NeuroMFAError: it has no step.

    Example:
        >>> from neuromfa_lite import load_run
        >>> log_step(load_run("induction").checkpoint(0))
        0.0
    """
    step = getattr(checkpoint, "step", None)
    if step is None:
        raise NeuroMFAError(
            f"{arguments.shown(checkpoint)} has no step: log_step needs a checkpoint of a run, or a changed one"
        )
    return float(np.log1p(step))


def minus_stable_rank(checkpoint):
    """Minus the stable rank, which falls as training orders the weights; see :func:`stable_rank`."""
    return -stable_rank(checkpoint)


def minus_effective_rank(checkpoint):
    """Minus the effective rank, which falls as training orders the weights; see :func:`effective_rank`."""
    return -effective_rank(checkpoint)


BASELINES = {
    "log_step": log_step,
    "weight_deviation": weight_deviation,
    "mean_weighted_degree": mean_weighted_degree,
    "minus_stable_rank": minus_stable_rank,
    "minus_effective_rank": minus_effective_rank,
    "kurtosis": kurtosis,
    "spectral_norm": spectral_norm,
}


def measure_baselines(checkpoint):
    """Measure all baselines at once: weights read, singular values computed once.

    Args:
        checkpoint: Checkpoint or ChangedCheckpoint of a run.

    Returns:
        dict from the names of BASELINES to float, the same numbers.

    Raises:
        NeuroMFAError: as the single functions.

    Example:
        >>> from neuromfa_lite import load_run
        >>> list(measure_baselines(load_run("induction").checkpoint(724))) == list(BASELINES)
        True
    """
    matrices = _matrices(checkpoint)
    found = {
        "log_step": log_step(checkpoint),
        "weight_deviation": _average(_deviation, matrices),
        "mean_weighted_degree": _average(_degree, matrices),
        "minus_stable_rank": -_average(_stable_rank, matrices),
        "minus_effective_rank": -_average(_effective_rank, matrices),
        "kurtosis": _average(_kurtosis, matrices),
        "spectral_norm": _average(_spectral_norm, matrices),
    }
    return {name: found[name] for name in BASELINES}


class _Matrix:
    """One weight matrix, (targets, sources) float64, whose singular values are computed once."""

    def __init__(self, name, weights):
        self.name, self.weights, self._singular = name, weights, None

    @property
    def singular(self):
        if self._singular is None:
            self._singular = np.linalg.svd(self.weights, compute_uv=False)
        return self._singular


def _matrices(checkpoint):
    network = checkpoint if isinstance(checkpoint, NeuronNetwork) else load_network(checkpoint)
    matrices = []
    for block in network.weight_blocks:
        weights = block.checked_weights()
        if weights.ndim != 2:
            raise NeuroMFAError(f"{network.origin} is a list of edges: the baselines are of weight matrices")
        matrices.append(_Matrix(block.name, weights.astype(np.float64)))
    return matrices


def _mean(measure, what):
    return _average(measure, _matrices(what))


def _average(measure, matrices):
    return float(np.mean([measure(matrix) for matrix in matrices]))


def _deviation(matrix):
    return matrix.weights.std()


def _degree(matrix):
    return np.abs(matrix.weights).sum(axis=0).mean()


def _kurtosis(matrix):
    squares = np.square(matrix.weights - matrix.weights.mean())
    variance = squares.mean()
    if not variance > 0:
        raise NeuroMFAError(f"the weights of matrix {matrix.name!r} are all alike: they have no kurtosis")
    return np.square(squares).mean() / variance**2 - 3


def _spectral_norm(matrix):
    return matrix.singular[0]


def _stable_rank(matrix):
    return (matrix.singular**2).sum() / matrix.singular[0] ** 2


def _effective_rank(matrix):
    shares = matrix.singular / matrix.singular.sum()
    shares = shares[shares > 0]
    return np.exp(-(shares * np.log(shares)).sum())
