"""The text of the code task: the sources of Python's own standard library, found where this Python keeps them.

Nothing is downloaded. The vocabulary and the held-out sequences were made once, by :func:`make_text`, and travel with
the package, so that a model means and is asked the same under every version of Python. The held-out sequences are
passages of Python 3.11.7, cut into tokens; python_text.LICENSE.txt is Python's own licence for them. The training text
is that of the Python that trains; its hash stands in the run's manifest.
"""

from __future__ import annotations

import functools
import hashlib
import json
import platform
import sysconfig
from pathlib import Path

import numpy as np

from ...errors import SourceError
from . import byte_pairs
from .streams import seed_sequence

FILE = Path(__file__).parent / "python_text.json"
LICENCE = "PSF-2.0; Copyright (c) 2001 Python Software Foundation; All Rights Reserved"
# Tests, tables, generated files, programs of their own, and what others installed.
LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "encodings", "pydoc_data", "lib2to3", "idlelib"}
LEFT_OUT |= {"turtledemo", "ensurepip", "lib-dynload", "__phello__", "__pycache__"}


def source_files(folder: Path | None = None) -> dict[str, str]:
    """Read the standard library's sources.

    Args:
        folder: the library's folder; None: that of the running Python.

    Returns:
        dict from names such as "json/decoder.py", ascending, to texts in plain ASCII.

    Raises:
        SourceError: the sources are not there, as in a Python that ships compiled files only.

    Example:
        >>> "class JSONDecoder" in source_files()["json/decoder.py"]
        True
    """
    folder = Path(sysconfig.get_paths()["stdlib"]) if folder is None else folder
    texts = {}
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).parts
        generated = parts[-1].startswith(("_sysconfigdata", "sitecustomize")) or parts[0].startswith("config-")
        if not generated and LEFT_OUT.isdisjoint(parts):
            texts["/".join(parts)] = byte_pairs.plain(path.read_text(encoding="utf-8", errors="replace"))
    if not texts:
        raise SourceError(f"{folder} holds no sources of the standard library: train this run with another Python")
    return dict(sorted(texts.items()))


def is_held_out(name: str) -> bool:
    """Say whether a file is kept for the test: one in 20, by a hash of its name, the same in every Python.

    Example:
        >>> is_held_out("json/decoder.py"), is_held_out("bisect.py")
        (False, False)
    """
    return hashlib.sha256(name.encode()).digest()[0] < 256 / 20


@functools.cache
def training_tokens() -> tuple[np.ndarray, dict]:
    """Encode the running Python's library without the files held out.

    Returns:
        (tokens, about): (tokens,) int16, the files one after the other; and a dict that says which text it is: python
        (version), licence, files, characters, tokens, sha256 (of the tokens as little-endian int16).

    Raises:
        SourceError: as :func:`source_files`.
    """
    texts = [text for name, text in source_files().items() if not is_held_out(name)]
    tokens = np.array(byte_pairs.encode("".join(texts), stored_text()["vocabulary"]), dtype="<i2")
    about = {
        "text": "the Python standard library's own sources",
        "python": platform.python_version(),
        "licence": LICENCE,
        "files": len(texts),
        "characters": sum(map(len, texts)),
        "tokens": len(tokens),
        "sha256": hashlib.sha256(tokens.tobytes()).hexdigest(),
    }
    return tokens, about


@functools.cache
def stored_text() -> dict:
    """Read what travels with the package.

    Returns:
        dict: python and licence (of the text held out), vocabulary (512 str), held_out (sequences, tokens), and
        usual_next (512), the token that follows each token most often in the training text.

    Example:
        >>> len(stored_text()["vocabulary"])
        512
    """
    return json.loads(FILE.read_text(encoding="utf-8"))


def make_text(size: int = 512, sequences: int = 256, context: int = 128) -> dict:
    """Make what :func:`stored_text` reads, from the running Python's library.

    Args:
        size: number of tokens in the vocabulary.
        sequences, context: number of held-out sequences, and positions asked in each; one token more is stored.

    Returns:
        dict as of :func:`stored_text`.
    """
    texts = source_files()
    trained = "".join(text for name, text in texts.items() if not is_held_out(name))
    vocabulary = byte_pairs.learn(trained, size)
    tokens = np.array(byte_pairs.encode(trained, vocabulary))
    follows = np.zeros((size, size), np.int64)
    np.add.at(follows, (tokens[:-1], tokens[1:]), 1)
    windows = []
    for name, text in texts.items():
        if is_held_out(name):
            ids = byte_pairs.encode(text, vocabulary)
            windows += [ids[at : at + context + 1] for at in range(0, len(ids) - context, context + 1)]
    known = tokens.astype("<i2").tobytes()
    windows = [window for window in windows if not _repeats(window, known)]
    chosen = np.random.default_rng(seed_sequence("held-out")).permutation(len(windows))[:sequences]
    return {
        "python": platform.python_version(),
        "licence": LICENCE,
        "vocabulary": vocabulary,
        "usual_next": follows.argmax(axis=1).tolist(),
        "held_out": [windows[place] for place in sorted(chosen.tolist())],
    }


def _repeats(window, known):
    """Whether a quarter of a sequence stands in the training text too, as licences and copied files do."""
    size = len(window) // 4
    parts = (np.array(window[at : at + size], "<i2").tobytes() for at in range(0, 4 * size, size))
    return any(part in known for part in parts)


def text_as_json(text: dict) -> str:
    """Write what :func:`make_text` made as the package stores it (str): a line per entry and per sequence."""
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in text.items() if key != "held_out"]
    rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in text["held_out"])
    return "{" + ",\n".join([*lines, f'"held_out": [\n{rows}]']) + "}\n"
