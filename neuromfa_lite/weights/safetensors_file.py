"""safetensors files, mapped once: a matrix is read from the file's pages only when it is asked for.

A file may change while it is open: a training writes its next checkpoint into it. Before and after whatever is read its
state is compared with that at opening. Where a file is cut short in between, a mapped matrix ends the process; read=
"copy" shuts that window: there every byte comes by a read of the file, which a cut one answers with too few.
"""

import hashlib
import math
import mmap
import os
import time
import weakref
from pathlib import Path

import numpy as np

from ..errors import SourceError
from .files import on_network, parse_json, regular_file, unreadable
from .matrix import HASHED_AT_ONCE, WeightMatrix, of_shape

# The names of the format against ours and NumPy's; bfloat16 keeps its two bytes as uint16.
TYPES = {
    "F32": ("float32", "<f4"),
    "F16": ("float16", "<f2"),
    "BF16": ("bfloat16", "<u2"),
    "F64": ("float64", "<f8"),
}

# Pages stay for the next sample: fresh page faults cost more than half of a small run. Not so for a model of more than
# HUGE bytes: each touch of a mapping makes the kernel fetch, and keep, megabytes around it, so a sample's rows are read
# one by one, and what is read in one piece is handed back when about RELEASE bytes may have become resident.
HUGE = 512 << 20
RELEASE = 48 << 20
SMALL = 64 << 10  # bytes of a matrix: up to here a copy of it costs hardly more than its pages
LARGEST_DIMENSION = 1 << 48
SETTLED = 2 * 10**9  # nanoseconds after which another write of a file shows in the time of its last write
MOST_TENSORS = 1 << 18  # in one file; those of the largest models have some ten thousand

_DIGESTS = {}  # {(mark of a file, first byte of a matrix): hash}


class MappedFile:
    """A file, open and mapped into memory for reading; mark: its :func:`mark_of` at opening."""

    def __init__(self, path):
        self.path = os.path.abspath(path)
        try:
            self.descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            weakref.finalize(self, os.close, self.descriptor)
            self.mark = mark_of(os.fstat(self.descriptor))
            self.mapping = mmap.mmap(self.descriptor, 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise unreadable(path, error) from None

    def refuse_changed(self):
        """Refuse a file that was cut short or saved again since it was opened."""
        now = os.fstat(self.descriptor)
        if mark_of(now) == self.mark and (now.st_nlink or not self._is_replaced()):
            return
        raise _changed(self.path, "became shorter" if now.st_size < self.mark[-1] else "was saved again")

    def _is_replaced(self):
        """Whether another file has its name; one that is only gone can still be read."""
        try:
            return mark_of(os.stat(self.path)) != self.mark
        except OSError:
            return False

    def read(self, begin, nbytes):
        """Bytes of the file by reading it: its pages in memory are not there when it was cut."""
        if not hasattr(os, "pread"):
            return self.mapping[begin : begin + nbytes]  # Windows, which lets nobody cut a mapped file
        content = os.pread(self.descriptor, nbytes, begin)
        while len(content) < nbytes:  # the system gives 2 GB at once
            more = os.pread(self.descriptor, nbytes - len(content), begin + len(content))
            if not more:
                raise _changed(self.path, "became shorter")
            content += more
        return content


def mark_of(found):
    """(device, inode, time of the last write, size) of an os.stat_result."""
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


class MappedFiles:
    """The mapped files of one model, which never keep much of a huge model resident.

    copied: nothing is mapped; far: a matrix comes from another machine, by one read of all of it.
    """

    def __init__(self, read="auto"):
        self.copied, self.far = read == "copy", False
        self.maps, self.size, self.may_be_resident = [], 0, 0

    def add(self, path):
        file = MappedFile(path)
        self.far = self.far or (not self.copied and on_network(path))
        self.maps.append(file.mapping)
        self.size += len(file.mapping)
        return file

    @property
    def huge(self):
        return self.size > HUGE

    def touch(self, nbytes):
        """Before nbytes are read, hand back the pages of a huge model when much has been read."""
        self.may_be_resident += nbytes
        if self.huge and self.may_be_resident > RELEASE and hasattr(mmap, "MADV_DONTNEED"):
            for mapping in self.maps:
                mapping.madvise(mmap.MADV_DONTNEED)  # safe while others read: a page comes back from the file
            self.may_be_resident = nbytes


class Unreadable:
    """A matrix of a type that holds no plain weights: only its shape is known."""

    def __init__(self, shape):
        self.shape = shape


class MappedStorage:
    """One matrix of a mapped file: array (rows, columns) is a view of the mapping, begin its first byte in the file."""

    version = 0  # a file that was saved again is refused when its hash is asked for

    def __init__(self, files, file, begin, array):
        self.files, self.file, self.begin = files, file, begin
        self.array, self.shape, self.refuse_changed = array, array.shape, file.refuse_changed
        # A file's header may end at any byte; the kernel below wants aligned numbers.
        self._bits = array.view(f"u{array.itemsize}") if array.flags.aligned else None
        self._small = array.nbytes <= SMALL or files.far

    def take(self, rows):
        """Stored rows, of all columns: None (all), a slice or indices."""
        if isinstance(rows, np.ndarray):
            if self.files.far:
                return self._copy(0, self.shape[0])[rows]
            return self._read_one_by_one(rows) if self._small or self._by_rows else self.array[rows]
        if self._small or self.files.copied:
            return self._copy(*(rows or slice(None)).indices(self.shape[0])[:2])
        taken = self.array if rows is None else self.array[rows]
        self.files.touch(taken.nbytes)
        return taken

    def sample(self, rows, columns):
        """A C-contiguous copy (n, m) of the stored numbers at rows (n,) and columns (m,), both integer indices."""
        from ..kernels.gather import gather  # here, so that a file can be listed without numba

        if not self._small and (self._bits is None or self._by_rows):
            return self.take(rows).take(columns, axis=1)
        bits = self._copy(0, self.shape[0]).view(f"u{self.array.itemsize}") if self._small else self._bits
        taken = np.empty((len(rows), len(columns)), bits.dtype)
        gather(bits, rows, columns, taken)
        return taken.view(self.array.dtype)

    def digest(self):
        """A hash of all bytes of the matrix, read once in each state of the file."""
        key = (*self.file.mark, self.begin)
        if key not in _DIGESTS:
            digest = hashlib.blake2b(digest_size=16)
            end = self.begin + self.array.nbytes
            for at in range(self.begin, end, HASHED_AT_ONCE):
                digest.update(self.file.read(at, min(HASHED_AT_ONCE, end - at)))
            if time.time_ns() - self.file.mark[2] < SETTLED:
                return digest.digest()  # the clock of a file system has ticks: it may be written once more in this one
            _DIGESTS[key] = digest.digest()
        return _DIGESTS[key]

    @property
    def _by_rows(self):
        return self.files.copied or (self.files.huge and hasattr(os, "pread"))

    def _copy(self, start, stop):
        """A copy of the rows from start to stop, by one read of the file."""
        nbytes = self.array.itemsize * self.shape[1]
        content = self.file.read(self.begin + start * nbytes, max(0, stop - start) * nbytes)
        return np.frombuffer(content, self.array.dtype).reshape(max(0, stop - start), self.shape[1])

    def _read_one_by_one(self, rows):
        nbytes, read = self.array.itemsize * self.shape[1], self.file.read
        content = b"".join([read(self.begin + row * nbytes, nbytes) for row in rows.tolist()])
        return np.frombuffer(content, self.array.dtype).reshape(len(rows), self.shape[1])


def read_tensors(path, files=None):
    """{name: WeightMatrix, WeightVector, WeightTensor, or () of a number} of a file; only its header is read."""
    path, before = Path(path), mark_of(regular_file(path))
    header, start = _read_header(path)
    _validate(path)
    files = MappedFiles() if files is None else files
    file = files.add(path)
    if file.mark != before:
        raise _changed(path, "was saved again", "while")
    tensors = {}
    for name, entry in header.items():
        tensors[name] = shape = tuple(entry["shape"])
        if max(shape, default=0) > LARGEST_DIMENSION:  # let through by the library beside a dimension of 0
            raise _damaged(path, f"the shape of {name!r} is larger than any array")
        if shape:
            rows_columns = (math.prod(shape[:-1]), shape[-1])
            dtype, layout = TYPES.get(entry["dtype"], (entry["dtype"], None))
            storage = Unreadable(rows_columns)
            if layout is not None:
                begin = start + entry["data_offsets"][0]
                array = np.ndarray(rows_columns, layout, buffer=file.mapping, offset=begin)
                storage = MappedStorage(files, file, begin, array)
            tensors[name] = of_shape(WeightMatrix(name, path, dtype, storage), shape)
    return tensors


def _read_header(path):
    """({name: {"dtype", "shape", "data_offsets"}}, first byte of the data): 8 bytes, the length n, and n of JSON."""
    size = regular_file(path).st_size
    try:
        with open(path, "rb") as file:
            first = file.read(8)
            if first.startswith(b"version "):
                raise SourceError(f"{path} is a Git LFS pointer, not the weights: fetch them with `git lfs pull`")
            length = int.from_bytes(first, "little")
            if len(first) < 8 or length > 100_000_000:  # the format's own limit
                raise _damaged(path, "does not begin like a safetensors file")
            if 8 + length > size:
                raise _truncated(path, 8 + length, size)
            content = file.read(length)
            if content.count(b'"data_offsets"') > MOST_TENSORS:
                raise _damaged(path, f"it lists more than {MOST_TENSORS:,} tensors, many times those of any model")
            header = parse_json(content)
            tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
            end = 8 + length + max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
    except OSError as error:
        raise unreadable(path, error) from None
    except SourceError:
        raise
    except (ValueError, AttributeError, KeyError, TypeError, IndexError) as error:
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
    found = f"its header calls for {expected} bytes, the file has {size}"
    return SourceError(f"{path} is truncated: {found}. Fetch it again")


def _damaged(path, what):
    return SourceError(f"{path} is damaged or no safetensors file: {what}. Fetch it again, or save it anew")


def _changed(path, what, when="since"):
    return SourceError(f"{path} {what} {when} it was opened: open it again when it is written")
