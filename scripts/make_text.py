"""Make the vocabulary and the held-out sequences of the code task anew: python scripts/make_text.py [FILE]

They come from the standard library of the Python that runs this; the package's own are those of Python 3.11.7. Without
FILE they are compared with the package's; only `FILE` itself is ever written. The byte pairs are learnt in their
plainest form: begin with characters, join the most frequent pair, again and again.
"""

import itertools
import json
import platform
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from neuromfa_lite.laboratory.tasks import seed_sequence
from neuromfa_lite.laboratory.tasks.python_text import FILE, LICENCE, OTHER, PIECE, encode, is_held_out, source_files

CHARACTERS = ("\n", *map(chr, range(32, 127)))


def make_text(size: int = 512, sequences: int = 256, context: int = 128) -> dict:
    """Make what the package's `stored_text` reads, from the running Python's library.

    Args:
        size: number of tokens in the vocabulary.
        sequences, context: number of held-out sequences, and positions asked in each; one token more is stored.

    Returns:
        dict as of the package's `stored_text`.
    """
    texts = source_files()
    trained = "".join(text for name, text in texts.items() if not is_held_out(name))
    vocabulary = learn(trained, size)
    tokens = np.array(encode(trained, vocabulary))
    follows = np.zeros((size, size), np.int64)
    np.add.at(follows, (tokens[:-1], tokens[1:]), 1)
    windows = []
    for name, text in texts.items():
        if is_held_out(name):
            ids = encode(text, vocabulary)
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


def learn(text: str, size: int) -> list[str]:
    """Learn a vocabulary: the characters, then the joined pairs in the order in which they were joined.

    The most frequent pair of neighbours inside pieces is joined; of equally frequent ones the first by code points.

    Args:
        text: str, plain.
        size: number of tokens.

    Returns:
        list of ``size`` str, or fewer when nothing is left to join; a token's id is its place.

    Source: Sennrich, Haddow and Birch 2016, section 3.2.
    """
    counts = Counter(PIECE.findall(text))
    words = {piece: list(piece) for piece in counts}
    pairs, where = Counter(), defaultdict(set)
    for piece, symbols in words.items():
        _count(pairs, where, piece, symbols, counts[piece])
    vocabulary = [*CHARACTERS, OTHER]
    known = set(vocabulary)
    while len(vocabulary) < size:
        pair, count = min(pairs.items(), key=lambda item: (-item[1], item[0]), default=(None, 0))
        if count < 1:
            break
        for piece in where.pop(pair):
            _count(pairs, where, piece, words[piece], -counts[piece])
            words[piece] = _joined(words[piece], pair)
            _count(pairs, where, piece, words[piece], counts[piece])
        token = "".join(pair)
        if token not in known:  # two ways to one token: the second join adds none
            vocabulary.append(token)
            known.add(token)
    return vocabulary


def _joined(symbols, pair):
    """The symbols with every occurrence of the pair, from the left, made one."""
    joined = []
    place = 0
    while place < len(symbols):
        here = 2 if tuple(symbols[place : place + 2]) == pair else 1
        joined.append("".join(symbols[place : place + here]))
        place += here
    return joined


def _count(pairs, where, piece, symbols, count):
    for pair in itertools.pairwise(symbols):
        pairs[pair] += count
        where[pair].add(piece)
        if pairs[pair] <= 0:
            del pairs[pair]


if __name__ == "__main__":
    made = text_as_json(make_text())
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(made, encoding="utf-8")
        print(f"written: {sys.argv[1]}")
    else:
        print("the package's text" if made == FILE.read_text(encoding="utf-8") else "another text than the package's")
