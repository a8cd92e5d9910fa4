"""Baselines: simple numbers of the weights, against which a measure of emergence has to earn its place.

Each takes a checkpoint, or what `load_network` takes, and is a mean over the weight matrices of its blocks, every
matrix counting once. Under the signs in BASELINES a rise stands for more emergence.
"""

from functools import cached_property

import numpy as np

from ...errors import NeuroMFAError, arguments
from ...network import NeuronNetwork, load_network


def _of_matrices(of_matrix):
    """Make a number of a matrix a number of a checkpoint: its mean over the matrices."""

    def measure(checkpoint):
        return _mean(of_matrix, _matrices(checkpoint))

    measure.__name__, measure.__doc__, measure.of_matrix = of_matrix.__name__, of_matrix.__doc__, of_matrix
    return measure


@_of_matrices
def weight_deviation(matrix):
    """Standard deviation of a matrix's weights about their mean.

    Args:
        checkpoint: of a run, what ``load_network`` takes, or a NeuronNetwork.

    Returns:
        float, mean over matrices.

    Raises:
        NeuroMFAError: NaN or infinite weights, a matrix of zeros, or a network that is a list of edges.

    Example:
        >>> from neuromfa_lite import load_run
        >>> round(weight_deviation(load_run("induction").checkpoint(0)), 2)
        0.02
    """
    return matrix.weights.std()


@_of_matrices
def mean_weighted_degree(matrix):
    """Sum of |w| over the outgoing weights of a neuron, averaged over the source neurons of a matrix."""
    return np.abs(matrix.weights).sum(axis=0).mean()


@_of_matrices
def kurtosis(matrix):
    """Excess kurtosis of a matrix's weights, mean((w - m)^4)/s^4 - 3: 0 of Gaussian ones, larger with heavy tails."""
    squares = np.square(matrix.weights - matrix.weights.mean())
    variance = squares.mean()
    if not variance > 0:
        raise NeuroMFAError(f"the weights of matrix {matrix.name!r} are all alike: they have no kurtosis")
    return np.square(squares).mean() / variance**2 - 3


@_of_matrices
def spectral_norm(matrix):
    """Largest singular value of a matrix."""
    return matrix.singular[0]


@_of_matrices
def minus_stable_rank(matrix):
    """Minus the sum of the squared singular values over the largest squared: how many directions carry the size.

    Source: M. Rudelson and R. Vershynin, Journal of the ACM 54, 21, 2007 ("numerical rank").
    """
    return -((matrix.singular**2).sum() / matrix.singular[0] ** 2)


@_of_matrices
def minus_effective_rank(matrix):
    """Minus the exponential of the entropy of the singular values, these divided by their sum.

    Source: O. Roy and M. Vetterli, European Signal Processing Conference, 2007.
    """
    shares = matrix.singular / matrix.singular.sum()
    shares = shares[shares > 0]
    return -np.exp(-(shares * np.log(shares)).sum())


def log_step(checkpoint):
    """ln(step + 1): what merely knows how long training took; refused is what has no step."""
    step = getattr(checkpoint, "step", None)
    if step is None:
        raise NeuroMFAError(f"{arguments.shown(checkpoint)} has no step: give a checkpoint of a run")
    return float(np.log1p(step))


_OF_MATRICES = (
    weight_deviation, mean_weighted_degree, minus_stable_rank, minus_effective_rank, kurtosis, spectral_norm,
)  # fmt: skip
BASELINES = {measure.__name__: measure for measure in (log_step, *_OF_MATRICES)}


def measure_baselines(checkpoint):
    """Measure all BASELINES of a checkpoint of a run at once, singular values computed once: {name: float}.

    Example:
        >>> from neuromfa_lite import load_run
        >>> list(measure_baselines(load_run("induction").checkpoint(724))) == list(BASELINES)
        True
    """
    matrices = _matrices(checkpoint)
    found = {measure.__name__: _mean(measure.of_matrix, matrices) for measure in _OF_MATRICES}
    return {"log_step": log_step(checkpoint)} | found


class _Matrix:
    """One weight matrix, (targets, sources) float64, whose singular values are computed once."""

    def __init__(self, name, weights):
        self.name, self.weights = name, weights

    @cached_property
    def singular(self):
        return np.linalg.svd(self.weights, compute_uv=False)


def _matrices(checkpoint):
    network = checkpoint if isinstance(checkpoint, NeuronNetwork) else load_network(checkpoint)
    matrices = []
    for block in network.weight_blocks:
        weights = block.checked_weights()
        if weights.ndim != 2:
            raise NeuroMFAError(f"{network.origin} is a list of edges: the baselines are of weight matrices")
        matrices.append(_Matrix(block.name, weights.astype(np.float64)))
    return matrices


def _mean(of_matrix, matrices):
    return float(np.mean([of_matrix(matrix) for matrix in matrices]))
