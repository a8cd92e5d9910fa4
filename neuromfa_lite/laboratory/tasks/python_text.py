"""The text of the code task: the sources of Python's own standard library, found where this Python keeps them.

The vocabulary and the held-out sequences, passages of Python 3.11.7 under its licence, were made once by
scripts/make_text.py. The training text is that of the Python that trains; its hash stands in the run's manifest.
"""

import functools
import hashlib
import itertools
import json
import platform
import re
import sysconfig
from pathlib import Path

import numpy as np

from ...errors import SourceError

FILE = Path(__file__).parent / "python_text.json"
LICENCE = "PSF-2.0; Copyright (c) 2001 Python Software Foundation; All Rights Reserved"
# Tests, tables, generated files, programs of their own, and what others installed.
LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "encodings", "pydoc_data", "lib2to3", "idlelib"}
LEFT_OUT |= {"turtledemo", "ensurepip", "lib-dynload", "__phello__", "__pycache__"}
# One piece never joins with the next: a line break with the indentation after it, a word with the space before it,
# a number, or a single sign with the space before it.
PIECE = re.compile(r"\n[ ]*| ?[A-Za-z_]+| ?[0-9]+| ?[^\sA-Za-z_0-9]|\s")
OTHER = "\ufffd"  # stands for every character that is not plain ASCII


def source_files(folder: Path | None = None) -> dict[str, str]:
    """{"json/decoder.py": text in plain ASCII, ...} of the running Python's standard library, or of a folder."""
    folder = Path(sysconfig.get_paths()["stdlib"]) if folder is None else folder
    texts = {}
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).parts
        generated = parts[-1].startswith(("_sysconfigdata", "sitecustomize")) or parts[0].startswith("config-")
        if not generated and LEFT_OUT.isdisjoint(parts):
            texts["/".join(parts)] = plain(path.read_text(encoding="utf-8", errors="replace"))
    if not texts:
        raise SourceError(f"{folder} holds no sources of the standard library: train this run with another Python")
    return dict(sorted(texts.items()))


def plain(text: str) -> str:
    """Replace every character that has no token: a tab by four spaces, a form feed and the like by a mark."""
    return re.sub(r"[^\n -~]", OTHER, text.replace("\r\n", "\n").replace("\t", "    "))


def is_held_out(name: str) -> bool:
    """Whether a file is kept for the test: one in 20, by a hash of its name, the same in every Python."""
    return hashlib.sha256(name.encode()).digest()[0] < 256 / 20


def encode(text: str, vocabulary: list[str]) -> list[int]:
    """The ids of a plain text's tokens: byte pairs, joined in the order of the vocabulary (Sennrich et al. 2016)."""
    number = {token: place for place, token in enumerate(vocabulary)}
    known: dict[str, list[int]] = {}
    ids: list[int] = []
    for piece in PIECE.findall(text):
        if piece not in known:
            known[piece] = [number[token] for token in _split(piece, number)]
        ids += known[piece]
    return ids


def _split(piece, number):
    symbols = list(piece)
    while True:
        ranks = [number.get(one + two, len(number)) for one, two in itertools.pairwise(symbols)]
        if not ranks or min(ranks) == len(number):
            return symbols
        place = ranks.index(min(ranks))
        symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]


@functools.cache
def training_tokens() -> tuple[np.ndarray, dict]:
    """The running Python's library without the files held out, (tokens,) int16, and which text it is (dict)."""
    texts = [text for name, text in source_files().items() if not is_held_out(name)]
    tokens = np.array(encode("".join(texts), stored_text()["vocabulary"]), dtype="<i2")
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
    """What travels with the package: vocabulary, held_out (sequences, tokens), usual_next token of each in training."""
    return json.loads(FILE.read_text(encoding="utf-8"))
