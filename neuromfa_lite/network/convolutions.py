"""Convolutions: channels are neurons, and each position of a kernel is one more connection between the same two.

A kernel is stored (targets, sources of a group, positions...), or with targets and sources exchanged. Its connections
are as many rows a target as it has positions, "in parallel"; or one, the norm over the positions.
"""

from math import prod

import numpy as np

from .computed import computed, kind_of
from .connections import Dense, Edges


def dense_of_kernel(tensor, role, ends, transposed=False, norms=False):
    """The Dense connections of a kernel without groups, a WeightTensor; ends: its source and target layer."""
    targets, sources = tensor.shape[1::-1] if transposed else tensor.shape[:2]
    positions = prod(tensor.shape[2:])

    def in_parallel(rows, columns):
        there, of_row = np.unique(rows // positions, return_inverse=True)
        return _read(tensor, there, columns, transposed)[of_row, :, rows % positions]

    def norm(rows, columns):
        return _norms(_read(tensor, rows, columns, transposed))

    if norms:
        return Dense(tensor.name, role, *ends, computed(tensor.folded, (targets, sources), norm))
    shape = targets * positions, sources
    matrix = computed(tensor.folded, shape, in_parallel, kind_of(tensor), tensor.name)
    return Dense(tensor.name, role, *ends, matrix, parallel=positions)


def edges_of_kernel(tensor, role, ends, groups, norms=False):
    """The Edges of a kernel whose channels fall into groups, which are read at once."""
    targets, inside = tensor.shape[:2]
    kernels = tensor.read().reshape(targets, inside, -1)
    kernels = _norms(kernels)[..., None] if norms else kernels
    target, source, _ = (place.ravel() for place in np.indices(kernels.shape))
    source += target // (targets // groups) * inside
    listed = kernels.ravel().astype(np.float64)
    return Edges(tensor.name, role, *ends, source, target, listed, (targets, inside * groups))


def _read(tensor, targets, sources, transposed):
    """(targets, sources, positions) of a kernel, no more of it than is asked for."""
    first, second = (sources, targets) if transposed else (targets, sources)
    lines = np.arange(prod(tensor.shape[2:-1]))  # of positions along the last axis
    rows = (first[:, None, None] * tensor.shape[1] + second[:, None]) * len(lines) + lines
    found = tensor.folded.read(rows.ravel()).reshape(len(first), len(second), -1)
    return found.swapaxes(0, 1) if transposed else found


def _norms(kernels):
    return np.sqrt(np.square(kernels, dtype=np.float64).sum(axis=-1))
