"""Results in files: npz with a JSON header, never pickle, never half a file; all that a file holds is checked."""

import dataclasses
import io
import json
import math
import os
import platform
import re
import secrets
import stat
import sys
import zipfile
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import __version__
from .errors import NeuroMFAError, arguments, said

SCHEMA = 3
MOST_PACKED = 1032  # bytes that deflate can make of one


def picture(name, *given, **named):
    """Draw by a function of plots, which is fetched here alone: a result that is not drawn needs no matplotlib."""
    return getattr(import_module("neuromfa_lite.plots"), name)(*given, **named)


@cache
def versions():
    """Return the versions a result depends on, as a dict of name to text."""
    return {
        "neuromfa_lite": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "numba")},
    }


def target(path):
    """The Path of a file to write; a place where nothing can be written is refused by name, before any work."""
    try:
        file = Path(os.path.expanduser(path))
    except TypeError:
        raise NeuroMFAError(f"{arguments.shown(path)} is no path: give the name of the file to save in") from None
    if not file.name:
        raise NeuroMFAError(f"{os.fspath(path)!r} names no file: give the name of the file to save in")
    if not os.path.isdir(file.parent):
        raise NeuroMFAError(f"{file.parent}: no such folder to save {file.name} in; create it first")
    try:
        mode = os.stat(file).st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except (OSError, ValueError) as error:
        raise NeuroMFAError(f"{str(file)!r} is no name for a file ({_reason(error)}): give another") from None
    if stat.S_ISDIR(mode) or os.fspath(path).endswith("/"):
        raise NeuroMFAError(f"{file} is a folder: give the name of a file in it")
    if not stat.S_ISREG(mode) or (file.exists() and not os.access(file, os.W_OK)):
        kind = "read-only" if stat.S_ISREG(mode) else "no ordinary file"
        raise NeuroMFAError(f"{file} is {kind}: give the name of another file")
    temporary = _beside(file)
    try:
        open(temporary, "xb").close()
        temporary.unlink()
    except OSError as error:
        raise NeuroMFAError(f"{file.parent} takes no files ({_reason(error)}): save {file.name} elsewhere") from None
    return file


def result_target(path):
    """The same of a result, which gets the ending .npz."""
    path = target(path)
    return path if path.suffix == ".npz" else target(path.with_name(f"{path.name}.npz"))


@contextmanager
def written(path):
    """Open a new file that takes the place of ``path`` once all is written; where that fails, ``path`` is as it was."""
    temporary = _beside(path)
    try:
        with open(temporary, "xb") as file:  # new: another's file or link of that name is never written to
            with suppress(FileNotFoundError):
                os.chmod(temporary, stat.S_IMODE(os.stat(path).st_mode))
            yield file
        os.replace(temporary, path)
    except OSError as error:
        raise NeuroMFAError(f"{path} was not written ({_reason(error)}): make room, or save elsewhere") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _beside(path):
    return path.with_name(f".neuromfa-{secrets.token_hex(8)}.tmp")


def _reason(error):
    return getattr(error, "strerror", None) or said(error)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """What every result shares: arrays that nobody changes by accident, how it was computed, and a file."""

    _kind = ""  # names the result in its file
    _layout = {}  # what the file holds, see layouts below

    method: str = ""
    method_key: str = ""
    versions: dict = dataclasses.field(default_factory=versions)

    def __post_init__(self):
        for value in vars(self).values():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    def _to_file(self):
        """{name: value} of those fields that a file holds in another form than the result."""
        return {}

    @classmethod
    def _from_file(cls, path, values):
        """The result of the values in a file."""
        return cls(**values)

    def save(self, path):
        """Write the result to an .npz file; returns its path, which gets the ending .npz where it lacks it."""
        values = self._to_file()
        values |= {name: getattr(self, name) for name in _fields(self._layout) if name not in values}
        path = result_target(path)
        refuse_misfit(f"this {self._kind} cannot be saved", values, self._layout)
        arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
        plain = {name: value for name, value in values.items() if name not in arrays}
        header = json.dumps({"schema": SCHEMA, "kind": self._kind, "plain": plain}, default=lambda value: value.item())
        content = io.BytesIO()
        np.savez_compressed(content, header=np.array(header), **arrays)
        with written(path) as file:
            file.write(content.getbuffer())
        return path

    @classmethod
    def load(cls, path):
        """Read a result written by :meth:`save`.

        Raises:
            NeuroMFAError: no such file, a damaged one, another kind of result or schema, a field that is missing,
                unknown or of another kind, length or range; the message names the file and the field.
        """
        path = arguments.path("path", path)
        return cls._from_file(path, _read(path, cls._kind, cls._layout))


def _read(path, kind, layout):
    """The values in a file; nothing is allocated before what it declares agrees with its size and the layout."""
    try:
        if not os.path.isfile(path):
            raise NeuroMFAError(f"{path}: {'is a folder' if os.path.isdir(path) else 'no such file'}")
        file = open(path, "rb")
    except OSError as error:
        raise NeuroMFAError(f"{path} cannot be read ({_reason(error)})") from None
    with file:
        try:
            with zipfile.ZipFile(file) as archive:
                declared = _declared(archive, os.fstat(file.fileno()).st_size)
                plain = _plain(path, kind, json.loads(str(_array(archive, "header", declared.pop("header")))))
                refuse_misfit(f"{path} is damaged", {**plain, **declared}, layout)
                arrays = {name: _array(archive, name, each) for name, each in declared.items()}
                refuse_misfit(f"{path} is damaged", {**plain, **arrays}, layout)
                return {**plain, **arrays}
        except NeuroMFAError:
            raise
        except Exception as error:  # what a damaged archive makes its readers raise, no list holds
            raise NeuroMFAError(
                f"{path} is damaged or not a file of neuromfa_lite ({said(error)}): save the result again"
            ) from None


class Declared(NamedTuple):
    """What the file says of an array."""

    dtype: np.dtype
    shape: tuple[int, ...]


def _declared(archive, size):
    """{name: Declared} of every member, refused where it declares more than the file can hold."""
    members = archive.infolist()
    found = {member.filename.removesuffix(".npy"): None for member in members}
    if len(found) < len(members) or not all(member.filename.endswith(".npy") for member in members):
        raise ValueError("members that are no arrays, or two of one name")
    if "header" not in found:
        raise ValueError("no header")
    if sum(member.compress_size for member in members) > size:
        raise ValueError("it declares more than it holds")
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    for member, name in zip(members, found, strict=True):
        if member.file_size > MOST_PACKED * (member.compress_size + 1):
            raise ValueError(f"{name} declares more than it holds")
        with archive.open(member) as file:
            shape, _, dtype = readers[np.lib.format.read_magic(file)](file)
            if dtype.kind not in "fiuU" or math.prod(shape) * dtype.itemsize != member.file_size - file.tell():
                raise ValueError(f"{name} declares {dtype} of shape {shape}, which it does not hold")
        found[name] = Declared(dtype, shape)
    return found


def _array(archive, name, declared):
    with archive.open(f"{name}.npy") as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    if (array.dtype, array.shape) != (declared.dtype, declared.shape):
        raise ValueError(f"{name} is not what it declares")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _plain(path, kind, header):
    """The plain values of a header, of which every part may be of any kind."""
    if not isinstance(header, dict) or not {"kind", "schema", "plain"} <= set(header):
        raise ValueError("its header is none")
    schema, plain = header["schema"], header["plain"]
    if not re.fullmatch(r"[a-z-]{1,40}", str(header["kind"])) or type(schema) is not int or schema < 1:
        raise ValueError("its header names no kind or schema")
    if header["kind"] != kind:
        raise NeuroMFAError(f"{path} holds a {header['kind']}, not a {kind}")
    if schema != SCHEMA:
        raise NeuroMFAError(
            f"{path} has schema {schema}, and this version of neuromfa_lite reads {SCHEMA}: compute the result again"
        )
    if not isinstance(plain, dict):
        raise ValueError("its header holds no values")
    return plain


# --- layouts -------------------------------------------------------------------------------------------------
#
# A layout says what a kind of result is made of: {"number": "alpha0 width", "numbers[q radii]": "residuals", ...}.
# "or nan", "or none": where these are allowed. In brackets stand the lengths of an array: a number, a name (one length
# for all that name it; orders is q, or q - 1), or * for any.

FIELD = re.compile(r"(?P<kind>\w+)(\[(?P<lengths>.+)\])?( or (?P<other>nan|none))?")
LARGEST = sys.float_info.max


def _is(*kinds):
    return lambda value: isinstance(value, kinds) and not isinstance(value, (bool, np.bool_))


def _texts(values):
    return all(isinstance(value, str) for value in values)


_number = _is(int, float, np.integer, np.floating)
PLAIN = {
    "text": ("a text", _is(str)),
    "texts": ("a list of texts", lambda value: isinstance(value, (list, tuple)) and _texts(value)),
    "words": ("texts by name", lambda value: isinstance(value, dict) and _texts([*value, *value.values()])),
    "choices": ("choices by name", lambda value: isinstance(value, dict) and _texts(value)),
    "whole": ("a whole number of at least 0", lambda value: _is(int, np.integer)(value) and 0 <= value <= 1 << 64),
    "number": ("a finite number", lambda value: _number(value) and abs(value) <= LARGEST),
    "range": (
        "two numbers",
        lambda value: isinstance(value, (list, tuple)) and [v == v for v in value if _number(v)] == [True, True],
    ),
}
ARRAYS = {"numbers": ("finite numbers", "f"), "wholes": ("whole numbers of at least 0", "iu"), "names": ("texts", "U")}


def _fields(layout):
    """{name: match of its field in the layout}."""
    return {name: FIELD.fullmatch(field) for field, names in layout.items() for name in names.split()}


def refuse_misfit(what, values, layout):
    """Refuse, by name, a field that a layout lacks, that is missing, or of another kind, length or range.

    values: {name: plain value, array or Declared}; what: the start of the message.
    """
    fields = _fields(layout)
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise NeuroMFAError(f"{what}: it holds {unknown[0][:60]!r}, which no such result has")
    lengths = {}
    for name, field in fields.items():
        if name not in values:
            raise NeuroMFAError(f"{what}: it lacks {name}")
        value = values[name]
        if value is None and field["other"] == "none":
            continue
        if field["kind"] in PLAIN:
            wanted, fits = PLAIN[field["kind"]]
            fits = fits(value) or (field["other"] == "nan" and isinstance(value, float) and math.isnan(value))
        else:
            wanted, kinds = ARRAYS[field["kind"]]
            shape = _shape(field["lengths"].split(), lengths, getattr(value, "shape", ()))
            wanted = f"an array ({', '.join(map(str, shape))}) of {wanted}"
            fits = type(value) in (np.ndarray, Declared) and value.dtype.kind in kinds and value.shape == shape
            fits = fits and (type(value) is Declared or _good(value, field["other"] == "nan"))
        if not fits:
            found = f"{value.dtype} {value.shape}" if hasattr(value, "shape") else f"{value!r:.40}"
            other = f", or {field['other']}" if field["other"] else ""
            raise NeuroMFAError(f"{what}: {name} must be {wanted}{other}, and is {found}")


def _shape(named, lengths, found):
    """The shape that an array must have; a length that is named for the first time is the one it has."""
    shape = []
    for axis, name in enumerate(named):
        here = found[axis] if len(found) == len(named) else 1
        if name == "orders" and name not in lengths and "q" in lengths:
            lengths[name] = lengths["q"] - (here == lengths["q"] - 1)
        shape.append(int(name) if name.isdigit() else here if name == "*" else lengths.setdefault(name, max(here, 1)))
    return tuple(shape)


def _good(array, with_nan):
    """Whether the values of an array are allowed: finite numbers, or also NaN; counts; letters that exist."""
    if array.dtype.kind == "f":
        return bool(np.isfinite(array[~np.isnan(array)] if with_nan else array).all())
    if array.dtype.kind == "i":
        return bool((array >= 0).all())
    return array.dtype.kind != "U" or bool((np.frombuffer(array.tobytes(), np.uint32) <= sys.maxunicode).all())
