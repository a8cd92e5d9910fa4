"""The kernels of a convolution, as a record's join names them: channels are the neurons."""

from math import prod

import numpy as np

from ...errors import SourceError
from ..trace.data import Use
from ..traced_weights import connections_of


def channels_of(shape, transposed):
    """(targets, sources) of kernels in one group: (out, in, ...) as stored, (in, out, ...) of a transposed one."""
    return shape[1::-1] if transposed else shape[:2]


def convolution(join, tensor, ends, sizes):
    """The connections of a Join by a WeightTensor of kernels, as many for two channels as they have positions."""
    first, second, size = *tensor.shape[:2], prod(tensor.shape[2:])
    n_in, n_out = sizes[join.source], sizes[join.target]
    if join.targets is not None:
        n_out = second if join.transposed else first
    groups = join.groups
    expected = (n_in, n_out // groups) if join.transposed else (n_out, n_in // groups)
    channels = np.arange(n_out) if join.targets is None else np.asarray(join.targets)
    if (first, second) != expected or n_in % groups or n_out % groups or len(channels) != sizes[join.target]:
        raise SourceError(
            f"{tensor.name} in {tensor.origin}: expected shape {expected} and positions, for {n_in} channels of "
            f"{join.source} and {len(channels)} of {join.target}, found {tensor.shape[:2]}"
            + (", or they are stored transposed" if (second, first) == expected else "")
        )
    rows, cols = np.arange(n_out) * second * size, np.arange(n_in) % second * size
    if join.transposed:
        rows, cols = np.arange(n_out) % second * size, np.arange(n_in) * second * size
    use = Use(tensor.name, "convolution", n_in, n_out, tuple(tensor.shape), rows, cols, np.arange(size), groups)
    part = join.part or ("" if join.targets is None else join.target)
    return connections_of(use, channels, {tensor.name: tensor}, part, join.role, *ends)
