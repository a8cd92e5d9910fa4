"""What tells two choices apart: a short label to read, and a text that changes when the choice does."""

import hashlib
from types import CellType

import numpy as np


def label(value):
    """A choice in a name or a repr."""
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    if isinstance(value, (tuple, list, np.ndarray)) and getattr(value, "ndim", 1) and len(value) > 3:
        return f"[{value[0]:g}..{value[-1]:g}]"
    return value


def identity(value, inside=()):
    """A text that changes when the value does, a callable's code too; inside: the functions around it."""
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":  # NumPy shortens the text of a long one
        return f"array{value.shape}{value.dtype}{hashlib.sha256(value.tobytes()).hexdigest()}"
    if not callable(value):
        return repr(value)
    if any(value is each for each in inside):
        return "itself"
    function = getattr(value, "py_func", value)
    code = getattr(function, "__code__", None)
    # A name of the function around it that has no value yet is an empty cell.
    cells = [cell for cell in getattr(function, "__closure__", None) or () if cell != CellType()]
    captured = [identity(cell.cell_contents, (*inside, value)) for cell in cells]
    defaults = [identity(default, (*inside, value)) for default in getattr(function, "__defaults__", None) or ()]
    named = getattr(function, "__kwdefaults__", None) or {}
    defaults += [(name, identity(default, (*inside, value))) for name, default in named.items()]
    owner = repr(value.__self__) if hasattr(value, "__self__") else ""  # of a method: the object
    where = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"
    return f"{where}:{_code_identity(code) if code else repr(function)}:{captured!r}:{defaults!r}{owner}"


def _code_identity(code):
    constants = [_code_identity(part) if hasattr(part, "co_code") else repr(part) for part in code.co_consts]
    return code.co_code.hex(), constants, code.co_names
