"""safetensors files, mapped once: a matrix is read from the file's pages only when it is asked for."""

import json
import mmap
import os
import weakref
from pathlib import Path

import numpy as np

from ..errors import SourceError
from .matrix import WeightMatrix, WeightVector

# The names of the format against ours and NumPy's; bfloat16 keeps its two bytes as uint16.
TYPES = {
    "F32": ("float32", "<f4"),
    "F16": ("float16", "<f2"),
    "BF16": ("bfloat16", "<u2"),
    "F64": ("float64", "<f8"),
}

# Files are mapped once, and their pages stay for the next sample: fresh page faults cost more than half of a small run.
# Not so for a model of more than HUGE bytes. A sample touches a few rows here and there, and each touch of a mapping
# makes the kernel fetch, and keep, megabytes around it: rows are read one by one instead. What is read in one piece
# is mapped still, but pages are handed back when about RELEASE bytes of them may have become resident.
HUGE = 512 << 20
RELEASE = 48 << 20


class MappedFiles:
    """The files of one model, mapped into memory for reading, which never keep much of a huge model resident.

    Attributes:
        maps: the mappings.
        size: bytes of all of them.
        may_be_resident: bytes read since pages were last handed back.
    """

    def __init__(self):
        self.maps, self.size, self.may_be_resident = [], 0, 0

    def add(self, path):
        """Map one more file.

        Args:
            path: pathlib.Path.

        Returns:
            (mapping, descriptor): the mmap, and the descriptor of the file, which stays open as long as this object.
        """
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, descriptor)
        mapping = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        self.maps.append(mapping)
        self.size += len(mapping)
        return mapping, descriptor

    @property
    def huge(self):
        """Whether the files together are so large that their pages must not all stay in memory."""
        return self.size > HUGE

    def touch(self, nbytes):
        """Note that nbytes are about to be read; hands pages of a huge model back first when much has been read."""
        self.may_be_resident += nbytes
        if self.huge and self.may_be_resident > RELEASE and hasattr(mmap, "MADV_DONTNEED"):
            for mapping in self.maps:
                mapping.madvise(mmap.MADV_DONTNEED)  # safe while others read: a page comes back from the file
            self.may_be_resident = nbytes


class Unreadable:
    """A matrix of a type that holds no plain weights: its shape is all that is known."""

    def __init__(self, shape):
        self.shape = shape


class MappedStorage:
    """One matrix of a mapped file.

    Attributes:
        path: the file.
        files: the MappedFiles it belongs to; descriptor: that of the file.
        begin: the byte of the file at which the matrix begins.
        array: (rows, columns) all of it as stored, a view of the mapping.
        shape: (rows, columns).
    """

    def __init__(self, path, files, descriptor, begin, array):
        self.path, self.files, self.descriptor, self.begin = path, files, descriptor, begin
        self.array, self.shape = array, array.shape
        # A file's header may end at any byte, and the kernel below wants numbers where the processor does.
        self._bits = array.view(f"u{array.itemsize}") if array.flags.aligned else None

    def take(self, rows):
        """Return stored rows, of all columns.

        Args:
            rows: None for all or a slice, for a view; integer indices (rows,), for a copy.

        Returns:
            Array (rows, columns), of the type stored.

        Raises:
            SourceError: the file became shorter since it was opened.
        """
        if isinstance(rows, np.ndarray):
            return self._read_one_by_one(rows) if self._not_by_mapping else self.array[rows]
        taken = self.array if rows is None else self.array[rows]
        self.files.touch(taken.nbytes)
        return taken

    def sample(self, rows, columns):
        """Return the stored numbers at some rows and columns.

        Args:
            rows, columns: integer indices (n,) and (m,), inside the matrix.

        Returns:
            C-contiguous copy (n, m), of the type stored.

        Raises:
            SourceError: the file became shorter since it was opened.
        """
        if self._bits is None or self._not_by_mapping:
            return self.take(rows).take(columns, axis=1)
        from ..kernels.gather import gather  # here, so that a file can be listed without numba

        taken = np.empty((len(rows), len(columns)), self._bits.dtype)
        gather(self._bits, rows, columns, taken)
        return taken.view(self.array.dtype)

    @property
    def _not_by_mapping(self):
        return self.files.huge and hasattr(os, "pread")

    def _read_one_by_one(self, rows):
        nbytes = self.array.itemsize * self.shape[1]
        content = b"".join([os.pread(self.descriptor, nbytes, self.begin + row * nbytes) for row in rows.tolist()])
        if len(content) < nbytes * len(rows):
            raise SourceError(f"{self.path} became shorter since it was opened: open it again when it is written")
        return np.frombuffer(content, self.array.dtype).reshape(len(rows), self.shape[1])


def read_tensors(path, files=None):
    """List the tensors of a safetensors file.

    Only the header is read; the file is mapped once and stays mapped as long as one of its matrices is in use.

    Args:
        path: the file (str or path).
        files: the MappedFiles it joins, if it is a shard of a model.

    Returns:
        dict from names to WeightMatrix, WeightVector, or the shape of a tensor of another number of dimensions.

    Raises:
        SourceError: the file is missing, truncated or not a safetensors file; the message names it.

    Example:
        >>> from neuromfa_lite import load_run
        >>> tensors = read_tensors(load_run("induction").checkpoint(724).folder / "model.safetensors")
        >>> tensors["gpt_neox.final_layer_norm.weight"]
        WeightVector('gpt_neox.final_layer_norm.weight', 64, float16)
    """
    path = Path(path)
    header, start = read_header(path)
    _validate(path)
    files = MappedFiles() if files is None else files
    mapping, descriptor = files.add(path)
    tensors = {}
    for name, entry in header.items():
        tensors[name] = shape = tuple(entry["shape"])
        if len(shape) in (1, 2):
            rows_columns = shape if len(shape) == 2 else (1, *shape)
            dtype, layout = TYPES.get(entry["dtype"], (entry["dtype"], None))
            storage = Unreadable(rows_columns)
            if layout is not None:
                begin = start + entry["data_offsets"][0]
                array = np.ndarray(rows_columns, layout, buffer=mapping, offset=begin)
                storage = MappedStorage(path, files, descriptor, begin, array)
            matrix = WeightMatrix(name, path, dtype, storage)
            tensors[name] = matrix if len(shape) == 2 else WeightVector(matrix)
    return tensors


def read_header(path):
    """Read the header of a safetensors file: 8 bytes (its length n), n bytes of JSON, then the data.

    Args:
        path: the file (str or path).

    Returns:
        (tensors, start): dict from names to {"dtype", "shape", "data_offsets"}, and the byte at which the data begin.

    Raises:
        SourceError: the file is missing, truncated or not a safetensors file; the message names it.

    Example:
        >>> from neuromfa_lite import load_run
        >>> tensors, start = read_header(load_run("induction").checkpoint(724).folder / "model.safetensors")
        >>> tensors["gpt_neox.final_layer_norm.weight"]["shape"]
        [64]
    """
    try:
        size = os.stat(path).st_size
        with open(path, "rb") as file:
            first = file.read(8)
            if first.startswith(b"version "):
                raise SourceError(f"{path} is a Git LFS pointer, not the weights: fetch them with `git lfs pull`")
            length = int.from_bytes(first, "little")
            if len(first) < 8 or length > 100_000_000:  # the format's own limit
                raise _damaged(path, "does not begin like a safetensors file")
            if 8 + length > size:
                raise _truncated(path, 8 + length, size)
            header = json.loads(file.read(length))
            tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
            end = 8 + length + max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror or error}): check its path and rights") from None
    except (ValueError, AttributeError, KeyError, TypeError, IndexError) as error:
        if isinstance(error, SourceError):
            raise
        raise _damaged(path, f"its header cannot be read ({error})") from None
    if end > size:
        raise _truncated(path, end, size)
    return tensors, 8 + length


def _validate(path):
    """Let the safetensors library check offsets, shapes and types against each other."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise _damaged(path, str(error)) from None


def _truncated(path, expected, size):
    return SourceError(
        f"{path} is truncated: its header calls for {expected} bytes, the file has {size}. "
        "Was a download or a copy broken off? Fetch it again"
    )


def _damaged(path, what):
    return SourceError(f"{path} is damaged or no safetensors file: {what}. Fetch it again, or save it anew")
