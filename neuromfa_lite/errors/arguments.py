"""What a public call is given: one check for each kind of argument, which refuses anything else by its name."""

import os
from numbers import Real
from pathlib import Path

import numpy as np

from . import NeuroMFAError

LARGEST_WHOLE = 10**18
LARGEST_SEED = 2**64
EXACT = 2**53  # whole numbers above it are not all float64 numbers


def whole(name, value, least=0, most=LARGEST_WHOLE):
    """An int of a whole number, least <= value <= most."""
    known = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not known or not least <= value <= most:
        raise NeuroMFAError(f"{name}={shown(value)} must be a whole number of at least {least}, at most {most:g}")
    return int(value)


def seed(value):
    """An int of a seed."""
    return whole("seed", value, 0, LARGEST_SEED)


def among(value, known):
    """Whether a number is one of some whole ones; 724.0 is, as a row of a table has it."""
    return not isinstance(value, np.ndarray) and number(value) in known


def number(value):
    """A float; NaN of what is no real number (text, True, complex, masked, an array), for the caller's own bounds."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item") and not np.ma.isMaskedArray(value):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        return np.nan
    try:
        return float(value)
    except OverflowError:
        return np.nan


def numbers(name, values, dimensions=(1,)):
    """A float64 array of real numbers that lose nothing, of one of the dimensions (None: any); a copy if need be."""
    array = _array(name, values)
    if array.dtype.kind == "O" and all(isinstance(value, Real) and not isinstance(value, bool) for value in array.flat):
        _refuse_inexact(name, [value for value in array.flat if isinstance(value, int)])
        array = array.astype(np.float64)
    if array.size and array.dtype.kind not in "iuf":
        raise NeuroMFAError(f"{name} must be a list of numbers, or an array of real ones, not {shown(values)}")
    if dimensions and array.ndim not in dimensions:
        kinds = " or ".join(f"{number}-dimensional" if number > 1 else "a flat list" for number in dimensions)
        raise NeuroMFAError(f"{name} must be {kinds}, not of shape {array.shape}")
    if array.dtype.kind in "iu" and array.size:
        _refuse_inexact(name, [int(array.min()), int(array.max())])
    return array.astype(np.float64, copy=False)


def positions(name, values, what):
    """An int64 array (n,) of at least one whole number >= 0."""
    array = _array(name, values)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise NeuroMFAError(f"{name} must be a flat list of at least one whole number, {what}, not {shown(values)}")
    if array.min() < 0 or array.max() > LARGEST_WHOLE:
        raise NeuroMFAError(f"{name} must be whole numbers from 0 to {LARGEST_WHOLE:g}, {what}")
    return array.astype(np.int64, copy=False)


def one_of(name, value, allowed):
    """The value, which is one of some texts."""
    if not isinstance(value, str) or value not in allowed:
        raise NeuroMFAError(f"{name}={shown(value)} is unknown: use one of {', '.join(map(repr, allowed))}")
    return value


def flag(name, value):
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise NeuroMFAError(f"{name}={shown(value)} must be True or False")
    return bool(value)


def text(name, value):
    """A str that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise NeuroMFAError(f"{name}={shown(value)} must be a text")
    return value


def path(name, value):
    """A Path of a str or a path."""
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value):
        raise NeuroMFAError(f"{name}={shown(value)} must be the name of a file or folder, a str or a Path")
    if "\0" in str(value):
        raise NeuroMFAError(f"{name} has a zero byte after {str(value).split(chr(0))[0]!r}: no file is named so")
    return Path(os.path.expanduser(value))


def instance(name, value, kind, way_out):
    """The value, which is of a class."""
    if not isinstance(value, kind):
        raise NeuroMFAError(f"{name} must be a {kind.__name__}, not {type(value).__name__}: {way_out}")
    return value


def shown(value):
    """A value in an error message: its repr in one line of at most 60 letters."""
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
        return "a number of that size"
    try:
        return " ".join(repr(value).split())[:60]
    except Exception:  # of a class of the user's
        return f"a {type(value).__name__}"


def _array(name, values):
    parts = values if isinstance(values, (list, tuple)) else ()
    if np.ma.isMaskedArray(values) or any(map(np.ma.isMaskedArray, parts)):
        raise NeuroMFAError(f"{name} is a masked array: leave out what it hides, or give .filled(value)")
    try:
        return np.asarray(values)
    except (TypeError, ValueError, OverflowError):  # lists of different lengths, for one
        raise NeuroMFAError(f"{name} must be a list of numbers, or an array, not {shown(values)}") from None


def _refuse_inexact(name, values):
    inexact = [value for value in values if abs(value) > EXACT]
    if inexact:
        raise NeuroMFAError(f"{name} holds {shown(inexact[0])}: give floats for whole numbers beyond 2**53")
