"""Byte-pair encoding in its plainest form: begin with characters, join the most frequent pair, again and again."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict

# One piece never joins with the next: a line break with the indentation after it, a word with the space before it,
# a number, or a single sign with the space before it.
PIECE = re.compile(r"\n[ ]*| ?[A-Za-z_]+| ?[0-9]+| ?[^\sA-Za-z_0-9]|\s")
CHARACTERS = ("\n", *map(chr, range(32, 127)))
OTHER = "\ufffd"  # stands for every character that is not plain ASCII


def plain(text: str) -> str:
    """Replace every character that has no token: a tab by four spaces, a form feed and the like by a replacement mark.

    Example:
        >>> plain("a\\tπ")
        'a    \\ufffd'
    """
    return re.sub(r"[^\n -~]", OTHER, text.replace("\r\n", "\n").replace("\t", "    "))


def learn(text: str, size: int) -> list[str]:
    """Learn a vocabulary: the characters, then the joined pairs in the order in which they were joined.

    The most frequent pair of neighbours inside pieces is joined; of equally frequent ones the first by code points.

    Args:
        text: str, plain.
        size: number of tokens.

    Returns:
        list of ``size`` str, or fewer when nothing is left to join; a token's id is its place.

    Source: Sennrich, Haddow and Birch 2016, section 3.2.

    Example:
        >>> learn("abab abab abc", 99)[97:]
        ['ab', ' ab']
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


def encode(text: str, vocabulary: list[str]) -> list[int]:
    """Split a text into tokens: in every piece the pair whose token stands first in the vocabulary is joined first.

    Args:
        text: str, plain.
        vocabulary: list of str, as :func:`learn` gives it.

    Returns:
        list of int, ids.

    Example:
        >>> vocabulary = learn("abab abab abc", 99)
        >>> [vocabulary[number] for number in encode("abc ab", vocabulary)]
        ['ab', 'c', ' ab']
    """
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
