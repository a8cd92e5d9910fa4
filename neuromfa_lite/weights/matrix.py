"""A weight matrix that stays where it is until somebody reads it.

Every one is seen as (targets, sources), the (out, in) order of nn.Linear: entry [j, i] is the weight of the connection
from neuron i of the layer below to neuron j of the layer above.
"""

import hashlib

import numpy as np

from ..errors import SourceError

HASHED_AT_ONCE = 64 << 20  # bytes
# bfloat16 has no NumPy type: its two bytes are kept as uint16 and widened on reading.
READABLE = {"float32": np.float32, "float16": np.float16, "bfloat16": np.uint16, "float64": np.float64}


def as_array(name, values, origin):
    """Array of what was given as weights; whole numbers in a list become float64."""
    if np.ma.is_masked(values):
        raise SourceError(f"{name} in {origin} is an array with masked entries: fill them, array.filled(0)")
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError):
        raise SourceError(f"{name} in {origin} is no tensor or array of numbers: give rows of one length") from None
    if isinstance(values, (list, tuple)) and array.dtype.kind in "iu":
        if (np.abs(array.astype(np.float64)) > 2.0**53).any():
            raise SourceError(f"{name} in {origin} holds whole numbers beyond 2^53, which float64 would round")
        return array.astype(np.float64)
    return array


class ArrayStorage:
    """Weights that are in memory already: array (rows, columns)."""

    def __init__(self, array):
        self.array, self.shape = array, array.shape

    def take(self, rows):
        """Stored rows, of all columns: a view for None (all) or a slice, a copy for integer indices."""
        return self.array if rows is None else self.array[rows]

    def sample(self, rows, columns):
        """A C-contiguous copy (n, m) of the stored numbers at rows (n,) and columns (m,), both integer indices."""
        return self.array[rows].take(columns, axis=1)  # [:, columns] would not be C-contiguous

    def digest(self):
        """A hash of all stored numbers, some rows after the other."""
        rows, columns = self.shape
        at_once = max(1, HASHED_AT_ONCE // max(1, 8 * columns))
        digest = hashlib.blake2b(digest_size=16)
        for start in range(0, rows, at_once):
            digest.update(np.ascontiguousarray(self.take(slice(start, start + at_once))))
        return digest.digest()

    def refuse_changed(self):
        """Nothing: memory is always what it is."""


class WeightMatrix:
    """A lazy weight matrix of shape (targets, sources), whatever its layout and type in the file.

    Attributes:
        name: its name in the file; a part of a matrix adds "[query]".
        origin: the file or object, for error messages.
        shape: (targets, sources).
        dtype: as stored; only "float32", "float16", "bfloat16" and "float64" can be read.

    Example:
        >>> matrix = WeightMatrix.from_array("up", np.arange(6.0).reshape(3, 2))
        >>> matrix.read(targets=[2, 0], sources=[1])
        array([[5.],
               [1.]])
        >>> matrix.T.shape
        (2, 3)
    """

    def __init__(self, name, origin, dtype, storage, transposed=False, selection=None, stacked=None):
        self.name, self.origin, self.dtype = name, str(origin), dtype
        self._stacked = stacked  # (its number, its rows) of a matrix in a stack
        self._storage, self._transposed, self._selection = storage, transposed, selection
        targets, sources = storage.shape[::-1] if transposed else storage.shape
        self.shape = (targets if selection is None else len(selection), sources)

    @classmethod
    def from_array(cls, name, array, origin="array", transposed=False, dtype=None):
        """A weight matrix of an array (targets, sources), or (sources, targets) if transposed, which is not copied."""
        array = as_array(name, array, origin)
        if array.ndim != 2:
            raise SourceError(
                f"{name} in {origin}: a weight matrix has 2 dimensions, this array has shape {array.shape}"
            )
        return cls(name, origin, dtype or array.dtype.name, ArrayStorage(array), transposed)

    @property
    def T(self):
        """The same weights seen the other way round, for a matrix stored as (sources, targets)."""
        if self._selection is not None:
            raise SourceError(f"{self.name}: transpose the whole matrix first, then take a part of it")
        return WeightMatrix(self.name, self.origin, self.dtype, self._storage, not self._transposed)

    @property
    def stored_name(self):
        """The name of the whole stored matrix that this is, or is a part of."""
        return self.name if self._selection is None else self.name.partition("[")[0]

    @property
    def place(self):
        """Where its targets are stored: the matrix, with its number in a stack; which rows of it; how many it has."""
        rows = np.arange(self.shape[0]) if self._selection is None else self._selection
        if self._stacked is None:
            return self.stored_name, rows, self._storage.shape[self._transposed]
        number, size = self._stacked
        return f"{self.stored_name}[{number}]", rows - number * size, size

    @property
    def place_in_file(self):
        """{"name" as stored, "transposed", "rows" (n,), None for all, "part": their name}; None of computed weights."""
        if not hasattr(self._storage, "array"):
            return None
        name, _, part = self.name.partition("[")
        return {"name": name, "transposed": self._transposed, "rows": self._selection, "part": part.removesuffix("]")}

    def named(self, name):
        """The same matrix by another name."""
        about = (self._transposed, self._selection, self._stacked)
        return WeightMatrix(name, self.origin, self.dtype, self._storage, *about)

    def put(self, stored, weights):
        """Write weights (targets, sources) to the places of this matrix in an array laid out as the stored one."""
        places = stored.T if self._transposed else stored
        places[slice(None) if self._selection is None else self._selection] = weights

    def part(self, targets, suffix):
        """Some of the targets (n,) as a matrix of its own, not read yet, called name[suffix]."""
        targets = self._indices(targets, 0)
        if self._selection is not None:
            targets = self._selection[targets]
        name, about = f"{self.name}[{suffix}]", (self._transposed, targets, self._stacked)
        return WeightMatrix(name, self.origin, self.dtype, self._storage, *about)

    def read(self, targets=None, sources=None):
        """Read weights; float16 and bfloat16 are widened exactly.

        Args:
            targets, sources: integer indices (n,) and (m,), or None for all.

        Returns:
            C-contiguous array (n, m), float32 (float64 if stored so); read-only where it is the mapped file itself.

        Raises:
            SourceError: an index outside the matrix, a type that holds no plain weights, or a file that was changed
                since it was opened.
        """
        targets = None if targets is None else self._indices(targets, 0)
        sources = None if sources is None else self._indices(sources, 1)
        if self._selection is not None:
            targets = self._selection if targets is None else self._selection[targets]
        return self._take(targets, sources)

    def take(self, targets, sources):
        """Some targets (n,) and sources (m,), read into memory, as a WeightMatrix of the same name."""
        targets, sources = self._indices(targets, 0), self._indices(sources, 1)
        taken = self._take(targets if self._selection is None else self._selection[targets], sources)
        dtype = "float64" if self.dtype == "float64" else "float32"
        return WeightMatrix(self.name, self.origin, dtype, ArrayStorage(taken))

    def rows(self, start, stop):
        """Read a stripe of targets, from start to before stop: (stop - start, sources)."""
        if not 0 <= start <= stop <= self.shape[0]:
            raise SourceError(f"{self.name}: rows {start} to {stop} are not within its {self.shape[0]} targets")
        stripe = slice(start, stop)
        return self._take(stripe if self._selection is None else self._selection[stripe], None)

    def _take(self, targets, sources):
        """The weights of some targets and sources: None for all, a slice, or indices."""
        self._refuse_unreadable()
        rows, columns = (sources, targets) if self._transposed else (targets, sources)
        self.refuse_changed()
        if isinstance(rows, np.ndarray) and isinstance(columns, np.ndarray):
            weights = self._storage.sample(rows, columns)
        else:
            weights = self._storage.take(rows)
            weights = weights if columns is None else weights[:, columns]
        weights = self._decode(weights.T if self._transposed else weights)
        self.refuse_changed()
        return weights

    def _refuse_unreadable(self):
        if self.dtype not in READABLE:
            raise SourceError(
                f"{self.name} in {self.origin} is stored as {self.dtype}, which holds no plain weights; "
                f"readable are {', '.join(READABLE)}: load the model and save it in one of these"
            )

    def refuse_changed(self):
        """Refuse a file that was cut short or saved again since it was opened."""
        self._storage.refuse_changed()

    def digest(self):
        """A hash of all that is stored, the whole where this is a part."""
        self._refuse_unreadable()
        self.refuse_changed()
        digest = hashlib.blake2b(self._storage.digest(), digest_size=16)
        digest.update(f"{self.dtype}{self._storage.shape}{self._transposed}".encode())
        digest.update(b"" if self._selection is None else self._selection)
        self.refuse_changed()
        return digest.digest()

    @property
    def version(self):
        """A number that changes with a torch tensor that is changed in place; None of other weights."""
        return getattr(self._storage, "version", None)

    def _decode(self, weights):
        if self.dtype == "bfloat16":  # the upper half of a float32's bits
            return np.left_shift(weights, 16, dtype=np.uint32, order="C").view(np.float32)
        kind = np.float64 if self.dtype == "float64" else np.float32
        if weights.dtype == kind and weights.flags.c_contiguous and weights.flags.aligned:
            return weights
        return np.require(weights, kind, ["C", "A"])  # aligned: a file's header may end at any byte

    def _indices(self, indices, axis):
        """Checked integer indices into axis 0 (targets) or 1 (sources)."""
        indices, size = np.asarray(indices), self.shape[axis]
        what = ("targets", "sources")[axis]
        if indices.size == 0:
            indices = indices.astype(np.intp)
        if indices.ndim != 1 or indices.dtype.kind not in "iu":
            raise SourceError(
                f"{self.name}: {what} must be a list of integer indices, not {indices.dtype} {indices.shape}"
            )
        indices = indices.astype(np.intp, copy=False)
        if indices.size and not np.maximum.reduce(indices.view(np.uintp)) < size:  # a negative one is a huge one here
            raise SourceError(
                f"{self.name}: {what} {indices.min()} to {indices.max()} asked for, the matrix has {size} of them"
            )
        return indices

    def __repr__(self):
        return f"WeightMatrix({self.name!r}, targets={self.shape[0]}, sources={self.shape[1]}, {self.dtype})"


class WeightTensor:
    """A lazy tensor of three or more dimensions: matrices stacked one on another, or the kernels of a convolution.

    Attributes:
        shape, name, origin, dtype: as of a WeightMatrix.
        folded: the WeightMatrix of the same numbers, (all dimensions but the last, the last).
    """

    def __init__(self, folded, shape):
        self.folded, self.shape = folded, tuple(shape)
        self.name, self.origin, self.dtype = folded.name, folded.origin, folded.dtype

    def __getitem__(self, number):
        """One of the stacked matrices, not read yet, called name[number]."""
        rows = self.shape[-2]
        if len(self.shape) != 3 or not 0 <= number < self.shape[0]:
            raise SourceError(
                f"{self.name} in {self.origin} has shape {self.shape}: no matrix {number} is stacked in it"
            )
        matrix = self.folded.part(np.arange(number * rows, (number + 1) * rows), number)
        matrix._stacked = number, rows
        return matrix

    def read(self):
        """All numbers: an array of its shape, float32, or float64 if stored so."""
        return self.folded.read().reshape(self.shape)

    def __repr__(self):
        return f"WeightTensor({self.name!r}, {self.shape}, {self.dtype})"


class WeightVector:
    """A lazy vector (neurons,): the gain of a layer norm, a bias."""

    def __init__(self, matrix):
        """matrix: WeightMatrix (1, neurons)."""
        self._matrix = matrix
        self.name, self.origin, self.dtype, self.shape = matrix.name, matrix.origin, matrix.dtype, matrix.shape[1:]

    def read(self):
        """Read it: (neurons,) float32, or float64 if stored so."""
        return self._matrix.read()[0]

    def __repr__(self):
        return f"WeightVector({self.name!r}, {self.shape[0]}, {self.dtype})"


def of_shape(matrix, shape):
    """A WeightMatrix (all dimensions but the last, the last) as what it is by its shape: vector, matrix or tensor."""
    return {1: WeightVector, 2: lambda same: same}.get(len(shape), lambda same: WeightTensor(same, shape))(matrix)
