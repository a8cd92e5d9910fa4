"""The weights of a traced product as connections: of a stored matrix, one of a stack, the kernels of a convolution."""

from dataclasses import replace

import numpy as np

from ..weights import WeightMatrix
from .computed import computed, kind_of, turned
from .connections import Dense, Edges


def connections_of(use, channels, tensors, part, role, source, target):
    """Dense, or Edges of a convolution in groups, of the output channels (targets,) of a Use; part: a name for them."""
    positions = len(use.kernel)
    if use.groups > 1:
        return _in_groups(use, channels, tensors[use.name], role, source, target)
    matrix = _stored(use, tensors)
    if matrix is None:
        matrix = _kernels(use, tensors.get(use.name))
    rows = (np.asarray(channels)[:, None] * positions + np.arange(positions)).ravel()
    if part or not np.array_equal(rows, np.arange(matrix.shape[0])):
        matrix = matrix.part(rows, part or "in order")
    return Dense(matrix.name, role, source, target, matrix, positions)


def with_kernel_norms(block):
    """The same connections with one for each two neurons, the norm of those that lie in parallel."""
    if block.fixed:
        return block
    if block.listed_singly:
        code, which = np.unique(block.targets * block.shape[1] + block.sources, return_inverse=True)
        norms = np.sqrt(np.bincount(which.ravel(), np.square(block.listed)))
        targets, sources = np.divmod(code, block.shape[1])
        return replace(block, sources=sources, targets=targets, listed=norms)
    if block.parallel == 1:
        return block
    positions = np.arange(block.parallel)

    def norm(rows, columns):
        places = (rows[:, None] * len(positions) + positions).ravel()
        kernels = block.matrix.read(places, columns).reshape(len(rows), len(positions), -1)
        return np.sqrt(np.square(kernels, dtype=np.float64).sum(axis=1))

    return replace(block, matrix=computed(block.matrix, block.shape, norm), parallel=1)


def _stored(use, tensors):
    """The stored matrix, or some rows of it, whose rows are the output channels of a use; None where there is none."""
    tensor = tensors.get(use.name)
    if tensor is None or use.values is not None or len(use.kernel) > 1:
        return None
    matrix, first = tensor, 0
    if len(use.shape) == 3 and use.expert is not None:
        matrix, first = tensor[use.expert], use.expert * use.shape[-2] * use.shape[-1]
    elif len(use.shape) != 2:
        return None
    height, width = use.shape[-2:]
    rows = use.rows - first
    if np.array_equal(use.cols, np.arange(height) * width) and np.array_equal(rows, np.arange(width)):
        return matrix.T if use.expert is None else turned(tensor)[use.expert]
    if not np.array_equal(use.cols, np.arange(width)) or (rows % width).any():
        return None
    whole = np.array_equal(rows, np.arange(height) * width)
    return matrix if whole else matrix.part(rows // width, "rows")


def _kernels(use, tensor):
    """(n_out * positions, n_in): the weights used, wherever they lie in the parameter, read anew when asked for."""
    if tensor is None or use.values is not None:
        weights = np.ascontiguousarray(use.values.transpose(0, 2, 1)).reshape(-1, use.n_in)
        return WeightMatrix.from_array(use.name, weights, "the model")
    shape = use.n_out * len(use.kernel), use.n_in

    def compute(rows, columns):
        targets, places = np.divmod(rows, len(use.kernel))
        line, place = np.divmod((use.rows[targets] + use.kernel[places])[:, None] + use.cols[columns], like.shape[1])
        lines, of = np.unique(line, return_inverse=True)
        return like.read(lines)[of.reshape(line.shape), place]

    like = tensor if isinstance(tensor, WeightMatrix) else tensor.folded
    return computed(like, shape, compute, kind_of(tensor), name=use.name, of=[use.rows, use.cols, use.kernel])


def _in_groups(use, channels, tensor, role, source, target):
    """Edges within the groups of a convolution, one for each position of the kernel."""
    weights = use.weights(tensor.read())[channels]
    of_out = np.asarray(channels) // (use.n_out // use.groups)
    of_in = np.arange(use.n_in) // (use.n_in // use.groups)
    targets, sources, places = np.nonzero(np.broadcast_to((of_out[:, None] == of_in)[:, :, None], weights.shape))
    listed = weights[targets, sources, places].astype(np.float64)
    return Edges(use.name, role, source, target, sources, targets, listed, (len(channels), use.n_in))
