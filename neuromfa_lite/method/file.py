"""A variant in an ordinary Python file: written by ``%%writefile``, read by running it, never a pickle."""

import os
import sys
import traceback
from types import ModuleType

from ..errors import NeuroMFAError, arguments, said
from . import ideas  # noqa: F401  (their names are in METHODS then)
from .choices import Method
from .shipped import METHODS

SHIPPED_METHODS = tuple(METHODS.values())
LARGEST = 10_000_000  # bytes


def load_variant(path, name=None):
    """Run a Python file, which ``%%writefile`` may have written, and return the variant it defines.

    The file's code runs: load files you trust.

    Args:
        path: the .py file.
        name: what to take from it; None: ``VARIANT``, or the only Method that it makes.

    Returns:
        Method, or a function of a checkpoint.

    Raises:
        NeuroMFAError: no such file, an error inside it (the message names the line), no Method or several.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> file = Path(tempfile.mkdtemp()) / "mine.py"
        >>> _ = file.write_text("import neuromfa_lite as nmfa\\nmine = nmfa.SCALE_FREE.replace(name='mine', q=[0, 1])")
        >>> load_variant(file).name
        'mine'
    """
    path = arguments.path("path", path)
    if path.suffix != ".py":
        raise NeuroMFAError(f"{path}: a variant is an ordinary Python file, such as my_variant.py")
    if not os.path.lexists(path):
        raise NeuroMFAError(f"{path}: no such file; %%writefile {path.name} at the top of a notebook cell writes it")
    if not os.path.isfile(path):
        raise NeuroMFAError(f"{path} is a folder or no ordinary file: a variant is an ordinary Python file")
    if os.path.getsize(path) > LARGEST:
        raise NeuroMFAError(f"{path} has more than {LARGEST:,} bytes: keep data out of the file, it holds code alone")
    names = {key: value for key, value in _import(path).items() if not key.startswith("__")}
    if name is not None:
        if arguments.text("name", name) not in names:
            raise NeuroMFAError(f"{path} defines no {name}; it defines {', '.join(names) or 'nothing'}")
        return _variant(names[name], f"{name} in {path}")
    if "VARIANT" in names:
        return _variant(names["VARIANT"], f"VARIANT in {path}")
    shipped = set(map(id, SHIPPED_METHODS))
    own = {id(value): key for key, value in names.items() if isinstance(value, Method) and id(value) not in shipped}
    if not own:
        raise NeuroMFAError(
            f"{path} makes no Method: end it with VARIANT = nmfa.PAPER.replace(...), or a function of a checkpoint"
        )
    if len(own) > 1:
        raise NeuroMFAError(f"{path} makes several Methods ({', '.join(own.values())}): call one of them VARIANT")
    return names[own.popitem()[1]]


def find_method(word):
    """The Method that a word of the command line stands for: a name, FILE.py, or FILE.py:NAME."""
    found = find_variant(word, METHODS, "method")
    if not isinstance(found, Method):
        raise NeuroMFAError(f"{word} holds a function of a checkpoint and this needs a Method: nmfa.PAPER.replace(...)")
    return found


def find_variant(word, known, kind):
    """What a word stands for: one of some known by their names, or the Method or function of FILE.py, FILE.py:NAME."""
    if word in known:
        return known[word]
    file, colon, name = word.rpartition(".py:")
    if colon:
        return load_variant(f"{file}.py", name)
    if word.endswith(".py"):
        return load_variant(word)
    raise NeuroMFAError(f"no {kind} {word!r}: use one of {', '.join(known)}, or FILE.py, or FILE.py:NAME")


def _variant(value, where):
    if isinstance(value, Method) or (callable(value) and not isinstance(value, type)):
        return value
    raise NeuroMFAError(f"{where} is a {type(value).__name__}, but a variant is a Method or a function of a checkpoint")


def _import(path):
    """The names of a file, run anew at every call as a module of its own; compiled here, so no old bytecode is run."""
    module = ModuleType(f"_neuromfa_variant_{path.stem}")
    module.__file__ = str(path)
    try:
        code = compile(path.read_bytes(), str(path), "exec")
        sys.modules[module.__name__] = module  # numba and dataclasses look a function's module up there
        exec(code, module.__dict__)
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.filename == str(path) else ""
        raise NeuroMFAError(f"{path}{line}: {error.msg}; correct it and load it again") from error
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = f", line {lines[-1]}" if lines else ""
        raise NeuroMFAError(f"{path}{line}: {said(error)}; correct it and load it again") from error
    return vars(module)
