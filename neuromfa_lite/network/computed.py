"""Weight matrices that are computed of stored ones, for the rows and columns that are asked for, when they are read."""

import numpy as np

from ..weights import WeightMatrix
from ..weights.matrix import WeightTensor


def computed(like, shape, compute, dtype="float64", name=None, of=()):
    """A WeightMatrix of compute(rows, columns), both indices, when it is read; like, of: hashed in its place."""
    return WeightMatrix(name or like.name, like.origin, dtype, _ComputedStorage(tuple(shape), compute, (like, *of)))


def turned(tensor):
    """A WeightTensor of matrices stacked as (sources, targets), each seen as (targets, sources)."""
    stacked, sources, targets = tensor.shape

    def compute(rows, columns):
        numbers, places = np.divmod(rows, targets)
        weights = np.empty((len(rows), len(columns)), np.float64 if tensor.dtype == "float64" else np.float32)
        for number in np.unique(numbers):
            mine = numbers == number
            weights[mine] = tensor.folded.read(number * sources + columns, places[mine]).T
        return weights

    dtype = "float64" if tensor.dtype == "float64" else "float32"
    shape = stacked, targets, sources
    return WeightTensor(computed(tensor.folded, (stacked * targets, sources), compute, dtype), shape)


class _ComputedStorage:
    """Weights computed for the rows and columns that are asked for; as weights.matrix.ArrayStorage."""

    def __init__(self, shape, compute, of):
        self.shape, self.sample, self._of = shape, compute, of

    def take(self, rows):
        rows = np.arange(self.shape[0])[slice(None) if rows is None else rows]
        return self.sample(rows, np.arange(self.shape[1]))

    @property
    def version(self):
        """The states of the files that it is computed of; None where one of them is in memory."""
        states = [each.version for each in self._of if isinstance(each, WeightMatrix)]
        return None if None in states else tuple(states)

    def digest(self):
        return b"".join(each.digest() if isinstance(each, WeightMatrix) else each.tobytes() for each in self._of)

    def refuse_changed(self):
        """Nothing: the matrices that it is computed of look when they are read."""


def kind_of(matrix):
    """The type that its numbers have when they are read."""
    return "float64" if matrix.dtype == "float64" else "float32"
